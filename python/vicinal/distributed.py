# SPDX-License-Identifier: Apache-2.0
"""vicinal.distributed: attention over the processes of torch.distributed, one for each GPU or some on the CPU.

    import torch, vicinal, vicinal.distributed

    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))      # "nccl" where there are GPUs
    pattern = vicinal.pattern(positions, cutoff=8.0)             # the same in every process
    domains = vicinal.distributed.Domains(pattern)
    q, k, v = (layer(domains.shard(x)) for layer in layers)      # the rows of this process
    out = vicinal.distributed.attention(q, k, v, domains)        # rows of others come while the interior is computed

docs/howto/several-gpus.md says which way of splitting is for what.
"""
import ctypes as c
import weakref

import numpy as np
import torch
import torch.distributed as dist

from . import _c, _torch
from ._attention import KERNEL_TYPES, MAX_HEAD, scale_of
from ._bias import DistanceBias
from ._pattern import SIDES, Pattern
from ._points import is_torch, whole

__all__ = ["Domains", "attention", "gather_heads"]
MAX_DOMAINS = 1024
INTERIOR, BOUNDARY = _c.CONSTANTS["VIC_INTERIOR"], _c.CONSTANTS["VIC_BOUNDARY"]


# ---- Who has what ----

def _array(address, n, kind):
    """A copy of n numbers of the C library."""
    return np.ctypeslib.as_array(c.cast(address, c.POINTER(kind)), (n,)).copy() if n else np.zeros(0, kind)


class _Rows:
    """One side of this process: `own` rows, of which `interior` come first, then `halo`.  points [own + halo]."""

    def __init__(self, handle, rank, size, side):
        r = _c.STRUCTS["vic_dist_rows"]()
        _c.call("vic_dist_get_rows", handle, rank, SIDES[side], c.addressof(r))
        self.own, self.interior, self.halo = r.own, r.interior, r.halo
        self.points = _array(r.points, r.own + r.halo, c.c_int32)
        self.receive, self.send = (_array(x, size, c.c_int64).tolist() for x in (r.receive, r.send))
        runs = _array(r.runs, 2 * int(_array(r.run_offsets, size + 1, c.c_int64)[-1]), c.c_int32).reshape(-1, 2)
        self.sent = np.concatenate([np.arange(first, first + n) for first, n in runs.tolist()] or [np.zeros(0, np.int64)])
        self._on = {}

    def sent_on(self, device):
        """The local rows that are sent, by receiver, as a tensor."""
        if device not in self._on:
            self._on[device] = torch.from_numpy(self.sent).to(device)
        return self._on[device]


