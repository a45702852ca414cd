# SPDX-License-Identifier: Apache-2.0
"""libvicinal.so and libvicinal_structure.so through ctypes, as far as the comparisons in this folder need it; needs numpy."""
import ctypes as c
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import c_header  # noqa: E402

HEADER = c_header.read()
P, I64 = c.c_void_p, c.c_int64
CPU, CUDA, MAX_DIMS = (HEADER.constants["VIC_" + name] for name in ("CPU", "CUDA", "MAX_DIMS"))
DTYPES = {name: HEADER.constants["VIC_" + short] for name, short in (
    ("int32", "I32"), ("float16", "F16"), ("float32", "F32"), ("float64", "F64"), ("bfloat16", "BF16"))}
Error, Device, Tensor = (HEADER.structs["vic_" + name] for name in ("error", "device", "tensor"))
ContextOptions, Points, PatternOptions, PatternInfo, BlockMask, Neighbors, StructureInfo, PlanOptions, PlanInfo, Args = (
    HEADER.structs["vic_" + name] for name in (
        "context_options", "points", "pattern_options", "pattern_info", "block_mask", "neighbors", "structure_info",
        "plan_options", "plan_info", "attention_args"))


class VicinalError(Exception):
    """A call failed; the text is the library's."""


def pointer(array):
    return None if array is None else array.ctypes.data


def tensor(address, dtype, device, shape, stride=None):
    """A view of memory at `address`; strides in elements, without them row-major."""
    shape = list(shape)
    if stride is None:
        stride = [int(np.prod(shape[i + 1:])) for i in range(len(shape))]
    rest = [0] * (MAX_DIMS - len(shape))
    return Tensor(address, device, DTYPES[dtype], len(shape), (I64 * MAX_DIMS)(*shape, *rest),
                  (I64 * MAX_DIMS)(*stride, *rest))


def host(array):
    """A tensor over a numpy array."""
    return tensor(array.ctypes.data, array.dtype.name, Device(CPU, 0), array.shape)


class Library:
    def __init__(self, path):
        self.path, self.lib, self.structures, self.contexts = path, HEADER.load(path), None, {}
        self.version, self.build = self.lib.vic_version().decode(), self.lib.vic_build_info().decode()

    def __del__(self):
        for context in getattr(self, "contexts", {}).values():
            self.lib.vic_context_free(context)

    def check(self, function, *words):
        error = Error()
        if function(*words, c.addressof(error)) != 0:
            raise VicinalError(f"{function.__name__}: {error.text.decode()}")

    def __call__(self, name, *words):
        self.check(getattr(self.lib, name), *words)

    def make(self, name, *words):
        """The handle that a call hands out before its error."""
        handle = P()
        self(name, *words, c.addressof(handle))
        return handle

    def context(self, device=None, threads=0):
        """One for each device and number of threads (0 = all)."""
        device = device or Device(CPU, 0)
        key = device.type, device.index, threads
        if key not in self.contexts:
            options = ContextOptions(device=device, threads=threads)
            self.contexts[key] = self.make("vic_context_create", c.addressof(options))
        return self.contexts[key]

    def read_positions(self, path):
        if not self.structures:
            self.structures = HEADER.load(self.path.replace("libvicinal.", "libvicinal_structure."))
        lib, handle, info = self.structures, P(), StructureInfo()
        self.check(lib.vic_structure_read, path.encode(), None, c.addressof(handle))
        self.check(lib.vic_structure_get, handle, c.addressof(info))
        positions = np.ctypeslib.as_array(c.cast(info.positions, c.POINTER(c.c_double)), (info.atoms, 3)).copy()
        lib.vic_structure_free(handle)
        return positions

    def cutoff_pattern(self, positions, cutoff, box=None, threads=0, exclude_self=False):
        """`box`: the three edges of a rectangular cell, periodic along all; None = open."""
        x = np.ascontiguousarray(positions, np.float64)
        cell = None if box is None else np.diag(np.asarray(box, np.float64))
        points, options = Points(positions=host(x), cell=pointer(cell)), PatternOptions(exclude_self=exclude_self)
        return Pattern(self, threads, "vic_pattern_cutoff", c.addressof(points), None, cutoff, c.addressof(options))

    def molecules_pattern(self, offsets, positions, cutoff):
        offsets, x = np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(positions, np.float64)
        points = Points(positions=host(x), group_offsets=pointer(offsets), groups=len(offsets) - 1)
        return Pattern(self, 0, "vic_pattern_cutoff", c.addressof(points), None, cutoff, None)

    def generated_pattern(self, text):
        return Pattern(self, 0, "vic_pattern_generate", text.encode(), None)


class Pattern:
    def __init__(self, library, threads, function, *words):
        self.library, self.handle, self.context = library, None, library.context(threads=threads)
        start = time.perf_counter()
        self.handle = library.make(function, self.context, *words)
        self.seconds = time.perf_counter() - start
        self.info = PatternInfo()
        library("vic_pattern_get", self.handle, c.addressof(self.info))

    def __del__(self):
        if self.handle:
            self.library.lib.vic_pattern_free(self.handle)

    def order(self):
        """Row -> atom."""
        borrowed = c.POINTER(c.c_int32)()
        self.library("vic_pattern_order", self.handle, 0, c.addressof(borrowed))
        return np.ctypeslib.as_array(borrowed, (self.info.n_q,)).astype(np.int64)

    def counts(self):
        counts = np.empty(self.info.n_q, np.int64)
        self.library("vic_pattern_counts", self.handle, pointer(counts))
        return counts

    def blocks(self):
        """Strip, cluster and pairs of each 64 x 16 block."""
        found = [np.empty(self.info.blocks, np.int32) for _ in range(3)]
        self.library("vic_pattern_list_blocks", self.handle, *map(pointer, found))
        return found

    def block_mask(self, mask=None):
        """Blocks of 128 x 128: how many, and in which arrays of `mask`."""
        mask = mask or BlockMask(query_block=128, key_block=128)
        self.library("vic_pattern_block_mask", self.context, self.handle, c.addressof(mask))
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
        found = Neighbors(pairs=self.info.pairs, **{name: pointer(array) for name, array in arrays.items()})
        self.library("vic_pattern_neighbors", self.context, self.handle, c.addressof(found))


class Plan:
    """`kind` CPU or CUDA."""

    def __init__(self, pattern, heads, head_dim, dtype, kind, pattern_order, index=0, threads=0):
        self.library, self.pattern, self.handle = pattern.library, pattern, None
        self.device = Device(kind, index)
        self.context = self.library.context(self.device, threads)
        options = PlanOptions(heads=heads, head_dim=head_dim, dtype=DTYPES[dtype], device=self.device,
                              pattern_order=pattern_order)
        start = time.perf_counter()
        self.handle = self.library.make("vic_plan_create", self.context, pattern.handle, c.addressof(options))
        self.seconds = time.perf_counter() - start
        self.info = PlanInfo()
        self.library("vic_plan_get", self.handle, c.addressof(self.info))

    def __del__(self):
        if self.handle:
            self.library.lib.vic_plan_free(self.handle)

    def workspace_size(self, batch):
        size = c.c_size_t()
        self.library("vic_plan_workspace", self.context, self.handle, batch, c.addressof(size))
        return size.value

    def arguments(self, q, k, v, out, workspace=None, workspace_size=0):
        return Args(q=q, k=k, v=v, out=out, workspace=workspace, workspace_size=workspace_size)

    def run(self, arguments):
        """On a GPU enqueued on arguments.stream, or the default stream."""
        self.library("vic_attention", self.context, self.handle, c.addressof(arguments))
