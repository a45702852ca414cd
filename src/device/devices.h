/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_DEVICE_DEVICES_H
#define VIC_DEVICE_DEVICES_H

#include "vicinal_dev.h"

void cpu_describe(vic_device_info *info);

/* A GPU by way of the driver library, opened at run time: fills *info where there is a GPU `index` (-1: of none), and
 * returns how many there are.  `note` [size] gets a sentence when there is none that can be used, else "". */
int cuda_describe(int index, vic_device_info *info, char *note, size_t size);

#endif
