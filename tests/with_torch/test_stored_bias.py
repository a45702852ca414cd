# SPDX-License-Identifier: Apache-2.0
"""A bias that is a number for each pair and head: [pairs, heads], and the windows of AlphaFold 3."""
import numpy as np
import pytest
import torch

import vicinal

from problems import close, tensors

N = 75


def windows():
    return vicinal.windows(N, 16, 48), (5, 16, 48)


def pairs():
    x = np.random.default_rng(0).random((N, 3)) * 7.0
    pattern = vicinal.pattern(x, 4.0, cell=[7.0, 7.0, 7.0])  # several images of one atom
    return pattern, (pattern.n_pairs,)


KINDS = pytest.mark.parametrize("make", [windows, pairs])


def both(make, batch=(), bias_batch=(), dtype=torch.float32, bias_dtype=torch.float32, limit=2e-6, heads=4, kv_heads=None,
         sort=False, change=lambda z: z, **more):
    """Results and gradients beside those of the reference in float64."""
    torch.manual_seed(0)
    pattern, shape = make()
    q, k, v = tensors((*batch, N, heads, 16), dtype, kv_heads=kv_heads, **more)
    z = torch.randn(*bias_batch, *shape, heads, dtype=torch.float64).to(bias_dtype)
    found = []
    for backend in ("auto", "reference"):
        leaves = [t.detach().double() if backend == "reference" else t.detach() for t in (q, k, v, z)]
        leaves = [t.requires_grad_() for t in leaves]
        given = leaves[:3]
        if sort:
            given = [pattern.sort(given[0]), pattern.sort(given[1], "key"), pattern.sort(given[2], "key")]
        out, lse = vicinal.attention(*given, pattern, bias=change(leaves[3]), return_lse=True, backend=backend, sorted=sort)
        loss = out.double().sin().sum() + torch.where(lse.isfinite(), lse, 0.0).double().cos().sum()
        found.append((out, torch.where(lse.isfinite(), lse, 0.0), *torch.autograd.grad(loss, leaves)))
    for got, want in zip(*found):
        close(got, want.detach(), limit)


@KINDS
@pytest.mark.parametrize("batch, bias_batch", [((), ()), ((3,), (3,)), ((3,), ())])
def test_against_the_reference(make, batch, bias_batch):
    both(make, batch, bias_batch)


@KINDS
@pytest.mark.parametrize("more", [{"kv_heads": 2}, {"sort": True}, {"d_v": 24}, {"bias_dtype": torch.bfloat16, "limit": 1e-2},
                                  {"bias_dtype": torch.float16, "limit": 2e-3}, {"dtype": torch.float16, "limit": 3e-3},
                                  {"dtype": torch.bfloat16, "limit": 3e-2}])
def test_kinds_of_calls(make, more):
    both(make, **more)


@KINDS
def test_strides(make):
    """Heads in front in memory, as a linear layer may leave them; and one head for all, whose gradient is the sum."""
    both(make, change=lambda z: z.movedim(-1, 0).contiguous().movedim(0, -1))
    both(make, change=lambda z: z[..., :1].expand(z.shape))
    both(make, (3,), change=lambda z: z.expand(3, *z.shape))


@KINDS
def test_minus_infinity_takes_a_pair_out(make):
    pattern, shape = make()
    q, k, v = tensors((N, 4, 16))
    z = torch.zeros(*shape, 4)
    i = torch.as_tensor(pattern.neighbors("i"))
    if len(shape) == 1:
        z[i == 3] = -torch.inf
        z[i == 4, 1] = -torch.inf
    else:
        z[0, 3] = -torch.inf
        z[0, 4, :, 1] = -torch.inf
    z.requires_grad_()
    out, lse = vicinal.attention(q, k, v, pattern, bias=z, return_lse=True)
    assert float(out[3].detach().abs().max()) == 0.0 and bool((lse[3] == -torch.inf).all())
    assert float(out[4, 1].detach().abs().max()) == 0.0 and float(out[4, 0].detach().abs().max()) > 0.0
    out.sum().backward()
    assert bool(z.grad.isfinite().all())


