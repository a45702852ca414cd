# SPDX-License-Identifier: Apache-2.0
"""vicinal.jax.attention(): results, gradients, transformations, the life of patterns, and XLA's interface."""
import ctypes
import functools
import gc
import os
import pathlib
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch's tests run in the same process
jax = pytest.importorskip("jax")
import jax.numpy as jnp

import vicinal
import vicinal.jax
from vicinal import _c, reference

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMITS = {"float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}
pytestmark = pytest.mark.filterwarnings("ignore:vicinal. gradients come from the reference")


def gpus():
    try:
        return jax.devices("gpu")
    except RuntimeError:
        return []


@pytest.fixture(autouse=True)
def on_the_cpu():
    with jax.default_device(jax.devices("cpu")[0]):
        yield


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request, on_the_cpu):
    if request.param == "gpu" and not gpus():
        pytest.skip("JAX sees no GPU")
    with jax.default_device(jax.devices(request.param)[0]):
        yield request.param


def types(device):
    return ["float16", "bfloat16"] if device == "gpu" else list(LIMITS)


def points(n=200, seed=0):
    return np.random.default_rng(seed).random((n, 3)) * (n / 8) ** (1 / 3) * 3


def periodic(n=200, cutoff=5.0):
    x = points(n)
    return vicinal.pattern(x, cutoff, cell=[x.max() + 0.5] * 3)


def arrays(shape, dtype="float32", kv_heads=None, d_v=None, n_k=None, seed=1):
    *batch, n, h, d = shape
    k = (*batch, n_k or n, kv_heads or h, d)
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(s), dtype) for s in (shape, k, (*k[:-1], d_v or d))]


def counts(pattern):
    """How many shifts join each query and key: [n_q, n_k]."""
    count = np.zeros((pattern.n_queries, pattern.n_keys))
    np.add.at(count, tuple(np.asarray(x) for x in pattern.neighbors("ij")), 1.0)
    return count