class Domains:
    """A pattern cut over the processes of a group: each has consecutive rows of the pattern's order, of about the same work.

    Every process makes it of the same pattern, and nothing is sent for it.  Tensors of a process have its own rows, of the
    queries or of the keys, which are the same where the queries are the keys.

    queries, keys   [own] int64 NumPy: the points that this process has, in the order of its rows
    halo            rows of keys that each call receives of other processes; halo_backward: rows of queries in a backward pass
    imbalance       the largest work of a process / the mean
    rank, size      of this process and of the group

    pattern   what vicinal.pattern() and the like make
    group     of torch.distributed; None = all processes.  An exchange that others do not come to fails when its time-out is
              over
    rank, size   in place of a group, to ask what a process would have; such domains cannot be computed with

    Raises ArgumentError; vicinal.Error from calls in which another process has gone.
    """

    def __init__(self, pattern, group=None, *, rank=None, size=None):
        if not isinstance(pattern, Pattern):
            raise _c.ArgumentError(f"pattern: expected what vicinal.pattern() makes, got {type(pattern).__name__}")
        if (rank is None) != (size is None):
            raise _c.ArgumentError("rank, size: give both, or neither")
        self.group, self.alone = group, rank is not None
        if not self.alone:
            _initialised()
            rank, size = dist.get_rank(group), dist.get_world_size(group)
            if rank < 0:
                raise _c.ArgumentError("group: this process is not in it")
        self.size = whole(size, "size", 1, MAX_DOMAINS)
        self.rank = whole(rank, "rank", 0, self.size - 1)
        o = _c.STRUCTS["vic_dist_options"](domains=self.size)
        with pattern._lock:
            self._handle = _c.make("vic_dist_create", _c.context(), _c.library().vicpy_pattern(pattern._number),
                                   c.addressof(o))
        self._finalizer = weakref.finalize(self, _c.library().vic_dist_free, self._handle)
        self.imbalance = _c.filled("vic_dist_get", "vic_dist_info", self._handle).imbalance
        self._cutoff, self._repr = pattern.cutoff, repr(pattern)
        self._rows = {side: _Rows(self._handle, self.rank, self.size, side) for side in SIDES}
        self._everyones = {}  # by side: the points of all processes, by process
        self._parts = {}
        q, k = self._rows["query"], self._rows["key"]
        self.queries, self.keys = (x.points[:x.own].astype(np.int64) for x in (q, k))
        self.halo, self.halo_backward = k.halo, q.halo

    def __repr__(self):
        q, k = self._rows["query"], self._rows["key"]
        return (f"<vicinal.distributed.Domains, process {self.rank} of {self.size}: {q.own:,} queries, {q.interior:,} of them "
                f"interior; {k.own:,} keys and {k.halo:,} of others; imbalance {self.imbalance:.3f}; of {self._repr}>")

    def part(self, side, part):
        """The vicinal.Pattern of the interior (0) or boundary (1) of this process's "query" or "key" rows, over local rows:
        what include/vicinal_dist.h calls so."""
        if (side, part) not in self._parts:
            handle = _c.make("vic_dist_make_pattern", _c.context(), self._handle, self.rank, SIDES[side], part)
            self._parts[side, part] = Pattern(handle)
        return self._parts[side, part]

    # ---- tensors of all points ----

    def _points(self, side):
        """The points of all processes, one process after the other, and how many each has."""
        if side not in SIDES:
            raise _c.ArgumentError(f"side: expected 'query' or 'key', got {side!r}")
        if side not in self._everyones:
            rows = [_Rows(self._handle, r, self.size, side) for r in range(self.size)]
            points = np.concatenate([x.points[:x.own] for x in rows]).astype(np.int64)
            self._everyones[side] = torch.from_numpy(points), [x.own for x in rows]
        return self._everyones[side]

    def _check_all(self, x, side, dim):
        n = len(self._points(side)[0])
        if not is_torch(x) or x.ndim <= max(dim, -dim - 1) or x.shape[dim] != n:
            raise _c.ArgumentError(f"x: expected a torch tensor with the {n:,} rows of all {SIDE_WORDS[side]} along dim={dim}, "
                                   f"got {_what(x)}")

    def shard(self, x, side="query", dim=0):
        """The rows of this process out of a tensor of all points, along `dim`."""
        self._check_all(x, side, dim)
        return x.index_select(dim, torch.from_numpy(self.queries if side == "query" else self.keys).to(x.device))

    def gather(self, x, side="query", dim=0):
        """A tensor of all points, in their order, out of the rows that each process has along `dim`; every process gets it.

        Its gradient comes back as the rows of this process: for what every process computes alike from the result."""
        points, own = self._points(side)
        if not is_torch(x) or x.ndim <= max(dim, -dim - 1) or x.shape[dim] != own[self.rank]:
            raise _c.ArgumentError(f"x: expected a torch tensor with the {own[self.rank]:,} {SIDE_WORDS[side]} of this process "
                                   f"along dim={dim}, got {_what(x)}")
        self._usable()
        rows = _Gather.apply(x.movedim(dim, 0), own, self.rank, self.group)
        back = torch.empty_like(points)
        back[points] = torch.arange(len(points))
        return rows.index_select(0, back.to(x.device)).movedim(0, dim)

    def _usable(self):
        if self.alone:
            raise _c.ArgumentError("these Domains were made with rank= and size=, to be asked and not to compute with: make "
                                   "them with a group")


SIDE_WORDS = {"query": "queries", "key": "keys"}


def _what(x):
    return f"shape {tuple(x.shape)}" if is_torch(x) else type(x).__name__


def _initialised():
    if not (dist.is_available() and dist.is_initialized()):
        raise _c.ArgumentError("there is no group of processes: call torch.distributed.init_process_group() first (torchrun "
                               "starts the processes and sets what it needs)")


# ---- Rows under way ----

