/* SPDX-License-Identifier: Apache-2.0 */
/* Attention to its end, and the tensors of `vicinal run` in the memory of a GPU, and back. */
#include "commands/run.h"

vic_status run_to_device(vic_device device, const struct array *host, bool fill, vic_tensor *out, vic_error *err)
{
    *out = vic_tensor_make(NULL, host->dtype, host->ndim, host->shape);
    out->device = device;
    TRY(vic_memory_alloc(device, host->bytes, &out->data, err));
    if (!fill) return VIC_OK;
    return vic_memory_copy(device, out->data, (vic_device){ VIC_CPU, 0 }, host->data, host->bytes, err);
}

vic_status run_from_device(const vic_tensor *t, struct array *host, vic_error *err)
{
    return vic_memory_copy((vic_device){ VIC_CPU, 0 }, host->data, t->device, t->data, host->bytes, err);
}

vic_status run_attention(const struct run_result *r, const vic_attention_args *args, vic_error *err)
{
    TRY(vic_attention(r->context, r->plan, args, err));
    return vic_context_wait(r->context, err);
}

vic_status run_device_open(struct run_result *r, vic_device device, int batch, vic_attention_args *args,
                           vic_error *err)
{
    TRY(vic_plan_workspace(r->context, r->plan, batch, &args->workspace_size, err));
    TRY(run_to_device(device, &r->q, true, &args->q, err));
    TRY(run_to_device(device, &r->k, true, &args->k, err));
    TRY(run_to_device(device, &r->v, true, &args->v, err));
    TRY(run_to_device(device, &r->out, false, &args->out, err));
    TRY(run_to_device(device, &r->lse, false, &args->lse, err));
    if (r->bias.data) TRY(run_to_device(device, &r->bias, true, &args->bias, err));
    return vic_memory_alloc(device, args->workspace_size, &args->workspace, err);
}

vic_status run_device_fetch(struct run_result *r, const vic_attention_args *args, vic_error *err)
{
    TRY(run_from_device(&args->out, &r->out, err));
    return run_from_device(&args->lse, &r->lse, err);
}

void run_device_close(vic_device device, vic_attention_args *args)
{
    vic_memory_free(device, args->q.data);
    vic_memory_free(device, args->k.data);
    vic_memory_free(device, args->v.data);
    vic_memory_free(device, args->out.data);
    vic_memory_free(device, args->lse.data);
    vic_memory_free(device, args->bias.data);
    vic_memory_free(device, args->workspace);
}
