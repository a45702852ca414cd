# SPDX-License-Identifier: Apache-2.0
"""The methods in torch."""
import contextlib
import math
import time
import warnings

import torch
from torch.nn import functional

from . import lists, ways
from .measure import LeftOut

PIECE_BYTES = {"cpu": 1 << 26, "cuda": 1 << 30}  # of one gathered tensor, where there are several pieces
# Tiles of FlexAttention's kernel on a GPU, the best of those that bench/peers_gpu.py tried on an H200 first.
TILE = ", tile {BLOCK_M} x {BLOCK_N}, {num_warps} warps, {num_stages} stages"
TILES = [{"BLOCK_M": 64, "BLOCK_N": 64, "num_warps": 4, "num_stages": stages} for stages in (2, 3)]


def as_sequence(x):
    """[atoms, heads, d] as [1, heads, atoms, d], contiguous."""
    return x.transpose(0, 1)[None].contiguous()


def from_sequence(x):
    return x[0].transpose(0, 1)


def tensor_bytes(*tensors):
    return sum(x.numel() * x.element_size() for x in tensors if isinstance(x, torch.Tensor))


def with_gradient(call, q, k, v, dout):
    """A function that computes call(q, k, v) and its gradients."""
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]

    def run():
        with torch.enable_grad():
            return torch.autograd.grad(call(*leaves), leaves, dout)
    return run


class Vicinal(ways.Vicinal):
    def backward(self, pattern):
        import vicinal
        given = [pattern.sort(x) if self.in_order else x for x in (self.p.q, self.p.k, self.p.v, self.p.dout)]
        run = with_gradient(lambda q, k, v: vicinal.attention(q, k, v, pattern, sorted=self.in_order), *given)

        def told():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = run()
            if caught:
                self.backward_how = str(caught[0].message).replace("vicinal: ", "", 1)
            return result
        return told, (lambda grads: [pattern.unsort(x) for x in grads]) if self.in_order else lambda grads: grads


class VicinalInOrder(Vicinal):
    label, in_order = ways.VicinalInOrder.label, True


# ---- gather, softmax, scatter ----


def attend_in_torch(q, k, v, i, j, rows, scale):
    """Of the pairs (i, j): softmax over the pairs of each of `rows` queries.  Sums are float32."""
    s = (q.index_select(0, i) * k.index_select(0, j)).sum(-1, dtype=torch.float32) * scale
    top = torch.full((rows, s.shape[1]), -math.inf, device=s.device)
    top = top.scatter_reduce(0, i[:, None].expand_as(s), s.detach(), "amax")
    w = torch.exp(s - top.index_select(0, i))
    total = torch.zeros_like(top).index_add(0, i, w)
    w = w / total.index_select(0, i)
    out = torch.zeros((rows, *v.shape[1:]), device=v.device)
    return out.index_add(0, i, v.index_select(0, j) * w[..., None])


def attend_by_geometric(q, k, v, i, j, rows, scale):
    """The same by torch_geometric.utils."""
    from torch_geometric.utils import scatter, softmax
    s = (q.index_select(0, i) * k.index_select(0, j)).sum(-1, dtype=torch.float32) * scale
    w = softmax(s, i, num_nodes=rows)
    return scatter(v.index_select(0, j) * w[..., None], i, dim=0, dim_size=rows, reduce="sum")


