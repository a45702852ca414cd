# SPDX-License-Identifier: Apache-2.0
"""Gradients of vicinal.attention() of torch tensors: against autograd of dense matrices in float64, and what torch does with
them."""
import gc
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

import vicinal
from problems import DEVICES, LIMITS, close, dense, periodic, points, raw, tensors
from vicinal import _torch

AGAIN = "cannot be differentiated again.*backend='reference'"
pytestmark = pytest.mark.filterwarnings("ignore:vicinal. gradients come from the reference")  # on GPUs


def down(results):
    """Gradients of a loss with respect to what came out."""
    return [torch.randn(x.shape, dtype=torch.float64).to(x.device, x.dtype) for x in results]


def differentiated(results, given, dresults):
    return torch.autograd.grad(results, given, dresults)


def wanted(given, pattern, dresults, scale=None, table=None):
    """By autograd of the dense matrices; `dresults` may have anything in rows without pairs."""
    exact = [x.detach().double().cpu().requires_grad_() for x in given]
    table = None if table is None else table.detach().double().requires_grad_()
    results = dense(*exact, pattern, scale, table)
    dout, dlse = (x.double().cpu() for x in dresults)
    dlse = dlse.where(results[1] > -torch.inf, 0.0)
    return torch.autograd.grad(results, exact + ([] if table is None else [table]), (dout, dlse))


# ---- Numbers ----

WAYS = {
    "periodic": periodic,
    "two sets, one query alone": lambda: vicinal.pattern(np.concatenate([points(60), [[900.0, 0, 0]]]), 4.0,
                                                         keys=points(75, 1)),
    "nearest": lambda: vicinal.nearest(points(90), 6),
    "windows": lambda: vicinal.windows(100, 16, 48),
    "pairs, most queries alone": lambda: vicinal.pairs([0, 0, 3, 3, 9, 2], [5, 6, 0, 9, 9, 5], n=12),
    "ranges, causal": lambda: vicinal.ranges([0, 40, 70], [0, 1, 3], [[0, 40], [30, 50], [60, 70]], n_keys=70, causal=True),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape, kv_heads, d_v, in_order, scale", [
    ((4, 32), None, None, False, None), ((4, 64), 2, 32, False, 0.3), ((3, 2, 16), 1, None, True, None),
    ((1, 20), None, 12, False, 0.0), ((2, 3, 7), None, 128, True, -1.0)])
def test_shapes(device, dtype, shape, kv_heads, d_v, in_order, scale):
    if device == "cuda" and dtype == torch.float32:
        pytest.skip("float32 has no kernel on a GPU")
    pattern = periodic()
    q, k, v = given = tensors((*shape[:-2], 200, *shape[-2:]), dtype, device, kv_heads, d_v, grad=True)
    if in_order:
        given = [pattern.sort(x) for x in given]
    out, lse = vicinal.attention(*given, pattern, return_lse=True, sorted=in_order, scale=scale)
    if in_order:
        out, lse = pattern.unsort(out), pattern.unsort(lse, dim=lse.ndim - 2)
    dresults = down((out, lse))
    got = differentiated((out, lse), (q, k, v), dresults)
    for a, b, x in zip(got, wanted((q, k, v), pattern, dresults, scale), (q, k, v)):
        assert a.dtype == dtype and a.device == x.device
        close(a, b, LIMITS[dtype])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("only", ["both", "out", "lse"])