def dense(q, k, v, count, scale=None, xp=np):
    """(out, lse) by a matrix of all pairs, in the type of q; of jnp it can be differentiated."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    k, v = (xp.repeat(x, q.shape[-2] // k.shape[-2], axis=-2) for x in (k, v))
    s = xp.einsum("...ihd,...jhd->...hij", q, k) * scale
    weights = count * xp.exp(s - s.max(-1, keepdims=True))
    total = weights.sum(-1)
    out = xp.einsum("...hij,...jhd->...ihd", weights / xp.where(total > 0, total, 1.0)[..., None], v)
    lse = xp.where(total > 0, s.max(-1) + xp.log(xp.where(total > 0, total, 1.0)), -np.inf)
    return out, xp.swapaxes(lse, -1, -2)


def wanted(q, k, v, pattern, scale=None):
    return dense(*(np.asarray(x, np.float64) for x in (q, k, v)), counts(pattern), scale)


def close(got, want, limit):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    assert np.linalg.norm(got - want) <= limit * max(np.linalg.norm(want), 1e-30)


# ---- Results ----

@pytest.mark.parametrize("shape, kv_heads, d_v", [
    ((200, 4, 32), None, None), ((200, 4, 64), 2, 32), ((3, 200, 2, 16), 1, None), ((200, 1, 20), None, 12),
    ((2, 200, 3, 7), None, 128)])
def test_results(device, shape, kv_heads, d_v):
    pattern = periodic()
    for dtype in types(device):
        q, k, v = arrays(shape, dtype, kv_heads, d_v)
        out, lse = vicinal.jax.attention(q, k, v, pattern, return_lse=True)
        assert out.dtype == q.dtype and lse.dtype == jnp.float32
        want, want_lse = wanted(q, k, v, pattern)
        close(out, want, LIMITS[dtype])
        close(lse, want_lse, LIMITS[dtype])
        again, _ = jax.jit(functools.partial(vicinal.jax.attention, pattern=pattern, return_lse=True))(q, k, v)
        assert np.array_equal(np.asarray(again), np.asarray(out))
        assert vicinal.jax.attention(q, k, v, pattern).shape == want.shape


def test_two_sets_scale_and_empty_rows(device):
    x, y = points(100), points(80, 1) + 2.0
    pattern = vicinal.pattern(x, 2.0, keys=y)
    assert (pattern.counts() == 0).any()
    q, k, v = arrays((100, 2, 16), types(device)[0], n_k=80)
    for scale in (0.0, 0.7, -1.5):
        out, lse = vicinal.jax.attention(q, k, v, pattern, scale=scale, return_lse=True)
        want, want_lse = wanted(q, k, v, pattern, scale)
        close(out, want, 1e-3)
        has = np.isfinite(want_lse)
        assert np.array_equal(np.isfinite(np.asarray(lse)), has)
        close(np.asarray(lse)[has], want_lse[has], 1e-3)


def test_sorted(device):
    pattern = periodic()
    q, k, v = arrays((200, 2, 16), types(device)[0])
    rows = pattern.order()
    assert not np.array_equal(rows, np.arange(200))
    got = vicinal.jax.attention(q[rows], k[rows], v[rows], pattern, sorted=True)
    close(got, wanted(q, k, v, pattern)[0][rows], 1e-3)


def test_compute_dtype(device):
    pattern = periodic()
    q, k, v = arrays((200, 2, 16))
    for dtype in ("float16", jnp.bfloat16):
        out = vicinal.jax.attention(q, k, v, pattern, compute_dtype=dtype)
        assert out.dtype == jnp.float32
        close(out, wanted(*(x.astype(dtype) for x in (q, k, v)), pattern)[0], LIMITS[jnp.dtype(dtype).name])


@pytest.mark.parametrize("on", [False, True])
def test_x64(device, on):
    pattern = periodic()
    before = jax.config.jax_enable_x64
    try:
        jax.config.update("jax_enable_x64", on)
        q, k, v = arrays((200, 2, 16), "float32")
        options = {"compute_dtype": "float16"} if device == "gpu" else {}
        limit = 2e-3 if device == "gpu" else 2e-6
        close(vicinal.jax.attention(q, k, v, pattern, **options), wanted(q, k, v, pattern)[0], limit)
        got = jax.jit(jax.grad(lambda q: (vicinal.jax.attention(q, k, v, pattern, **options) ** 2).sum()))(q)
        count = jnp.asarray(counts(pattern), jnp.float32)
        close(got, jax.grad(lambda q: (dense(q, k, v, count, xp=jnp)[0] ** 2).sum())(q), 5e-3 if options else 2e-5)
        if on:
            with pytest.raises(vicinal.ArgumentError, match="float64"):
                vicinal.jax.attention(*arrays((200, 2, 16), "float64"), pattern)
    finally:
        jax.config.update("jax_enable_x64", before)


# ---- Transformations ----

def test_vmap(device):
    pattern = periodic()
    dtype = types(device)[0]
    q, k, v = arrays((3, 200, 4, 16), dtype, kv_heads=2)
    want = wanted(q, k, v, pattern)[0]
    one = functools.partial(vicinal.jax.attention, pattern=pattern)
    close(jax.vmap(one)(q, k, v), want, 1e-3)
    close(jax.vmap(one, in_axes=(2, 0, 1), out_axes=1)(
        jnp.moveaxis(q, 0, 2), k, jnp.moveaxis(v, 0, 1)), np.moveaxis(want, 0, 1), 1e-3)
    close(jax.vmap(one, in_axes=(0, None, None))(q, k[1], v[1]),
          [wanted(q[i], k[1], v[1], pattern)[0] for i in range(3)], 1e-3)
    twice = [jnp.stack([x, 2 * x]) for x in (q, k, v)]  # [2, 3, 200, ..]
    close(jax.vmap(jax.vmap(one))(*twice), wanted(*twice, pattern)[0], 1e-3)
    close(jax.jit(jax.vmap(one))(*twice), wanted(*twice, pattern)[0], 1e-3)  # vmap of a batch


def test_vmap_of_gradients(device):
    pattern = periodic()
    q, k, v = arrays((3, 200, 2, 16), types(device)[0])
    count = jnp.asarray(counts(pattern), jnp.float32)
    got = jax.jit(jax.vmap(jax.grad(lambda q, k, v: vicinal.jax.attention(q, k, v, pattern).astype("float32").var())))(
        q, k, v)
    want = jax.vmap(jax.grad(lambda *x: dense(*(y.astype("float32") for y in x), count, xp=jnp)[0].var()))(q, k, v)
    close(got, want, 2e-5 if device == "cpu" else 2e-2)


def test_scan_and_cond(device):
    """As a layer of a model: inside control flow, several times, with two patterns."""
    near, far = periodic(cutoff=4.0), periodic(cutoff=6.0)
    x = arrays((200, 2, 16), types(device)[0])[0]

    @jax.jit
    def model(x):
        def layer(x, wide):
            return jax.lax.cond(wide, lambda x: vicinal.jax.attention(x, x, x, far),
                                lambda x: vicinal.jax.attention(x, x, x, near), x), None
        return jax.lax.scan(layer, x, jnp.array([False, True, False]))[0]

    want = np.asarray(x, np.float64)
    for pattern in (near, far, near):
        want = wanted(want, want, want, pattern)[0]
    close(model(x), want, 2e-3)


# ---- Gradients ----

def gradients(function, q, k, v, weights, weights_lse):
    def loss(q, k, v):
        out, lse = function(q, k, v)
        return (out * weights).sum() + jnp.where(jnp.isfinite(lse), lse * weights_lse, 0.0).sum()
    return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(q, k, v)


@pytest.mark.parametrize("backend, chunk", [("auto", 0), ("reference", reference.CHUNK_BYTES), ("reference", 1 << 20)])
@pytest.mark.parametrize("shape, kv_heads, d_v, in_order", [
    ((200, 4, 16), None, None, False), ((2, 200, 4, 20), 2, 12, False), ((200, 2, 16), 1, None, True)])
def test_gradients(device, shape, kv_heads, d_v, in_order, backend, chunk, monkeypatch):
    monkeypatch.setattr(reference, "CHUNK_BYTES", chunk or reference.CHUNK_BYTES)
    pattern = periodic()
    q, k, v = arrays(shape, "float32", kv_heads, d_v)
    count = jnp.asarray(counts(pattern), jnp.float32)
    rng = np.random.default_rng(5)
    weights = jnp.asarray(rng.standard_normal((*shape[:-1], d_v or shape[-1])), jnp.float32)
    weights_lse = jnp.asarray(rng.standard_normal(shape[:-1]), jnp.float32)
    rows = pattern.order()
    count = count[rows][:, rows] if in_order else count
    options = {"compute_dtype": "float16"} if device == "gpu" else {}
    got = gradients(lambda *x: vicinal.jax.attention(*x, pattern, return_lse=True, sorted=in_order, backend=backend,
                                                     **options), q, k, v, weights, weights_lse)
    want = gradients(lambda *x: dense(*x, count, xp=jnp), q, k, v, weights, weights_lse)
    for g, w, x in zip(got, want, (q, k, v)):
        assert g.dtype == x.dtype
        close(g, w, 5e-3 if options else 2e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_in_16_bits(device, dtype):
    pattern = periodic()
    q, k, v = arrays((200, 2, 16), dtype)
    count = jnp.asarray(counts(pattern), jnp.float32)
    got = jax.grad(lambda *x: (vicinal.jax.attention(*x, pattern).astype("float32") ** 2).sum(), (0, 1, 2))(q, k, v)
    want = jax.grad(lambda *x: (dense(*x, count, xp=jnp)[0] ** 2).sum(), (0, 1, 2))(
        *(x.astype("float32") for x in (q, k, v)))
    for g, w in zip(got, want):
        assert g.dtype == dtype
        close(g, w, 5 * LIMITS[dtype])


def test_gradients_of_rows_without_pairs(device):
    pattern = vicinal.pattern(points(100), 2.0, keys=points(80, 1) + 2.0)
    q, k, v = arrays((100, 2, 16), "float32", n_k=80)
    options = {"compute_dtype": "float16"} if device == "gpu" else {}
    got = jax.grad(lambda q, k, v: sum(x.sum() for x in vicinal.jax.attention(
        q, k, v, pattern, return_lse=True, **options)), (0, 1, 2))(q, k, v)  # a loss of -inf
    assert all(np.isfinite(np.asarray(g)).all() for g in got)
    empty = pattern.counts() == 0
    assert empty.any() and not np.asarray(got[0])[empty].any() and np.asarray(got[0])[~empty].any()


def test_second_derivatives(device):
    """A loss of forces: the gradient of a function of a gradient."""
    pattern = periodic(60, 3.0)
    q, k, v = arrays((60, 2, 8), "float32")
    count = jnp.asarray(counts(pattern), jnp.float32)
    options = {"compute_dtype": "float16"} if device == "gpu" else {}

    def force_loss(attend):
        energy = lambda *x: (attend(*x)[0] ** 3).sum() + jnp.sin(attend(*x)[1]).sum()
        return jax.jit(jax.grad(lambda *x: sum((g ** 2).sum() for g in jax.grad(energy, (0, 1, 2))(*x)), (0, 1, 2)))

    with pytest.raises(vicinal.ArgumentError, match="cannot be differentiated again.*backend='reference'"):
        force_loss(lambda *x: vicinal.jax.attention(*x, pattern, return_lse=True, **options))(q, k, v)
    got = force_loss(lambda *x: vicinal.jax.attention(*x, pattern, return_lse=True, backend="reference", **options))(q, k, v)
    want = force_loss(lambda *x: dense(*x, count, xp=jnp))(q, k, v)
    for g, w in zip(got, want):
        close(g, w, 2e-2 if options else 1e-4)


def test_without_a_kernel(monkeypatch):
    """By the list of pairs, with a warning that names the memory."""
    pattern = periodic()
    q, k, v = arrays((200, 4, 16))

    def gradient(**options):
        return np.asarray(jax.grad(lambda q: vicinal.jax.attention(q, k, v, pattern, **options).var())(q))
    want = gradient()
    monkeypatch.setattr(vicinal.jax, "_platforms", lambda: {"cuda"})
    with pytest.warns(UserWarning, match=rf"plain JAX, over {pattern.n_pairs:,} pairs in pieces of about "
                                         rf"{16 * 4 * 32 * pattern.n_pairs / 1e6:,.0f} MB .* no kernel of gradients for this"):
        close(gradient(), want, 1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient()  # once
        gradient(backend="reference")  # as asked for


def test_kernels_of_gradients_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        q, k, v = arrays((200, 4, 16))
        pattern = periodic()
        assert "cpu" in vicinal.jax._platforms()
        jax.block_until_ready(jax.grad(lambda q: vicinal.jax.attention(q, k, v, pattern).sum())(q))


# ---- Patterns ----

def test_patterns_as_arguments(device):
    near, far = periodic(cutoff=4.0), periodic(cutoff=6.0)
    q, k, v = arrays((200, 2, 16), types(device)[0])
    traces = []

    @jax.jit
    def f(q, k, v, pattern):
        traces.append(pattern)
        return vicinal.jax.attention(q, k, v, pattern)

    for pattern in (near, far, near, far):
        close(f(q, k, v, pattern), wanted(q, k, v, pattern)[0], 1e-3)
    assert traces == [near, far]
    close(f(q, k, v, pattern=near), wanted(q, k, v, near)[0], 1e-3)
    assert jax.tree_util.tree_leaves(near) == []
    close(jax.jit(vicinal.jax.attention, static_argnums=3)(q, k, v, far), wanted(q, k, v, far)[0], 1e-3)


def alive(number):
    try:
        _c.call("vicpy_hold", number)
    except vicinal.ArgumentError:
        return False
    _c.library().vicpy_drop(number)
    return True


def test_compiled_functions_hold_their_patterns(device):
    q, k, v = arrays((200, 2, 16), types(device)[0])
    pattern = periodic()
    number, want = pattern._number, wanted(q, k, v, pattern)[0]
    compiled = jax.jit(functools.partial(vicinal.jax.attention, pattern=pattern)).lower(q, k, v).compile()
    del pattern
    gc.collect()
    jax.clear_caches()
    gc.collect()
    assert alive(number)
    close(compiled(q, k, v), want, 1e-3)
    del compiled
    gc.collect()
    assert not alive(number)


def test_patterns_of_the_moment(device):
    """Pattern and function are gone before the work has begun, which JAX does on a thread of its own."""
    q, k, v = arrays((200, 2, 16), types(device)[0])
    x = points()
    want = [wanted(q, k, v, vicinal.pattern(x, cutoff))[0] for cutoff in (3.0, 4.0)]
    got = [jax.jit(lambda q: vicinal.jax.attention(
        q + 0 * jnp.sort(jnp.tile(q, 50).ravel())[0], k, v, vicinal.pattern(x, 3.0 + n % 2)))(q) for n in range(10)]
    for n, g in enumerate(got):
        close(g, want[n % 2], 1e-3)


def test_number_of_no_pattern():
    other = periodic()
    q, k, v = arrays((200, 2, 16))
    number = periodic()._number
    gc.collect()
    call = jax.ffi.ffi_call("vicinal_attention", (jax.ShapeDtypeStruct(q.shape, q.dtype),
                                                  jax.ShapeDtypeStruct(q.shape[:-1], jnp.float32)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="pattern of this call is gone"):
        call(q, k, v, pattern=np.int64(number), scale=np.float64(1), sorted=np.int64(0))
    with pytest.raises(jax.errors.JaxRuntimeError, match="expected operands q, k, v"):
        call(q, k, v, scale=np.float64(1), sorted=np.int64(0))
    with pytest.raises(jax.errors.JaxRuntimeError, match="expected operands q, k, v"):
        call(q, k, v, pattern=np.int64(other._number), scale=np.float32(1), sorted=np.int64(0))


def test_export_is_refused():
    """A number means nothing in another process."""
    pattern = periodic()
    export = pytest.importorskip("jax.export")
    with pytest.raises(Exception, match="vicinal_attention"):
        export.export(jax.jit(functools.partial(vicinal.jax.attention, pattern=pattern)))(*arrays((200, 2, 16)))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_update(device, backend):
    """Compiled functions and their gradients follow a pattern that is updated in place."""
    x = points()
    pattern = vicinal.pattern(x, 5.0)
    q, k, v = arrays((200, 2, 16), types(device)[0])
    traces = []

    @jax.jit
    def f(q, k, v):
        traces.append(1)
        return jax.value_and_grad(lambda q: (vicinal.jax.attention(
            q, k, v, pattern, backend=backend).astype("float32") ** 2).sum())(q)

    for step in range(3):
        count = jnp.asarray(counts(pattern), jnp.float32)
        want = jax.value_and_grad(lambda q: (dense(
            q, *(x.astype("float32") for x in (k, v)), count, xp=jnp)[0] ** 2).sum())(q.astype("float32"))
        got = f(q, k, v)
        close(got[0], want[0], 1e-3)
        close(got[1], want[1], 1e-2 if device == "gpu" else 2e-5)
        last = pattern.n_pairs
        pattern.update_(x + np.random.default_rng(step).normal(0, 0.1, x.shape))
        assert pattern.n_pairs != last
    assert len(traces) == 1
    pattern.update_(x * 0.8)
    if backend == "auto":
        if device == "cpu":
            got = f(q, k, v)
            want = dense(q, k, v, jnp.asarray(counts(pattern), jnp.float32), xp=jnp)[0]
            close(got[0], (want ** 2).sum(), 1e-3)
        return
    with pytest.raises((jax.errors.JaxRuntimeError, ValueError), match="the pattern has grown to"):
        jax.block_until_ready(f(q, k, v))


# ---- Errors ----

def test_errors():
    pattern = periodic()
    q, k, v = arrays((200, 2, 16))
    for match, call in (
            ("the pattern has 200 keys", lambda: vicinal.jax.attention(q, k[:5], v[:5], pattern)),
            ("expected the type of q", lambda: vicinal.jax.attention(q, k.astype("float16"), v, pattern)),
            ("what vicinal.pattern", lambda: vicinal.jax.attention(q, k, v, 5.0)),
            ("backend: expected 'auto' or 'reference'", lambda: vicinal.jax.attention(q, k, v, pattern, backend="cuda")),
            ("compute_dtype: expected", lambda: vicinal.jax.attention(q, k, v, pattern, compute_dtype="int32")),
            ("int32: cast it", lambda: vicinal.jax.attention(*(x.astype("int32") for x in (q, k, v)), pattern)),
            ("up to 128, got 136", lambda: vicinal.jax.attention(*arrays((200, 1, 136)), pattern))):
        with pytest.raises(vicinal.ArgumentError, match=match):
            call()
        with pytest.raises(vicinal.ArgumentError, match=match):
            jax.jit(call)()
    assert np.isfinite(np.asarray(vicinal.jax.attention(q, k, v, pattern))).all()


@pytest.mark.gpu
def test_float32_on_a_gpu():
    if not gpus():
        pytest.skip("JAX sees no GPU")
    with jax.default_device(gpus()[0]), pytest.raises(jax.errors.JaxRuntimeError, match="compute_dtype"):
        jax.block_until_ready(vicinal.jax.attention(*arrays((200, 2, 16)), periodic()))


def test_forward_mode_is_refused():
    pattern = periodic()
    q, k, v = arrays((200, 2, 16))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda q: vicinal.jax.attention(q, k, v, pattern), (q,), (q,))


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **environment})


def test_without_jax():
    done = run("import sys; sys.modules['jax'] = None\nimport vicinal\nvicinal.jax")
    assert done.returncode == 1 and "pip install 'vicinal[jax]'" in done.stderr


def test_old_jax():
    done = run("import jax; jax.__version_info__, jax.__version__ = (0, 9, 0), '0.9.0'\nimport vicinal.jax")
    assert done.returncode == 1 and "needs JAX 0.9.1 or newer" in done.stderr and "this is JAX 0.9.0" in done.stderr


def test_two_devices():
    """Each shard calls its own handler; here two devices of the CPU."""
    done = run("""
