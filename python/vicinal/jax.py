# SPDX-License-Identifier: Apache-2.0
"""vicinal.jax.attention(): attention of JAX arrays, on the CPU and on Hopper GPUs.

    import jax, vicinal, vicinal.jax

    pattern = vicinal.pattern(positions, cutoff=8.0)

    @jax.jit
    def layer(q, k, v, pattern):
        return vicinal.jax.attention(q, k, v, pattern)

A Pattern is a pytree without leaves: it goes into compiled functions as an argument or by closure, as a constant.
docs/howto/jax.md.
"""
import functools
import math

try:
    import jax
    import jax.numpy as jnp
    from jax import ffi
except ImportError as error:
    raise ImportError(f"vicinal.jax needs JAX 0.9.1 or newer ({error}): pip install 'vicinal[jax]'") from error
import numpy as np

from . import _c, reference
from ._attention import check
from ._pattern import Pattern

__all__ = ["attention"]
TARGET, TARGET_BACKWARD = "vicinal_attention", "vicinal_attention_backward"
DTYPES = ("float32", "float16", "bfloat16")


def _register():
    # XLA looks itself, but only when a backend starts, and then JAX is lost to the process.
    if jax.__version_info__ < (0, 9, 1):
        raise ImportError("vicinal.jax needs JAX 0.9.1 or newer, which has version 0.3 of XLA's foreign function "
                          f"interface; this is JAX {jax.__version__}: pip install -U 'vicinal[jax]'")
    library = _c.library()
    for target, platform, handler in ((TARGET, "cpu", library.vicpy_jax_cpu), (TARGET, "CUDA", library.vicpy_jax_cuda),
                                      (TARGET_BACKWARD, "cpu", library.vicpy_jax_backward_cpu),
                                      (TARGET_BACKWARD, "CUDA", library.vicpy_jax_backward_cuda)):
        try:
            ffi.register_ffi_target(target, {"instantiate": ffi.pycapsule(library.vicpy_jax_instantiate),
                                             "execute": ffi.pycapsule(handler)}, platform=platform)
        except Exception as error:  # of XLA's own kinds
            raise ImportError(f"vicinal.jax cannot be used with JAX {jax.__version__}: {error}") from error


_register()
jax.tree_util.register_static(Pattern)


def attention(q, k, v, pattern, *, scale=None, return_lse=False, sorted=False, compute_dtype=None, backend="auto"):
    """Softmax attention over the pairs of a pattern, as vicinal.attention(), of JAX arrays:

        out[i, h] = sum over pairs (i, j, S) of softmax(scale * q[i, h] . k[j, h]) v[j, h]

    q     [queries, heads, d] or [batch, queries, heads, d], float32, float16 or bfloat16
    k, v  [keys, kv_heads, d] and [keys, kv_heads, d_v], or with batch; kv_heads divides heads
    scale          of the scores, a number; None = 1 / sqrt(d)
    return_lse     also return ln sum exp(score), float32 [.., queries, heads]; -inf where a query has no pair
    sorted         all arrays are in the pattern's order
    compute_dtype  "float16" or "bfloat16": q, k and v are cast to it and the result back; GPUs have no other kernels
    backend        "auto": gradients by kernels, which cannot be differentiated again; "reference": gradients by plain JAX
                   over the list of pairs, which can, for small systems

    Works under jit, vmap and grad; derivatives are reverse mode.  There are kernels of gradients for the CPU; elsewhere they
    come from plain JAX, too, as a warning says.  Returns out [.., queries, heads, d_v] in the type of q, or (out, lse).
    Raises ArgumentError; what is found when the compiled function runs is a jax.errors.JaxRuntimeError.

    A compiled function is compiled anew for each pattern, and keeps its patterns.  Where points move, pattern.update_()
    keeps both pattern and compiled function.
    """
    q, k, v = (jnp.asarray(x) for x in (q, k, v))
    if backend not in ("auto", "reference"):
        raise _c.ArgumentError(f"backend: expected 'auto' or 'reference', got {backend!r}")
    check(q, k, v, pattern, None, "auto")  # attention itself is that of the kernels
    given, d_v = q.dtype, v.shape[-1]
    dtype = jnp.dtype(given if compute_dtype is None else compute_dtype)
    if dtype.name not in DTYPES:
        what = "q" if compute_dtype is None else "compute_dtype"
        raise _c.ArgumentError(f"{what}: expected float32, float16 or bfloat16, got {dtype.name}: cast it, or give "
                               "compute_dtype='float32'")
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else float(scale)
    q, k, v = (_padded(x.astype(dtype)) for x in (q, k, v))
    out, lse = _attention(q, k, v, pattern, scale, bool(sorted), backend)
    out = out[..., :d_v].astype(given)
    return (out, lse) if return_lse else out


def _padded(x):
    """The last dimension filled up with zeros to a multiple of 8."""
    more = -x.shape[-1] % 8
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, more)]) if more else x


