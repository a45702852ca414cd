/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#define KERNEL_ADDRESS(name) &name,
const struct kernel *const kernel_table[] = { KERNEL_LIST(KERNEL_ADDRESS) };
const int kernel_table_size = (int)(sizeof kernel_table / sizeof *kernel_table);