class _Halo:
    """The halo of some tensors of one side, given as (tensor, dimension of the rows, from the end): sent for when it is made,
    there after rows()."""

    def __init__(self, domains, side, given):
        self.domains, self.rows, self.given = domains, domains._rows[side], given
        device = given[0][0].device
        sent = [x.movedim(axis, 0).index_select(0, self.rows.sent_on(device)) for x, axis in given]
        self.shapes = [x.shape[1:] for x in sent]
        sent = [x.reshape(len(x), shape.numel()).view(torch.uint8) for x, shape in zip(sent, self.shapes)]
        self.widths = [x.shape[1] for x in sent]
        # One message to each process that needs something: the bytes of all tensors, row by row.
        self.sent = torch.cat(sent, 1)
        self.received = torch.empty(self.rows.halo, sum(self.widths), dtype=torch.uint8, device=device)
        operations = self._operations(dist.irecv, self.received, self.rows.receive)
        operations += self._operations(dist.isend, self.sent, self.rows.send)
        with _others():
            self.works = dist.batch_isend_irecv(operations) if operations and sum(self.widths) else []

    def _operations(self, kind, buffer, counts):
        group, at, found = self.domains.group, 0, []
        for peer, n in enumerate(counts):
            if n:
                found.append(dist.P2POp(kind, buffer[at:at + n], peer if group is None else dist.get_global_rank(group, peer),
                                        group))
            at += n
        return found

    def wait(self):
        """The tensors with the halo's rows behind their own; where there are none, the tensors themselves."""
        with _others():
            while self.works:
                self.works.pop().wait()
        if not self.rows.halo:
            return [x for x, _ in self.given]
        found, at = [], 0
        for (x, axis), shape, width in zip(self.given, self.shapes, self.widths):
            halo = self.received[:, at:at + width].contiguous().view(x.dtype).view(self.rows.halo, *shape)
            found.append(torch.cat([x, halo.movedim(0, axis)], axis))
            at += width
        return found