import jax, numpy as np, jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec as P
import vicinal, vicinal.jax
pattern = vicinal.pattern(np.random.default_rng(0).random((50, 3)) * 9, 4.0)
x = jnp.asarray(np.random.default_rng(1).standard_normal((4, 50, 2, 8)), jnp.float32)
mesh = Mesh(np.array(jax.devices()), ("batch",))
f = jax.jit(jax.shard_map(lambda x: vicinal.jax.attention(x, x, x, pattern), mesh=mesh, in_specs=P("batch"),
                          out_specs=P("batch")))
assert len(jax.devices()) == 2
assert np.array_equal(np.asarray(f(x)), np.asarray(vicinal.jax.attention(x, x, x, pattern)))
""", XLA_FLAGS="--xla_force_host_platform_device_count=2", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr


def test_compilation_cache(tmp_path):
    """A process that takes an executable from JAX's cache on disk: its number is that of another pattern there."""
    code = """
import jax, numpy as np, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
import vicinal, vicinal.jax
x = np.random.default_rng(0).random((50, 3)) * 9
pattern = vicinal.pattern(x, CUTOFF)
q = np.random.default_rng(1).standard_normal((50, 2, 8)).astype("float32")
got = jax.jit(lambda q: vicinal.jax.attention(q, q, q, pattern))(q)
assert np.array_equal(np.asarray(got), vicinal.attention(q, q, q, pattern))
"""
    for cutoff in ("4.0", "5.0"):
        done = run(code.replace("CUTOFF", cutoff), JAX_COMPILATION_CACHE_DIR=str(tmp_path), JAX_PLATFORMS="cpu")
        assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir())


