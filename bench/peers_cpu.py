#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same work by other programs on the CPU, beside vicinal: in one process, on the same threads, on the same arrays.

    bench/peers_cpu.py FILE --cutoff R [options]      one JSON object a line on stdout; the table goes to stderr

Pairs: SciPy's k-d tree, ASE, vesin.  Attention: PyTorch's FlexAttention, and gather + segment softmax + scatter over the
list of pairs.  Each result is compared with float64 before it is timed, and one that is wrong gets no time.  What is not
installed is left out, saying so.  Positions come through vicinal's reader; boundaries are open.
"""
import argparse
import json
import os
import platform
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
ROWS = 64  # compared with float64


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--cutoff", type=float, required=True)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--head-dim", type=int, default=64)
    p.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    p.add_argument("--repeat", type=int, default=3, help="the best of so many runs counts")
    p.add_argument("--chunk-mb", type=int, default=512, help="memory of one gathered tensor")
    p.add_argument("--skip", default="", help="comma-separated peers to leave out, as the table names them")
    p.add_argument("--library", default=os.path.join(ROOT, "build/release/libvicinal.so"))
    return p.parse_args()


A = arguments()
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:A.threads])
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIC_THREADS"):
    os.environ[variable] = str(A.threads)  # read when the libraries are loaded
os.environ["VIC_LIBRARY"] = A.library

import numpy as np  # noqa: E402

import vicinal_c  # noqa: E402

# ---- vicinal -------------------------------------------------------------------------------------------------------


def vicinal_attention(pattern, q, k, v):
    """A call without arguments that computes; plan and tensors are made before."""
    plan = vicinal_c.Plan(pattern, A.heads, A.head_dim, "float32", vicinal_c.CPU, False)
    out = np.empty_like(q)
    args = vicinal_c.S["vic_attention_args"](**{name: vicinal_c.array_tensor(t) for name, t in (
        ("q", q), ("k", k), ("v", v), ("out", out))})

    def run():
        plan.run(args)
        return out
    return run


# ---- what is right, in float64 -------------------------------------------------------------------------------------


def neighbours(x, i):
    d = x - x[i]
    d2 = d[:, 0] ** 2 + d[:, 1] ** 2 + d[:, 2] ** 2
    return np.flatnonzero(d2 < A.cutoff ** 2)


def reference(x, q, k, v, rows):
    out = np.empty((len(rows),) + v.shape[1:])
    for n, i in enumerate(rows):
        j = neighbours(x, i)
        s = np.einsum("hd,jhd->jh", q[i].astype(float), k[j].astype(float)) / np.sqrt(q.shape[2])
        w = np.exp(s - s.max(0))
        out[n] = np.einsum("jh,jhd->hd", w / w.sum(0), v[j].astype(float))
    return out


# ---- peers: each gives a call that computes, or raises ImportError -----------------------------------------------------


def scipy_pairs(x):
    import scipy
    from scipy.spatial import cKDTree

    def run():  # each pair once, i < j; distances <= cutoff
        pairs = cKDTree(x).query_pairs(A.cutoff, output_type="ndarray")
        return np.bincount(pairs[:, 0], minlength=len(x)) + np.bincount(pairs[:, 1], minlength=len(x)) + 1
    return "SciPy " + scipy.__version__ + ", k-d tree (one thread, each pair once)", run


def ase_pairs(x):
    import ase
    from ase.neighborlist import neighbor_list
    # With a cell around the atoms ASE makes bins; without one it takes all pairs.
    atoms = ase.Atoms(numbers=np.ones(len(x), int), positions=x - x.min(0), cell=np.ptp(x, axis=0) + 1.0, pbc=False)
    return "ASE " + ase.__version__ + " (one thread)", lambda: np.bincount(
        neighbor_list("ij", atoms, A.cutoff)[0], minlength=len(x)) + 1


def vesin_pairs(x):
    import importlib.metadata

    import vesin
    box = np.zeros((3, 3))

    def run():
        finder = vesin.NeighborList(cutoff=A.cutoff, full_list=True, n_threads=A.threads)
        i, _ = finder.compute(points=x, box=box, periodic=False, quantities="ij")
        return np.bincount(i.astype(np.int64), minlength=len(x)) + 1
    return "vesin " + importlib.metadata.version("vesin"), run


def torch_here():
    import torch
    torch.set_num_threads(A.threads)
    return torch


def segments(x, q, k, v, pattern, pairs):
    """Gather, softmax over each query's pairs, scatter: what one writes over a list of pairs, in chunks that fit."""
    torch = torch_here()
    i, j = pattern.pairs()
    first = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=len(x)))])
    i, j = torch.from_numpy(i).long(), torch.from_numpy(j).long()
    tq, tk, tv = map(torch.from_numpy, (q, k, v))
    most = max(1, A.chunk_mb * 2 ** 20 // (A.heads * A.head_dim * 4))
    cuts = [0]
    while cuts[-1] < len(x):
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(first, first[cuts[-1]] + most, "right")) - 1))

    def run():
        out = torch.zeros_like(tq)
        with torch.inference_mode():
            for a, b in zip(cuts, cuts[1:]):
                part = slice(int(first[a]), int(first[b]))
                row, key, n = i[part] - a, j[part], b - a
                s = (tq[a:b][row] * tk[key]).sum(-1) / A.head_dim ** 0.5
                at = row[:, None].expand_as(s)
                top = torch.full((n, A.heads), -torch.inf).scatter_reduce(0, at, s, "amax")
                w = torch.exp(s - top[row])
                total = torch.zeros(n, A.heads).index_add_(0, row, w)
                out[a:b].index_add_(0, row, tv[key] * (w / total[row])[..., None])
        return out.numpy()
    return f"PyTorch {torch.__version__}, gather + segment softmax + scatter", run