class _others:
    """What torch.distributed says when another process has gone, as an error of vicinal."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, RuntimeError) and not isinstance(error, _c.Error):
            raise _c.Error(f"rows of other processes did not come: {error}.  Either a process of the group has ended, or it did "
                           "not make the same calls in the same order within the group's time-out (timeout= of "
                           "init_process_group()).  The group cannot be used any more: end this process, and start all of "
                           "them again from what was saved") from error
        return False


class _Gather(torch.autograd.Function):
    """Rows [n of this process, ...] of all processes, one after the other."""

    @staticmethod
    def forward(ctx, x, own, rank, group):
        ctx.first, ctx.own = sum(own[:rank]), own[rank]
        padded = x.new_zeros(max(own), *x.shape[1:])  # processes have different numbers of rows
        padded[:len(x)] = x
        found = [torch.empty_like(padded) for _ in own]
        with _others():
            dist.all_gather(found, padded, group)
        return torch.cat([rows[:n] for rows, n in zip(found, own)])

    @staticmethod
    def backward(ctx, gradient):
        return gradient.narrow(0, ctx.first, ctx.own), None, None, None


# ---- Attention over domains ----

def _parts(rows):
    """Part, first row, number of rows; those that are empty are left out."""
    both = (INTERIOR, 0, rows.interior), (BOUNDARY, rows.interior, rows.own - rows.interior)
    return [x for x in both if x[2]]


class _Attend(torch.autograd.Function):
    """(out, lse) of this process's queries."""

    @staticmethod
    def forward(ctx, q, k, v, table, domains, scale, with_lse, backward):
        halo = _Halo(domains, "key", [(k, -3), (v, -3)])
        found, parts = [], _parts(domains._rows["query"])
        all_k = all_v = None
        for part, first, n in parts:
            if part == BOUNDARY:
                all_k, all_v = halo.wait()
            x = q.narrow(-3, first, n), *((k, v) if part == INTERIOR else (all_k, all_v))
            pattern = domains.part("query", part)
            if backward:
                _torch._has_kernel(*x, table, pattern, False)  # so that one plan is made, which does for both
            found.append(_torch._kernel(*x, table, pattern._number, scale, False))
        if all_k is None:
            all_k, all_v = halo.wait()
        out, lse = (torch.cat(x, axis) if len(x) > 1 else x[0] for x, axis in zip(zip(*found), (-3, -2))) if found else (
            q.new_empty(*q.shape[:-1], v.shape[-1]), q.new_empty(q.shape[:-1], dtype=torch.float32))
        ctx.save_for_backward(q, all_k, all_v, table, out, lse)
        ctx.domains, ctx.scale, ctx.with_lse = domains, scale, with_lse
        if not with_lse:
            ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dout, dlse):
        domains, scale = ctx.domains, ctx.scale
        q, all_k, all_v, table, out, lse = ctx.saved_tensors
        of_q, of_k, of_v, of_table = ctx.needs_input_grad[:4]
        queries, keys = domains._rows["query"], domains._rows["key"]
        own_k, own_v = (x.narrow(-3, 0, keys.own) for x in (all_k, all_v))
        dlse = dlse if ctx.with_lse else torch.zeros_like(lse)
        dq = torch.zeros_like(q) if of_q else None
        dk, dv = (torch.zeros_like(x) if needed else None for x, needed in ((own_k, of_k), (own_v, of_v)))
        dtable = torch.zeros_like(table) if of_table else None
        halo = None
        if of_k or of_v:  # what others' keys meet of these queries
            per_row = [(x, -3) for x in (q, dout, out)], [(x, -2) for x in ((lse, dlse) if ctx.with_lse else (lse,))]
            halo = _Halo(domains, "query", per_row[0] + per_row[1])
        for part, first, n in _parts(queries) if of_q or of_table else ():
            mine = [x.narrow(axis, first, n) for x, axis in ((q, -3), (out, -3), (lse, -2), (dout, -3), (dlse, -2))]
            k, v = (own_k, own_v) if part == INTERIOR else (all_k, all_v)
            got = _torch._gradients(mine[0], k, v, table, *mine[1:], domains.part("query", part), scale, False,
                                    of_q | of_table << 3)
            if of_q:
                dq.narrow(-3, first, n).copy_(got[0])
            if of_table:
                dtable += got[3]
        every = q, dout, out, lse, dlse
        for part, first, n in _parts(keys) if halo else ():
            if part == BOUNDARY:
                every = _with_dlse(halo.wait())
            k, v = (x.narrow(-3, first, n) for x in (own_k, own_v))
            got = _torch._gradients(every[0], k, v, table, every[2], every[3], every[1], every[4], domains.part("key", part),
                                    scale, False, of_k << 1 | of_v << 2)
            for x, gradient in ((dk, got[1]), (dv, got[2])):
                if x is not None:
                    x.narrow(-3, first, n).copy_(gradient)
        if halo:
            halo.wait()
        return dq, dk, dv, dtable, None, None, None, None


def _with_dlse(tensors):
    return tensors if len(tensors) == 5 else (*tensors, torch.zeros_like(tensors[3]))


def _check(q, k, v, domains, bias):
    """What is wrong with tensors of own rows."""
    queries, keys = domains._rows["query"], domains._rows["key"]
    for x, name in ((q, "q"), (k, "k"), (v, "v")):
        if not is_torch(x):
            raise _c.ArgumentError(f"{name}: expected a torch tensor, got {type(x).__name__}")
        rows = queries if name == "q" else keys
        if x.ndim not in (3, 4) or x.ndim != q.ndim or x.shape[-3] != rows.own:
            raise _c.ArgumentError(f"{name}: expected the {rows.own:,} rows of this process (Domains.shard), [rows, heads, d] or "
                                   f"[batch, rows, heads, d], alike in q, k and v, got shape {tuple(x.shape)}")
        if x.dtype != q.dtype or x.device != q.device or x.ndim == 4 and x.shape[0] != q.shape[0]:
            raise _c.ArgumentError(f"{name}: expected type, device and batch of q, {q.dtype}, {q.device}, shape {tuple(q.shape)}, "
                                   f"got {x.dtype}, {x.device}, shape {tuple(x.shape)}")
    if str(q.dtype)[6:] not in KERNEL_TYPES:
        raise _c.ArgumentError(f"q: expected float32, float16 or bfloat16, got {q.dtype}")
    if k.shape[-1] != q.shape[-1] or v.shape[-2] != k.shape[-2] or k.shape[-2] < 1 or q.shape[-2] % k.shape[-2]:
        raise _c.ArgumentError("k, v: expected the head size of q in k, and as many heads in both, a divisor of those of q; got "
                               f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}")
    for x, name in ((q, "q"), (v, "v")):
        if not 1 <= x.shape[-1] <= MAX_HEAD:
            raise _c.ArgumentError(f"{name}: expected head sizes of 1 to {MAX_HEAD}, got {x.shape[-1]}")
    if bias is None:
        return
    if not isinstance(bias, DistanceBias):
        raise _c.ArgumentError(f"bias: expected a vicinal.DistanceBias, got {type(bias).__name__}")
    if domains._cutoff is None or bias.table.shape[0] not in (1, q.shape[-2]):
        raise _c.ArgumentError(f"bias: expected a table of 1 head or of the {q.shape[-2]} of q, for a pattern with a cutoff; got "
                               f"shape {tuple(bias.table.shape)}, and a cutoff of {domains._cutoff}")
    if bias.cutoff is not None and abs(bias.cutoff - domains._cutoff) > 1e-6 * domains._cutoff:
        raise _c.ArgumentError(f"bias: its table was made for a cutoff of {bias.cutoff:g} A, the pattern has "
                               f"{domains._cutoff:g} A")