def _call(target, results, operands, pattern, scale, in_order):
    # What vmap adds in front is batch to the handlers.
    call = ffi.ffi_call(target, results, vmap_method="broadcast_all")
    return tuple(call(*operands, pattern=np.int64(pattern._number), scale=np.float64(scale), sorted=np.int64(in_order)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def _attention(q, k, v, pattern, scale, in_order, backend):
    results = (jax.ShapeDtypeStruct((*q.shape[:-1], v.shape[-1]), q.dtype),
               jax.ShapeDtypeStruct(q.shape[:-1], jnp.float32))
    return _call(TARGET, results, (q, k, v), pattern, scale, in_order)


# ---- Gradients ----

def _forward(q, k, v, pattern, scale, in_order, backend):
    out, lse = _attention(q, k, v, pattern, scale, in_order, backend)
    return (out, lse), (q, k, v, out, lse)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _by_kernel(operands, pattern, scale, in_order):
    results = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands[:3])
    return _call(TARGET_BACKWARD, results, operands, pattern, scale, in_order)


@_by_kernel.defjvp
def _not_again(*_):
    raise _c.ArgumentError("the gradients of vicinal.jax.attention() cannot be differentiated again, as a loss of forces or "
                           "of another gradient needs it: for that give backend='reference', which is plain JAX over the "
                           "list of pairs, for small systems")


@functools.cache
def _platforms():
    """Those of JAX for which this library has kernels of gradients."""
    library, found = _c.library(), set()
    for index in range(library.vic_kernel_count()):
        info = _c.STRUCTS["vic_kernel_info"]()
        _c.call("vic_kernel_get", index, _c.c.addressof(info))
        if info.backward:
            found.add(info.device.decode())
    return found


def _backward(pattern, scale, in_order, backend, saved, cotangents):
    """dq, dk, dv: by a kernel where the platform that the function is compiled for has one."""
    ways = {platform: lambda operands: _by_kernel(operands, pattern, scale, in_order)
            for platform in (_platforms() if backend == "auto" else ())}
    return jax.lax.platform_dependent(
        (*saved, *cotangents), default=lambda operands: _by_pairs(operands, pattern, scale, in_order, backend), **ways)


def _pairs(pattern, in_order, room, said):
    """Queries and keys of all pairs, int32 [room], as they are when the compiled function runs; filled up with numbers
    behind the last.  `said` is called then."""
    def listed():
        said()
        i, j = pattern._list("ij")
        if len(i) > room:
            raise _c.ArgumentError(f"the pattern has grown to {len(i):,} pairs, and this function was compiled for "
                                   f"gradients over at most {room:,}: compile it anew (jax.clear_caches())")
        if in_order:
            i, j = _places(pattern, "query")[i], _places(pattern, "key")[j]
        return tuple(np.concatenate([x, np.full(room - len(x), n)]).astype(np.int32)
                     for x, n in ((i, pattern.n_queries), (j, pattern.n_keys)))

    return jax.pure_callback(listed, (jax.ShapeDtypeStruct((room,), jnp.int32),) * 2)


def _places(pattern, side):
    """Where in the pattern's order each point stands."""
    order = pattern._order(side)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _by_pairs(operands, pattern, scale, in_order, backend):
    """The same in plain JAX, some pairs at a time.  Sums are float32, and can be differentiated again."""
    q, k, v, out, lse, dout, dlse = (x.astype(jnp.float32) for x in operands)
    *batch, n_q, heads, d = q.shape
    group = heads // k.shape[-2]
    bytes_a_pair = 16 * math.prod(batch) * heads * (d + v.shape[-1])

    def said():
        if backend == "auto":
            reference.warn(pattern, "JAX", "this device", bytes_a_pair, 8)
    room = max(1, pattern.n_pairs + (pattern.n_pairs // 16 if pattern.kind in ("cutoff", "nearest") else 0))
    pieces = -(-room // max(1, reference.CHUNK_BYTES // bytes_a_pair))
    length = -(-room // pieces)
    i, j = (x.reshape(pieces, length) for x in _pairs(pattern, in_order, pieces * length, said))
    # Rows without pairs have lse -inf, which has no gradient.
    inner = jnp.where(jnp.isfinite(lse), dlse, 0.0) - (dout * out).sum(-1)

    def at(x, rows, axis=-3):
        return jnp.take(x, rows, axis, mode="clip")

    def of_heads(x, rows):
        return jnp.repeat(at(x, rows), group, axis=-2)

    def into(total, rows, x):
        x = x.reshape(*x.shape[:-2], total.shape[-2], -1, x.shape[-1]).sum(-2)
        return total.at[..., rows, :, :].add(x, mode="drop")

    @jax.checkpoint
    def piece(sums, rows):
        i, j = rows
        dq, dk, dv = sums
        q_i, k_j, v_j, dout_i = at(q, i), of_heads(k, j), of_heads(v, j), at(dout, i)
        there = (i < n_q)[:, None]
        p = jnp.exp(jnp.where(there, (q_i * k_j).sum(-1) * scale - at(lse, i, -2), -jnp.inf))
        ds = p * ((dout_i * v_j).sum(-1) + at(inner, i, -2)) * scale
        return (into(dq, i, ds[..., None] * k_j), into(dk, j, ds[..., None] * q_i),
                into(dv, j, p[..., None] * dout_i)), None

    sums, _ = jax.lax.scan(piece, tuple(jnp.zeros_like(x) for x in (q, k, v)), (i, j))
    return tuple(x.astype(given.dtype) for x, given in zip(sums, operands))


_attention.defvjp(_forward, _backward)
