/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_BASE_CLOCK_H
#define VIC_BASE_CLOCK_H

double clock_seconds(void); /* monotonic, from an arbitrary start */

#endif