def _padded(x):
    more = -x.shape[-1] % 8
    return torch.nn.functional.pad(x, (0, more)) if more else x


def attention(q, k, v, domains, *, scale=None, bias=None, return_lse=False):
    """vicinal.attention() over the processes of a group, each with its own rows:

        out[i, h] = sum over pairs (i, j, S) of softmax(scale * q[i, h] . k[j, h] + b) v[j, h]

    q          [own queries, heads, d] or [batch, own queries, heads, d], a torch tensor: Domains.shard() of one of all points
    k, v       [own keys, kv_heads, d] and [own keys, kv_heads, d_v], or with batch
    domains    vicinal.distributed.Domains of the pattern
    scale, bias, return_lse   as in vicinal.attention()

    Returns out [.., own queries, heads, d_v], or (out, lse).  All processes of the group must call it alike: the same shapes
    but for rows, and gradients wanted of the same tensors.  Keys and values that others need are sent while the interior rows
    are computed.  In the backward pass what is sent are q, out, lse and their gradients, and who has a key computes all of its
    gradient: on the CPU out, lse and the gradients of q, k and v have the bits that one process computes, whatever their
    number.  The gradient of a bias's table is of the queries of this process: sum it over the group, as those of any
    parameter.  It can be differentiated once.

    Raises ArgumentError before anything is sent, and vicinal.Error when another process has gone: at once where the transport
    sees that, and after the group's time-out at the latest.
    """
    if not isinstance(domains, Domains):
        raise _c.ArgumentError(f"domains: expected vicinal.distributed.Domains(pattern), got {type(domains).__name__}")
    domains._usable()
    _check(q, k, v, domains, bias)
    scale = scale_of(scale, q.shape[-1])
    table, d_v = None, v.shape[-1]
    if bias is not None:
        table = bias.table if is_torch(bias.table) else torch.from_numpy(bias.table)
        table = table.to(q.device, torch.float32)
    recorded = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (q, k, v, table))
    out, lse = _Attend.apply(_padded(q), _padded(k), _padded(v), table, domains, scale, return_lse, recorded)
    out = out[..., :d_v] if d_v % 8 else out
    return (out, lse) if return_lse else out


# ---- Heads ----

def gather_heads(x, group=None, dim=-2):
    """A tensor with the heads of all processes along `dim`, of one that has those of this process, as many in each.

    Heads need no exchange: give each process some of the query heads with their key heads, let it call vicinal.attention(),
    and leave the results where they are, as layers with tensor parallelism want them, or put them together with this.  Its
    gradient comes back as the heads of this process: for what every process computes alike from the result."""
    _initialised()
    if not is_torch(x) or x.ndim <= max(dim, -dim - 1):
        raise _c.ArgumentError(f"x: expected a torch tensor with heads along dim={dim}, got {_what(x)}")
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    return _Gather.apply(x.movedim(dim, 0).contiguous(), [x.shape[dim]] * size, rank, group).movedim(0, dim)
