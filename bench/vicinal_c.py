# SPDX-License-Identifier: Apache-2.0
"""What the comparisons in this folder take from the C library, by vicinal._c of the package: structures, patterns and
plans.  The environment variable VIC_LIBRARY names libvicinal.so, beside which the others lie; needs numpy."""
import ctypes as c
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
from vicinal._c import CPU, CUDA, DTYPES, STRUCTS as S, array_tensor, call, context, filled  # noqa: E402, F401
from vicinal._c import library, make, pointer, tensor  # noqa: E402, F401


def version():
    return library().vic_version().decode()


def build():
    return library().vic_build_info().decode()


def seen(address, shape, kind):
    """An array of the library's own, copied."""
    return np.ctypeslib.as_array(c.cast(address, c.POINTER(kind)), shape).copy()


def read_positions(path):
    handle = make("vic_structure_read", path.encode(), None)
    info = filled("vic_structure_get", "vic_structure_info", handle)
    positions = seen(info.positions, (info.atoms, 3), c.c_double)
    library().vic_structure_free(handle)
    return positions


def cutoff_pattern(positions, cutoff, box=None, offsets=None, exclude_self=False):
    """`box`: the three edges of a rectangular cell, periodic along all; None = open.  `offsets`: of molecules."""
    x = np.ascontiguousarray(positions, np.float64)
    cell = None if box is None else np.diag(np.asarray(box, np.float64))
    points = S["vic_points"](positions=array_tensor(x), cell=pointer(cell))
    if offsets is not None:
        offsets = np.ascontiguousarray(offsets, np.int64)
        points.group_offsets, points.groups = pointer(offsets), len(offsets) - 1
    options = S["vic_pattern_options"](exclude_self=exclude_self)
    return Pattern("vic_pattern_cutoff", c.addressof(points), None, cutoff, c.addressof(options))


def generated_pattern(text):
    return Pattern("vic_pattern_generate", text.encode(), None)


class Pattern:
    def __init__(self, function, *words):
        self.handle, cpu = None, context()
        start = time.perf_counter()
        self.handle = make(function, cpu, *words)
        self.seconds = time.perf_counter() - start
        self.info = filled("vic_pattern_get", "vic_pattern_info", self.handle)

    def __del__(self):
        library().vic_pattern_free(self.handle)

    def order(self):
        """Row -> atom."""
        return seen(make("vic_pattern_order", self.handle, 0), (self.info.n_q,), c.c_int32).astype(np.int64)

    def counts(self):
        counts = np.empty(self.info.n_q, np.int64)
        call("vic_pattern_counts", self.handle, pointer(counts))
        return counts

    def blocks(self):
        """Strip, cluster and pairs of each 64 x 16 block."""
        found = [np.empty(self.info.blocks, np.int32) for _ in range(3)]
        call("vic_pattern_list_blocks", self.handle, *map(pointer, found))
        return found

    def block_mask(self, mask=None):
        """Blocks of 128 x 128: how many, and in which arrays of `mask`."""
        mask = mask or S["vic_block_mask"](query_block=128, key_block=128)
        call("vic_pattern_block_mask", context(), self.handle, c.addressof(mask))
        return mask

    def blocks128(self):
        """Row pointer, column and full of each 128 x 128 block."""
        mask = self.block_mask()
        mask.width = max(mask.max_partial, mask.max_full)
        counts = [np.empty(mask.rows, np.int32) for _ in range(2)]
        indices = [np.empty((mask.rows, mask.width), np.int32) for _ in range(2)]
        mask.kv_num_blocks, mask.full_kv_num_blocks = map(pointer, counts)
        mask.kv_indices, mask.full_kv_indices = map(pointer, indices)
        self.block_mask(mask)
        row, column, full = [], [], []
        for kind in range(2):
            present = np.arange(mask.width) < counts[kind][:, None]
            row.append(np.nonzero(present)[0])
            column.append(indices[kind][present])
            full.append(np.full(present.sum(), kind, np.uint8))
        row, column, full = map(np.concatenate, (row, column, full))
        order = np.lexsort((column, row))
        return np.searchsorted(row[order], np.arange(mask.rows + 1)), column[order], full[order]

    def pairs(self):
        """Query atom and key atom of each pair."""
        i, j = (np.empty(self.info.pairs, np.int32) for _ in range(2))
        self.neighbors(i=i, j=j)
        return i, j

    def neighbors(self, **arrays):
        """Fills i, j, S, d, D: those that are given."""
        found = S["vic_neighbors"](pairs=self.info.pairs, **{name: pointer(array) for name, array in arrays.items()})
        call("vic_pattern_neighbors", context(), self.handle, c.addressof(found))


class Plan:
    """`kind` CPU or CUDA."""

    def __init__(self, pattern, heads, head_dim, dtype, kind, pattern_order, index=0):
        self.pattern, self.handle, self.context = pattern, None, context(kind, index)
        options = S["vic_plan_options"](heads=heads, head_dim=head_dim, dtype=DTYPES[dtype],
                                        pattern_order=pattern_order)
        options.device.type, options.device.index = kind, index
        start = time.perf_counter()
        self.handle = make("vic_plan_create", self.context, pattern.handle, c.addressof(options))
        self.seconds = time.perf_counter() - start
        self.info = filled("vic_plan_get", "vic_plan_info", self.handle)

    def __del__(self):
        library().vic_plan_free(self.handle)

    def workspace_size(self, batch):
        size = c.c_size_t()
        call("vic_plan_workspace", self.context, self.handle, batch, c.addressof(size))
        return size.value

    def run(self, arguments):
        """vic_attention_args.  On a GPU enqueued on arguments.stream, or the default stream."""
        call("vic_attention", self.context, self.handle, c.addressof(arguments))
