# SPDX-License-Identifier: Apache-2.0
"""Patterns: which pairs there are."""
import ctypes as c
import numbers
import os
import sys
import threading
import weakref

import numpy as np

from . import _c
from ._points import I32, Points, file_name, host_array, integers, is_torch, length, two_sets, whole

SIDES = {"query": _c.CONSTANTS["VIC_QUERY"], "key": _c.CONSTANTS["VIC_KEY"]}
by_number = weakref.WeakValueDictionary()  # for operators, which know a pattern by its number
_late = []  # numbers of patterns that went while a CUDA graph was captured, which nothing may be freed in


def _drop(number):
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
        _late.append(number)
        return
    while _late:
        _c.library().vicpy_drop(_late.pop())
    _c.library().vicpy_drop(number)


def _unlock_in_child():
    """A lock that another thread held at fork() would stay locked."""
    for pattern in list(by_number.values()):
        pattern._lock = threading.RLock()


os.register_at_fork(after_in_child=_unlock_in_child)


class Pattern:
    """Which pairs (query i, key j, lattice shift S) there are; made by vicinal.pattern() and the like.

    It is made once for a set of positions and used for any number of calls of vicinal.attention(), on any device; plans
    for them are kept with it.  Answers come as NumPy arrays, or as torch tensors where the positions were one, on their
    device.  A pattern is freed when nothing refers to it.  It can be pickled and copied.  Any number of threads may use
    one.

    n_queries, n_keys, n_pairs   numbers of queries, keys and pairs (i, j, S)
    max_pairs      largest number of pairs of one query
    kind           "cutoff", "nearest", "windows", "blocks", "pairs", "ranges", "union", ...
    cutoff         A; None where pairs were not chosen by distance alone
    n_structures   number of structures that no pair joins
    symmetric      known to be its own transpose
    one_set        the queries are the keys
    nbytes         memory held by the pattern, without plans
    """

    def __init__(self, handle, like=None):
        number = _c.library().vicpy_keep(handle)
        if not number:
            raise _c.OutOfMemory("no memory for a pattern")
        self._number, self._like = number, like
        self._lock = threading.RLock()
        self._pairs = {}  # of the reference, by device
        self._has_backward = {}  # whether a kernel computes gradients, by what the tensors are like
        self._updates = 0  # number of update_(), by which a backward pass knows that pairs are others now
        self._ask()
        self._finalizer = weakref.finalize(self, _drop, number)
        by_number[number] = self

    def _ask(self):
        """Sets what the pattern is like: plain attributes, which torch.compile can read."""
        self._info = info = _c.filled("vic_pattern_get", "vic_pattern_info", _c.library().vicpy_pattern(self._number))
        self.n_queries, self.n_keys, self.n_pairs, self.max_pairs = info.n_q, info.n_k, info.pairs, info.max_pairs
        self.kind, self.cutoff, self.n_structures = info.kind.decode(), info.cutoff or None, info.groups
        self.symmetric, self.one_set, self.nbytes = info.symmetric, info.one_set, info.bytes

    def _call(self, name, *arguments, context=True):
        """A function of the pattern."""
        with self._lock:
            first = (_c.context(),) if context else ()
            return _c.call(name, *first, _c.library().vicpy_pattern(self._number), *arguments)

    def _as_given(self, array):
        """A NumPy array as the caller's positions were."""
        if self._like is None:
            return array
        import torch
        return torch.from_numpy(array).to(self._like)

    # ---- what it is ----

    @property
    def fill(self):
        """Part of the 64 x 16 blocks' pairs that are pairs of the pattern."""
        return self.n_pairs / max(1, 1024 * self._info.blocks)

    @property
    def cell(self):
        """[3, 3] float64, zeros along open axes; None where no axis is periodic, and of several structures."""
        cell = np.array(self._info.cell).reshape(3, 3)
        return cell if np.any(cell) else None

    @property
    def pbc(self):
        """[3] bool; False of several structures, which have cells of their own."""
        return np.array(self._info.periodic, bool)

    @property
    def positions(self):
        """[n_queries, 3] float64, A: those that it was made from; None where it was made without."""
        return self._positions("query")

    def _positions(self, side):
        if not self._info.positions:
            return None
        n = self.n_queries if side == "query" else self.n_keys
        with self._lock:
            address = c.c_void_p()
            self._call("vic_pattern_positions", SIDES[side], c.addressof(address), context=False)
            return np.ctypeslib.as_array(c.cast(address, c.POINTER(c.c_double)), (n, 3)).copy() if n else \
                np.zeros((0, 3))

    def __repr__(self):
        i = self._info
        points = f"{i.n_q:,} points" if i.one_set else f"{i.n_q:,} queries, {i.n_k:,} keys"
        what = f"cutoff {i.cutoff:g} A" if i.cutoff else self.kind
        axes = "".join(axis for axis, on in zip("xyz", i.periodic) if on)
        words = [points]
        if i.groups > 1:
            words.append(f"{i.groups:,} structures")
        words.append(f"{i.pairs:,} pairs ({i.pairs / max(1, i.n_q):.1f} a query, at most {i.max_pairs:,})")
        if i.positions and i.groups == 1:
            words.append(f"periodic along {axes}" if axes else "not periodic")
        words.append(f"{i.bytes / 1e6:.3g} MB")
        return f"<vicinal.Pattern, {what}: {', '.join(words)}>"

    # ---- pairs ----

    def neighbors(self, quantities="ijS", *, half=False):
        """Pairs as ASE's neighbor_list gives them: one array for each letter, a tuple where there are several.

        i, j   [pairs] int64: query and key; i rises, under it j, then S
        S      [pairs, 3] int64 shift: the key is at positions[j] + S @ cell
        d      [pairs] float64 distance, A
        D      [pairs, 3] float64 positions[j] + S @ cell - positions[i], A
        half   of (i, j, S) and (j, i, -S) only the first; for symmetric patterns

        Raises ArgumentError, also for d and D of a pattern that was made without positions.
        """
        answer = tuple(self._as_given(array) for array in self._list(quantities, half))
        return answer if len(answer) > 1 else answer[0]

    def _list(self, quantities, half=False):
        """What neighbors() answers, as a list of NumPy arrays."""
        wrong = set(quantities) - set("ijSdD")
        if wrong or not quantities:
            raise _c.ArgumentError(f"quantities: expected letters of 'ijSdD', got {quantities!r}")
        with self._lock:
            n = self.n_pairs
            if half:
                count = _c.STRUCTS["vic_neighbors"](half=True)
                self._call("vic_pattern_neighbors", c.addressof(count))
                n = count.pairs
            arrays = {letter: np.empty((n, 3) if letter in "SD" else n, np.int32 if letter in "ijS" else np.float64)
                      for letter in quantities}
            listed = _c.STRUCTS["vic_neighbors"](
                pairs=n, half=half, **{letter: array.ctypes.data for letter, array in arrays.items()})
            self._call("vic_pattern_neighbors", c.addressof(listed))
        return [arrays[letter].astype(np.int64) if letter in "ijS" else arrays[letter] for letter in quantities]

    def edge_index(self, *, flow="source_to_target"):
        """[2, pairs] int64 as torch_geometric has it: row 0 the keys (sources), row 1 the queries (targets)."""
        if flow not in ("source_to_target", "target_to_source"):
            raise _c.ArgumentError(f"flow: expected 'source_to_target' or 'target_to_source', got {flow!r}")
        i, j = self._list("ij")
        return self._as_given(np.stack([j, i] if flow == "source_to_target" else [i, j]))

    def counts(self):
        """[n_queries] int64: number of pairs of each query."""
        counts = np.empty(self.n_queries, np.int64)
        self._call("vic_pattern_counts", counts.ctypes.data, context=False)
        return self._as_given(counts)

    def to_dense(self):
        """[n_queries, n_keys] bool: whether there is a pair, under any shift.  Quadratic."""
        mask = np.empty((self.n_queries, self.n_keys), np.uint8)
        self._call("vic_pattern_dense", mask.ctypes.data, context=False)
        return self._as_given(mask != 0)

    def to_block_mask(self, block_size=128, device=None):
        """The pattern as a BlockMask of FlexAttention, with its mask_mod, for tensors in the pattern's order.

        block_size   rows of a block, a multiple of 16, or (query rows, key rows)
        device       of the mask; None = that of the positions, or the CPU

        In the pattern's order rows that attend to each other stand together; sort() brings q, k and v into it and
        unsort() the result back; FlexAttention has heads before rows:

            flex = torch.compile(flex_attention, dynamic=False)  # on CPUs dynamic shapes do not compile (torch 2.15)
            q, k, v = pattern.sort(q), pattern.sort(k, "key"), pattern.sort(v, "key")  # [n, heads, d]
            out = flex(*(x.transpose(0, 1)[None] for x in (q, k, v)), block_mask=mask)[0].transpose(0, 1)
            out = pattern.unsort(out)

        The mask holds a bit for each pair of rows in a block that has some of its pairs, and 4 bytes for each place of
        the grid of blocks.  It is exact for every pattern; for a plain cutoff a mask_mod of your own that measures
        distances, with these blocks, is faster on a GPU (vicinal compare does so).  A pair under several shifts has
        several weights, which no mask can say: such a pattern is refused (ArgumentError).
        """
        from ._flex import block_mask
        return block_mask(self, block_size, device)

    # ---- order ----

    def order(self, side="query"):
        """[n] int64: the point that stands in each row of the pattern's order."""
        return self._as_given(self._order(side))

    def _order(self, side):
        if side not in SIDES:
            raise _c.ArgumentError(f"side: expected 'query' or 'key', got {side!r}")
        n = self.n_queries if side == "query" else self.n_keys
        with self._lock:
            address = c.c_void_p()
            self._call("vic_pattern_order", SIDES[side], c.addressof(address), context=False)
            rows = np.ctypeslib.as_array(c.cast(address, c.POINTER(c.c_int32)), (n,)) if n else np.zeros(0, np.int32)
            return rows.astype(np.int64)

    def sort(self, x, side="query", dim=None):
        """x with its points in the pattern's order.  Their dimension is `dim`, or the one before heads and head size:
        0 of [n, ...] with up to three dimensions, 1 of [batch, n, heads, d]."""
        return self._moved(x, self._order(side), dim)

    def unsort(self, x, side="query", dim=None):
        """What sort() did, undone."""
        order = self._order(side)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self._moved(x, back, dim)

    def _moved(self, x, rows, dim):
        x = x if is_torch(x) else host_array(x, "x")
        if dim is None:
            dim = 1 if x.ndim == 4 else 0
        if not -x.ndim <= dim < x.ndim or x.shape[dim] != len(rows):
            raise _c.ArgumentError(f"expected {len(rows):,} points along dimension {dim}, got shape {tuple(x.shape)}")
        if is_torch(x):
            import torch
            return x.index_select(dim, torch.from_numpy(rows).to(x.device))
        return np.take(x, rows, dim)

    # ---- other patterns from it ----

    def _of_two(self, name, other):
        if not isinstance(other, Pattern):
            return NotImplemented
        one, two = sorted((self, other), key=lambda p: p._number)  # of two threads neither waits for the other
        with one._lock, two._lock:
            first, second = (_c.library().vicpy_pattern(p._number) for p in (self, other))
            return Pattern(_c.make(name, _c.context(), first, second), self._like)

    def __or__(self, other):
        """A new pattern of the pairs of either; both of the same points and cell."""
        return self._of_two("vic_pattern_union", other)

    def __sub__(self, other):
        """A new pattern of the pairs that the other does not have; both of the same points and cell."""
        return self._of_two("vic_pattern_difference", other)

    def exclude(self, i, j, S=None):
        """A new pattern without the pairs (i, j, S): vectors of integers; S [pairs, 3], None = any shift.  To take out
        both directions, list both."""
        listed = PairList(i, j, S)
        with self._lock:
            return Pattern(_c.make("vic_pattern_exclude", _c.context(), _c.library().vicpy_pattern(self._number),
                                   c.addressof(listed.c)), self._like)

    def transpose(self):
        """A new pattern in which queries and keys have changed places: (j, i, -S) for each (i, j, S)."""
        with self._lock:
            return Pattern(_c.make("vic_pattern_transpose", _c.context(), _c.library().vicpy_pattern(self._number)),
                           self._like)

    def update_(self, positions, *, keys=None, cell=None):
        """Take new positions (A) and, where it changed, a new cell; in place, and returns the pattern.

        positions, keys   as in vicinal.pattern(); the cell of ASE Atoms and the like is taken with them, and their
                          periodic axes must be those of the pattern.  Of several structures positions alone: cells stay
        cell              None: that of the positions, or else the pattern's

        For patterns of a cutoff or of the nearest.  Mask, structures, periodic axes and ids stay.  Answers, plans and
        the pattern's order are of the new positions from then on.  A backward pass of attention before the update is an
        error in torch.
        """
        queries, others = two_sets({"given": positions}, None if keys is None else {"given": keys}, cell)
        self._check_moved(queries, others, cell)
        open_axes = not any(self._info.periodic) and (queries.pbc is None or not np.any(queries.pbc))
        if cell is None and open_axes:
            queries.c.cell = queries.c.periodic = None
        with self._lock:
            _c.call("vicpy_update", self._number, queries.address, None if others is None else others.address)
            self._updates += 1
            self._pairs.clear()
            self._has_backward.clear()
            self._ask()
        return self

    def _check_moved(self, queries, others, cell):
        if self.one_set != (others is None):
            raise _c.ArgumentError("keys: " + ("the pattern's queries are its keys: leave it out" if self.one_set else
                                               "the pattern has keys of their own: give where they are, too"))
        for points, n, side in ((queries, self.n_queries, "positions"), (others, self.n_keys, "keys")):
            if points is None:
                continue
            if points.n != n:
                raise _c.ArgumentError(f"{side}: the pattern has {n:,} points, got {points.n:,}: make a new pattern")
            if points.offsets is not None:
                raise _c.ArgumentError(f"{side}: an update keeps the structures of the pattern: give the positions "
                                       "alone (data.pos)")
        if queries.cell is not None and self.n_structures > 1:
            raise _c.ArgumentError("cell: the cells of several structures stay what they are: " + (
                "give the positions alone" if cell is None else "make a new pattern"))

    # ---- plans ----

    def prepare(self, heads, head_dim, *, dtype="float32", device="cpu", kv_heads=None, head_dim_v=None, sorted=False,
                backward=False):
        """Make the plan that attention on such tensors needs, which its first call makes otherwise.

        heads, head_dim       of q
        dtype                 "float32", "float16" or "bfloat16", or torch's
        device                "cpu", "cuda", "cuda:1", or torch's
        kv_heads, head_dim_v  of k and v; None = those of q
        sorted                as in vicinal.attention()
        backward              also what its gradients need, which takes the place of the plan without

        Returns what the plan is like, as a dict: kernel (its name), computed_pairs (executed for each head), bytes, and with
        `backward` backward_kernel.  Raises ArgumentError or DeviceError, that also where the device has no kernel of gradients.
        """
        kind, _, index = str(device).partition(":")
        if kind not in ("cpu", "cuda") or not (index or "0").isdecimal():
            raise _c.ArgumentError(f"device: expected 'cpu', 'cuda' or 'cuda:1', got {device!r}")
        heads, head_dim, kv_heads, head_dim_v = (whole(x, name, 1, I32) for x, name in (
            (heads, "heads"), (head_dim, "head_dim"), (heads if kv_heads is None else kv_heads, "kv_heads"),
            (head_dim if head_dim_v is None else head_dim_v, "head_dim_v")))
        name = str(dtype).rpartition(".")[2]
        if name not in _c.DTYPES:
            raise _c.ArgumentError(f"dtype: expected 'float32', 'float16' or 'bfloat16', got {dtype!r}")
        # attention() pads heads to multiples of 8
        info = self._plan(heads, -(-head_dim // 8) * 8, name, kind, whole(int(index or 0), "device", 0, I32), kv_heads,
                          -(-head_dim_v // 8) * 8, bool(sorted), False, bool(backward))
        found = {"kernel": info.kernel.decode(), "computed_pairs": info.computed_pairs, "bytes": info.bytes}
        return {**found, "backward_kernel": info.backward_kernel.decode()} if backward else found

    def _plan(self, heads, head_dim, dtype, device, index, kv_heads, head_dim_v, in_order, biased, backward,
              pair_bias=0):
        """The vic_plan_info of a plan, made if it is not there yet."""
        o = _c.STRUCTS["vic_plan_options"](heads=heads, kv_heads=kv_heads, head_dim=head_dim, head_dim_v=head_dim_v,
                                           bias=int(biased), pattern_order=in_order, backward=backward,
                                           pair_bias=pair_bias)
        o.dtype = o.out_dtype = _c.DTYPES[dtype]
        o.device.type, o.device.index = _c.CUDA if device == "cuda" else _c.CPU, index
        info = _c.STRUCTS["vic_plan_info"]()
        _c.call("vicpy_plan_get", self._number, c.addressof(o), c.addressof(info))
        return info

    # ---- files, copies, pictures ----

    def save(self, path):
        """Write a .vnp file, which vicinal.load() and the command read.  Raises FileError."""
        self._call("vic_pattern_save", file_name(path), context=False)

    def __reduce__(self):
        with self._lock:
            memory = os.memfd_create("pattern.vnp")
            try:
                self._call("vic_pattern_save_to", memory, b"pattern.vnp", context=False)
                size = os.lseek(memory, 0, os.SEEK_END)
                content = bytearray(size)
                at = 0
                while at < size:
                    at += os.preadv(memory, [memoryview(content)[at:]], at)
            finally:
                os.close(memory)
        return _from_bytes, (bytes(content), None if self._like is None else str(self._like))

    def __copy__(self):
        make, arguments = self.__reduce__()
        return make(*arguments)

    def __deepcopy__(self, memo):
        return self.__copy__()

    def plot(self, ax=None, **options):
        """Draw the blocks that hold pairs, rows and columns in the pattern's order; returns the matplotlib Axes.

        ax         where to draw; None makes a figure of its own
        pixels     at most so many along an edge, blocks are put together for it; None: those of the axes
        colorbar   whether a scale of the shares stands beside it

        Needs matplotlib: pip install vicinal[plot].
        """
        from ._plot import plot
        return plot(self, ax, **options)


def _from_bytes(content, like):
    memory = os.memfd_create("pattern.vnp")
    try:
        at = 0
        while at < len(content):
            at += os.pwrite(memory, content[at:at + (1 << 30)], at)
        pattern = load(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)
    if like is not None:
        import torch
        device = torch.device(like)
        pattern._like = device if device.type != "cuda" or torch.cuda.is_available() else torch.device("cpu")
    return pattern


class PairList:
    """Vectors i, j and, with shifts, S [pairs, 3], as the vic_pair_list `.c`."""

    def __init__(self, i, j, S=None):
        self.i, self.j = integers(i, "i", np.int64, (-1,)), integers(j, "j", np.int64, (-1,))
        if len(self.i) != len(self.j):
            raise _c.ArgumentError(f"i, j: expected as many of each, got {len(self.i):,} and {len(self.j):,}")
        self.S = integers(S, "S", np.int64, (len(self.i), 3))
        self.c = _c.STRUCTS["vic_pair_list"](query=_c.array_tensor(self.i), key=_c.array_tensor(self.j),
                                             shift=_c.array_tensor(self.S))


def _made(function, queries, keys, *arguments, options=None):
    """A pattern by one of the constructors."""
    others = () if function == "vic_pattern_windows" else (None if keys is None else keys.address,)
    handle = _c.make(function, _c.context(), queries.address, *others, *arguments,
                     None if options is None else c.addressof(options))
    return Pattern(handle, queries.like)


def _points(positions, keys, cell, pbc, batch, cu_seqlens, mask, ids, key_batch, key_cu_seqlens, key_mask, key_ids):
    queries = {"given": positions, "batch": batch, "cu_seqlens": cu_seqlens, "mask": mask, "ids": ids}
    others = {"given": keys, "batch": key_batch, "cu_seqlens": key_cu_seqlens, "mask": key_mask, "ids": key_ids}
    if keys is None:
        for name, given in others.items():
            if given is not None:
                raise _c.ArgumentError(f"key_{name}: there are no keys of their own; give keys=, or leave it out")
    return two_sets(queries, None if keys is None else others, cell, pbc=pbc)


def _options(exclude_self, max_bytes):
    return _c.STRUCTS["vic_pattern_options"](exclude_self=bool(exclude_self),
                                             max_bytes=0 if max_bytes is None else whole(max_bytes, "max_bytes", 1))


def pattern(positions, cutoff, *, cell=None, pbc=None, batch=None, cu_seqlens=None, mask=None, ids=None,
            exclude_self=False, keys=None, key_batch=None, key_cu_seqlens=None, key_mask=None, key_ids=None,
            max_bytes=None):
    """All pairs closer than `cutoff` (A): j with |positions[j] + S @ cell - positions[i]| < cutoff, under every shift S.

    positions     [atoms, 3] in A: a NumPy array, a torch tensor of any device, anything with __dlpack__ or __array__;
                  or a vicinal.Structure, ASE Atoms, a biotite AtomArray, an MDAnalysis Universe or AtomGroup, or
                  torch_geometric Data, whose cell, periodicity and batch are taken too
    cell          [3, 3] rows a, b, c (A), three lengths, or a, b, c, alpha, beta, gamma; of a batch one, or one each
    pbc           True, False or three of them; None: all axes where there is a cell
    batch         [atoms] structure of each atom, rising from 0 (torch_geometric's); no pair joins two structures
    cu_seqlens    [structures + 1] in place of batch: the first atom of each, and the number of all
    mask          [atoms] bool: False is in no pair
    ids           [atoms] integers: the same number is the same atom, for exclude_self and ties
    exclude_self  without the pairs of an atom with itself; with its own image under a shift it still is one
    keys          a second set, to which the queries `positions` attend; in the same cell
    key_...       of the keys, what batch, cu_seqlens, mask and ids are of the queries
    max_bytes     OutOfMemory before a pattern is built that would take more

    Decided in float64 on the positions as given: the rule is in docs/concepts.md.  Returns a Pattern.  Raises
    ArgumentError, InputError (positions or a cell that cannot be used) or OutOfMemory.
    """
    queries, others = _points(positions, keys, cell, pbc, batch, cu_seqlens, mask, ids, key_batch, key_cu_seqlens,
                              key_mask, key_ids)
    return _made("vic_pattern_cutoff", queries, others, length(cutoff, "cutoff"),
                 options=_options(exclude_self, max_bytes))


def nearest(positions, count, *, cell=None, pbc=None, batch=None, cu_seqlens=None, mask=None, ids=None,
            exclude_self=False, keys=None, key_batch=None, key_cu_seqlens=None, key_mask=None, key_ids=None,
            max_bytes=None):
    """The `count` nearest keys of each query, itself among them unless excluded; ties go to the smaller key (or id).

    count  number of keys, of which there may be fewer
    mask   False is in no pair, so that the nearest are of those that take part

    The rest, what it returns and what it raises are as in vicinal.pattern().
    """
    queries, others = _points(positions, keys, cell, pbc, batch, cu_seqlens, mask, ids, key_batch, key_cu_seqlens,
                              key_mask, key_ids)
    return _made("vic_pattern_nearest", queries, others, whole(count, "count", 1),
                 options=_options(exclude_self, max_bytes))


def windows(n, query_window=32, key_window=128, *, batch=None, cu_seqlens=None, mask=None):
    """AlphaFold 3's sequence-local windows: points i .. i + query_window - 1, i = 0, query_window, ..., attend to the
    `key_window` points around their middle.  Windows are of each structure alone.

    n                          number of points, or positions as vicinal.pattern() takes them
    query_window, key_window   both even or both odd
    batch, cu_seqlens, mask    as in vicinal.pattern()

    Returns a Pattern without positions.  Raises ArgumentError or OutOfMemory.
    """
    query_window, key_window = whole(query_window, "query_window", 1), whole(key_window, "key_window", 1)
    if (query_window - key_window) % 2:
        raise _c.ArgumentError("query_window, key_window: expected both even or both odd, so that the keys can be "
                               f"centred, got {query_window} and {key_window}")
    given = {"given": None, "n": n} if isinstance(n, (numbers.Number, np.generic)) else {"given": n}
    points = Points(**given, batch=batch, cu_seqlens=cu_seqlens, mask=mask).without_positions()
    if not points.c.groups:
        return _made("vic_pattern_windows", points, None, query_window, key_window)
    points.c.groups, points.c.group_offsets = 0, None
    first = [np.arange(start, end, query_window) for start, end in zip(points.offsets, points.offsets[1:])]
    bounds = np.repeat(np.stack([points.offsets[:-1], points.offsets[1:]]), [len(starts) for starts in first], axis=1)
    first = np.concatenate(first).astype(np.int64)
    keys = first + (query_window - key_window) // 2
    keys = np.clip(np.stack([keys, keys + key_window]), *bounds).T
    return _ranges(points, None, np.append(first, points.n), np.arange(len(first) + 1), keys)


def blocks(layout, block_size=128, *, n=None, n_keys=None):
    """A block mask: block (I, J) is all pairs of queries I block_size .. and keys J block_size ...

    layout      [rows, columns] bool or numbers (dense), or a SciPy sparse matrix
    block_size  points of a block, a multiple of 16
    n           number of queries; None = all of the layout's rows of blocks
    n_keys      number of keys; None: the queries are the keys where the layout is square, else all of its columns

    Returns a Pattern without positions.  Raises ArgumentError or OutOfMemory.
    """
    block_size = whole(block_size, "block_size", 1)
    if block_size % 16:
        raise _c.ArgumentError(f"block_size: expected a multiple of 16, got {block_size}")
    if hasattr(layout, "tocsr"):
        matrix = layout.tocsr(copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix.sort_indices()
        shape, row_ptr, column = matrix.shape, matrix.indptr, matrix.indices
    else:
        dense = host_array(layout, "layout")
        if dense.ndim != 2:
            raise _c.ArgumentError(f"layout: expected [rows, columns], got shape {dense.shape}")
        rows, column = np.nonzero(dense)
        shape, row_ptr = dense.shape, np.searchsorted(rows, np.arange(dense.shape[0] + 1))
    row_ptr, column = np.ascontiguousarray(row_ptr, np.int64), np.ascontiguousarray(column, np.int32)
    one_set = n_keys is None and shape[0] == shape[1]
    sizes = [block_size * blocks if given is None else whole(given, name) for given, blocks, name in
             zip((n, n if one_set else n_keys), shape, ("n", "n_keys"))]
    for size, count, name in zip(sizes, shape, ("n", "n_keys")):
        if -(-size // block_size) != count:
            raise _c.ArgumentError(f"{name}: {size:,} points are {-(-size // block_size):,} blocks of {block_size}, "
                                   f"and the layout has {count:,}")
    listed = _c.STRUCTS["vic_block_list"](block=block_size, row_ptr=row_ptr.ctypes.data, column=column.ctypes.data)
    keys = None if one_set else Points(None, n=sizes[1], side="keys")
    return _made("vic_pattern_blocks", Points(None, n=sizes[0]), keys, c.addressof(listed))


def pairs(i, j, S=None, *, n=None, n_keys=None, positions=None, keys=None, cell=None, pbc=None):
    """The pairs listed: vectors i, j of integers, and S [pairs, 3] of shifts; each once.

    n, n_keys        numbers of queries and keys; n_keys None: the queries are the keys
    positions, keys  in place of numbers, for d and D of neighbors()
    cell, pbc        of the positions, as in vicinal.pattern(); S counts its vectors

    Returns a Pattern.  Raises ArgumentError, InputError (a pair that is listed twice, or of no point) or OutOfMemory.
    """
    if (n is None) == (positions is None):
        raise _c.ArgumentError("n, positions: expected one of them, which says how many points there are")
    listed = PairList(i, j, S)
    others = None if n_keys is None and keys is None else {"given": keys, "n": n_keys}
    queries, others = two_sets({"given": positions, "n": n}, others, cell, pbc=pbc)
    made = _made("vic_pattern_pairs", queries, others, c.addressof(listed.c))
    if made._like is None and is_torch(i):
        made._like = i.device
    return made


def ranges(query_offsets, range_offsets, ranges, *, n_keys=None, causal=False, window=None):
    """Groups of consecutive queries, each with ranges of keys: packed sequences, documents, pages of a cache.

    query_offsets  [groups + 1]: group g is queries query_offsets[g] .. query_offsets[g + 1] - 1
    range_offsets  [groups + 1]: its ranges
    ranges         [ranges, 2]: keys first .. end - 1; no key twice in a group
    n_keys         None: the queries are the keys
    causal         only keys up to the query's own place; of n queries and m keys of a group query r has place m - n + r
    window         (left, right): keys at most so many places before and behind; None or -1 = all

    Returns a Pattern without positions.  Raises ArgumentError, InputError or OutOfMemory.
    """
    q, r = (integers(x, name, np.int64, (-1,)) for x, name in
            ((query_offsets, "query_offsets"), (range_offsets, "range_offsets")))
    keys = integers(ranges, "ranges", np.int32, (-1, 2))
    if len(q) < 1 or len(q) != len(r):
        raise _c.ArgumentError(f"query_offsets, range_offsets: expected groups + 1 of each, got {len(q)} and {len(r)}")
    if r[0] != 0 or r[-1] != len(keys):
        raise _c.ArgumentError(f"range_offsets: expected numbers from 0 to the {len(keys):,} ranges, got {r[0]} .. {r[-1]}")
    others = None if n_keys is None else Points(None, n=n_keys, side="keys")
    return _ranges(Points(None, n=int(q[-1])), others, q, r, keys, causal, _window(window))


def pages(query_offsets, lengths, table, page, *, n_keys, causal=False, window=None, queries_per_place=1):
    """Groups of consecutive queries whose keys lie in pages of a paged cache, as servers of language models keep them.
    Takes time for the pages and the queries, however large the cache is.

    query_offsets      [groups + 1]: group g is queries query_offsets[g] .. query_offsets[g + 1] - 1
    lengths            [groups]: how many keys each has: the first ones of its pages
    table              [groups, pages]: their numbers; page p is keys p page .. (p + 1) page - 1.  What no query of a group sees
                       is not read
    page               keys of a page, a multiple of 16
    n_keys             keys of the whole cache
    causal, window     as in vicinal.ranges(): of n queries and m keys of a group query r has place m - n + r
    queries_per_place  so many consecutive queries stand at one place, as heads that are packed as queries do

    Returns a Pattern without positions, of kind "ranges".  Raises ArgumentError, InputError or OutOfMemory.
    """
    q = integers(query_offsets, "query_offsets", np.int64, (-1,))
    if len(q) < 1:
        raise _c.ArgumentError("query_offsets: expected groups + 1 of them, got none")
    lengths = integers(lengths, "lengths", np.int64, (len(q) - 1,))
    table = integers(table, "table", np.int32, (-1, -1))
    if table.shape[0] != len(lengths) and table.size:
        raise _c.ArgumentError(f"table: expected a row for each of the {len(lengths):,} groups, got shape {table.shape}")
    window = _window(window)
    left, right = (0, 0) if window is None else window
    listed = _c.STRUCTS["vic_page_list"](
        groups=len(lengths), page=whole(page, "page", 1), query_offsets=q.ctypes.data, lengths=lengths.ctypes.data,
        table=table.ctypes.data, table_stride=table.shape[1] if table.size else 0, causal=bool(causal),
        window=window is not None, left=left, right=right,
        queries_per_place=whole(queries_per_place, "queries_per_place", 1))
    return _made("vic_pattern_pages", Points(None, n=int(q[-1])), Points(None, n=n_keys, side="keys"), c.addressof(listed))


def _window(window):
    if window is None:
        return None
    try:
        left, right = window
    except (TypeError, ValueError):
        raise _c.ArgumentError(f"window: expected (left, right), got {window!r}") from None
    return [-1 if side is None else whole(side, "window", -1) for side in (left, right)]


def _ranges(queries, others, query_offsets, range_offsets, ranges, causal=False, window=None):
    q, r, keys = (np.ascontiguousarray(x, dtype) for x, dtype in
                  ((query_offsets, np.int64), (range_offsets, np.int64), (ranges, np.int32)))
    left, right = (0, 0) if window is None else window
    listed = _c.STRUCTS["vic_range_list"](
        groups=len(q) - 1, query_offsets=q.ctypes.data, range_offsets=r.ctypes.data, ranges=keys.ctypes.data,
        causal=bool(causal), window=window is not None, left=left, right=right)
    return _made("vic_pattern_ranges", queries, others, c.addressof(listed))


def load(path):
    """Read a Pattern from the .vnp file at `path`, checked throughout.  Raises FileError or InputError."""
    return Pattern(_c.make("vic_pattern_load", _c.context(), file_name(path)))