# ---- XLA's interface ----

# Name of the header's struct, ours, and members of both.
STRUCTS = {
    ("XLA_FFI_Error_Create_Args", "xla_error_create"): "struct_size:size message:text errc:code",
    ("XLA_FFI_Stream_Get_Args", "xla_stream_get"): "struct_size:size ctx:context stream:stream",
    ("XLA_FFI_DeviceOrdinal_Get_Args", "xla_ordinal_get"): "struct_size:size ctx:context device_ordinal:ordinal",
    ("XLA_FFI_DeviceMemory_Allocate_Args", "xla_allocate"):
        "struct_size:size ctx:context size:bytes alignment:alignment data:data",
    ("XLA_FFI_DeviceMemory_Free_Args", "xla_free"): "struct_size:size ctx:context size:bytes data:data",
    ("XLA_FFI_TypeInfo", "xla_type_info"): "struct_size:size deleter:release",
    ("XLA_FFI_Type_Register_Args", "xla_type_register"): "struct_size:size name:name type_id:id type_info:info",
    ("XLA_FFI_State_Set_Args", "xla_state_set"): "struct_size:size ctx:context stage:stage type_id:id state:state",
    ("XLA_FFI_Api_Version", "xla_version"): "struct_size:size major_version:major minor_version:minor",
    ("XLA_FFI_Metadata", "xla_metadata"): "struct_size:size api_version:version traits:traits state_type_id:state",
    ("XLA_FFI_Metadata_Extension", "xla_metadata_extension"): "metadata:metadata",
    ("XLA_FFI_Buffer", "xla_buffer"): "struct_size:size dtype:dtype data:data rank:rank dims:shape",
    ("XLA_FFI_Scalar", "xla_scalar"): "dtype:dtype value:value",
    ("XLA_FFI_ByteSpan", "xla_bytes"): "ptr:start len:length",
    ("XLA_FFI_Args", "xla_buffers"): "struct_size:size size:n types:types args:buffers",
    ("XLA_FFI_Rets", "xla_buffers"): "struct_size:size size:n types:types rets:buffers",
    ("XLA_FFI_Attrs", "xla_attributes"): "struct_size:size size:n types:types names:names attrs:values",
    ("XLA_FFI_CallFrame", "xla_frame"):
        "struct_size:size extension_start:more api:api ctx:context stage:stage args:operands rets:results "
        "attrs:attributes",
    ("XLA_FFI_Api", "xla_api"):
        "struct_size:size api_version:version XLA_FFI_Error_Create:error_create XLA_FFI_Stream_Get:stream_get "
        "XLA_FFI_Type_Register:type_register XLA_FFI_State_Set:state_set "
        "XLA_FFI_DeviceMemory_Allocate:memory_allocate XLA_FFI_DeviceMemory_Free:memory_free "
        "XLA_FFI_DeviceOrdinal_Get:ordinal_get",
}
CONSTANTS = {"XLA_FFI_Extension_Metadata": "XLA_METADATA", "XLA_FFI_AttrType_SCALAR": "XLA_SCALAR",
             "XLA_FFI_ExecutionStage_INSTANTIATE": "XLA_INSTANTIATE", "XLA_FFI_API_MAJOR": "XLA_MAJOR",
             "XLA_FFI_DataType_S64": "XLA_S64", "XLA_FFI_DataType_F16": "XLA_F16", "XLA_FFI_DataType_F32": "XLA_F32",
             "XLA_FFI_DataType_F64": "XLA_F64", "XLA_FFI_DataType_BF16": "XLA_BF16",
             "XLA_FFI_Error_Code_INVALID_ARGUMENT": "XLA_BAD_ARGUMENT",
             "XLA_FFI_Error_Code_RESOURCE_EXHAUSTED": "XLA_NO_MEMORY",
             "XLA_FFI_Error_Code_FAILED_PRECONDITION": "XLA_FAILED_PRECONDITION",
             "XLA_FFI_Error_Code_UNIMPLEMENTED": "XLA_UNIMPLEMENTED", "XLA_FFI_Error_Code_INTERNAL": "XLA_FAILED"}