def writings():
    """(in words, function)"""
    found = [(f"torch {torch.__version__}'s scatter_reduce and index_add", attend_in_torch)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torch_geometric.utils
            found.append((f"torch_geometric {torch_geometric.__version__}'s softmax and scatter", attend_by_geometric))
        except ImportError:
            pass
    return found


class GatherScatter(ways.Way):
    label = ways.GatherScatter.label

    def __init__(self, problem, clock):
        super().__init__(problem, clock)
        self.make, self.words = lists.choose(problem)
        self.gathered = 4 * problem.heads * problem.dim  # bytes of a pair

    def pairs(self):
        first, i, j = self.make(self.p)
        return (first, *(torch.as_tensor(x, dtype=torch.int64).to(self.p.device) for x in (i, j)))

    def kept(self, prepared):
        return tensor_bytes(*prepared)

    def _call(self, prepared, end, attend, most):
        """The first `end` queries as a function of q, k and v.  Where there are gradients, each of several pieces is
        computed again in the backward pass: what all of them need would not fit."""
        from torch.utils.checkpoint import checkpoint
        (first, i, j), p = prepared, self.p
        cut = ways.cuts(first, 0, end, max(1, most // self.gathered))

        def call(q, k, v):
            outs = []
            for a, b in zip(cut, cut[1:]):
                some = slice(first[a], first[b])
                given = q[a:b], k, v, i[some] - a if a else i[some], j[some], b - a, p.scale
                if len(cut) > 2 and q.requires_grad:
                    outs.append(checkpoint(attend, *given, use_reentrant=False, preserve_rng_state=False))
                else:
                    outs.append(attend(*given))
            return torch.cat(outs).to(q.dtype)
        return call

    def _forward(self, prepared, end, attend, most):
        call = self._call(prepared, end, attend, most)
        return lambda: call(self.p.q, self.p.k, self.p.v)

    def _backward(self, prepared, end, attend, most):
        call = self._call(prepared, end, attend, most)
        return with_gradient(call, self.p.q, self.p.k, self.p.v, self.p.dout[:end])

    def _tuned(self, prepared, make, bytes_a_number):
        """((seconds of all, in words, writing, bytes of a piece) of the fastest on some queries, what was tried); a
        single piece takes so many bytes for each number that is gathered."""
        first, n = prepared[0], self.p.n
        end, total = max(min(n, 256), n // ways.SAMPLE), int(first[-1]) * self.gathered
        sizes, numbers = [PIECE_BYTES[self.p.device]], total // 4
        if numbers < 1 << 31 and 1.2 * bytes_a_number * numbers < 0.9 * self.clock.room():
            sizes = [total] + [size for size in sizes if size < total]
        tried = []
        for words, attend in writings():
            for size in sizes:
                run = make(prepared, end, attend, size)
                self.clock.once(run)
                seconds = self.clock.once(run)[1] * int(first[-1]) / int(first[end])
                piece = "in one piece" if size >= total else f"{size >> 20} MB at a time"
                tried.append((seconds, f"{words}, {piece}", attend, size))
        best = min(tried, key=lambda t: t[0])
        return best, [{"label": words, "estimate_seconds": seconds} for seconds, words, *_ in tried]

    def forward(self, prepared):
        size = self.p.q.element_size()  # q, k and their product; then v, and its product in float32
        (self.seconds, words, attend, size), self.facts["tried"] = self._tuned(prepared, self._forward,
                                                                               max(3 * size, size + 4))
        self.how = f"{words}; pairs: {self.words}"
        return self._forward(prepared, self.p.n, attend, size), lambda out: out

    def backward(self, prepared):
        size = self.p.q.element_size()  # q, k and v stay, and then come gradients
        (self.seconds, words, attend, size), tried = self._tuned(prepared, self._backward, 3 * size + 12)
        self.facts["backward_tried"], self.backward_how = tried, words
        return self._backward(prepared, self.p.n, attend, size), lambda grads: grads

    def estimate(self, prepared, backward):
        return self.seconds


# ---- a dense mask ----


class DenseMask(ways.Way):
    label = "SDPA, dense mask"

    def __init__(self, problem, clock):
        super().__init__(problem, clock)
        if not problem.lattice.one_image(problem.cutoff):
            raise LeftOut("the cutoff is at least half of the cell's height, so an atom may have another under several "
                          "images, and a mask has one place for both")
        # torch makes numbers of the type of q of the mask.
        need, room = problem.n ** 2 * (1 + problem.q.element_size()), clock.room()
        if need > 0.9 * room:
            raise LeftOut(f"mask and bias of {problem.n:,} x {problem.n:,} take {need / 1e9:,.1f} GB, and there are "
                          f"{room / 1e9:,.1f}")
        self.how = "torch's scaled_dot_product_attention; mask: all distances, some rows at a time"

    def pairs(self):
        p = self.p
        x, mask = lists.on_device(p), torch.empty((p.n, p.n), dtype=torch.bool, device=p.device)
        start = time.monotonic()
        for begin, end in lists.pieces_of_rows(p):
            mask[begin:end] = lists.near_rows(p, x, begin, end)
            estimate = (time.monotonic() - start) * p.n / end
            if p.device == "cpu" and estimate > 0.9 * self.left():
                raise LeftOut(f"to make the mask takes about {estimate:.0f} s, as {end:,} of its rows tell, more than "
                              "--seconds leaves")
        return mask

    def kept(self, mask):
        return tensor_bytes(mask)

    def forward(self, mask):
        q, k, v = map(as_sequence, (self.p.q, self.p.k, self.p.v))
        return lambda: functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[None, None]), from_sequence

    def backward(self, mask):
        q, k, v, dout = map(as_sequence, (self.p.q, self.p.k, self.p.v, self.p.dout))
        run = with_gradient(lambda *qkv: functional.scaled_dot_product_attention(*qkv, attn_mask=mask[None, None]),
                            q, k, v, dout)
        return run, lambda grads: [from_sequence(x) for x in grads]

    def estimate(self, mask, backward):
        """Of the time of some rows; a GPU is fast enough without."""
        rows = 256
        if self.p.device != "cpu" or self.p.n < 8 * rows:
            return None
        q, k, v = map(as_sequence, (self.p.q, self.p.k, self.p.v))
        seconds = self.clock.once(lambda: functional.scaled_dot_product_attention(
            q[:, :, :rows], k, v, attn_mask=mask[None, None, :rows]))[1]
        return seconds * self.p.n / rows * (3 if backward else 1)


# ---- FlexAttention ----


def up_to_128(n):
    """FlexAttention's kernels are faster where the number of rows is a multiple of 128."""
    return -(-n // 128) * 128


def mask_from_positions(p, pattern):
    """A mask_mod that computes the distance, for rows in the pattern's order: in float32, in units of the cutoff.  Rows
    beyond the atoms are near to nothing."""
    x = p.lattice.wrapped(p.positions)
    x = torch.from_numpy((x - x.mean(0)) / p.cutoff)[torch.as_tensor(pattern.order(), device="cpu")]
    x = functional.pad(x, (0, 0, 0, up_to_128(p.n) - p.n), value=math.nan)
    x, y, z = (x[:, axis].to(p.device, torch.float32).contiguous() for axis in range(3))
    inverse, vectors = (p.lattice.inverse.T * p.cutoff).tolist(), (p.lattice.vectors / p.cutoff).tolist()

    def near(batch, head, row, key):
        d = [x[key] - x[row], y[key] - y[row], z[key] - z[row]]
        whole = [torch.round(sum(c * along for c, along in zip(axis, d) if c)) for axis in inverse]
        for times, vector in zip(whole, vectors):
            d = [along - times * c if c else along for along, c in zip(d, vector)]
        return d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < 1.0
    return near


def with_mask_mod(mask, mask_mod):
    """The same blocks, up to a multiple of 128 rows, with another mask_mod."""
    from torch.nn.attention.flex_attention import BlockMask
    rows = up_to_128(mask.seq_lengths[0])
    more = -(-rows // mask.BLOCK_SIZE[0]) - mask.kv_num_blocks.shape[-1]
    lists = [x if x is None else functional.pad(x, (0, more) if x.ndim == 3 else (0, more, 0, more)) for x in (
        mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks, mask.full_kv_indices)]
    return BlockMask.from_kv_blocks(*lists, BLOCK_SIZE=mask.BLOCK_SIZE, mask_mod=mask_mod, seq_lengths=(rows, rows))


class Flex(ways.Way):
    label = "FlexAttention"
    compiles = True
    _compiled = None

    def __init__(self, problem, clock):
        super().__init__(problem, clock)
        try:
            from torch.nn.attention import flex_attention as module
        except ImportError:
            raise LeftOut(f"torch {torch.__version__} has no FlexAttention") from None
        if Flex._compiled is None:
            Flex._compiled = staticmethod(torch.compile(module.flex_attention, dynamic=False))
        self.block = 64 if problem.device == "cuda" else 128

    @staticmethod
    @contextlib.contextmanager
    def settings():
        """One system: its numbers are constants.  And a single kernel: to start workers for it would take longer."""
        import torch._dynamo
        import torch._inductor.config
        with torch._dynamo.config.patch(specialize_float=True, automatic_dynamic_shapes=False, recompile_limit=10000,
                                        accumulated_recompile_limit=10000):
            with torch._inductor.config.patch(compile_threads=1):
                yield

    def pairs(self):
        import vicinal
        pattern = vicinal.pattern(self.p.structure, self.p.cutoff)
        try:
            return pattern, pattern.to_block_mask(self.block, device=self.p.device)
        except vicinal.ArgumentError as why:
            raise LeftOut(str(why)) from None

    def kept(self, prepared):
        return tensor_bytes(*self.mask.as_tuple(), *(c.cell_contents for c in self.mask.mask_mod.__closure__ or ()))

    def _choices(self, pattern, mask, tiles):
        """(in words, mask, options), of which the last is to_block_mask()'s own."""
        found = []
        if self.p.lattice.one_image(self.p.cutoff):
            near = with_mask_mod(mask, mask_from_positions(self.p, pattern))
            found += [("mask from positions", near, tile) for tile in tiles]
        return found + [("mask from to_block_mask()'s bits", mask, tiles[0])]

    def _sorted(self, pattern, rows, *tensors):
        return [functional.pad(as_sequence(pattern.sort(x)), (0, 0, 0, rows - self.p.n)) for x in tensors]

    def _back(self, pattern):
        return lambda x: pattern.unsort(from_sequence(x)[:self.p.n])

    def _best(self, choices, start, error_of, tried):
        """(run, line of `tried`, mask) of the fastest that is right, or else of a wrong one.  Once one is right, others
        are tried while there is time; on a GPU bits take several times as long, and only stand in."""
        best, wrong, failure, longest = None, None, None, 0.0
        for number, (words, mask, tile) in enumerate(choices):
            bits = number == len(choices) - 1
            if best and (self.left() < 3 * longest or (bits and self.p.device == "cuda")):
                break
            line = {"label": f"blocks of {mask.BLOCK_SIZE[0]}, {words}{TILE.format(**tile) if tile else ''}"}
            tried.append(line)
            run = start(mask, tile)
            try:
                result, line["first_seconds"] = self.clock.once(run)
            except Exception as why:
                failure = why
                line["failed"] = f"{type(why).__name__}: " + " ".join(str(why).split())[:200]
                continue
            error = error_of(result)
            del result
            line["relative_error"] = error if math.isfinite(error) else None
            if not error < self.p.bound:
                line["failed"] = "wrong"
                wrong = run, line, mask
                continue
            line["once_seconds"] = min(self.clock.once(run)[1] for _ in range(1 if line["first_seconds"] > 60 else 3))
            longest = max(longest, line["first_seconds"] + line["once_seconds"])
            if best is None or line["once_seconds"] < best[1]["once_seconds"]:
                best = run, line, mask
        if not best and not wrong:
            raise failure
        return best or wrong

    def forward(self, prepared):
        pattern, mask = prepared

        def start(mask, tile):
            q, k, v = self._sorted(pattern, mask.seq_lengths[0], self.p.q, self.p.k, self.p.v)
            return lambda: Flex._compiled(q, k, v, block_mask=mask, kernel_options=tile)
        back, tried = self._back(pattern), self.facts.setdefault("tried", [])
        choices = self._choices(pattern, mask, TILES if self.p.device == "cuda" else [None])
        run, line, self.mask = self._best(choices, start, lambda out: self.p.error(back(out)), tried)
        self.facts["compile_seconds"] = line["first_seconds"]
        self.how = (f"compiled in {line['first_seconds']:.1f} s, {line['label']}; vicinal's order and blocks for "
                    "nothing; mask: vicinal.pattern() and to_block_mask()")
        return run, back

    def backward(self, prepared):
        if self.p.device == "cpu":
            raise LeftOut("FlexAttention has no backward pass on a CPU")
        pattern = prepared[0]
        mask = pattern.to_block_mask(128, device=self.p.device)  # of 64 its backward kernels take none in torch 2.11

        def start(mask, tile):
            q, k, v, dout = self._sorted(pattern, mask.seq_lengths[0], self.p.q, self.p.k, self.p.v, self.p.dout)
            return with_gradient(lambda *qkv: Flex._compiled(*qkv, block_mask=mask, kernel_options=tile), q, k, v, dout)
        back, tried = self._back(pattern), self.facts.setdefault("backward_tried", [])
        run, line, self.mask = self._best(self._choices(pattern, mask, [TILES[1], None]), start,
                                          lambda grads: self.p.gradient_error([back(x) for x in grads]), tried)
        self.facts["backward_compile_seconds"], self.backward_how = line["first_seconds"], line["label"]
        return run, lambda grads: [back(x) for x in grads]


WAYS = {"vicinal": Vicinal, "vicinal-sorted": VicinalInOrder, "gather-scatter": GatherScatter, "flex": Flex,
        "sdpa": DenseMask}
