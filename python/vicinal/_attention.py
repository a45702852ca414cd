# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() and, for NumPy, vicinal.attention_backward()."""
import ctypes as c
import math
import sys

import numpy as np

from . import _c
from ._bias import DistanceBias
from ._pattern import Pattern
from ._points import host_array, is_torch, length

KERNEL_TYPES = ("float32", "float16", "bfloat16")
MAX_HEAD = 128
_torch_attention = None  # _torch.attention, once there has been a tensor


def attention(q, k, v, pattern, *, scale=None, bias=None, return_lse=False, sorted=False, backend="auto",
              compute_dtype=None):
    """Softmax attention over the pairs of a pattern:

        out[i, h] = sum over pairs (i, j, S) of softmax(scale * q[i, h] . k[j, h] + b) v[j, h]

    q              [queries, heads, d] or [batch, queries, heads, d]: NumPy or torch, on the CPU or a GPU.  Any strides
                   do, so x.transpose(1, 2) of [batch, heads, queries, d] is taken as it lies
    k, v           [keys, kv_heads, d] and [keys, kv_heads, d_v], or with batch; kv_heads divides heads.  Of the type of
                   q and on its device
    pattern        which pairs there are, for all heads and all of a batch
    scale          of the scores, a finite number; None = 1 / sqrt(d).  One to be learnt: multiply q by it, and give 1.0
    bias           b: a vicinal.DistanceBias, a function of the pair's distance, for a pattern of one structure with a
                   cutoff; or a number for each pair and head, an array or tensor [pairs, heads] in the order of
                   pattern.neighbors(), or of vicinal.windows() [windows, query_window, key_window, heads], both with the
                   batch in front or, for all of it, without; -inf takes the pair out.  On the CPU
    return_lse     also return ln sum exp(score), float32 [.., queries, heads]; -inf where a query has no pair
    sorted         all tensors are in the pattern's order (pattern.sort), which saves permuting them
    backend        "auto": kernels; "reference": plain torch or NumPy over the list of pairs, for small systems, with
                   first and second derivatives, and float64
    compute_dtype  torch.float16 or torch.bfloat16 (or their names): q, k and v are cast to it and the result back

    float32, float16 and bfloat16 on the CPU, float16 and bfloat16 on Hopper GPUs; sums are float32.  d and d_v up to
    128; those that are no multiples of 8 are padded with zeros.  Queries without a pair give zeros.  Returns out
    [.., queries, heads, d_v] in the type of q, or (out, lse).  On a GPU it runs on torch's current stream.

    In torch q, k, v and a bias's table can be differentiated, out and lse both, by kernels on the CPU.  Where a device has no
    kernel of gradients, as GPUs in this version, they come from vicinal.reference, in pieces of about 0.5 GB beside the list
    of pairs, and take time for each pair; a warning says so.  They cannot be differentiated again but with
    backend="reference".  In forward mode, also that of torch.func.jvp, jacfwd and hessian, all comes from there, and not in
    pieces.

    Raises ArgumentError for shapes and types, DeviceError where no kernel of the device has what was asked.
    """
    global _torch_attention
    if _torch_attention is not None and isinstance(q, sys.modules["torch"].Tensor):
        return _torch_attention(q, k, v, pattern, scale, bias, return_lse, sorted, backend, compute_dtype)
    if is_torch(q):
        from ._torch import attention as _torch_attention
        return _torch_attention(q, k, v, pattern, scale, bias, return_lse, sorted, backend, compute_dtype)
    return _numpy(q, k, v, pattern, scale, bias, return_lse, sorted, backend, compute_dtype)