def test_declarations_are_those_of_the_header(tmp_path):
    """jax.c declares what it needs of XLA's header; the compiler compares both."""
    compiler = shutil.which("cc")
    header = pathlib.Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h"
    if not compiler or not header.is_file() or not (ROOT / "python/glue/jax.c").is_file():
        pytest.skip("needs a C compiler, JAX's headers and the sources")
    lines = [f'#include "{ROOT}/python/glue/jax.c"', f'#include "{header}"']
    for (theirs, ours), members in STRUCTS.items():
        for pair in members.split():
            a, b = pair.split(":")
            lines.append(f'_Static_assert(offsetof({theirs}, {a}) == offsetof(struct {ours}, {b}), "{ours}.{b}");')
            lines.append(f'_Static_assert(sizeof((({theirs} *)0)->{a}) == sizeof(((struct {ours} *)0)->{b}), "{b}");')
        lines.append(f'_Static_assert(sizeof({theirs}) >= sizeof(struct {ours}), "{ours}");')
    lines += [f'_Static_assert((int){theirs} == (int){ours}, "{ours}");' for theirs, ours in CONSTANTS.items()]
    source = tmp_path / "compare.c"
    for wrong in (False, True):
        fails = ['_Static_assert((int)XLA_FFI_DataType_F16 == (int)XLA_BF16, "fails");'] * wrong
        source.write_text("\n".join(lines + fails))
        done = subprocess.run([compiler, "-std=c17", "-D_GNU_SOURCE", "-fsyntax-only", f"-I{ROOT}/include",
                               f"-I{ROOT}/python/glue", f"-I{jax.ffi.include_dir()}", str(source)],
                              capture_output=True, text=True)
        assert (done.returncode != 0) == wrong, done.stderr


