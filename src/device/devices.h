/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_DEVICE_DEVICES_H
#define VIC_DEVICE_DEVICES_H

#include "vicinal_dev.h"

void cpu_describe(vic_device_info *info);

/* Returns how many GPUs there are, and fills *info where there is a GPU `index` (-1: of none).  The driver library is
 * opened at run time.  When no GPU can be used `note` [size] is set to a sentence for why not, else to "". */
int cuda_describe(int index, vic_device_info *info, char *note, size_t size);

#endif