def flex(x, q, k, v, pattern, pairs):
    """FlexAttention over our 128 x 128 blocks in our order, with the distance in its mask: exact, and free to build."""
    torch = torch_here()
    from torch.nn.attention.flex_attention import BlockMask, flex_attention
    n, block = len(x), 128
    rows = -(-n // block)
    ptr, column, _ = pattern.blocks128()
    order = pattern.order()
    number, index = np.diff(ptr).astype(np.int32), np.zeros((rows, rows), np.int32)
    for r in range(rows):
        index[r, :number[r]] = column[ptr[r]:ptr[r + 1]]
    places = np.full((rows * block, 3), 1e9)  # padding sees nobody but padding
    places[:n] = x[order]
    px, py, pz = (torch.from_numpy(places[:, axis].copy()) for axis in range(3))
    limit = A.cutoff ** 2

    def near(b, h, i, j):
        dx, dy, dz = px[j] - px[i], py[j] - py[i], pz[j] - pz[i]
        return dx * dx + dy * dy + dz * dz < limit
    mask = BlockMask.from_kv_blocks(torch.from_numpy(number)[None, None], torch.from_numpy(index)[None, None],
                                    BLOCK_SIZE=block, mask_mod=near)

    def padded(t):
        p = np.zeros((1, A.heads, rows * block, A.head_dim), np.float32)
        p[0, :, :n] = t[order].transpose(1, 0, 2)
        return torch.from_numpy(p)
    tq, tk, tv = map(padded, (q, k, v))
    compiled = torch.compile(flex_attention)

    def run():
        with torch.inference_mode():
            return compiled(tq, tk, tv, block_mask=mask)

    def unsort(result):
        out = np.empty_like(q)
        out[order] = result[0, :, :n].numpy().transpose(1, 0, 2)
        return out
    return f"PyTorch {torch.__version__}, FlexAttention (compiled, exact mask)", run, unsort


# ---- measuring -----------------------------------------------------------------------------------------------------


def best(run):
    seconds = []
    for _ in range(A.repeat):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def tell(case, what, peer, label, seconds, **more):
    print(json.dumps({"bench": "peers_cpu", "what": what, "peer": peer, "label": label, "seconds": seconds, **case, **more}),
          flush=True)
    print(f"  {what:10}{peer:10}{seconds:10.4f} s  {label}", file=sys.stderr)


def left_out(what, peer, why):
    print(f"  {what:10}{peer:10}   skipped    {why}", file=sys.stderr)


def skipped(what, peer, make, *words):
    """What `make` gives, or None, having said why."""
    if peer in A.skip.split(","):
        return left_out(what, peer, "as asked")
    try:
        return make(*words)
    except ImportError as missing:
        return left_out(what, peer, f"not installed: {missing}")


def main():
    x = vicinal_c.read_positions(A.file)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((len(x), A.heads, A.head_dim)).astype(np.float32) for _ in range(3))
    rows = np.sort(rng.choice(len(x), min(ROWS, len(x)), replace=False))
    right_counts = np.array([len(neighbours(x, i)) for i in rows])
    right = reference(x, q, k, v, rows)
    pattern = vicinal_c.cutoff_pattern(x, A.cutoff)
    pairs = pattern.info.pairs
    case = {"file": os.path.basename(A.file), "cutoff": A.cutoff, "atoms": len(x), "pairs": pairs, "heads": A.heads,
            "head_dim": A.head_dim, "dtype": "float32", "threads": A.threads, "repeat": A.repeat,
            "machine": platform.machine(), "cpu": next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                                                        if line.startswith("model name")), ""),
            "build": vicinal_c.build()}
    label = "vicinal " + vicinal_c.version()
    if not np.array_equal(pattern.counts()[rows], right_counts):
        sys.exit("peers_cpu: vicinal's pattern has other pairs than float64")
    tell(case, "pairs", "vicinal", label, best(lambda: vicinal_c.cutoff_pattern(x, A.cutoff)))
    for peer, make in (("scipy", scipy_pairs), ("vesin", vesin_pairs), ("ase", ase_pairs)):
        made = skipped("pairs", peer, make, x)
        if not made:
            continue
        found = made[1]()
        if not np.array_equal(found[rows], right_counts) or found.sum() != pairs:
            left_out("pairs", peer, f"wrong: {found.sum()} pairs instead of {pairs}")
            continue
        tell(case, "pairs", peer, made[0], best(made[1]))

    def ours(*words):
        return label, vicinal_attention(pattern, q, k, v)
    for peer, make in (("vicinal", ours), ("flex", flex), ("segments", segments)):
        made = skipped("attention", peer, make, x, q, k, v, pattern, pairs)
        if not made:
            continue
        start = time.perf_counter()
        result = made[1]()
        first = time.perf_counter() - start
        result = made[2](result) if len(made) > 2 else result
        error = float(np.linalg.norm(result[rows] - right) / np.linalg.norm(right))
        if not error < 1e-5:
            left_out("attention", peer, f"wrong: relative error {error:.2g}")
            continue
        tell(case, "attention", peer, made[0], best(made[1]), first_seconds=first, relative_error=error)


main()