POINTER = ctypes.c_size_t


class Version(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("more", POINTER), ("major", ctypes.c_int), ("minor", ctypes.c_int)]


class Api(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("more", POINTER), ("version", Version), ("internal", POINTER),
                ("functions", POINTER * 18)]


class Metadata(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", Version), ("traits", ctypes.c_uint32), ("state", ctypes.c_int64)]


class Extension(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("type", ctypes.c_int), ("next", POINTER), ("metadata", POINTER)]


class Frame(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("more", POINTER), ("api", POINTER), ("context", POINTER),
                ("stage", ctypes.c_int), ("rest", POINTER * 17)]


class ErrorCreate(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("more", POINTER), ("text", ctypes.c_char_p), ("code", ctypes.c_int)]


@pytest.mark.parametrize("handler", ["vicpy_jax_cpu", "vicpy_jax_cuda", "vicpy_jax_backward_cpu", "vicpy_jax_backward_cuda"])
@pytest.mark.parametrize("major, minor, shorter, frame_shorter, answer", [
    (0, 3, 0, 0, 3), (0, 9, 0, 0, 3), (1, 0, 0, 0, None), (0, 2, 0, 0, None), (0, 3, 8, 0, None), (0, 3, 0, 24, None)])
def test_versions(handler, major, minor, shorter, frame_shorter, answer):
    """What the handler tells an XLA of some version when it is registered, and what error it gives to others."""
    said = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ErrorCreate))
    def create(error):
        said.append(error.contents.text.decode())
        return 1

    api = Api(ctypes.sizeof(Api) - shorter, 0, Version(ctypes.sizeof(Version), 0, major, minor))
    api.functions[0] = ctypes.cast(create, ctypes.c_void_p).value
    metadata = Metadata(size=ctypes.sizeof(Metadata))
    extension = Extension(ctypes.sizeof(Extension), 1, 0, ctypes.addressof(metadata))
    frame = Frame(ctypes.sizeof(Frame) - frame_shorter, ctypes.addressof(extension), ctypes.addressof(api))
    result = getattr(_c.library(), handler)(ctypes.addressof(frame))
    if answer is not None:
        assert not result and not said
        assert (metadata.version.major, metadata.version.minor, metadata.traits) == (0, answer, 0)
    else:
        assert result == 1 and f"this JAX has version {major}.{minor}" in said[0] and "0.3 or a later 0.x" in said[0]
        frame.more = 0  # and again where it is called all the same
        assert getattr(_c.library(), handler)(ctypes.addressof(frame)) == 1 and said[1] == said[0]


# ---- Documentation ----

def test_howto():
    text = (ROOT / "docs/howto/jax.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    space = {}
    for block in blocks:
        exec(compile(block, "docs/howto/jax.md", "exec"), space)