def attention_backward(q, k, v, out, lse, dout, pattern, *, dlse=None, scale=None, bias=None, sorted=False):
    """Gradients of vicinal.attention() of NumPy arrays, for training without torch or JAX, where autograd does this:

        out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
        dq, dk, dv = vicinal.attention_backward(q, k, v, out, lse, dout, pattern)

    q, k, v     as they went into attention(), float32 or float16
    out, lse    as they came out of it
    dout, dlse  gradients of a loss with respect to out and lse, of the same shape and type; dlse None = 0
    pattern, scale, bias, sorted  as they went into attention()

    Returns dq, dk, dv of the type of q, and with a bias its gradient: of a DistanceBias dtable, float32 of the shape of its
    table (what a table of one row gives to all heads is summed, over the batch, too, and at -inf it is 0), of an array one of
    its shape, summed over the batch where it has none.  Queries without a pair get and give 0.  On the CPU.
    Raises ArgumentError for shapes and types.
    """
    if is_torch(q):
        raise _c.ArgumentError("q: expected a NumPy array, got a torch tensor, whose gradients autograd computes by the same "
                               "kernels: loss.backward()")
    q, k, v, out, lse, dout, dlse = (None if x is None else host_array(x, name) for x, name in (
        (q, "q"), (k, "k"), (v, "v"), (out, "out"), (lse, "lse"), (dout, "dout"), (dlse, "dlse")))
    check(q, k, v, pattern, bias, "auto")
    if q.dtype.name not in KERNEL_TYPES:
        raise _c.ArgumentError(f"q: expected float32 or float16, got {q.dtype}: cast it (q.astype(np.float32))")
    results = (*q.shape[:-1], v.shape[-1])
    for x, name, shape, dtype in ((out, "out", results, q.dtype), (lse, "lse", q.shape[:-1], np.dtype(np.float32)),
                                  (dout, "dout", results, q.dtype), (dlse, "dlse", q.shape[:-1], np.dtype(np.float32))):
        if x is not None and (x.shape != shape or x.dtype != dtype):
            raise _c.ArgumentError(f"{name}: expected {dtype} of shape {shape}, got {x.dtype} of shape {x.shape}")
    d, d_v, scale = q.shape[-1], v.shape[-1], scale_of(scale, q.shape[-1])
    given = {"q": q, "k": k, "v": v, "out": out, "dout": dout}
    given = {name: _as_taken(_padded(x)) for name, x in given.items()}
    given.update((name, _as_taken(x)) for name, x in (("lse", lse), ("dlse", dlse)) if x is not None)
    made = {"d" + name: np.empty(given[name].shape, q.dtype) for name in ("q", "k", "v")}
    if is_stored(bias):
        given["pair_bias"] = stored_array(bias)
        made["dpair_bias"] = np.empty(bias.shape, given["pair_bias"].dtype)
    elif bias is not None:
        given["bias"] = _table(bias)
        made["dbias"] = np.zeros_like(given["bias"])
    args = _c.STRUCTS["vic_attention_backward_args"](scale=scale, zero_scale=scale == 0.0)
    for name, x in (*given.items(), *made.items()):
        setattr(args, name, _c.array_tensor(x))
    _c.call("vicpy_attention_backward", pattern._number, c.addressof(args), bool(sorted))
    dq, dk, dv, *dtable = made.values()
    return (dq[..., :d], dk[..., :d], dv[..., :d_v], *dtable)


