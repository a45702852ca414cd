/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_DEVICE_DEVICES_H
#define VIC_DEVICE_DEVICES_H

#include "vicinal.h"

/* GPUs by way of the driver library, opened at run time: fills at most `capacity` entries and returns how many there
 * are.  `note` [size] gets a sentence when there is none that can be used, else "". */
int cuda_devices(int capacity, vic_device_info *devices, char *note, size_t size);

#endif
