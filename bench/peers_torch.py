# SPDX-License-Identifier: Apache-2.0
"""What bench/peers_gpu.py runs through PyTorch: a case's tensors, what is right in float64, the clock, and the peers.

A peer is a function of a Problem that gives (run, back): run() computes and returns what it made, back() brings that
to [batch, atoms, heads, head size] in the caller's order."""
import gc
import math
import time

import numpy as np
import torch
from torch.nn import functional

import peers_host as host
import vicinal_c

ROWS = 256  # compared with float64
BOUND = {torch.float16: 1e-3, torch.float32: 1e-5}  # relative Frobenius error of those rows
CHUNK_BYTES = 1 << 30  # of one gathered tensor of the list of pairs


def prepare():
    """Shapes and numbers are constants of what gets compiled, as in a model that runs one system for long."""
    torch.set_grad_enabled(False)
    dynamo = torch._dynamo.config
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = 10000
    dynamo.automatic_dynamic_shapes = False
    dynamo.specialize_float = True
    torch._inductor.config.compile_threads = 1  # one kernel at a time: starting workers would take longer


# ---- a case --------------------------------------------------------------------------------------------------------


class Problem:
    """A case's pattern, its tensors q, k, v [batch, atoms, heads, head size] and what is right for some rows."""

    def __init__(self, case, device, positions, molecule=None, offsets=None, seed=0):
        self.case, self.device = case, device
        self.dtype = torch.float16 if device.type == "cuda" else torch.float32
        self.positions, self.molecule, self.offsets = positions, molecule, offsets
        if case.has_points:
            self.pattern = vicinal_c.cutoff_pattern(positions, case.cutoff, case.box, offsets)
        else:
            self.pattern = vicinal_c.generated_pattern(case.text)
        self.info, self.n = self.pattern.info, self.pattern.info.n_q
        self.order = torch.from_numpy(self.pattern.order()).to(device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.q, self.k, self.v = (self.random() for _ in range(3))
        self.rows, self.right = self.reference()

    def random(self):
        shape = self.case.batch, self.n, self.case.heads, self.case.dim
        return torch.randn(shape, generator=self.generator, device=self.device).to(self.dtype)

    def neighbours(self, rows):
        """[rows, atoms]: the pairs of these atoms, by brute force over all; of a generated pattern from its blocks.
        And [rows]: whether single precision decides each pair of the atom as double does."""
        if not self.case.has_points:
            row_ptr, column, _ = self.pattern.blocks128()
            side = len(row_ptr) - 1
            there = np.zeros((side, side), bool)
            there[np.repeat(np.arange(side), np.diff(row_ptr)), column] = True
            near = torch.from_numpy(there).to(self.device)[rows // 128][:, torch.arange(self.n, device=self.device) // 128]
            return near, torch.ones_like(rows, dtype=torch.bool)
        x = torch.from_numpy(self.positions).to(self.device)
        d2 = torch.zeros(len(rows), self.n, dtype=torch.float64, device=self.device)
        for axis in range(3):
            d = x[:, axis] - x[rows, axis, None]
            if self.case.box is not None:  # the nearest image is the only one below half the edge
                d += torch.round(d / -self.case.box[axis]) * self.case.box[axis]
            d2 += d * d
        limit = self.case.cutoff ** 2
        near, sure = d2 < limit, ((d2 / limit - 1).abs() > 1e-5).all(1)
        if self.molecule is not None:
            molecule = torch.from_numpy(self.molecule).to(self.device)
            near &= molecule == molecule[rows, None]
        return near, sure

    def reference(self):
        """Some atoms, and their softmax attention in float64 for the last item of the batch.  Atoms with a pair so
        near to the limit that single precision may err are left out: masks from coordinates would seem wrong there."""
        k, v = self.k[-1].double(), self.v[-1].double()
        counts = torch.from_numpy(self.pattern.counts()).to(self.device)
        rows = torch.randperm(self.n, generator=self.generator, device=self.device)[:ROWS + ROWS // 4]
        kept, out = [], []
        for part in rows.split(32):
            near, sure = self.neighbours(part)
            if not torch.equal(near.sum(1), counts[part]):
                raise ValueError("vicinal's pattern has other pairs than brute force in float64")
            part, near = part[sure], near[sure]
            s = torch.einsum("rhd,nhd->rhn", self.q[-1][part].double(), k) / math.sqrt(self.case.dim)
            w = s.masked_fill(~near[:, None], -torch.inf).softmax(-1).nan_to_num(0)  # of no pairs: zeros
            kept.append(part)
            out.append(torch.einsum("rhn,nhd->rhd", w, v))
        return torch.cat(kept)[:ROWS], torch.cat(out)[:ROWS]

    def error(self, result):
        got = result[-1][self.rows].double()
        return float((got - self.right).norm() / self.right.norm())

    def facts(self):
        """What each line of this case says."""
        i, case, blocks = self.info, self.case, self.pattern.block_mask()
        return {"case": case.name, "atoms": self.n, "pairs": i.pairs, "heads": case.heads, "head_dim": case.dim,
                "batch": case.batch, "cutoff": case.cutoff, "periodic": case.box is not None, "text": case.text,
                "dtype": str(self.dtype).removeprefix("torch."), "blocks128": blocks.partial + blocks.full,
                "blocks128_full": blocks.full, "grid128": blocks.rows * blocks.columns,
                "boundary_pairs": i.boundary_pairs}

    def padded(self, t):
        """[batch, heads, rows, head size] in pattern order, rows to a multiple of 128, zeros at the end."""
        room = t.new_zeros(t.shape[0], t.shape[2], host.padded_rows(self.n), t.shape[3])
        room[:, :, :self.n] = t[:, self.order].transpose(1, 2)
        return room

    def unpadded(self, result):
        out = torch.empty_like(self.q)
        out[:, self.order] = result[:, :, :self.n].transpose(1, 2)
        return out


# ---- the clock -----------------------------------------------------------------------------------------------------


def measure(run, device, launches, seconds=1.5):
    """Statistics of up to `launches` launches, fewer when they would take more than `seconds`, and in a graph."""
    if device.type == "cpu":
        ms = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            ms.append(1e3 * (time.perf_counter() - start))
        return host.statistics(ms)
    once, issue = estimate(run)
    for _ in range(min(200, int(50 / once))):  # the clock rate rises with work
        run()
    count = max(5, min(launches, int(1e3 * seconds / once)))
    ms = []
    while len(ms) < count:
        ms += queued(run, min(50, count - len(ms)), issue)
    found = host.statistics(ms)
    if once > 20:
        return found
    try:
        found.update(in_graph(run, once))
    except Exception as why:
        found["graph_failed"] = reason(why)
    return found


def estimate(run):
    """ms on the GPU and seconds on the CPU of one launch."""
    a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    a.record()
    for _ in range(3):
        run()
    b.record()
    issue = (time.perf_counter() - start) / 3
    torch.cuda.synchronize()
    return max(a.elapsed_time(b) / 3, 1e-3), issue


def queued(run, count, issue):
    """Each launch between two events.  A kernel that waits goes first, so that the CPU is ahead all the time and no
    gap between launches counts."""
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
    torch.cuda._sleep(int(2e9 * min(0.2, 1e-3 + 1.5 * issue * count)))
    for a, b in events:
        a.record()
        run()
        b.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in events]


def in_graph(run, once):
    """A replay's time by its launches."""
    inside = max(1, min(100, int(20 / once)))
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(inside):
            run()
    for _ in range(3):
        graph.replay()
    ms = [t / inside for t in queued(graph.replay, 20, 1e-4)]
    return {"ms_graph": float(np.median(ms)), "ms_graph_min": min(ms), "in_graph": inside}


def reason(why):
    """The first lines that say something, short enough for a line of results."""
    return f"{type(why).__name__}: " + " ".join(str(why).split())[:400]


def release():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# ---- vicinal -------------------------------------------------------------------------------------------------------


def vicinal(problem, pattern_order):
    """(run, back, plan): from [batch, atoms, heads, head size], without the batch where it is one."""
    case, device = problem.case, problem.device
    kind, index = (vicinal_c.CUDA, device.index or 0) if device.type == "cuda" else (vicinal_c.CPU, 0)
    dtype = str(problem.dtype).removeprefix("torch.")
    plan = vicinal_c.Plan(problem.pattern, case.heads, case.dim, dtype, kind, pattern_order, index)

    def seen(t):
        t = t[0] if case.batch == 1 else t
        return vicinal_c.tensor(t.data_ptr(), dtype, t.shape, t.stride(), kind, index)
    given = [t[:, problem.order].contiguous() if pattern_order else t for t in (problem.q, problem.k, problem.v)]
    out = torch.empty_like(problem.q)
    size = plan.workspace_size(case.batch) if kind == vicinal_c.CUDA else 0
    workspace = torch.zeros(size, dtype=torch.uint8, device=device)
    q, k, v = map(seen, given)
    args = vicinal_c.S["vic_attention_args"](q=q, k=k, v=v, out=seen(out), workspace=workspace.data_ptr() or None,
                                             workspace_size=size)

    def run(kept=(given, workspace)):  # what args point to lives as long as run
        if kind == vicinal_c.CUDA:
            args.stream = torch.cuda.current_stream().cuda_stream
        plan.run(args)
        return out

    def back(result):
        if not pattern_order:
            return result
        unsorted = torch.empty_like(result)
        unsorted[:, problem.order] = result
        return unsorted
    return run, back, plan


# ---- FlexAttention -------------------------------------------------------------------------------------------------

flex = None  # compiled when first used


def flex_attention():
    global flex
    if flex is None:
        from torch.nn.attention import flex_attention as module
        flex = torch.compile(module.flex_attention, dynamic=False)
    return flex


def mask_from_coordinates(problem):
    """In units of the cutoff, so that the limit is the constant 1 and one compilation does for all cutoffs.  Single
    precision: pairs nearer to the limit than its rounding may fall on the other side."""
    case, n = problem.case, problem.n
    places = np.full((host.padded_rows(n), 3), np.nan)  # the padding is near to nothing
    places[:n] = (problem.positions - problem.positions.mean(0))[problem.pattern.order()]
    places = torch.from_numpy((places / case.cutoff).astype(np.float32)).to(problem.device)
    x, y, z = (places[:, axis].contiguous() for axis in range(3))

    def near(b, h, i, j):
        dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
        return dx * dx + dy * dy + dz * dz < 1.0
    if case.box is not None:
        ex, ey, ez = (edge / case.cutoff for edge in case.box)

        def near_in_box(b, h, i, j):
            dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            dx, dy, dz = (dx - torch.round(dx * (1 / ex)) * ex, dy - torch.round(dy * (1 / ey)) * ey,
                          dz - torch.round(dz * (1 / ez)) * ez)
            return dx * dx + dy * dy + dz * dz < 1.0
        return near_in_box
    if problem.molecule is not None:
        document = np.full(len(places), -1, np.int32)
        document[:n] = problem.molecule[problem.pattern.order()]
        document = torch.from_numpy(document).to(problem.device)

        def near_in_document(b, h, i, j):
            return (document[i] == document[j]) & near(b, h, i, j)
        return near_in_document
    return near


def mask_from_bits(problem, lists):
    """64 x 64 bits of each block, two words a row, found through a table of the grid of blocks."""
    side = len(lists.partial_count)
    table = np.zeros((side, side), np.int32)
    for count, columns, base in ((lists.partial_count, lists.partial, 0),
                                 (lists.full_count, lists.full, int(lists.partial_count.sum()))):
        row = np.repeat(np.arange(side), count)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        table[row, columns[row, place]] = base + np.arange(len(row))
    slot = torch.from_numpy(table).to(problem.device)
    row_of = torch.empty_like(problem.order)
    row_of[problem.order] = torch.arange(problem.n, device=problem.device)
    i, j = (row_of[torch.from_numpy(atoms).to(problem.device).long()] for atoms in problem.pattern.pairs())
    word = (slot[i >> 6, j >> 6].long() * 64 + (i & 63)) * 2 + ((j & 63) >> 5)
    bit = torch.ones_like(j, dtype=torch.int32) << (j & 31).int()
    words = torch.zeros(lists.total * 128, dtype=torch.int32, device=problem.device).index_add_(0, word, bit)

    def stored(b, h, i, j):
        at = (slot[i >> 6, j >> 6] * 64 + (i & 63)) * 2 + ((j & 63) >> 5)
        return ((words[at] >> (j & 31)) & 1) == 1
    return stored


def block_mask(problem, lists, mask_mod, empty_full=False):
    """Without mask_mod partial blocks count whole.  empty_full: lists of full blocks even where there is none."""
    from torch.nn.attention.flex_attention import BlockMask

    def device(array):
        return torch.from_numpy(array).to(problem.device)[None, None].contiguous()
    full = (device(lists.full_count), device(lists.full)) if lists.full_total or empty_full else (None, None)
    return BlockMask.from_kv_blocks(device(lists.partial_count), device(lists.partial), *full, BLOCK_SIZE=lists.block,
                                    mask_mod=mask_mod, seq_lengths=(host.padded_rows(problem.n),) * 2)


def flex_peer(problem, mask, options):
    """mask None: dense."""
    q, k, v = map(problem.padded, (problem.q, problem.k, problem.v))
    compiled = flex_attention()
    if problem.device.type == "cpu":
        options = None  # tiles are of the GPU's kernel
    return lambda: compiled(q, k, v, block_mask=mask, kernel_options=options), problem.unpadded


# ---- the others ----------------------------------------------------------------------------------------------------


def sdpa(problem, backend):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = map(problem.padded, (problem.q, problem.k, problem.v))
    choice = getattr(SDPBackend, backend)

    def run():
        with sdpa_kernel(choice):
            return functional.scaled_dot_product_attention(q, k, v)
    return run, problem.unpadded


def flash_attention_3(problem):
    from flash_attn_interface import flash_attn_func
    q, k, v = problem.q, problem.k, problem.v

    def run():
        out = flash_attn_func(q, k, v)
        return out[0] if isinstance(out, tuple) else out
    return run, lambda result: result


def sdpa_padded(problem):
    """Each molecule padded to the longest, with a mask of its pairs; padding before, not in the time."""
    device = problem.device
    size = -(-int(np.diff(problem.offsets).max()) // 8) * 8
    offsets = torch.from_numpy(problem.offsets).to(device)
    atom = offsets[:-1, None] + torch.arange(size, device=device)
    real = atom < offsets[1:, None]
    atom = torch.where(real, atom, 0)
    x = torch.from_numpy(problem.positions).to(device)[atom]
    d2 = ((x[:, :, None] - x[:, None]) ** 2).sum(-1)
    seen = (d2 < problem.case.cutoff ** 2) & real[:, :, None] & real[:, None]
    seen |= torch.eye(size, dtype=torch.bool, device=device)  # a row of padding sees itself: no softmax of nothing
    q, k, v = (t[0][atom].transpose(1, 2).contiguous() for t in (problem.q, problem.k, problem.v))

    def back(result):
        out = torch.empty_like(problem.q)
        out[0, atom[real]] = result.transpose(1, 2)[real]
        return out
    return lambda: functional.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None]), back


def unfused(problem, lists):
    """Rows of blocks padded to the longest: gather, batched GEMM with the padding's -inf, softmax, batched GEMM."""
    device, dim, side = problem.device, problem.case.dim, len(lists.full_count)
    longest = int(lists.full_count.max())
    column = torch.from_numpy(lists.full[:, :longest].astype(np.int64)).to(device)
    real = torch.arange(longest, device=device) < torch.from_numpy(lists.full_count).to(device)[:, None]
    bias = torch.zeros(real.shape, dtype=problem.dtype, device=device).masked_fill_(~real, -torch.inf)
    bias = bias.repeat_interleave(128, 1)[:, None].expand(side, 128, longest * 128)
    q, k, v = (problem.padded(t)[0, 0].view(side, 128, dim) for t in (problem.q, problem.k, problem.v))

    def run():
        near_k, near_v = (t[column].view(side, longest * 128, dim) for t in (k, v))
        s = torch.baddbmm(bias, q, near_k.transpose(1, 2), alpha=1 / math.sqrt(dim))
        return torch.bmm(s.softmax(-1), near_v)
    return run, lambda result: problem.unpadded(result.reshape(1, 1, side * 128, dim))


def edges(problem):
    """What one writes over a list of pairs: gather, softmax over each atom's pairs, scatter; in chunks that fit."""
    device, heads, dim = problem.device, problem.case.heads, problem.case.dim
    first = np.concatenate([[0], np.cumsum(problem.pattern.counts())])
    i, j = (torch.from_numpy(atoms).to(device).long() for atoms in problem.pattern.pairs())
    q, k, v = problem.q[0], problem.k[0], problem.v[0]
    cuts = host.chunk_ends(first, CHUNK_BYTES // (4 * heads * dim))
    parts = [(a, b, i[first[a]:first[b]] - a, j[first[a]:first[b]]) for a, b in zip(cuts, cuts[1:])]

    def run():
        out = torch.zeros(q.shape, device=device)
        for a, b, row, key in parts:
            s = (q[a:b][row] * k[key]).sum(-1, dtype=torch.float32) / math.sqrt(dim)
            at = row[:, None].expand_as(s)
            top = torch.full((b - a, heads), -torch.inf, device=device).scatter_reduce(0, at, s, "amax")
            w = torch.exp(s - top[row])
            total = torch.zeros(b - a, heads, device=device).index_add_(0, row, w)
            out[a:b].index_add_(0, row, v[key] * (w / total[row])[..., None])
        return out
    return run, lambda result: result.to(problem.dtype)[None]