def test_patterns(way, only):
    """Also those that are not their own transpose, and rows without pairs, whose gradients of out and lse mean nothing."""
    pattern = WAYS[way]()
    given = tensors((pattern.n_queries, 2, 16), kv_heads=1, n_k=pattern.n_keys, grad=True)
    results = vicinal.attention(*given, pattern, return_lse=True)
    dout, dlse = down(results)
    exact = [dout * (only != "lse"), dlse * (only != "out")]
    alone = results[1] == -torch.inf
    assert bool(alone.any()) == ("alone" in way)
    dlse[alone], dout[alone] = torch.nan, torch.inf
    used = {"both": (results, (dout, dlse)), "out": (results[:1], (dout,)), "lse": (results[1:], (dlse,))}[only]
    got = torch.autograd.grad(used[0], given[:2] if only == "lse" else given, used[1])
    exact[0][alone] = 0.0
    for a, b in zip(got, wanted(given, pattern, exact)):
        close(a, b, 2e-6)
    assert got[0][alone].abs().sum() == 0


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("rows, kind", [(2, "random"), (1, "random"), (2, "cosine"), (1, "cosine")])
def test_bias(dtype, rows, kind):
    """The table's gradient is a sum over the batch, and with one row over the heads; -inf has none."""
    cutoff = 5.0
    pattern = vicinal.pattern(points(), cutoff, cell=[11.0] * 3)
    table = torch.randn(rows, 64)
    if kind == "cosine":
        table = torch.from_numpy(vicinal.DistanceBias.cosine(cutoff).table[:, ::93]).repeat(rows, 1)
        assert table[0, -1] == -torch.inf
    table.requires_grad_()
    given = tensors((3, 200, 2, 16), dtype, grad=True)
    results = vicinal.attention(*given, pattern, bias=vicinal.DistanceBias(table), return_lse=True)
    dresults = down(results)
    got = torch.autograd.grad(results, (*given, table), dresults)
    exact = wanted(given, pattern, dresults, table=table)
    for a, b in zip(got[:3], exact):
        close(a, b, LIMITS[dtype])
    finite = table.detach() > -torch.inf
    close(got[3].where(finite, 0.0), exact[3].where(finite, 0.0), {torch.float32: 5e-6}.get(dtype, LIMITS[dtype]))
    assert got[3][~finite].abs().sum() == 0 and got[3].dtype == torch.float32
    alone, = torch.autograd.grad(vicinal.attention(*(x.detach() for x in given), pattern, bias=vicinal.DistanceBias(table)),
                                 table, dresults[0])
    close(alone.where(finite, 0.0), wanted(given, pattern, (dresults[0], 0 * dresults[1]), table=table)[3].where(finite, 0.0),
          {torch.float32: 5e-6}.get(dtype, LIMITS[dtype]))


def test_float64_of_the_reference():
    pattern = periodic(40)
    given = tensors((40, 2, 4), torch.float64, kv_heads=1, grad=True)
    assert torch.autograd.gradcheck(lambda *x: vicinal.attention(*x, pattern, backend="reference", return_lse=True), given)
    assert torch.autograd.gradgradcheck(lambda *x: vicinal.attention(*x, pattern, backend="reference"), given, atol=1e-6,
                                        fast_mode=True)
    results = vicinal.attention(*given, pattern, backend="reference", return_lse=True)
    dresults = down(results)
    for a, b in zip(differentiated(results, given, dresults), wanted(given, pattern, dresults)):
        close(a, b, 1e-13)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape, kv_heads, in_order", [((200, 4, 16), None, False), ((2, 200, 4, 12), 2, False),
                                                       ((2, 200, 2, 16), 1, True)])