def check(q, k, v, pattern, bias, backend):
    """What is wrong with the arguments, whatever they are made of."""
    if not isinstance(pattern, Pattern):
        raise _c.ArgumentError(f"pattern: expected what vicinal.pattern() makes, got {type(pattern).__name__}")
    if backend not in ("auto", "reference"):
        raise _c.ArgumentError(f"backend: expected 'auto' or 'reference', got {backend!r}")
    stored = is_stored(bias)
    if bias is not None and not stored and not isinstance(bias, DistanceBias):
        raise _c.ArgumentError("bias: expected a vicinal.DistanceBias, or a number for each pair and head as an array or tensor, "
                               f"got {type(bias).__name__}")
    for x, name, points in ((q, "q", pattern.n_queries), (k, "k", pattern.n_keys), (v, "v", pattern.n_keys)):
        if x.ndim not in (3, 4) or x.ndim != q.ndim:
            raise _c.ArgumentError(f"{name}: expected [n, heads, d] or [batch, n, heads, d], alike in q, k and v, got shape "
                                   f"{tuple(x.shape)}")
        if x.shape[-3] != points:
            hint = ""
            if x.ndim == 4 and x.shape[2] == points:
                hint = f"; is it [batch, heads, n, d]? Then give {name}.swapaxes(1, 2)"
            raise _c.ArgumentError(f"{name}: the pattern has {points:,} {'queries' if name == 'q' else 'keys'}, got shape "
                                   f"{tuple(x.shape)}{hint}")
        if x.dtype != q.dtype:
            raise _c.ArgumentError(f"{name}: expected the type of q, {q.dtype}, got {x.dtype}")
        if x.ndim == 4 and x.shape[0] != q.shape[0]:
            raise _c.ArgumentError(f"{name}: expected the batch of q, {q.shape[0]}, got shape {tuple(x.shape)}")
    if k.shape[-1] != q.shape[-1]:
        raise _c.ArgumentError(f"k: expected the head size of q, {q.shape[-1]}, got shape {tuple(k.shape)}")
    if v.shape[-2] != k.shape[-2] or k.shape[-2] < 1 or q.shape[-2] % k.shape[-2]:
        raise _c.ArgumentError(f"k, v: expected as many heads in both, a divisor of the {q.shape[-2]} of q, got "
                               f"{k.shape[-2]} and {v.shape[-2]}")
    if 0 in (q.shape[-2], q.shape[-1], v.shape[-1]):
        raise _c.ArgumentError(f"q, v: expected at least one head, and head sizes from 1 on, got shapes {tuple(q.shape)} "
                               f"and {tuple(v.shape)}")
    if backend == "auto" and max(q.shape[-1], v.shape[-1]) > MAX_HEAD:
        raise _c.ArgumentError(f"q, v: there are kernels for head sizes up to {MAX_HEAD}, got {q.shape[-1]} and "
                               f"{v.shape[-1]}; for small systems backend='reference' takes any")
    if stored:
        check_stored(bias, pattern, q)
        return
    if bias is not None and pattern.cutoff is None:
        raise _c.ArgumentError("bias: a bias of distance needs a pattern with a cutoff, up to which its table reaches; "
                               f"got {pattern!r}")
    if bias is not None and bias.table.shape[0] not in (1, q.shape[-2]):
        raise _c.ArgumentError(f"bias: expected a table of 1 head or of the {q.shape[-2]} of q, got shape "
                               f"{tuple(bias.table.shape)}")
    if bias is not None and bias.cutoff is not None and not math.isclose(bias.cutoff, pattern.cutoff, rel_tol=1e-6):
        raise _c.ArgumentError(f"bias: its table was made for a cutoff of {bias.cutoff:g} A, and would be stretched to the "
                               f"{pattern.cutoff:g} A of the pattern: make it with the pattern's")


def is_stored(bias):
    """Whether a bias is one number for each pair and head."""
    return bias is not None and not isinstance(bias, DistanceBias) and (is_torch(bias) or isinstance(bias, np.ndarray))


def stored_array(bias):
    """A stored bias as a NumPy array of a type that kernels take."""
    bias = host_array(bias, "bias")
    return bias if bias.dtype.name in KERNEL_TYPES else bias.astype(np.float32)


