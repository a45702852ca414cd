# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of NumPy arrays: results beside a dense matrix in every form that arrays come in, and what is
refused, with which words.  The same of torch tensors: tests/with_torch/test_operator.py."""
import os

import numpy as np
import pytest

import vicinal

pytestmark = pytest.mark.skipif(not os.path.isfile(os.environ.get("VIC_LIBRARY", "")),
                                reason="VIC_LIBRARY does not name libvicinal.so")
N, HEADS, DIM = 60, 4, 16


@pytest.fixture
def rng():
    return np.random.default_rng(int(os.environ.get("VIC_SEED", "1")))


@pytest.fixture
def pattern(rng):
    return vicinal.pattern(rng.uniform(0, 9, (N, 3)), 3.5, cell=[9.0] * 3)


def arrays(rng, *batch, kv_heads=HEADS, d=DIM, d_v=None, dtype=np.float32):
    shapes = (*batch, N, HEADS, d), (*batch, N, kv_heads, d), (*batch, N, kv_heads, d_v or d)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def dense(q, k, v, pattern, scale=None):
    """(out, lse) by a matrix that counts shifts, in float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    count = np.zeros((pattern.n_queries, pattern.n_keys))
    np.add.at(count, tuple(pattern.neighbors("ij")), 1)
    k, v = (np.repeat(x, q.shape[-2] // x.shape[-2], axis=-2) for x in (k, v))
    scores = np.einsum("...ihd,...jhd->...ihj", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    weights = count[:, None, :] * np.exp(scores - scores.max(-1, keepdims=True))
    total = weights.sum(-1)
    return (np.einsum("...ihj,...jhd->...ihd", weights, v) / total[..., None], np.log(total) + scores.max(-1))


def check(got, want, limit=1e-5):
    assert got.shape == want.shape
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=0, atol=limit)


# ---- Results ----

@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("options", [{}, {"kv_heads": 2}, {"kv_heads": 1, "d": 7, "d_v": 5}, {"d": 1}, {"d": 128, "d_v": 20}])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (0,)])
def test_results(rng, pattern, backend, options, batch):
    q, k, v = arrays(rng, *batch, **options)
    want = dense(q, k, v, pattern) if 0 not in batch else [np.zeros((*q.shape[:-1], v.shape[-1])), np.zeros(q.shape[:-1])]
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True, backend=backend)
    assert out.dtype == lse.dtype == np.float32
    check(out, want[0])
    check(lse, want[1])
    dim = len(batch)
    ordered = vicinal.attention(pattern.sort(q), pattern.sort(k, "key"), pattern.sort(v, "key"), pattern, sorted=True,
                                backend=backend)
    check(pattern.unsort(ordered, dim=dim), want[0])


def unaligned(x):
    return np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape)


def record(x):
    whole = np.zeros(len(x), [("before", "i1"), ("x", x.dtype, x.shape[1:])])
    whole["x"] = x
    return whole["x"]