def test_without_a_kernel(device, bias, shape, kv_heads, in_order, monkeypatch):
    """By the reference, in pieces of a few queries, and it says so."""
    if bias and device == "cuda":
        pytest.skip("there is no bias on a GPU")
    monkeypatch.setattr(vicinal.reference, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(_torch, "_has_kernel", lambda *_: False)
    pattern = periodic()
    dtype = torch.float32 if device == "cpu" else torch.float16
    given = tensors(shape, dtype, device, kv_heads, grad=True)
    table = torch.randn(1, 32, requires_grad=True) if bias else None
    used = [pattern.sort(x) for x in given] if in_order else given
    with pytest.warns(UserWarning, match="gradients come from the reference .* MB .* no kernel of gradients for " + device):
        out, lse = vicinal.attention(*used, pattern, return_lse=True, sorted=in_order,
                                     bias=vicinal.DistanceBias(table) if bias else None)
        if in_order:
            out, lse = pattern.unsort(out), pattern.unsort(lse, dim=lse.ndim - 2)
        dresults = down((out, lse))
        got = torch.autograd.grad((out, lse), (*given, table) if bias else given, dresults)
    for a, b in zip(got, wanted(given, pattern, dresults, table=table)):
        close(a, b, 2e-5 if device == "cpu" else 3e-3)


# ---- Layouts, and what is wanted ----

def test_of_some():
    """What is not wanted is not computed; what is has the bits that it has beside the others."""
    pattern = periodic()
    bias = torch.randn(2, 16)
    tensors4 = [*tensors((200, 2, 16)), bias]
    dout = torch.randn(200, 2, 16)

    def gradients(which):
        leaves = [x.clone().requires_grad_(n in which) for n, x in enumerate(tensors4)]
        out = vicinal.attention(*leaves[:3], pattern, bias=vicinal.DistanceBias(leaves[3]))
        return torch.autograd.grad(out, [leaves[n] for n in which], dout)
    every = gradients((0, 1, 2, 3))
    for which in ((0,), (1,), (2,), (3,), (0, 2), (1, 3)):
        assert all(torch.equal(a, every[n]) for a, n in zip(gradients(which), which))
    dq, dk, dv = raw("attn_backward")(*tensors4[:3], *vicinal.attention(*tensors4[:3], pattern, return_lse=True), dout,
                                      torch.zeros(200, 2), pattern._number, 0.25, False, 4)
    assert dq.numel() == 0 and dk.numel() == 0 and dv.shape == (200, 2, 16)


@pytest.mark.parametrize("device", DEVICES)
def test_layouts(device):
    """Strides of q, k, v and of the loss's gradient do not matter."""
    dtype = torch.float32 if device == "cpu" else torch.float16
    pattern = periodic()
    q, k, v = tensors((2, 200, 4, 16), dtype, device, grad=True)
    dout = torch.randn(2, 200, 4, 16, device=device).to(dtype)
    want = torch.autograd.grad(vicinal.attention(q, k, v, pattern), (q, k, v), dout)
    packed = torch.stack([q, k, v], 3).detach().requires_grad_()
    got, = torch.autograd.grad(vicinal.attention(*packed.unbind(3), pattern), packed, dout)
    assert all(torch.equal(a, b) for a, b in zip(got.unbind(3), want))
    turned = [x.detach().transpose(1, 2).contiguous().requires_grad_() for x in (q, k, v)]
    out = vicinal.attention(*(x.transpose(1, 2) for x in turned), pattern)
    got = torch.autograd.grad(out, turned, dout.transpose(1, 3).contiguous().transpose(1, 3))
    assert all(torch.equal(a.transpose(1, 2), b) for a, b in zip(got, want))
    summed = torch.autograd.grad(vicinal.attention(q, k, v, pattern).sum(), (q, k, v))  # strides of 0
    ones = torch.autograd.grad(vicinal.attention(q, k, v, pattern), (q, k, v), torch.ones_like(dout))
    assert all(torch.equal(a, b) for a, b in zip(summed, ones))


def test_meta():
    q, k, v = (x.to("meta").requires_grad_() for x in tensors((2, 200, 4, 16), d_v=8, kv_heads=2))
    grads = torch.autograd.grad(vicinal.attention(q, k, v, periodic()).sum(), (q, k, v))
    assert [x.shape for x in grads] == [x.shape for x in (q, k, v)] and grads[0].device.type == "meta"


@pytest.mark.parametrize("device", DEVICES)
def test_empty_batch(device):
    pattern = periodic()
    q, k, v = tensors((0, 200, 2, 16), torch.float32 if device == "cpu" else torch.float16, device, grad=True)
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    assert torch.autograd.grad(out.sum() + lse.sum(), q)[0].shape == q.shape
    if device == "cpu":
        table = torch.randn(2, 16, requires_grad=True)
        out = vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias(table))
        assert torch.equal(torch.autograd.grad(out.sum(), table)[0], torch.zeros(2, 16))


def test_no_points():
    pattern = vicinal.pattern(np.zeros((0, 3)), 5.0, keys=points(7))
    given = tensors((0, 2, 8), n_k=7, grad=True)
    dq, dk, dv = torch.autograd.grad(vicinal.attention(*given, pattern).sum(), given)
    assert dq.shape == (0, 2, 8) and torch.equal(dk, torch.zeros(7, 2, 8)) and torch.equal(dv, torch.zeros(7, 2, 8))


# ---- Types ----

@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(device, dtype):
    """Gradients are of the tensors' type, and what the backward pass keeps is of autocast's."""
    pattern = periodic()
    given = tensors((200, 2, 16), device=device, grad=True)
    dout = torch.randn(200, 2, 16, device=device).to(dtype)
    kept = []
    with torch.autocast(device, dtype), torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        out = vicinal.attention(*given, pattern)
    got = torch.autograd.grad(out, given, dout)
    want = torch.autograd.grad(vicinal.attention(*(x.to(dtype) for x in given), pattern), given, dout)
    assert all(a.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(got, want))
    assert sum(x.dtype == torch.float32 for x in kept) == 1  # lse
    with torch.autocast(device, dtype):  # also of a backward pass inside
        inside = torch.autograd.grad(vicinal.attention(*given, pattern), given, dout)
    assert all(torch.equal(a, b) for a, b in zip(inside, want))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_compute_dtype(dtype):
    pattern = periodic()
    given = tensors((200, 2, 16), grad=True)
    dout = torch.randn(200, 2, 16)
    got = torch.autograd.grad(vicinal.attention(*given, pattern, compute_dtype=dtype), given, dout)
    want = torch.autograd.grad(vicinal.attention(*(x.to(dtype) for x in given), pattern).float(), given, dout)
    assert all(a.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(got, want))