def check_stored(bias, pattern, q):
    """What is wrong with the shape of a stored bias: [pairs, heads], or of windows also [windows, queries, keys, heads]."""
    heads, batch = q.shape[-2], (q.shape[0],) if q.ndim == 4 else ()
    shape, means = (pattern.n_pairs, heads), "[pairs, heads], pairs as pattern.neighbors() lists them"
    if pattern.kind == "windows" and bias.ndim > 3:
        queries, keys = bias.shape[-3:-1]
        shape, means = (-(-pattern.n_queries // max(1, queries)), queries, keys, heads), "[windows, queries, keys, heads]"
    if tuple(bias.shape) not in (shape, (*batch, *shape)):
        raise _c.ArgumentError(f"bias: expected shape {shape}, which is {means}{', or with the batch in front' if batch else ''}, "
                               f"got {tuple(bias.shape)}")


def scale_of(scale, head_dim):
    """The factor of the scores, a float."""
    if scale is None:
        return 1.0 / math.sqrt(head_dim)
    scale = length(scale, "scale")
    if not -math.inf < scale < math.inf:  # as torch.compile can follow it
        raise _c.ArgumentError(f"scale: expected a finite number, or None for 1 / sqrt(d), got {scale}")
    return scale


def _compute_type(given):
    """The NumPy dtype of a name, or of torch's."""
    try:
        dtype = np.dtype(str(given)[6:] if str(given).startswith("torch.") else given)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in KERNEL_TYPES:
        raise _c.ArgumentError(f"compute_dtype: of NumPy arrays expected 'float16' or 'float32' (or 'bfloat16', where "
                               f"ml_dtypes has been imported), got {given!r}")
    return dtype


def _padded(x):
    """The last dimension filled up with zeros to a multiple of 8."""
    more = -x.shape[-1] % 8
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, more)]) if more else x


def _as_taken(x):
    """The array as it lies, if the library takes it so, or a copy."""
    return x if x.flags.aligned and x.strides[-1] == x.itemsize else x.copy()


def _table(bias):
    return np.ascontiguousarray(host_array(bias.table, "table"), np.float32)


def _numpy(q, k, v, pattern, scale, bias, return_lse, in_order, backend, compute_dtype):
    q, k, v = (host_array(x, name) for x, name in ((q, "q"), (k, "k"), (v, "v")))
    check(q, k, v, pattern, bias, backend)
    stored = is_stored(bias)
    if not stored and bias is not None and bias._at is not None:
        raise _c.ArgumentError("bias.at(): NumPy has no gradients: give q, k and v as torch tensors, or the bias without at()")
    dtype, d_v = q.dtype, v.shape[-1]
    scale = scale_of(scale, q.shape[-1])
    if compute_dtype is not None:
        q, k, v = (x.astype(_compute_type(compute_dtype)) for x in (q, k, v))
    if backend == "reference":
        if dtype.kind != "f" and dtype.name != "bfloat16":
            raise _c.ArgumentError(f"q: expected floating-point numbers, got {dtype}: cast it (q.astype(np.float64))")
        from .reference import attention_numpy
        out, lse = attention_numpy(*(x if x.ndim == 4 else x[None] for x in (q, k, v)), pattern, scale,
                                   None if stored else bias, in_order, stored_array(bias) if stored else None)
        out, lse = out.astype(dtype), lse.astype(np.float64 if dtype == np.float64 else np.float32)
        if q.ndim == 3:
            out, lse = out[0], lse[0]
        return (out, lse) if return_lse else out
    if q.dtype.name not in KERNEL_TYPES:
        raise _c.ArgumentError(f"q: expected float32 or float16, got {q.dtype}: cast it (q.astype(np.float32)), or take "
                               "backend='reference', which computes in float64")
    q, k, v = (_as_taken(_padded(x)) for x in (q, k, v))
    out, lse = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype), np.empty(q.shape[:-1], np.float32)
    args = _c.STRUCTS["vic_attention_args"](scale=scale, zero_scale=scale == 0.0)
    if stored:
        numbers = stored_array(bias)
        args.pair_bias = _c.array_tensor(numbers)
    elif bias is not None:
        table = _table(bias)
        args.bias = _c.array_tensor(table)
    for name, x in (("q", q), ("k", k), ("v", v), ("out", out), ("lse", lse)):
        setattr(args, name, _c.array_tensor(x))
    _c.call("vicpy_attention", pattern._number, c.addressof(args), bool(in_order))
    out = out[..., :d_v] if out.shape[-1] != d_v else out
    out = out if out.dtype == dtype else out.astype(dtype)
    return (out, lse) if return_lse else out

