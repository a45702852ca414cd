/* SPDX-License-Identifier: Apache-2.0 */
/* One of the headers before anything else, twice, with VIC_INIT of every struct that it has; compiled as C17 and as
 * C++17.  check_headers.py sees to it that no struct is missing here. */
#ifdef ALONE_STRUCTURE
#include "vicinal_structure.h"
#elif defined(ALONE_ENGINE)
#include "vicinal_engine.h"
#elif defined(ALONE_DIST)
#include "vicinal_dist.h"
#elif defined(ALONE_DEV)
#include "vicinal_dev.h"
#elif defined(ALONE_DLPACK)
#include "vicinal_dlpack.h"
#else
#include "vicinal.h"
#endif

size_t header_use(void);

#define USE(type)                                                                                                    \
    do {                                                                                                             \
        type one = VIC_INIT(type);                                                                                   \
        sum += one.size == sizeof one;                                                                               \
    } while (0)

/* How many of them know their size. */
size_t header_use(void)
{
    size_t sum = 0;
    USE(vic_context_options);
    USE(vic_context_info);
    USE(vic_points);
    USE(vic_pattern_estimate);
    USE(vic_pattern_options);
    USE(vic_block_list);
    USE(vic_pair_list);
    USE(vic_range_list);
    USE(vic_page_list);
    USE(vic_pattern_info);
    USE(vic_neighbors);
    USE(vic_block_mask);
    USE(vic_plan_options);
    USE(vic_plan_info);
    USE(vic_attention_args);
    USE(vic_attention_backward_args);
    USE(vic_combine_args);
#ifdef VICINAL_ENGINE_H
    USE(vic_engine_options);
    USE(vic_engine_info);
    USE(vic_endpoint_options);
    USE(vic_endpoint_info);
    USE(vic_answer);
    USE(vic_query);
#endif
#ifdef VICINAL_DIST_H
    USE(vic_dist_options);
    USE(vic_dist_info);
    USE(vic_dist_rows);
#endif
#ifdef VICINAL_STRUCTURE_H
    USE(vic_read_options);
    USE(vic_structure_info);
#endif
#ifdef VICINAL_DEV_H
    USE(vic_reference_gradients);
    USE(vic_time_options);
    USE(vic_kernel_info);
    USE(vic_device_info);
    USE(vic_switch_info);
#endif
#ifdef VICINAL_DLPACK_H
    vic_tensor tensor = vic_tensor_make(NULL, VIC_F32, 0, NULL);
    DLTensor other = vic_tensor_to_dlpack(&tensor);
    tensor = vic_tensor_from_dlpack(&other);
    sum += tensor.data == NULL;
#endif
    return sum;
}