# ---- Derivatives of derivatives ----

def test_second_derivatives_are_refused():
    """Not before one is asked for: a graph of the first derivative is harmless."""
    pattern = periodic(40)
    for which in ((1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 1)):
        given = [x.requires_grad_(bool(needed)) for x, needed in zip(tensors((40, 1, 8)), which)]
        leaves = [x for x in given if x.requires_grad]
        out = vicinal.attention(*given, pattern)
        first = torch.autograd.grad(out.square().sum(), leaves, create_graph=True)
        plain = torch.autograd.grad(vicinal.attention(*given, pattern).square().sum(), leaves)
        assert all(torch.equal(a, b) for a, b in zip(first, plain))
        with pytest.raises(vicinal.ArgumentError, match=AGAIN):
            torch.autograd.grad(sum(x.square().sum() for x in first), leaves)
    given = tensors((40, 1, 8), grad=True)
    with pytest.raises(vicinal.ArgumentError, match=AGAIN):
        torch.func.grad(lambda x: torch.func.grad(lambda y: vicinal.attention(y, y, y, pattern).sin().sum())(x).sum())(given[0])
    first = raw("attention_backward")(*given, None, *vicinal.attention(*given, pattern, return_lse=True),
                                      torch.randn(40, 1, 8), torch.zeros(40, 1), pattern._number, 0, 0.3, False, 7)
    with pytest.raises(vicinal.ArgumentError, match=AGAIN):
        first[0].sum().backward()


@pytest.mark.parametrize("which", [(1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 1)])
def test_second_derivatives_by_the_reference(which):
    pattern = periodic(40)
    given = [x.requires_grad_(bool(needed)) for x, needed in zip(tensors((40, 1, 8)), which)]
    twin = [x.detach().double().requires_grad_(x.requires_grad) for x in given]

    def second(function, x):
        leaves = [y for y in x if y.requires_grad]
        first = torch.autograd.grad(function(*x).square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(y.square().sum() for y in first), leaves)
    for a, b in zip(second(lambda *x: vicinal.attention(*x, pattern, backend="reference"), given),
                    second(lambda *x: dense(*x, pattern)[0], twin)):
        close(a, b, 1e-4)


TRANSFORMS = {
    "grad": lambda f, q, k, v: torch.func.grad(lambda *x: f(*x).sin().sum(), (0, 1, 2))(q, k, v),
    "vjp": lambda f, q, k, v: torch.func.vjp(f, q, k, v)[1](v),
    "jvp": lambda f, q, k, v: torch.func.jvp(f, (q, k, v), (k, v, q)),
    "jacrev": lambda f, q, k, v: torch.func.jacrev(lambda *x: f(*x)[:2, 0, :3], (0, 1, 2))(q, k, v),
    "jacfwd": lambda f, q, k, v: (torch.func.jacfwd(lambda x: f(q * x, k, v))(q.new_tensor(0.5)),),
    "hessian": lambda f, q, k, v: (torch.func.hessian(lambda x: f(q * x, k, v).sin().sum())(q.new_tensor(0.5)),),
    "grad in vmap": lambda f, q, k, v: torch.vmap(torch.func.grad(lambda *x: f(*x).sin().sum(), (0, 1, 2)))(
        *(torch.stack([x, 2 * x]) for x in (q, k, v))),
    "grad in vmap, some mapped": lambda f, q, k, v: torch.vmap(
        torch.func.grad(lambda *x: f(*x).sin().sum(), (0, 1, 2)), in_dims=(0, None, 1))(
        torch.stack([q, 2 * q]), k, torch.stack([v, -v], 1)),
    "vmap in grad": lambda f, q, k, v: torch.func.grad(lambda *x: torch.vmap(f)(*x).sin().sum(), (0, 1, 2))(
        *(torch.stack([x, 2 * x]) for x in (q, k, v))),
}


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, biased, batch):
    """jvp had tangents of 0, the others no right to be."""
    pattern = periodic(40)
    given = tensors((*batch, 40, 1, 8))
    table = torch.randn(1, 9) if biased else None
    bias = vicinal.DistanceBias(table) if biased else None
    got = TRANSFORMS[name](lambda *x: vicinal.attention(*x, pattern, bias=bias), *given)
    want = TRANSFORMS[name](lambda *x: dense(*x, pattern, table=None if table is None else table.double())[0],
                            *(x.double() for x in given))
    for a, b in zip(got, want):
        close(a, b, 1e-4)


