# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of torch tensors, and the operators under it.

    vicinal::attn, attn_lse, attn_biased   the kernels, without gradients; registered from C (python/glue/torch.c), or by ctypes
                                   where this torch lacks what that needs
    vicinal::attention             the same with gradients, for torch.compile; without compiling, autograd goes by Attention
    vicinal::attention_backward    its gradients, by the reference

They know a pattern by its number, a SymInt: another pattern compiles nothing anew.
"""
import ctypes as c
import math
import os

import torch

from . import _c, reference
from ._attention import check, scale_of
from ._pattern import by_number
from ._points import is_torch

REST = "SymInt pattern, float scale, bool sorted) -> "
SCHEMAS = ("attn(Tensor q, Tensor k, Tensor v, " + REST + "Tensor",
           "attn_lse(Tensor q, Tensor k, Tensor v, " + REST + "(Tensor, Tensor)",
           "attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, " + REST + "(Tensor, Tensor)")
_library = torch.library.Library("vicinal", "FRAGMENT")  # registrations last as long as this


# ---- The kernels ----

def _tensor(x):
    if x.device.type == "cuda":
        return _c.tensor(x.data_ptr(), str(x.dtype)[6:], x.shape, x.stride(), _c.CUDA, x.device.index)
    return _c.tensor(x.data_ptr(), str(x.dtype)[6:], x.shape, x.stride())


def _by_ctypes(q, k, v, table, pattern, scale, in_order):
    """What the operators from C do."""
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    out, lse = q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1], dtype=torch.float32)
    args = _c.STRUCTS["vic_attention_args"](q=_tensor(q), k=_tensor(k), v=_tensor(v), out=_tensor(out), lse=_tensor(lse),
                                            scale=0.0 if math.isnan(scale) else scale, zero_scale=scale == 0.0)
    if table is not None:
        table = table.contiguous()
        args.bias = _tensor(table)
    if q.is_cuda:
        args.stream = torch.cuda.current_stream(q.device).cuda_stream or 1  # 1: the default stream, in CUDA's words
    _c.call("vicpy_attention", pattern, c.addressof(args), in_order)
    return out, lse


def _register():
    """The operators from C; what this torch lacks for them, or None."""
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    handles = []
    for name in ("libtorch_cpu.so", "libtorch_cuda.so"):
        path = os.path.join(folder, name)
        handles.append(c.CDLL(path)._handle if os.path.exists(path) else None)
    if handles[0] is None:
        return "libtorch_cpu.so"
    missing = _c.library().vicpy_register_torch(*handles)
    return missing and missing.decode()


from_c = os.environ.get("VIC_TORCH_OPERATOR", "c") != "ctypes"
lacks = _register() if from_c else "VIC_TORCH_OPERATOR=ctypes"
if lacks is not None:
    from_c = False
    for _schema in SCHEMAS:
        _library.define(_schema)
    for _device in ("CPU", "CUDA"):
        _library.impl("attn", lambda q, k, v, *rest: _by_ctypes(q, k, v, None, *rest)[0], _device)
        _library.impl("attn_lse", lambda q, k, v, *rest: _by_ctypes(q, k, v, None, *rest), _device)
        _library.impl("attn_biased", _by_ctypes, _device)
_attn = torch.ops.vicinal.attn.default
_attn_lse = torch.ops.vicinal.attn_lse.default
_attn_biased = torch.ops.vicinal.attn_biased.default


def _shapes(q, k, v, *rest):
    """What the results are like, for tracing.  A tensor of the device "meta" among others of the CPU leads here, too."""
    for x, name in ((k, "k"), (v, "v"), *((x, "table") for x in rest[:1] if is_torch(x))):
        if x.device != q.device:
            raise _c.ArgumentError(f"{name}: expected the device of q, {q.device}, got {x.device}")
    return q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1], dtype=torch.float32)


def _autocast(operator, device, key):
    """float32 tensors are cast to autocast's type, as in torch's own attention."""
    keys = torch._C.DispatchKeySet(key)

    def cast(q, k, v, *rest):
        dtype = torch.get_autocast_dtype(device)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return operator(*(x.to(dtype) if x.dtype == torch.float32 else x for x in (q, k, v)), *rest)
    return cast


def _vmap(operator):
    """A mapped dimension of q, k and v becomes the batch; where there is a batch already, both together do."""
    def mapped(info, in_dims, q, k, v, *rest):
        if any(dim is not None for dim in in_dims[3:]):
            raise _c.ArgumentError("vmap: only q, k and v can be mapped")
        n = info.batch_size
        folded = []
        for x, dim in zip((q, k, v), in_dims):
            x = x.unsqueeze(0).expand(n, *x.shape) if dim is None else x.movedim(dim, 0)
            folded.append(x if x.ndim == 4 else x.flatten(0, 1))
        results = operator(*folded, *rest)
        single = torch.is_tensor(results)
        results = [results] if single else list(results)
        if q.ndim - (in_dims[0] is not None) == 4:
            results = [x.unflatten(0, (n, -1)) for x in results]
        return (results[0], 0) if single else (tuple(results), (0, 0))
    return mapped


for _name, _operator in (("attn", _attn), ("attn_lse", _attn_lse), ("attn_biased", _attn_biased)):
    torch.library.register_fake("vicinal::" + _name, _shapes if _operator is not _attn else lambda *x: _shapes(*x)[0],
                                lib=_library)
    torch.library.register_vmap("vicinal::" + _name, _vmap(_operator), lib=_library)
    for _device, _key in (("cuda", "AutocastCUDA"), ("cpu", "AutocastCPU")):
        _library.impl(_name, _autocast(_operator, _device, getattr(torch._C.DispatchKey, _key)), _key)


def _kernel(q, k, v, table, pattern, scale, in_order):
    if table is None:
        return _attn_lse(q, k, v, pattern, scale, in_order)
    return _attn_biased(q, k, v, table, pattern, scale, in_order)


# ---- Gradients ----

def _pattern(number):
    found = by_number.get(int(number))
    if found is None:
        raise _c.ArgumentError("the pattern of this call is gone: keep it until the backward pass is done")
    return found


def _batched(*tensors):
    return [None if x is None else x.unsqueeze(0) for x in tensors]


def _gradients(q, k, v, table, dout, dlse, pattern, scale, in_order):
    scale = 1.0 / math.sqrt(q.shape[-1]) if math.isnan(scale) else scale
    if q.ndim == 4:
        return reference.gradients(q, k, v, table, pattern, scale, in_order, dout, dlse)
    dq, dk, dv, dtable = reference.gradients(*_batched(q, k, v), table, pattern, scale, in_order, *_batched(dout, dlse))
    return dq[0], dk[0], dv[0], dtable


def _reference(q, k, v, table, pattern, scale, in_order):
    scale = 1.0 / math.sqrt(q.shape[-1]) if math.isnan(scale) else scale
    if q.ndim == 4:
        return reference.attention_torch(q, k, v, table, pattern, scale, in_order)
    out, lse = reference.attention_torch(*_batched(q, k, v), table, pattern, scale, in_order)
    return out[0], lse[0]


def _same_pairs(pattern, updates):
    if pattern._updates != updates:
        raise _c.ArgumentError("the pattern was updated (update_) after attention() and before its backward pass, whose "
                               "gradients would be those of the new pairs: update it after backward(), or make a new "
                               "pattern")


class Attention(torch.autograd.Function):
    """The kernels forward, the reference backward."""

    @staticmethod
    def forward(q, k, v, table, pattern, scale, in_order):
        return _kernel(q, k, v, table, pattern._number, scale, in_order)

    @staticmethod
    def setup_context(ctx, inputs, output):
        q, k, v, table, *ctx.given = inputs
        ctx.save_for_backward(q, k, v, table)
        ctx.updates = ctx.given[0]._updates

    vmap = staticmethod(_vmap(lambda *inputs: Attention.apply(*inputs)))

    @staticmethod
    def backward(ctx, dout, dlse):
        tensors = ctx.saved_tensors
        _same_pairs(ctx.given[0], ctx.updates)
        if not torch.is_grad_enabled():
            return (*_gradients(*tensors, dout, dlse, *ctx.given), None, None, None)
        wanted = [x for x, needed in zip(tensors, ctx.needs_input_grad) if needed]  # to be differentiated again
        out, lse = _reference(*tensors, *ctx.given)
        dlse = torch.where(lse.isfinite(), dlse.to(lse.dtype), 0.0)
        # Without gradients of q and k there are none of lse.
        results, down = zip(*((x, dx) for x, dx in ((out, dout.to(out.dtype)), (lse, dlse)) if x.requires_grad))
        found = iter(torch.autograd.grad(results, wanted, down, create_graph=True, allow_unused=True))
        return (*(next(found) if needed else None for needed in ctx.needs_input_grad[:4]), None, None, None)


# `updates`: how often the pattern was updated, by which the backward pass knows that its pairs are others now.
_library.define("attention(Tensor q, Tensor k, Tensor v, Tensor? table, SymInt pattern, SymInt updates, float scale, "
                "bool sorted) -> (Tensor, Tensor)")
_library.impl("attention", lambda q, k, v, table, pattern, updates, *rest: _kernel(q, k, v, table, pattern, *rest),
              "CompositeExplicitAutograd")
_library.define("attention_backward(Tensor q, Tensor k, Tensor v, Tensor? table, Tensor dout, Tensor dlse, "
                "SymInt pattern, SymInt updates, float scale, bool sorted) -> (Tensor, Tensor, Tensor, Tensor)")


def _backward_operator(q, k, v, table, dout, dlse, pattern, updates, scale, in_order):
    pattern = _pattern(pattern)
    _same_pairs(pattern, updates)
    *answers, dtable = _gradients(q, k, v, table, dout, dlse, pattern, scale, in_order)
    return (*answers, q.new_empty(0) if dtable is None else dtable)


_library.impl("attention_backward", _backward_operator, "CompositeExplicitAutograd")
torch.library.register_fake("vicinal::attention", _shapes, lib=_library)
torch.library.register_fake(
    "vicinal::attention_backward", lambda q, k, v, table, *rest: (
        *(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v)),
        q.new_empty(0) if table is None else torch.empty_like(table)), lib=_library)


def _save(ctx, inputs, output):
    q, k, v, table, *ctx.given = inputs
    ctx.save_for_backward(q, k, v, table)


def _differentiate(ctx, dout, dlse):
    q, k, v, table = ctx.saved_tensors
    *answers, dtable = torch.ops.vicinal.attention_backward(q, k, v, table, dout.contiguous(), dlse.contiguous(),
                                                            *ctx.given)
    return (*answers, None if table is None else dtable, None, None, None, None)


torch.library.register_autograd("vicinal::attention", _differentiate, setup_context=_save, lib=_library)


# ---- vicinal.attention() ----

_grad = torch.is_grad_enabled
_transformed = torch._C._are_functorch_transforms_active  # inside of torch.vmap, torch.func.grad and the like
_dual = torch.autograd.forward_ad
_nan, _inf = math.nan, math.inf


def _differentiated(compiling):
    """Inside of what only plain torch operations can follow: forward mode, and torch.func's grad, vjp and the like.
    These two go well in compiled functions, and there cannot be told from vmap."""
    return _dual._current_level >= 0 or not compiling and _transformed() and any(
        level.key() != torch._C._functorch.TransformType.Vmap for level in torch._C._functorch.get_interpreter_stack())


def attention(q, k, v, pattern, scale, bias, return_lse, in_order, backend, compute_dtype):
    """vicinal.attention() of torch tensors."""
    # The usual case first, in few steps: a call takes a few microseconds.
    try:
        if bias is None and compute_dtype is None and backend == "auto" and (
                scale is None or type(scale) is float and -_inf < scale < _inf) and not (
                q.size(-1) & 7 or v.size(-1) & 7 or _transformed() or _dual._current_level >= 0 or
                _grad() and (q.requires_grad or k.requires_grad or v.requires_grad)):
            return (_attn_lse if return_lse else _attn)(q, k, v, pattern._number, _nan if scale is None else scale, in_order)
    except (RuntimeError, TypeError, AttributeError, LookupError, _c.Error) as error:
        _explain(error, q, k, v, pattern, bias, backend)
    return _unusual(q, k, v, pattern, scale, bias, return_lse, in_order, backend, compute_dtype)


def _tensors(k, v):
    for x, name in ((k, "k"), (v, "v")):
        if not is_torch(x):
            raise _c.ArgumentError(f"{name}: expected a torch tensor, as q is, got {type(x).__name__}") from None


def _explain(error, q, k, v, pattern, bias, backend):
    """Raise what the arguments have wrong, or else the error itself."""
    _tensors(k, v)
    for x, name in ((q, "q"), (k, "k"), (v, "v")):
        if x.is_nested:
            raise _c.ArgumentError(f"{name}: expected a plain tensor, got a nested one: join the structures' rows to "
                                   "[atoms of all, heads, d], and tell the pattern their cu_seqlens=") from None
        if x.layout != torch.strided or x.is_quantized:
            form = "a quantized one" if x.is_quantized else x.layout
            raise _c.ArgumentError(f"{name}: expected a dense tensor (torch.strided), got {form}: give "
                                   f"{name}.{'dequantize' if x.is_quantized else 'to_dense'}()") from None
    check(q, k, v, pattern, bias, backend)
    for x, name in ((k, "k"), (v, "v")):
        if x.device != q.device:
            raise _c.ArgumentError(f"{name}: expected the device of q, {q.device}, got {x.device}") from None
    if q.device.type not in ("cpu", "cuda"):
        raise _c.DeviceError(f"q: there are kernels for the CPU and for CUDA, not for {q.device.type}") from None
    if q.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise _c.ArgumentError(f"q: expected float32, float16 or bfloat16, got {str(q.dtype)[6:]}: cast it, or take "
                               "backend='reference', which computes in float64") from None
    text = str(error).partition("vicinal: ")[2].partition("\nException raised from")[0]  # of torch.c
    if isinstance(error, _c.Error) or not text:
        raise error
    raise (_c.DeviceError if q.is_cuda else _c.ArgumentError)(text) from None


def _compute_type(given):
    dtype = getattr(torch, given, None) if isinstance(given, str) else given
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise _c.ArgumentError(f"compute_dtype: expected torch.float16, torch.bfloat16 or torch.float32, got {given!r}")
    return dtype


def _unusual(q, k, v, pattern, scale, bias, return_lse, in_order, backend, compute_dtype):
    """Gradients, biases, casts, paddings and the reference."""
    _tensors(k, v)
    check(q, k, v, pattern, bias, backend)
    given, d_v = q.dtype, v.shape[-1]
    if is_torch(scale) and scale.requires_grad and _grad():
        raise _c.ArgumentError("scale: a tensor that requires a gradient would get none: multiply q by it, and give "
                               "scale=1.0")
    scale = scale_of(scale, q.shape[-1])
    table = None
    if bias is not None:
        table = bias.table if is_torch(bias.table) else torch.from_numpy(bias.table)
        table = table.to(q.device, torch.float64 if q.dtype == torch.float64 else torch.float32)
    if compute_dtype is not None:
        dtype = _compute_type(compute_dtype)
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    compiling = torch.compiler.is_compiling()
    if backend == "reference" or _differentiated(compiling):
        if not q.dtype.is_floating_point:
            raise _c.ArgumentError(f"q: expected floating-point tensors, got {q.dtype}")
        out, lse = _reference(q, k, v, table, pattern, scale, in_order)
        out = out.to(given)
        return (out, lse) if return_lse else out
    if q.shape[-1] % 8:
        q, k = (torch.nn.functional.pad(x, (0, -q.shape[-1] % 8)) for x in (q, k))
    if d_v % 8:
        v = torch.nn.functional.pad(v, (0, -d_v % 8))
    try:
        if _transformed() or _grad() and any(x is not None and x.requires_grad for x in (q, k, v, table)):
            if compiling:
                out, lse = torch.ops.vicinal.attention(q, k, v, table, pattern._number, pattern._updates, scale,
                                                           in_order)
            else:
                out, lse = Attention.apply(q, k, v, table, pattern, scale, in_order)
        else:
            out, lse = _kernel(q, k, v, table, pattern._number, scale, in_order)
    except (RuntimeError, LookupError, _c.Error) as error:
        _explain(error, q, k, v, pattern, bias, backend)
    if d_v % 8:
        out = out[..., :d_v]
    if compute_dtype is not None:
        out = out.to(given)
    return (out, lse) if return_lse else out
