/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say which attention: heads, sizes, type, device, kernel. */
#include "commands/run.h"
#include "progress.h"
#include "vicinal_dev.h"

#include <string.h>

void attention_options_init(struct run_options *r)
{
    r->dtype = VIC_F32;
    r->any_device = true;
    pattern_input_init(&r->pattern);
}

void attention_options_complete(struct run_options *r)
{
    if (r->heads == 0) r->heads = 4;
    if (r->head_dim == 0) r->head_dim = 64;
    if (r->kv_heads == 0) r->kv_heads = r->heads;
    if (r->head_dim_v == 0) r->head_dim_v = r->head_dim;
}

static vic_status take_dtype(const struct option *o, const char *text, vic_error *err)
{
    struct run_options *r = o->target;
    static const struct {
        const char *name;
        vic_dtype dtype;
    } names[] = { { "float32", VIC_F32 }, { "fp32", VIC_F32 },      { "f32", VIC_F32 },
                  { "float16", VIC_F16 }, { "fp16", VIC_F16 },      { "f16", VIC_F16 },
                  { "half", VIC_F16 },    { "bfloat16", VIC_BF16 }, { "bf16", VIC_BF16 } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            r->dtype = names[i].dtype;
            r->dtype_given = true;
            return VIC_OK;
        }
    }
    return fail(err, VIC_BAD_ARGUMENT, "--dtype: expected float32, float16 or bfloat16, got '%s'", text);
}

static vic_status take_device(const struct option *o, const char *text, vic_error *err)
{
    struct run_options *r = o->target;
    int64_t index = 0;
    bool cuda = strncmp(text, "cuda", 4) == 0 && (text[4] == '\0' || text[4] == ':');
    if (cuda && text[4] == ':') cuda = number_int64(text + 5, &index) && index >= 0 && index < 1024;
    if (!cuda && strcmp(text, "cpu") != 0 && strcmp(text, "auto") != 0)
        return fail(err, VIC_BAD_ARGUMENT, "--device: expected auto, cpu, cuda or cuda:N, got '%s'", text);
    r->any_device = strcmp(text, "auto") == 0;
    r->device = (vic_device){ cuda ? VIC_CUDA : VIC_CPU, (int32_t)index };
    return VIC_OK;
}

void attention_options_rows(struct run_options *r, struct option rows[ATTENTION_OPTIONS])
{
    const struct option all[ATTENTION_OPTIONS] = {
        { "--heads", "N", "query heads; default 4, or those of the tensors given", OPTION_INT, &r->heads, 1, 4096,
          NULL, NULL },
        { "--kv-heads", "N", "key and value heads, a divisor of --heads; default: as many", OPTION_INT, &r->kv_heads,
          1, 4096, NULL, NULL },
        { "--head-dim", "D",
          "size of a query and key, 8 to 128 in steps of 8; default 64, or that of the tensors given", OPTION_INT,
          &r->head_dim, 1, 4096, NULL, NULL },
        { "--head-dim-v", "D", "size of a value; default: --head-dim", OPTION_INT, &r->head_dim_v, 1, 4096, NULL,
          NULL },
        { "--dtype", "TYPE", "float32 (default), float16 or bfloat16; that of the tensors given", OPTION_CUSTOM, r, 0,
          0, NULL, take_dtype },
        { "--scale", "X", "factor before the softmax; default 1 / sqrt(head size)", OPTION_REAL, &r->scale, 0, 1e30,
          NULL, NULL },
        { "--device", "WHERE", "auto (default: a GPU with a kernel, else the CPU), cpu, cuda or cuda:N",
          OPTION_CUSTOM, r, 0, 0, NULL, take_device },
        { "--kernel", "NAME", "this kernel and no other; `vicinal env` lists them", OPTION_TEXT, &r->kernel, 0, 0,
          NULL, NULL },
        { "--seed", "N", "of the normal numbers that are q, k and v where none are given; default 0", OPTION_UINT64,
          &r->seed, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

static bool gpu_there(void)
{
    vic_device_info device = VIC_INIT(vic_device_info);
    for (int i = 1; vic_device_get(i, &device, NULL) == VIC_OK; i++)
        if (device.device.type == VIC_CUDA) return true;
    return false;
}

static bool kernel_of_gpu(const char *name)
{
    vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
    for (int i = 0; i < vic_kernel_count() && vic_kernel_get(i, &kernel, NULL) == VIC_OK; i++)
        if (strcmp(kernel.name, name) == 0) return strcmp(kernel.device, "cuda") == 0;
    return false;
}

vic_status attention_context(struct run_options *r, struct run_result *out, vic_error *err)
{
    vic_context_info info = VIC_INIT(vic_context_info);
    const int threads = r->pattern.structure.threads;
    vic_status st;
    /* Whether a GPU has a kernel for this, the plan finds out; it also knows why not. */
    if (r->any_device)
        r->device = (vic_device){ (r->kernel ? kernel_of_gpu(r->kernel) : gpu_there()) ? VIC_CUDA : VIC_CPU, 0 };
    st = context_open(threads, r->device, &out->context, err);
    if (st == VIC_NO_DEVICE) /* the plan will fail, and say what is missing first */
        st = context_open(threads, (vic_device){ VIC_CPU, 0 }, &out->context, err);
    if (st != VIC_OK) return st;
    TRY(vic_context_get(out->context, &info, err));
    out->threads = info.threads;
    return VIC_OK;
}

vic_plan_options attention_plan_options(const struct run_options *r)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options),
                               .device = r->device,
                               .dtype = r->dtype,
                               .heads = r->heads,
                               .kv_heads = r->kv_heads,
                               .head_dim = r->head_dim,
                               .head_dim_v = r->head_dim_v,
                               .bias = r->radial ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE,
                               .backward = r->backward,
                               .kernel = r->kernel };
}

/* "GPU present, not used: " and the reason, which stands first in the error. */
static void note_unused_gpu(struct notes *notes, const char *why)
{
    notes_add(notes, "GPU present, not used: %.*s.", (int)strcspn(why, ";"), why);
}

vic_status attention_plan(const struct run_options *r, bool pattern_order, struct pattern_built *built,
                          struct run_result *out, vic_error *err)
{
    vic_plan_options plan = attention_plan_options(r);
    vic_status st;
    double start;
    plan.pattern_order = pattern_order;
    progress_phase("planning");
    start = seconds_now();
    st = vic_plan_create(out->context, built->pattern, &plan, &out->plan, err);
    if (st == VIC_NO_KERNEL && r->any_device && !r->kernel && plan.device.type == VIC_CUDA) {
        plan.device = (vic_device){ VIC_CPU, 0 }; /* auto: the GPU has no kernel for this, so the CPU does it */
        note_unused_gpu(&built->notes, err->text);
        st = vic_plan_create(out->context, built->pattern, &plan, &out->plan, err);
    }
    if (st != VIC_OK) return st;
    out->plan_seconds = seconds_now() - start;
    out->info = (vic_plan_info)VIC_INIT(vic_plan_info);
    return vic_plan_get(out->plan, &out->info, err);
}