def test_table_in_vmap():
    """Each of what is mapped has a table's gradient of its own."""
    pattern = periodic(40)
    q, k, v = (torch.stack([x, 2 * x, -x]) for x in tensors((40, 1, 8)))
    table = torch.randn(1, 9)

    def of_table(*x):
        return torch.func.grad(lambda t: vicinal.attention(*x, pattern, bias=vicinal.DistanceBias(t)).sin().sum())(table)
    got = torch.vmap(of_table)(q, k, v)
    assert got.shape == (3, 1, 9)
    for a, *x in zip(got, q, k, v):
        close(a, of_table(*x).double(), 1e-6)


def test_forward_mode():
    import torch.autograd.forward_ad as forward
    pattern = periodic(40)
    q, k, v = tensors((40, 1, 8))
    _, want = torch.func.jvp(lambda x: dense(x, k.double(), v.double(), pattern)[0], (q.double(),), (v.double(),))
    for grad in (False, True):
        with forward.dual_level():
            out = vicinal.attention(forward.make_dual(q.clone().requires_grad_(grad), v), k, v, pattern)
            close(forward.unpack_dual(out).tangent, want, 1e-5)


def test_through_vmap():
    """They were None, with a warning of torch's."""
    pattern = periodic(40)
    given = tensors((3, 40, 1, 8), grad=True)
    twin = [x.detach().double().requires_grad_() for x in given]
    got = torch.autograd.grad(torch.vmap(lambda *x: vicinal.attention(*x, pattern))(*given).sin().sum(), given)
    want = torch.autograd.grad(dense(*twin, pattern)[0].sin().sum(), twin)
    for a, b in zip(got, want):
        close(a, b, 1e-5)


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_gradients(create_graph):
    """Several gradients of out at a time, as torch.autograd.functional.jacobian() asks for them."""
    pattern = periodic(40)
    given = [*tensors((40, 1, 8), grad=True), torch.randn(1, 9, requires_grad=True)]
    for leaves, bias in ((given[:3], None), (given, vicinal.DistanceBias(given[3]))):
        out, douts = vicinal.attention(*given[:3], pattern, bias=bias), torch.randn(3, 40, 1, 8)
        got = torch.autograd.grad(out, leaves, douts, is_grads_batched=True, retain_graph=True, create_graph=create_graph)
        for n, dout in enumerate(douts):
            for a, b in zip(got, torch.autograd.grad(out, leaves, dout, retain_graph=True)):
                assert torch.equal(a[n], b)


# ---- What torch does with an operator ----