def locked(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("form", [
    np.asfortranarray, lambda x: np.repeat(x, 2, 0)[::2], lambda x: np.repeat(x, 2, 2)[..., ::2], locked, unaligned, record,
    lambda x: x[::-1].copy()[::-1], lambda x: x[..., ::-1].copy()[..., ::-1], np.ma.asarray,
    lambda x: x.astype(x.dtype.newbyteorder("S")), lambda x: x.swapaxes(0, 1).copy().swapaxes(0, 1)])
def test_forms_of_arrays(rng, pattern, form):
    """Other bytes first were taken for numbers of this machine."""
    given = arrays(rng)
    want = dense(*given, pattern)[0]
    check(vicinal.attention(*map(form, given), pattern), want)
    check(vicinal.attention(given[0], form(given[1]), given[2], pattern), want)


@pytest.mark.parametrize("scale", [0, -1.0, 3, np.float32(0.3), np.array(0.3), 1e-40])
def test_scales(rng, pattern, scale):
    given = arrays(rng)
    for backend in ("auto", "reference"):
        check(vicinal.attention(*given, pattern, scale=scale, backend=backend), dense(*given, pattern, float(scale))[0], 3e-5)


def test_types(rng, pattern):
    given = arrays(rng, dtype=np.float64)
    want = dense(*given, pattern)[0]
    for dtype, limit in ((np.float64, 1e-13), (np.longdouble, 1e-13), (np.float16, 1e-2)):
        got = vicinal.attention(*(x.astype(dtype) for x in given), pattern, backend="reference")
        assert got.dtype == dtype
        check(got, want, limit)
    half = vicinal.attention(*(x.astype(np.float16) for x in given), pattern)
    assert half.dtype == np.float16
    check(half, want, 1e-2)
    for name, limit in (("float32", 1e-5), ("float16", 1e-2)):
        for backend in ("auto", "reference"):
            got = vicinal.attention(*given, pattern, compute_dtype=name, backend=backend)
            assert got.dtype == np.float64
            check(got, want, limit)
    assert np.abs(got - want).max() > 1e-5  # the reference takes compute_dtype, too


# ---- Gradients ----

def slope(loss, x, direction, step=1e-4):
    return (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("options", [{}, {"kv_heads": 2, "d": 7, "d_v": 5}, {"kv_heads": 1, "d": 8, "d_v": 24}])
@pytest.mark.parametrize("batch, in_order, scale", [((), False, None), ((2,), True, 0.4), ((0,), False, None)])
def test_gradients(rng, pattern, options, batch, in_order, scale):
    """Against differences of the dense matrix in float64, along a random direction."""
    given = arrays(rng, *batch, **options)
    dim = len(batch)
    used = [pattern.sort(x, dim=dim) for x in given] if in_order else given
    out, lse = vicinal.attention(*used, pattern, return_lse=True, sorted=in_order, scale=scale)
    dout, dlse = rng.normal(size=out.shape).astype(np.float32), rng.normal(size=lse.shape).astype(np.float32)
    got = vicinal.attention_backward(*used, out, lse, dout, pattern, dlse=dlse, sorted=in_order, scale=scale)
    assert [x.shape for x in got] == [x.shape for x in given] and all(x.dtype == np.float32 for x in got)
    if 0 in batch:
        return
    if in_order:
        got, dout, dlse = [pattern.unsort(x, dim=dim) for x in got], pattern.unsort(dout, dim=dim), pattern.unsort(dlse, dim=dim)
    for n, gradient in enumerate(got):
        direction = rng.normal(size=gradient.shape)

        def loss(x):
            wide, sums = dense(*given[:n], x, *given[n + 1:], pattern, scale)
            return (wide * dout).sum() + (sums * dlse).sum()
        want = slope(loss, given[n].astype(np.float64), direction)
        assert abs((gradient * direction).sum() - want) < 1e-4 * max(1, abs(want))


def test_gradients_of_a_bias(rng, pattern):
    q, k, v = arrays(rng, 2)
    table = rng.normal(size=(1, 12))
    bias = vicinal.DistanceBias(table.astype(np.float32))
    out, lse = vicinal.attention(q, k, v, pattern, bias=bias, return_lse=True)
    dout = rng.normal(size=out.shape).astype(np.float32)
    *got, dtable = vicinal.attention_backward(q, k, v, out, lse, dout, pattern, bias=bias)
    assert dtable.shape == (1, 12) and dtable.dtype == np.float32
    exact = [x.astype(np.float64) for x in (q, k, v)]

    def loss(values):
        return (vicinal.attention(*exact, pattern, bias=vicinal.DistanceBias(values), backend="reference") * dout).sum()
    for m in range(12):
        one = np.zeros((1, 12))
        one[0, m] = 1.0
        want = slope(loss, table, one, 1e-2)  # tables are float32
        assert abs(dtable[0, m] - want) < 2e-3 * max(1, abs(want))
    for a, b in zip(got, vicinal.attention_backward(q, k, v, out, lse, dout, pattern, bias=bias, dlse=np.zeros_like(lse))):
        assert np.array_equal(a, b)


def test_forms_of_arrays_of_gradients(rng, pattern):
    given = arrays(rng)
    out, lse = vicinal.attention(*given, pattern, return_lse=True)
    dout = rng.normal(size=out.shape).astype(np.float32)
    want = vicinal.attention_backward(*given, out, lse, dout, pattern)
    for form in (np.asfortranarray, unaligned, locked, lambda x: x[..., ::-1].copy()[..., ::-1]):
        got = vicinal.attention_backward(*map(form, (*given, out, lse, dout)), pattern)
        assert all(np.array_equal(a, b) for a, b in zip(got, want))
    half = vicinal.attention_backward(*(x.astype(np.float16) for x in (*given, out)), lse, dout.astype(np.float16), pattern)
    for a, b in zip(half, want):
        assert a.dtype == np.float16
        check(a, b, 2e-2)


@pytest.mark.parametrize("change, text", [
    ({"q": lambda x: x.astype(np.float64), "k": lambda x: x.astype(np.float64), "v": lambda x: x.astype(np.float64)},
     r"q: expected float32 or float16, got float64: cast it"),
    ({"out": lambda x: x[:5]}, r"out: expected float32 of shape \(60, 4, 16\), got float32 of shape \(5, 4, 16\)"),
    ({"lse": lambda x: x.astype(np.float64)}, "lse: expected float32 of shape .*, got float64"),
    ({"dout": lambda x: x.astype(np.float16)}, "dout: expected float32 of shape .*, got float16"),
    ({"dlse": lambda x: x[:, :1]}, r"dlse: expected .* got float32 of shape \(60, 1\)"),
    ({"k": lambda x: x[:7]}, "k: the pattern has 60 keys")])
def test_wrong_arrays_of_gradients(rng, pattern, change, text):
    q, k, v = arrays(rng)
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    given = {"q": q, "k": k, "v": v, "out": out, "lse": lse, "dout": out, "dlse": lse}
    given.update((name, function(given[name])) for name, function in change.items())
    with pytest.raises(vicinal.ArgumentError, match=text):
        vicinal.attention_backward(**given, pattern=pattern)


# ---- Errors ----

@pytest.mark.parametrize("options, text", [
    ({"scale": float("nan")}, "scale: expected a finite number, .* got nan"), ({"scale": float("inf")}, "got inf"),
    ({"scale": 1j}, "scale: expected a number, got 1j"), ({"scale": "2"}, "scale: expected a number"),
    ({"scale": np.ones(2)}, "scale: expected a number"), ({"compute_dtype": "floatx"}, "compute_dtype: .* got 'floatx'"),
    ({"compute_dtype": "int32"}, "compute_dtype: .* got 'int32'")])
def test_wrong_options(rng, pattern, options, text):
    for backend in ("auto", "reference"):
        with pytest.raises(vicinal.ArgumentError, match=text):
            vicinal.attention(*arrays(rng), pattern, backend=backend, **options)


@pytest.mark.parametrize("backend, change, text", [
    ("reference", lambda x: (10 * x).astype(int), "q: expected floating-point numbers, got int64"),
    ("reference", lambda x: x > 0, "floating-point numbers, got bool"),
    ("reference", lambda x: x.astype(complex), "floating-point numbers, got complex128"),
    ("auto", lambda x: x.astype(complex), "q: expected float32 or float16, got complex128"),
    ("auto", lambda x: x[:, :0], "as many heads in both"), ("auto", lambda x: x[..., :0], "head sizes from 1 on"),
    ("auto", lambda x: np.repeat(x, 9, -1), "kernels for head sizes up to 128, got 144"),
    ("auto", lambda x: np.ma.masked_greater(x, 0), "entries are masked")])
def test_wrong_arrays(rng, pattern, backend, change, text):
    with pytest.raises(vicinal.ArgumentError, match=text):
        vicinal.attention(*map(change, arrays(rng)), pattern, backend=backend)


# ---- Bias ----

def test_bias_is_for_its_cutoff(rng, pattern):
    """A table of another cutoff would be stretched in silence."""
    q, k, v = arrays(rng)
    bias = vicinal.DistanceBias.linear(-0.5, 3.5) + vicinal.DistanceBias(np.zeros((HEADS, 1024)))
    i, j, d = pattern.neighbors("ijd")
    assert bias.cutoff == 3.5
    weights = np.exp(np.einsum("phd,phd->ph", q[i], k[j], dtype=np.float64) / 4 - 0.5 * d[:, None])
    total, want = np.zeros((N, HEADS)), np.zeros((N, HEADS, DIM))
    np.add.at(total, i, weights)
    np.add.at(want, i, weights[..., None] * v[j])
    for backend in ("auto", "reference"):
        check(vicinal.attention(q, k, v, pattern, bias=bias, backend=backend), want / total[..., None], 1e-3)
        with pytest.raises(vicinal.ArgumentError, match="made for a cutoff of 5 A, .* the 3.5 A of the pattern"):
            vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias.cosine(5.0), backend=backend)
        with pytest.raises(vicinal.ArgumentError, match="a table of 1 head or of the 4 of q"):
            vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias(np.zeros((3, 8))), backend=backend)


@pytest.mark.parametrize("make, text", [
    (lambda b: b.cosine(3.0) + b.cosine(4.0), "cutoffs of 3 A and 4 A"),
    (lambda b: b(np.zeros((3, 8))) + b(np.zeros((2, 8))), "expected as many heads"),
    (lambda b: b(np.zeros((1, 8))) + b(np.zeros((1, 9))), "expected as many heads .or 1. and points"),
    (lambda b: b.linear("x", 3.0), "vectors with one for each head"),
    (lambda b: b.gaussian([1, 2], [1, 2, 3], 1, 3.0), "vectors with one for each head"),
    (lambda b: b.linear(1.0, None), "cutoff: expected a number")])
def test_wrong_biases(make, text):
    with pytest.raises(vicinal.ArgumentError, match=text):
        make(vicinal.DistanceBias)
