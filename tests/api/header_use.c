/* SPDX-License-Identifier: Apache-2.0 */
/* vicinal.h before anything else, twice, with every initialiser in use; compiled as C17 and as C++17. */
#include "vicinal.h"

vic_status header_use(const char *path, vic_structure **out, vic_error *err);

vic_status header_use(const char *path, vic_structure **out, vic_error *err)
{
    vic_read_options read = VIC_READ_OPTIONS_INIT;
    vic_pattern_options pattern = VIC_PATTERN_OPTIONS_INIT;
    vic_engine_options engine = VIC_ENGINE_OPTIONS_INIT;
    vic_plan_options plan = VIC_PLAN_OPTIONS_INIT;
    vic_attention_args args = VIC_ATTENTION_ARGS_INIT;
    vic_tensor none = VIC_TENSOR_NONE;

    pattern.cutoff = 8.0;
    args.q = none;
    if (read.size + pattern.size + engine.size + plan.size + args.size == 0) return VIC_FAILED;
    return vic_structure_read(path, &read, out, err);
}