@pytest.mark.parametrize("device", DEVICES)
def test_opcheck(device):
    pattern = periodic()
    dtype = torch.float32 if device == "cpu" else torch.float16
    q, k, v = tensors((3, 200, 2, 16), dtype, device, grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.library.opcheck(raw("attention"), (q, k, v, None, pattern._number, 0, 0.25, False))
    if not _torch._has_kernel(q, k, v, None, pattern, False):
        return
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    q, k, v = (x.detach() for x in (q, k, v))
    out, lse = vicinal.attention(q, k, v, pattern, scale=0.25, return_lse=True)
    for wanted_ones in (7, 2, 5):
        torch.library.opcheck(raw("attn_backward"), (q, k, v, out, lse, out, lse, pattern._number, 0.25, False, wanted_ones),
                              test_utils=tests)
    if device == "cpu":
        table = torch.from_numpy(vicinal.DistanceBias.cosine(5.0).table)
        for wanted_ones in (15, 8, 7):
            torch.library.opcheck(raw("attn_biased_backward"), (
                q, k, v, table, out, lse, out, lse, pattern._number, 0.25, False, wanted_ones), test_utils=tests)


def test_compiled_is_eager():
    """To the last bit, with and without a table; a new pattern compiles nothing anew."""
    import torch._dynamo.testing

    def call(q, k, v, table, pattern):
        bias = None if table is None else vicinal.DistanceBias(table)
        return vicinal.attention(q, k, v, pattern, bias=bias, return_lse=True)
    for with_table in (False, True):
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(call, fullgraph=True, backend=counter)
        for seed in range(4):
            pattern = vicinal.pattern(points(seed=seed), 5.0)
            given = [*tensors((200, 2, 16), kv_heads=1, grad=True), torch.randn(1, 32, requires_grad=True)]
            used = given if with_table else [*given[:3], None]
            results, plain = compiled(*used, pattern), call(*used, pattern)
            dresults = down(plain)
            leaves = given if with_table else given[:3]
            for a, b in zip(torch.autograd.grad(results, leaves, dresults), torch.autograd.grad(plain, leaves, dresults)):
                assert torch.equal(a, b)
        assert counter.frame_count <= 2


def test_by_ctypes():
    """The way for a torch that lacks the stable C interface gives the same bits."""
    script = """
import torch, vicinal
from vicinal import _torch
torch.manual_seed(5)
pattern = vicinal.pattern(torch.rand(100, 3) * 12, 5.0)
print(_torch.from_c)
for dtype in (torch.float32, torch.bfloat16):
    q, k, v = (torch.randn(2, 100, 3, 16).to(dtype).requires_grad_() for _ in range(3))
    table = torch.randn(3, 20, requires_grad=True)
    for bias, leaves in ((None, (q, k, v)), (vicinal.DistanceBias(table), (q, v, table)), (vicinal.DistanceBias(table), (table,))):
        out, lse = vicinal.attention(q, k, v.transpose(1, 2).contiguous().transpose(1, 2), pattern, bias=bias, return_lse=True)
        for x in torch.autograd.grad(out.float().square().sum() + lse.sin().sum(), leaves):
            print(x.double().sum().item().hex(), x.double().square().sum().item().hex())
    empty = torch.randn(0, 100, 3, 16).to(dtype)
    print(torch.autograd.grad(vicinal.attention(empty, empty, empty, pattern, bias=vicinal.DistanceBias(table)).sum(), table))
try:
    torch.ops.vicinal.attn_backward(q, k, v, out, lse, out, lse[:, :50], pattern._number, 0.1, False, 7)
except Exception as error:
    print("expected shape" in str(error))
"""
    answers = [subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True, env={
        **os.environ, "VIC_TORCH_OPERATOR": way, "PYTHONPATH": os.pathsep.join(sys.path)}).stdout.splitlines()
        for way in ("c", "ctypes")]
    assert answers[0][0] == "True" and answers[1][0] == "False"
    assert answers[0][1:] == answers[1][1:] and len(answers[0]) == 22


# ---- Plans ----

def test_plans():
    """Inference keeps no more than before; the plan for gradients takes the place of that without."""
    pattern = periodic()
    given = tensors((200, 2, 16), grad=True)
    with torch.no_grad():
        want = vicinal.attention(*given, pattern)
    small = pattern.prepare(2, 16)
    assert "backward_kernel" not in small
    out = vicinal.attention(*given, pattern)  # asks for gradients
    both = pattern.prepare(2, 16)
    assert both["bytes"] > small["bytes"]
    assert pattern.prepare(2, 16, backward=True) == {**both, "backward_kernel": pattern.prepare(
        2, 16, backward=True)["backward_kernel"]} and "bwd" in pattern.prepare(2, 16, backward=True)["backward_kernel"]
    with torch.no_grad():
        assert torch.equal(vicinal.attention(*given, pattern), want) and torch.equal(out, want)


@pytest.mark.gpu
def test_prepare_on_a_gpu():
    pattern = periodic()
    q, k, v = tensors((200, 2, 64), torch.float16, "cuda")
    if not _torch._has_kernel(q, k, v, None, pattern, False):
        with pytest.raises(vicinal.DeviceError):
            pattern.prepare(2, 64, dtype="float16", device="cuda", backward=True)


# ---- Patterns that go, threads, memory ----

def test_dropped_before_backward():
    q, k, v = tensors((200, 2, 16), grad=True)
    out = vicinal.attention(q, k, v, periodic())  # autograd keeps it
    gc.collect()
    assert torch.autograd.grad(out.sum(), v)[0].abs().sum() > 0


