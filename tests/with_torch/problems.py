# SPDX-License-Identifier: Apache-2.0
"""Tensors and patterns for the tests of vicinal.attention() in torch, and what it has to give."""
import numpy as np
import pytest
import torch

import vicinal

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
LIMITS = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def points(n=200, seed=0):
    return np.random.default_rng(seed).random((n, 3)) * (n / 8) ** (1 / 3) * 3


def periodic(n=200, cutoff=5.0):
    x = points(n)
    return vicinal.pattern(x, cutoff, cell=[x.max() + 0.5] * 3)


def tensors(shape, dtype=torch.float32, device="cpu", kv_heads=None, d_v=None, n_k=None, grad=False):
    *batch, n, h, d = shape
    k = (*batch, n_k or n, kv_heads or h, d)
    return [torch.randn(s, dtype=torch.float64).to(device, dtype).requires_grad_(grad)
            for s in (shape, k, (*k[:-1], d_v or d))]


def interpolated(table, x):
    """b [heads, pairs] at x in units of the table's points, and which are finite; next to -inf e^b is linear."""
    m = x.long().clamp(max=table.shape[1] - 2)
    low, high, f = table[:, m], table[:, m + 1], x - m
    none, some = (low == -torch.inf) & (high == -torch.inf), (low == -torch.inf) | (high == -torch.inf)
    low_safe, high_safe = (y.where(y > -torch.inf, 0.0) for y in (low, high))
    weight = low_safe.exp() * (1 - f) * (low > -torch.inf) + high_safe.exp() * f * (high > -torch.inf)
    mixed = weight.where(some & ~none, 1.0).log()
    return torch.where(some, mixed, low_safe * (1 - f) + high_safe * f), ~none


def dense(q, k, v, pattern, scale=None, table=None):
    """(out, lse) in float64 by dense matrices, one for each time that i has j as neighbour; can be differentiated, also twice.
    q [.., n, h, d]."""
    q, k, v = (x.transpose(-3, -2) for x in (q, k, v))
    i, j, *d = (torch.as_tensor(x).cpu() for x in pattern.neighbors("ij" if table is None else "ijd"))
    heads, cell, n_k = q.shape[-3], (i * pattern.n_keys + j).long(), pattern.n_keys
    order = cell.argsort(stable=True)
    _, runs = cell[order].unique_consecutive(return_counts=True)
    again = torch.empty_like(cell)  # how often i has had j before
    again[order] = torch.cat([torch.arange(int(n)) for n in runs]) if len(runs) else cell[:0]
    most = int(again.max()) + 1 if len(cell) else 1
    bias = torch.full((heads, pattern.n_queries, n_k, most), -torch.inf, dtype=torch.float64)
    if table is None:
        b = torch.zeros(heads, len(i), dtype=torch.float64)
    else:
        b, finite = interpolated(table, d[0].double() ** 2 * ((table.shape[1] - 1) / pattern.cutoff ** 2))
        b = b.masked_fill(~finite, -torch.inf).expand(heads, -1)
    bias = bias.index_put((torch.arange(heads)[:, None], i.long(), j.long(), again), b)
    k, v = (x.repeat_interleave(heads // x.shape[-3], -3) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = (scores.unsqueeze(-1) + bias).flatten(-2)
    some = (bias > -torch.inf).flatten(-2).any(-1)
    scores = scores.where(some.unsqueeze(-1), 0.0)
    weights = scores.softmax(-1).unflatten(-1, (n_k, most)).sum(-1)
    out, lse = (weights @ v).where(some.unsqueeze(-1), 0.0), scores.logsumexp(-1).where(some, -torch.inf)
    return out.transpose(-3, -2), lse.transpose(-1, -2)


def oracle(q, k, v, pattern, scale=None):
    """(out, lse) in float64 on the CPU."""
    return dense(*(x.detach().double().cpu() for x in (q, k, v)), pattern, scale)


def close(got, want, limit):
    got = got.detach().double().cpu()
    assert got.shape == want.shape
    assert float((got - want).norm()) <= limit * max(float(want.norm()), 1e-30)


def raw(name="attn"):
    return getattr(torch.ops.vicinal, name).default
