# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of torch tensors, and the operators under it.

    vicinal::attn, attn_lse, attn_biased         the kernels, without gradients; registered from C (python/glue/torch.c), or by
    vicinal::attn_backward, attn_biased_backward ctypes where this torch lacks what that needs
    vicinal::attention             the same with gradients, for torch.compile; without compiling, autograd goes by Recorded
    vicinal::attention_backward    its gradients, by a kernel where the device has one, or else by the reference

They know a pattern by its number, a SymInt: another pattern compiles nothing anew.
"""
import ctypes as c
import math
import os

import torch

from . import _c, reference
from ._attention import check, is_stored, scale_of
from ._pattern import by_number
from ._points import is_torch

REST = "SymInt pattern, float scale, bool sorted"
GRADIENTS = "Tensor out, Tensor lse, Tensor dout, Tensor dlse, " + REST + ", int wanted"
SCHEMAS = (f"attn(Tensor q, Tensor k, Tensor v, {REST}) -> Tensor",
           f"attn_lse(Tensor q, Tensor k, Tensor v, {REST}) -> (Tensor, Tensor)",
           f"attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, {REST}) -> (Tensor, Tensor)",
           f"attn_backward(Tensor q, Tensor k, Tensor v, {GRADIENTS}) -> (Tensor, Tensor, Tensor)",
           f"attn_biased_backward(Tensor q, Tensor k, Tensor v, Tensor table, {GRADIENTS}) -> "
           "(Tensor, Tensor, Tensor, Tensor)")
_library = torch.library.Library("vicinal", "FRAGMENT")  # registrations last as long as this


# ---- The kernels ----

def _tensor(x):
    if x.device.type == "cuda":
        return _c.tensor(x.data_ptr(), str(x.dtype)[6:], x.shape, x.stride(), _c.CUDA, x.device.index)
    return _c.tensor(x.data_ptr(), str(x.dtype)[6:], x.shape, x.stride())


def _arguments(struct, scale, **tensors):
    """A struct of arguments for the C library, and the tensors that lie as it takes them."""
    used = {name: x if x.stride(-1) == 1 else x.contiguous() for name, x in tensors.items() if x is not None}
    args = _c.STRUCTS[struct](scale=0.0 if math.isnan(scale) else scale, zero_scale=scale == 0.0)
    for name, x in used.items():
        setattr(args, name, _tensor(x))
    q = used["q"]
    if q.is_cuda:
        args.stream = torch.cuda.current_stream(q.device).cuda_stream or 1  # 1: the default stream, in CUDA's words
    return args, used


def _by_ctypes(q, k, v, table, pattern, scale, in_order):
    """What the operators from C do."""
    out, lse = q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1], dtype=torch.float32)
    args, _used = _arguments("vic_attention_args", scale, q=q, k=k, v=v, out=out, lse=lse, bias=table)
    _c.call("vicpy_attention", pattern, c.addressof(args), in_order)
    return out, lse


def _backward_by_ctypes(q, k, v, table, out, lse, dout, dlse, pattern, scale, in_order, wanted):
    results = _gradient_shapes(q, k, v, table, wanted)
    dq, dk, dv, dtable = (x if wanted >> n & 1 else None for n, x in enumerate((*results, None)[:4]))
    if table is not None and q.ndim == 4 and q.shape[0] == 0:
        results[3].zero_()  # a sum over a batch of nothing
    args, _used = _arguments("vic_attention_backward_args", scale, q=q, k=k, v=v, out=out, lse=lse, dout=dout, dlse=dlse, dq=dq,
                             dk=dk, dv=dv, bias=table, dbias=dtable)
    _c.call("vicpy_attention_backward", pattern, c.addressof(args), in_order)
    return results


def _gradient_shapes(q, k, v, table, wanted):
    """New tensors for gradients, empty ones for those that are not wanted (bits 1 q, 2 k, 4 v, 8 table)."""
    given = (q, k, v) if table is None else (q, k, v, table)
    return tuple(x.new_empty(x.shape if wanted >> n & 1 else 0) for n, x in enumerate(given))


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
        _library.impl("attn_backward", lambda q, k, v, *rest: _backward_by_ctypes(q, k, v, None, *rest), _device)
        _library.impl("attn_biased_backward", _backward_by_ctypes, _device)
_attn = torch.ops.vicinal.attn.default
_attn_lse = torch.ops.vicinal.attn_lse.default
_attn_biased = torch.ops.vicinal.attn_biased.default
_attn_backward = torch.ops.vicinal.attn_backward.default
_attn_biased_backward = torch.ops.vicinal.attn_biased_backward.default


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


def _fold(x, dim, n, inner):
    """A tensor with the mapped dimension as batch in front of `inner` dimensions."""
    x = x.unsqueeze(0).expand(n, *x.shape) if dim is None else x.movedim(dim, 0)
    return x if x.ndim == inner + 1 else x.flatten(0, 1)


def _vmap(operator):
    """A mapped dimension of q, k and v becomes the batch; where there is a batch already, both together do."""
    def mapped(info, in_dims, q, k, v, *rest):
        if any(dim is not None for dim in in_dims[3:]):
            raise _c.ArgumentError("vmap: only q, k and v can be mapped")
        n = info.batch_size
        folded = [_fold(x, dim, n, 3) for x, dim in zip((q, k, v), in_dims)]
        results = operator(*folded, *rest)
        single = torch.is_tensor(results)
        results = [results] if single else list(results)
        if q.ndim - (in_dims[0] is not None) == 4:
            results = [x.unflatten(0, (n, -1)) for x in results]
        return (results[0], 0) if single else (tuple(results), (0, 0))
    return mapped


def _vmap_backward(operator, biased):
    """The same of gradients.  That of a bias is a sum over the batch, so that each of what is mapped is a call of its own."""
    def mapped(info, in_dims, *inputs):
        n, end = info.batch_size, 8 if biased else 7
        tensors, dims, rest = inputs[:end], in_dims[:end], inputs[end:]
        if biased:
            each = [operator(*(x if dim is None else x.select(dim, i) for x, dim in zip(tensors, dims)), *rest)
                    for i in range(n)]
            return tuple(torch.stack(x) for x in zip(*each)), (0,) * 4
        folded = [_fold(x, dim, n, inner) for x, dim, inner in zip(tensors, dims, (3, 3, 3, 3, 2, 3, 2))]
        results = operator(*folded, *rest)
        if inputs[0].ndim - (dims[0] is not None) == 4:
            results = [x if x.ndim == 1 else x.unflatten(0, (n, -1)) for x in results]
        return tuple(results), tuple(None if x.ndim == 1 else 0 for x in results)  # one dimension: not wanted
    return mapped


def _vmap_optional(operator):
    """_vmap_backward() of a function whose table may be None."""
    with_table, without = _vmap_backward(operator, True), _vmap_backward(
        lambda q, k, v, *rest: operator(q, k, v, None, *rest), False)

    def mapped(info, in_dims, *inputs):
        if inputs[3] is not None:
            return with_table(info, in_dims, *inputs)
        return without(info, in_dims[:3] + in_dims[4:], *inputs[:3], *inputs[4:])
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


torch.library.register_fake("vicinal::attn_backward", lambda q, k, v, *rest: _gradient_shapes(q, k, v, None, rest[-1]),
                            lib=_library)
torch.library.register_fake("vicinal::attn_biased_backward",
                            lambda q, k, v, table, *rest: _gradient_shapes(q, k, v, table, rest[-1]), lib=_library)
torch.library.register_vmap("vicinal::attn_backward", _vmap_backward(_attn_backward, False), lib=_library)
torch.library.register_vmap("vicinal::attn_biased_backward", _vmap_backward(_attn_biased_backward, True), lib=_library)


# ---- Gradients ----

_grad = torch.is_grad_enabled
_transformed = torch._C._are_functorch_transforms_active  # inside of torch.vmap, torch.func.grad and the like


def _pattern(number):
    found = by_number.get(int(number))
    if found is None:
        raise _c.ArgumentError("the pattern of this call is gone: keep it until the backward pass is done")
    return found


def _batched(*tensors):
    return [None if x is None else x.unsqueeze(0) for x in tensors]


def _has_kernel(q, k, v, table, pattern, in_order):
    """Whether a kernel computes gradients of such tensors: what the library says when it is asked for the plan, which then is
    there for the calls to come.  Asked once for each pattern."""
    key = q.dtype, q.device, *q.shape[-2:], *k.shape[-2:], v.shape[-1], table is None, in_order
    found = pattern._has_backward.get(key)
    if found is None:
        if q.device.type == "meta" or q.is_cuda and torch.cuda.is_current_stream_capturing():
            return True  # where there is no plan, the operator says what to do before a capture
        try:
            pattern._plan(*key[2:4], str(q.dtype)[6:], q.device.type, q.device.index or 0, key[4], key[6], in_order,
                          table is not None, True)
            found = True
        except _c.DeviceError as error:
            if error.status != "NO_KERNEL":
                raise
            found = False
        pattern._has_backward[key] = found
    return found


def _gradients(q, k, v, table, out, lse, dout, dlse, pattern, scale, in_order, wanted):
    """Gradients of q, k, v and, where there is one, of the table; empty tensors where they are not wanted."""
    if _has_kernel(q, k, v, table, pattern, in_order):
        if table is None:
            return _attn_backward(q, k, v, out, lse, dout, dlse, pattern._number, scale, in_order, wanted)
        return _attn_biased_backward(q, k, v, table, out, lse, dout, dlse, pattern._number, scale, in_order, wanted)
    scale = 1.0 / math.sqrt(q.shape[-1]) if math.isnan(scale) else scale
    single = q.ndim == 3
    if single:
        q, k, v, dout, dlse = _batched(q, k, v, dout, dlse)
    found = reference.gradients(q, k, v, table, pattern, scale, in_order, dout, dlse)
    found = [x[0] if single and n < 3 else x for n, x in enumerate(found) if x is not None]
    return tuple(x if wanted >> n & 1 else x.new_empty(0) for n, x in enumerate(found))


def _reference(q, k, v, table, pattern, scale, in_order, moved=None, stored=None):
    scale = 1.0 / math.sqrt(q.shape[-1]) if math.isnan(scale) else scale
    if q.ndim == 4:
        return reference.attention_torch(q, k, v, table, pattern, scale, in_order, moved, stored)
    out, lse = reference.attention_torch(*_batched(q, k, v), table, pattern, scale, in_order, moved, stored)
    return out[0], lse[0]


def _same_pairs(pattern, updates):
    if pattern._updates != updates:
        raise _c.ArgumentError("the pattern was updated (update_) after attention() and before its backward pass, whose "
                               "gradients would be those of the new pairs: update it after backward(), or make a new "
                               "pattern")


def _not_again(*_):
    raise _c.ArgumentError("the gradients of vicinal.attention() cannot be differentiated again, as a loss of forces or of "
                           "another gradient needs it (create_graph=True): for that give backend='reference', which is "
                           "plain torch over the list of pairs, for small systems")


def _wanted(needs):
    return needs[0] | needs[1] << 1 | needs[2] << 2 | needs[3] << 3


def _save_for_backward(ctx, q, k, v, table, results, given):
    ctx.save_for_backward(q, k, v, table, *results)
    ctx.given, ctx.updates = given, given[0]._updates


def _backward(ctx, dout, dlse):
    _same_pairs(ctx.given[0], ctx.updates)
    needs = ctx.needs_input_grad
    compute = Gradients.apply if _grad() or _transformed() else _gradients
    dq, dk, dv, *dtable = compute(*ctx.saved_tensors, dout, dlse, *ctx.given, _wanted(needs))
    return (dq if needs[0] else None, dk if needs[1] else None, dv if needs[2] else None, dtable[0] if needs[3] else None,
            None, None, None)


class Recorded(torch.autograd.Function):
    """The kernels forward and, where there is one, backward."""

    @staticmethod
    def forward(ctx, q, k, v, table, *given):  # a setup_context() would take 50 us more a call
        results = _kernel(q, k, v, table, given[0]._number, *given[1:])
        _save_for_backward(ctx, q, k, v, table, results, given)
        return results

    backward = staticmethod(_backward)


class Transformed(torch.autograd.Function):
    """The same inside of torch.vmap, torch.func.grad and the like."""

    @staticmethod
    def forward(q, k, v, table, pattern, scale, in_order):
        return _kernel(q, k, v, table, pattern._number, scale, in_order)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _save_for_backward(ctx, *inputs[:4], output, inputs[4:])

    vmap = staticmethod(_vmap(lambda *inputs: Transformed.apply(*inputs)))
    backward = staticmethod(_backward)


class Gradients(torch.autograd.Function):
    """Gradients that know that they cannot be differentiated again."""

    forward = staticmethod(_gradients)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    vmap = staticmethod(_vmap_optional(lambda *inputs: Gradients.apply(*inputs)))
    backward = staticmethod(_not_again)


# `updates`: how often the pattern was updated, by which the backward pass knows that its pairs are others now.
_library.define("attention(Tensor q, Tensor k, Tensor v, Tensor? table, SymInt pattern, SymInt updates, float scale, "
                "bool sorted) -> (Tensor, Tensor)")
_library.define("attention_backward(Tensor q, Tensor k, Tensor v, Tensor? table, Tensor out, Tensor lse, Tensor dout, "
                "Tensor dlse, SymInt pattern, SymInt updates, float scale, bool sorted, int wanted) -> "
                "(Tensor, Tensor, Tensor, Tensor)")


def _attention_operator(q, k, v, table, pattern, updates, scale, in_order):
    _has_kernel(q, k, v, table, _pattern(pattern), in_order)
    return _kernel(q, k, v, table, pattern, scale, in_order)


def _backward_operator(q, k, v, table, out, lse, dout, dlse, pattern, updates, scale, in_order, wanted):
    pattern = _pattern(pattern)
    _same_pairs(pattern, updates)
    found = _gradients(q, k, v, table, out, lse, dout, dlse, pattern, scale, in_order, wanted)
    return found if len(found) == 4 else (*found, q.new_empty(0))


def _backward_shapes(q, k, v, table, *rest):
    found = _gradient_shapes(q, k, v, table, rest[-1])
    return found if len(found) == 4 else (*found, q.new_empty(0))


_library.impl("attention", _attention_operator, "CompositeExplicitAutograd")
_library.impl("attention_backward", _backward_operator, "CompositeExplicitAutograd")
torch.library.register_fake("vicinal::attention", _shapes, lib=_library)
torch.library.register_fake("vicinal::attention_backward", _backward_shapes, lib=_library)
torch.library.register_vmap("vicinal::attention", _vmap(torch.ops.vicinal.attention.default), lib=_library)
torch.library.register_vmap("vicinal::attention_backward", _vmap_optional(torch.ops.vicinal.attention_backward.default),
                            lib=_library)


def _save(ctx, inputs, output):
    q, k, v, table, *ctx.given = inputs
    ctx.save_for_backward(q, k, v, table, *output)


def _differentiate(ctx, dout, dlse):
    needs = ctx.needs_input_grad
    found = torch.ops.vicinal.attention_backward(*ctx.saved_tensors, dout, dlse, *ctx.given, _wanted(needs))
    return (*(x if needed else None for x, needed in zip(found, needs[:4])), None, None, None, None)


torch.library.register_autograd("vicinal::attention", _differentiate, setup_context=_save, lib=_library)
torch.library.register_autograd("vicinal::attention_backward", _not_again, lib=_library)


# ---- vicinal.attention() ----

_compiling = torch.compiler.is_compiling
_autocasting = torch._C._is_any_autocast_enabled
_dual = torch.autograd.forward_ad
_nan, _inf = math.nan, math.inf


def _forward_mode(compiling):
    """Inside of what only plain torch operations can follow: forward mode, also that of torch.func, which goes well in
    compiled functions, and there cannot be told from vmap."""
    kinds = torch._C._functorch.TransformType
    return _dual._current_level >= 0 or not compiling and _transformed() and any(
        level.key() not in (kinds.Vmap, kinds.Grad) for level in torch._C._functorch.get_interpreter_stack())


def attention(q, k, v, pattern, scale, bias, return_lse, in_order, backend, compute_dtype):
    """vicinal.attention() of torch tensors."""
    # The usual case first, in few steps: a call takes a few microseconds.
    try:
        if bias is None and compute_dtype is None and backend == "auto" and (
                scale is None or type(scale) is float and -_inf < scale < _inf) and not (
                q.size(-1) & 7 or v.size(-1) & 7 or _transformed() or _dual._current_level >= 0):
            factor = _nan if scale is None else scale
            if not (_grad() and (q.requires_grad or k.requires_grad or v.requires_grad)):
                return (_attn_lse if return_lse else _attn)(q, k, v, pattern._number, factor, in_order)
            if not (_compiling() or _autocasting()):
                _has_kernel(q, k, v, None, pattern, in_order)  # so that one plan is made, which does for both
                results = Recorded.apply(q, k, v, None, pattern, factor, in_order)
                return results if return_lse else results[0]
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
    table = stored = None
    if is_stored(bias):
        stored, bias = bias, None
        if not is_torch(stored):
            stored = torch.as_tensor(stored)
        if stored.device != q.device:
            raise _c.ArgumentError(f"bias: expected the device of q, {q.device}, got {stored.device}")
        if not stored.dtype.is_floating_point:
            raise _c.ArgumentError(f"bias: expected floating-point numbers, got {stored.dtype}")
    elif bias is not None:
        table = bias.table if is_torch(bias.table) else torch.from_numpy(bias.table)
        table = table.to(q.device, torch.float64 if q.dtype == torch.float64 else torch.float32)
    moved = None
    if bias is not None and bias._at is not None:
        from . import _moving
        moved = _moving.checked(bias, pattern)
    if compute_dtype is not None:
        dtype = _compute_type(compute_dtype)
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    compiling = torch.compiler.is_compiling()
    if backend == "reference" or _forward_mode(compiling):
        if not q.dtype.is_floating_point:
            raise _c.ArgumentError(f"q: expected floating-point tensors, got {q.dtype}")
        out, lse = _reference(q, k, v, table, pattern, scale, in_order, moved, stored)
        out = out.to(given)
        return (out, lse) if return_lse else out
    if q.shape[-1] % 8:
        q, k = (torch.nn.functional.pad(x, (0, -q.shape[-1] % 8)) for x in (q, k))
    if d_v % 8:
        v = torch.nn.functional.pad(v, (0, -d_v % 8))
    if q.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(q.device.type):
        # Here, and not in the operators, so that what is kept for the backward pass is of autocast's type, too.
        dtype = torch.get_autocast_dtype(q.device.type)
        q, k, v = (x.to(dtype) if x.dtype == torch.float32 else x for x in (q, k, v))
    try:
        differentiated = _grad() and any(x is not None and x.requires_grad for x in (q, k, v, table))
        if stored is not None:
            from . import _stored
            out, lse = _stored.attention(q, k, v, stored, pattern, scale, in_order)
        elif moved is not None and (_transformed() or _grad() and any(x is not None and x.requires_grad for x in moved)):
            out, lse = _moving.attention(q, k, v, table, moved, pattern, scale, in_order)
        elif differentiated or _transformed():
            if differentiated and not compiling:
                _has_kernel(q, k, v, table, pattern, in_order)  # so that one plan is made, which does for both
            if compiling:
                out, lse = torch.ops.vicinal.attention(q, k, v, table, pattern._number, pattern._updates, scale,
                                                           in_order)
            else:
                out, lse = (Transformed if _transformed() else Recorded).apply(q, k, v, table, pattern, scale, in_order)
        else:
            out, lse = _kernel(q, k, v, table, pattern._number, scale, in_order)
    except (RuntimeError, LookupError, _c.Error) as error:
        _explain(error, q, k, v, pattern, bias, backend)
    if d_v % 8:
        out = out[..., :d_v]
    if compute_dtype is not None:
        out = out.to(given)
    return (out, lse) if return_lse else out