def test_stale_number():
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    number = pattern._number
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    del pattern
    gc.collect()
    with pytest.raises(RuntimeError, match="pattern of this call is gone"):
        raw("attn_backward")(q, k, v, out, lse, out, lse, number, 0.3, False, 7)


def test_update_before_backward():
    """Gradients of other pairs than those of the forward pass are refused, compiled or not."""
    def call(q, k, v, pattern):
        return vicinal.attention(q, k, v, pattern).square().sum()
    for function in (call, torch.compile(call, fullgraph=True, backend="aot_eager")):
        pattern = vicinal.pattern(points(), 5.0)
        q, k, v = tensors((200, 2, 16), grad=True)
        loss = function(q, k, v, pattern)
        pattern.update_(points(seed=4))
        with pytest.raises(vicinal.ArgumentError, match="update it after backward"):
            loss.backward()
        got = torch.autograd.grad(function(q, k, v, pattern), q)[0]
        assert torch.equal(got, torch.autograd.grad(call(q, k, v, vicinal.pattern(points(seed=4), 5.0)), q)[0])


def test_threads():
    """Each thread its own tensors, some of the same plan, some of others, which are made meanwhile."""
    pattern = periodic()
    sets = [tensors((200, heads, 8 * (1 + i % 3)), grad=True) for i, heads in enumerate((1, 2, 3, 1) * 2)]

    def gradients(given, pattern):
        return torch.autograd.grad(vicinal.attention(*given, pattern).square().sum(), given)
    wants = [gradients(given, periodic()) for given in sets]
    wrong = []

    def work(given, want):
        for _ in range(20):
            if not all(torch.equal(a, b) for a, b in zip(gradients(given, pattern), want)):
                wrong.append(given[0].shape)
    threads = [threading.Thread(target=work, args=x) for x in zip(sets, wants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_errors():
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)

    def call(q=q, k=k, v=v, out=out, lse=lse, dout=out, dlse=lse, wanted_ones=7):
        return raw("attn_backward")(q, k, v, out, lse, dout, dlse, pattern._number, 0.25, False, wanted_ones)
    for change, text in (({"out": out[:100]}, "tensor out: expected shape"), ({"lse": lse.half()}, "lse"),
                         ({"dout": out.half()}, "dout"), ({"dlse": lse[:, :1]}, "dlse"), ({"k": k[:, :, :8]}, "k"),
                         ({"q": q[0]}, "expected .n, heads, d."), ({"k": k.view(1, 1, 1, 1, 1, 1, 1, 1, 200, 2, 16)}, "expected"),
                         ({"wanted_ones": 0}, "nothing to compute"), ({"q": q.double()}, "float32")):
        with pytest.raises(RuntimeError, match=text):
            call(**change)


def test_of_numpy_are_the_same():
    pattern = periodic()
    given = tensors((200, 2, 16), kv_heads=1, grad=True)
    results = vicinal.attention(*given, pattern, return_lse=True)
    dresults = down(results)
    want = differentiated(results, given, dresults)
    arrays = [x.detach().numpy() for x in (*given, *results)]
    got = vicinal.attention_backward(*arrays, dresults[0].numpy(), pattern, dlse=dresults[1].numpy())
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(got, want))
    with pytest.raises(vicinal.ArgumentError, match="loss.backward"):
        vicinal.attention_backward(*(x.detach() for x in (*given, *results)), dresults[0], pattern)


def test_memory_of_calls_and_errors():
    """Neither calls nor errors leave tensors behind."""
    resource = pytest.importorskip("resource")
    pattern = periodic()
    q, k, v = tensors((200, 4, 32), grad=True)
    out, lse = vicinal.attention(q.detach(), k, v, pattern, return_lse=True)
    out, lse = out.detach(), lse.detach()
    wrong = q.detach()[:100]

    def rounds(n):
        for _ in range(n):
            vicinal.attention(q, k, v, pattern).sum().backward()
            with pytest.raises(RuntimeError):
                raw("attn_backward")(wrong, k, v, out, lse, out, lse, pattern._number, 0.3, False, 7)
            raw("attn_backward")(torch.stack([q, q], -1)[..., 0], k, v, out, lse, out, lse, pattern._number, 0.3, False, 1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = rounds(100)
    assert rounds(500) - before < 20_000  # kB; one leaked tensor a round would be 50,000