@KINDS
def test_in_numpy(make):
    pattern, shape = make()
    q, k, v = (x.numpy() for x in tensors((N, 4, 16)))
    z = np.random.default_rng(1).normal(size=(*shape, 4)).astype(np.float32)
    out, lse = vicinal.attention(q, k, v, pattern, bias=z, return_lse=True)
    want, want_lse = vicinal.attention(*(x.astype(np.float64) for x in (q, k, v)), pattern, bias=z, return_lse=True,
                                       backend="reference")
    close(torch.from_numpy(out), torch.from_numpy(want), 2e-6)
    close(torch.from_numpy(lse), torch.from_numpy(want_lse), 2e-6)
    dout = np.random.default_rng(2).normal(size=out.shape).astype(np.float32)
    found = vicinal.attention_backward(q, k, v, out, lse, dout, pattern, bias=z)
    leaves = [torch.from_numpy(x).requires_grad_() for x in (q, k, v, z)]
    vicinal.attention(*leaves[:3], pattern, bias=leaves[3]).backward(torch.from_numpy(dout))
    for got, leaf in zip(found, leaves, strict=True):
        np.testing.assert_array_equal(got, leaf.grad.numpy())


@KINDS
def test_compiled(make):
    pattern, shape = make()
    q, k, v = tensors((N, 4, 16), grad=True)
    z = torch.randn(*shape, 4, requires_grad=True)

    def loss(q, k, v, z):
        return vicinal.attention(q * 2.0, k, v, pattern, bias=z).square().sum()
    want = torch.autograd.grad(loss(q, k, v, z), (q, k, v, z))
    got = torch.autograd.grad(torch.compile(loss, backend="aot_eager", fullgraph=True)(q, k, v, z), (q, k, v, z))
    for a, b in zip(got, want):
        close(a, b.double(), 1e-6)


def test_second_derivatives():
    pattern, shape = windows()
    q, k, v = tensors((N, 1, 8), grad=True)
    z = torch.randn(*shape, 1, requires_grad=True)
    first, = torch.autograd.grad(vicinal.attention(q, k, v, pattern, bias=z).square().sum(), z, create_graph=True)
    with pytest.raises(vicinal.ArgumentError, match="backend='reference'"):
        first.square().sum().backward()
    small = vicinal.windows(5, 2, 4)
    leaves = [x.double().detach().requires_grad_() for x in (*tensors((5, 1, 8)), torch.randn(3, 2, 4, 1))]
    assert torch.autograd.gradgradcheck(lambda q, k, v, z: vicinal.attention(q, k, v, small, bias=z, backend="reference"), leaves)


def test_transforms():
    pattern, shape = windows()
    q, k, v = tensors((N, 2, 8))
    z = torch.randn(*shape, 2)

    def loss(z, backend="auto"):
        return vicinal.attention(q, k, v, pattern, bias=z, backend=backend).square().sum()
    leaf = z.clone().requires_grad_()
    loss(leaf).backward()
    with pytest.raises(vicinal.ArgumentError, match="torch.func"):
        torch.func.grad(loss)(z)
    close(torch.func.grad(lambda z: loss(z, "reference"))(z), leaf.grad.double(), 1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        out = vicinal.attention(q, k, v, pattern, bias=z)
    assert out.dtype == torch.bfloat16
    close(out, vicinal.attention(q, k, v, pattern, bias=z).double(), 2e-2)


def test_a_pattern_that_was_updated():
    pattern, shape = pairs()
    q, k, v = tensors((N, 2, 8), grad=True)
    out = vicinal.attention(q, k, v, pattern, bias=torch.zeros(*shape, 2))
    pattern.update_(np.random.default_rng(0).random((N, 3)) * 7.0)
    with pytest.raises(vicinal.ArgumentError, match="was updated"):
        out.sum().backward()


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_wrong_biases(backend):
    pattern, shape = windows()
    other, _ = pairs()
    q, k, v = tensors((N, 2, 8))

    def call(z, p=pattern, match=""):
        with pytest.raises(vicinal.ArgumentError, match=match):
            vicinal.attention(q, k, v, p, bias=z, backend=backend)
    call(torch.zeros(5, 16, 48, 3), match=r"expected shape \(5, 16, 48, 2\), which is \[windows, queries, keys, heads\], got \(5, 16, 48, 3\)")
    call(torch.zeros(4, 16, 48, 2), match=r"expected shape \(5, 16, 48, 2\)")
    call(torch.zeros(3, 32, 48, 2))                    # windows of other sizes
    call(torch.zeros(5, 16, 32, 2))
    call(torch.zeros(7, 2), other, match=rf"expected shape \({other.n_pairs}, 2\), which is \[pairs, heads\]")
    call(torch.zeros(5, 16, 48, 2), other, match=r"\[pairs, heads\]")
    call(torch.zeros(other.n_pairs, 2, dtype=torch.int64), other, match="floating-point numbers, got torch.int64")
    call([1.0, 2.0], other, match="a number for each pair and head")
