/* SPDX-License-Identifier: Apache-2.0 */
#include "device/stream.h"
#include "device/cuda_check.h"

#ifdef VIC_HAVE_CUDA

vic_status device_stream_create(vic_device device, void **out, vic_error *err)
{
    cudaStream_t stream = NULL;
    struct device_scope scope;
    vic_status st;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream", err), done);
    *out = stream;
done:
    device_leave(&scope);
    return st;
}

void device_stream_free(vic_device device, void *stream)
{
    struct device_scope scope;
    if (!stream) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaStreamDestroy(stream));
    device_leave(&scope);
}

vic_status device_copy_on(vic_device device, void *to, const void *from, size_t bytes, void *stream, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "copying to or from the GPU",
                        err),
             done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_event_create(vic_device device, void **out, vic_error *err)
{
    cudaEvent_t event = NULL;
    struct device_scope scope;
    vic_status st;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaEventCreate(&event), "making an event", err), done);
    *out = event;
done:
    device_leave(&scope);
    return st;
}

void device_event_free(vic_device device, void *event)
{
    struct device_scope scope;
    if (!event) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaEventDestroy(event));
    device_leave(&scope);
}

vic_status device_event_record(vic_device device, void *event, void *stream, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaEventRecord(event, stream), "recording an event", err), done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_event_done(void *event, bool *done, vic_error *err)
{
    cudaError_t code = cudaEventQuery(event);
    *done = code != cudaErrorNotReady;
    if (*done) return cuda_check(code, "running on the GPU", err);
    cudaGetLastError(); /* that it is not ready is no error for others to find */
    return VIC_OK;
}

vic_status device_event_between(void *from, void *to, double *seconds, vic_error *err)
{
    float ms = 0;
    TRY(cuda_check(cudaEventElapsedTime(&ms, from, to), "reading the events", err));
    *seconds = 1e-3 * (double)ms;
    return VIC_OK;
}

bool device_is_lost(vic_device device)
{
    struct device_scope scope;
    cudaError_t code = cudaErrorUnknown;
    if (device_enter(&scope, device, NULL) == VIC_OK) code = cudaStreamQuery(NULL);
    if (code != cudaSuccess) cudaGetLastError();
    device_leave(&scope);
    return code != cudaSuccess && code != cudaErrorNotReady;
}

#else

vic_status device_stream_create(vic_device device, void **out, vic_error *err)
{
    (void)device;
    *out = NULL;
    return cuda_missing(err);
}

void device_stream_free(vic_device device, void *stream)
{
    (void)device;
    (void)stream;
}

vic_status device_copy_on(vic_device device, void *to, const void *from, size_t bytes, void *stream, vic_error *err)
{
    (void)device;
    (void)to;
    (void)from;
    (void)bytes;
    (void)stream;
    return cuda_missing(err);
}

vic_status device_event_create(vic_device device, void **out, vic_error *err)
{
    (void)device;
    *out = NULL;
    return cuda_missing(err);
}

void device_event_free(vic_device device, void *event)
{
    (void)device;
    (void)event;
}

vic_status device_event_record(vic_device device, void *event, void *stream, vic_error *err)
{
    (void)device;
    (void)event;
    (void)stream;
    return cuda_missing(err);
}

vic_status device_event_done(void *event, bool *done, vic_error *err)
{
    (void)event;
    *done = true;
    return cuda_missing(err);
}

vic_status device_event_between(void *from, void *to, double *seconds, vic_error *err)
{
    (void)from;
    (void)to;
    *seconds = 0;
    return cuda_missing(err);
}

bool device_is_lost(vic_device device)
{
    (void)device;
    return false;
}

#endif
