# SPDX-License-Identifier: Apache-2.0
"""One process of a group, for test_distributed.py: distributed_process.py WHAT RANK SIZE FILE"""
import datetime
import os
import signal
import sys

import numpy as np
import torch
import torch.distributed as dist

import vicinal
from vicinal import distributed

HOUR = datetime.timedelta(hours=1)  # for what hangs


def patterns():
    draw = np.random.default_rng(3)
    at, keys = draw.random((1400, 3)) * 24, draw.random((900, 3)) * 24
    yield "cutoff", vicinal.pattern(at, 5.0)
    yield "periodic", vicinal.pattern(at, 5.0, cell=np.eye(3) * 24, exclude_self=True)
    yield "two sets", vicinal.pattern(at, 5.0, keys=keys)
    yield "nearest", vicinal.nearest(at, 12)
    yield "windows", vicinal.windows(1400)
    yield "three structures", vicinal.pattern(at, 5.0, cu_seqlens=[0, 500, 520, 1400])
    yield "one strip", vicinal.pattern(at[:50], 5.0)


def whole(pattern, dtype, batch, d_v):
    heads = (4, 16), (2, 16), (2, d_v)
    rows = pattern.n_queries, pattern.n_keys, pattern.n_keys
    torch.manual_seed(5)
    return [torch.randn(*batch, n, *h).to(dtype) for n, h in zip(rows, heads)]


def same(name, pattern, domains, dtype=torch.float32, batch=(), d_v=16, bias=None, with_lse=True):
    """All that this process computes has the bits of one process."""
    x = whole(pattern, dtype, batch, d_v)
    sides = "query", "key", "key"
    mine = [domains.shard(y, side, -3).requires_grad_() for y, side in zip(x, sides)]
    for y in x:
        y.requires_grad_()
    want, want_lse = vicinal.attention(*x, pattern, bias=bias, return_lse=True)
    got = distributed.attention(*mine, domains, bias=bias, return_lse=with_lse)
    got, lse = got if with_lse else (got, None)
    dout, dlse = torch.randn(want.shape).to(dtype), torch.randn(want_lse.shape)
    assert torch.equal(got, domains.shard(want, "query", -3)), name
    assert torch.equal(domains.gather(got, "query", -3), want), name
    loss, want_loss = (got * domains.shard(dout, "query", -3)).sum(), (want * dout).sum()
    if with_lse:
        assert torch.equal(lse, domains.shard(want_lse, "query", -2)), name
        some = torch.isfinite(want_lse)
        mine_some = torch.isfinite(lse)
        want_loss = want_loss + (want_lse[some] * dlse[some]).sum()
        loss = loss + (lse[mine_some] * domains.shard(dlse, "query", -2)[mine_some]).sum()
    loss.backward()
    want_loss.backward()
    for y, z, side in zip(mine, x, sides):
        assert torch.equal(y.grad, domains.shard(z.grad, side, -3)), (name, side)


def results(size):
    for name, pattern in patterns():
        domains = distributed.Domains(pattern)
        assert domains.size == size
        same(name, pattern, domains)
    pattern = vicinal.pattern(np.random.default_rng(3).random((1400, 3)) * 24, 5.0)
    domains = distributed.Domains(pattern)
    same("half, batch, padded", pattern, domains, torch.bfloat16, (2,), 12, with_lse=False)
    # A bias: its table's gradient is summed over the group, in another order than one process has.
    torch.manual_seed(8)
    table = torch.randn(4, 30)
    same("bias", pattern, domains, bias=vicinal.DistanceBias(table))
    x = whole(pattern, torch.float32, (), 16)
    gradients = []
    for attend, inputs, over in ((distributed.attention, [domains.shard(y) for y in x], domains),
                                 (vicinal.attention, x, pattern)):
        own = table.clone().requires_grad_()
        attend(*inputs, over, bias=vicinal.DistanceBias(own)).square().sum().backward()
        gradients.append(own.grad)
    dist.all_reduce(gradients[0])
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4 * float(gradients[1].abs().max()))
    heads(pattern, size)


def heads(pattern, size):
    torch.manual_seed(9)
    q, k, v = (torch.randn(pattern.n_queries, 2 * size, 8) for _ in range(3))
    first = 2 * dist.get_rank()
    mine = q[:, first:first + 2].clone().requires_grad_()
    got = distributed.gather_heads(vicinal.attention(mine, *(y[:, first:first + 2] for y in (k, v)), pattern))
    q.requires_grad_()
    want = vicinal.attention(q, k, v, pattern)
    assert torch.equal(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    assert torch.equal(mine.grad, q.grad[:, first:first + 2])


def gone():
    """One process ends without a word; each of the others gets an error, and says so."""
    domains = distributed.Domains(vicinal.pattern(np.random.default_rng(3).random((1400, 3)) * 24, 8.0))
    x = [domains.shard(y) for y in whole(vicinal.pattern(np.random.default_rng(3).random((1400, 3)) * 24, 8.0),
                                         torch.float32, (), 16)]
    distributed.attention(*x, domains)
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        while True:
            distributed.attention(*x, domains)
    except vicinal.Error as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)  # what torch would do at the end waits for the others


if __name__ == "__main__":
    what, rank, size, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    vicinal.set_num_threads(1)
    dist.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=size,
                            timeout=datetime.timedelta(seconds=20) if what == "gone" else HOUR)
    if what == "gone":
        gone()
    results(size)
    dist.barrier()
    dist.destroy_process_group()
