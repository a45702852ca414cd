# SPDX-License-Identifier: Apache-2.0
"""libvicinal.so through ctypes, as far as the comparisons in this folder need it; needs numpy."""
import ctypes as c
import time

import numpy as np

CPU, CUDA = 0, 1
DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2, "float64": 3}


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("text", c.c_char * 1024)]


class Device(c.Structure):
    _fields_ = [("kind", c.c_int), ("index", c.c_int)]


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("dtype", c.c_int), ("device", Device), ("ndim", c.c_int),
                ("shape", c.c_int64 * 4), ("stride", c.c_int64 * 4)]


class PatternOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("cutoff", c.c_double), ("exclude_self", c.c_bool), ("threads", c.c_int),
                ("skip", c.c_void_p), ("skip_keys", c.c_void_p)]


class PatternInfo(c.Structure):
    _fields_ = [(name, c.c_int64) for name in (
        "n_q", "n_k", "pairs", "max_pairs", "boundary_pairs", "strips", "clusters", "blocks", "full_blocks",
        "block128_count", "block128_full", "block128_grid")]
    _fields_ += [("bytes", c.c_size_t), ("cutoff", c.c_double), ("seconds_order", c.c_double),
                 ("seconds_build", c.c_double), ("kind", c.c_char_p), ("structures", c.c_int64),
                 ("cell", c.c_double * 9), ("periodic", c.c_bool * 3)]


class StructureHead(c.Structure):  # the first members of vic_structure_view; the rest is room
    _fields_ = [("atoms", c.c_int64), ("positions", c.POINTER(c.c_double)), ("rest", c.c_byte * 512)]


class EngineOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("threads", c.c_int)]


class PlanOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("heads", c.c_int), ("kv_heads", c.c_int), ("head_dim", c.c_int),
                ("head_dim_v", c.c_int), ("dtype", c.c_int), ("device", Device), ("pattern_order", c.c_bool),
                ("kernel", c.c_char_p), ("radial", c.c_bool)]


class PlanInfo(c.Structure):
    _fields_ = [("kernel", c.c_char_p), ("device", Device), ("computed_pairs", c.c_int64), ("bytes", c.c_size_t)]


class Radial(c.Structure):
    _fields_ = [("table", c.c_void_p), ("points", c.c_int), ("head_stride", c.c_int64)]


class Args(c.Structure):
    _fields_ = [("size", c.c_size_t), ("q", Tensor), ("k", Tensor), ("v", Tensor), ("out", Tensor), ("lse", Tensor),
                ("scale", c.c_double), ("workspace", c.c_void_p), ("workspace_size", c.c_size_t), ("radial", Radial)]


P, I64 = c.c_void_p, c.c_int64
SIGNATURES = {  # name: (result, arguments); those that give a status end in the error
    "vic_structure_read": (c.c_int, [c.c_char_p, P, P, P]),
    "vic_structure_get": (StructureHead, [P]),
    "vic_structure_free": (None, [P]),
    "vic_pattern_build_points": (c.c_int, [I64, P, I64, P, P, P, P, P, P]),
    "vic_pattern_structures": (c.c_int, [I64, P, P, P, P, P, P, P]),
    "vic_pattern_generate": (c.c_int, [c.c_char_p, P, P, P]),
    "vic_pattern_get": (PatternInfo, [P]),
    "vic_pattern_query_order": (c.POINTER(c.c_int32), [P]),
    "vic_pattern_counts": (None, [P, P]),
    "vic_pattern_blocks": (c.c_int, [P, P, P, P, P]),
    "vic_pattern_blocks128": (c.c_int, [P, P, P, P, P]),
    "vic_pattern_pairs": (c.c_int, [P, I64, P, P, P, P]),
    "vic_pattern_free": (None, [P]),
    "vic_engine_create": (c.c_int, [P, P, P]),
    "vic_engine_free": (None, [P]),
    "vic_plan_create": (c.c_int, [P, P, P, P]),
    "vic_plan_get": (PlanInfo, [P]),
    "vic_plan_workspace_size": (c.c_size_t, [P, c.c_int, I64]),
    "vic_plan_free": (None, [P]),
    "vic_attention": (c.c_int, [P, P, P, P]),
    "vic_attention_enqueue": (c.c_int, [P, P, P, P]),
    "vic_build_info": (c.c_char_p, []),
    "vic_version": (c.c_char_p, []),
}


class VicinalError(Exception):
    """A call failed; the text is the library's."""


def pointer(array):
    return None if array is None else array.ctypes.data


def tensor(address, dtype, device, shape, stride=None):
    """A view of memory at `address`; strides in elements, without them row-major."""
    shape = list(shape)
    if stride is None:
        stride = [int(np.prod(shape[i + 1:])) for i in range(len(shape))]
    rest = [0] * (4 - len(shape))
    return Tensor(address, DTYPES[dtype], device, len(shape), (I64 * 4)(*shape, *rest), (I64 * 4)(*stride, *rest))


class Library:
    def __init__(self, path):
        self.lib = c.CDLL(path)
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments
        self.version, self.build = self.lib.vic_version().decode(), self.lib.vic_build_info().decode()

    def __call__(self, name, *words):
        error = Error()
        if getattr(self.lib, name)(*words, c.addressof(error)) != 0:
            raise VicinalError(f"{name}: {error.text.decode()}")

    def make(self, name, *words):
        """The handle that a call hands out before its error."""
        handle = P()
        self(name, *words, c.addressof(handle))
        return handle

    def read_positions(self, path):
        handle = self.make("vic_structure_read", path.encode(), None)
        head = self.lib.vic_structure_get(handle)
        positions = np.ctypeslib.as_array(head.positions, (head.atoms, 3)).copy()
        self.lib.vic_structure_free(handle)
        return positions

    def cutoff_pattern(self, positions, cutoff, box=None, threads=0):
        """`box`: the three edges of a rectangular cell, periodic along all; None = open."""
        x = np.ascontiguousarray(positions, np.float64)
        cell = None if box is None else np.diag(np.asarray(box, np.float64))
        return Pattern(self, "vic_pattern_build_points", PatternOptions(cutoff=cutoff, threads=threads), len(x),
                       pointer(x), 0, None, pointer(cell), None)

    def molecules_pattern(self, offsets, positions, cutoff):
        offsets, x = np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(positions, np.float64)
        return Pattern(self, "vic_pattern_structures", PatternOptions(cutoff=cutoff), len(offsets) - 1,
                       pointer(offsets), pointer(x), None, None)

    def generated_pattern(self, text):
        return Pattern(self, "vic_pattern_generate", PatternOptions(), text.encode())


class Pattern:
    def __init__(self, library, function, options, *words):
        options.size = c.sizeof(options)
        start = time.perf_counter()
        self.library, self.handle = library, None
        self.handle = library.make(function, *words, c.addressof(options))
        self.seconds = time.perf_counter() - start
        self.info = library.lib.vic_pattern_get(self.handle)

    def __del__(self):
        if self.handle:
            self.library.lib.vic_pattern_free(self.handle)

    def order(self):
        """Row -> atom."""
        borrowed = self.library.lib.vic_pattern_query_order(self.handle)
        return np.ctypeslib.as_array(borrowed, (self.info.n_q,)).astype(np.int64)

    def counts(self):
        counts = np.empty(self.info.n_q, np.int64)
        self.library.lib.vic_pattern_counts(self.handle, pointer(counts))
        return counts

    def blocks(self):
        """Strip, cluster and pairs of each 64 x 16 block."""
        found = [np.empty(self.info.blocks, np.int32) for _ in range(3)]
        self.library("vic_pattern_blocks", self.handle, *map(pointer, found))
        return found

    def blocks128(self):
        """Row pointer, column and full of each 128 x 128 block."""
        count, rows = self.info.block128_count, -(-self.info.n_q // 128)
        found = np.empty(rows + 1, np.int64), np.empty(count, np.int32), np.empty(count, np.uint8)
        self.library("vic_pattern_blocks128", self.handle, *map(pointer, found))
        return found

    def pairs(self):
        """Query atom and key atom of each pair."""
        i, j = (np.empty(self.info.pairs, np.int32) for _ in range(2))
        self.library("vic_pattern_pairs", self.handle, self.info.pairs, pointer(i), pointer(j), None)
        return i, j


class Plan:
    """`kind` CPU or CUDA; a CPU plan runs on an engine of its own."""

    def __init__(self, pattern, heads, head_dim, dtype, kind, pattern_order, index=0, threads=0):
        self.library, self.pattern, self.handle, self.engine = pattern.library, pattern, None, None
        self.device = Device(kind, index)
        options = PlanOptions(size=c.sizeof(PlanOptions), heads=heads, head_dim=head_dim, dtype=DTYPES[dtype],
                              device=self.device, pattern_order=pattern_order)
        if kind == CPU:
            engine = EngineOptions(c.sizeof(EngineOptions), threads)
            self.engine = self.library.make("vic_engine_create", c.addressof(engine))
        start = time.perf_counter()
        self.handle = self.library.make("vic_plan_create", pattern.handle, c.addressof(options))
        self.seconds = time.perf_counter() - start
        self.info = self.library.lib.vic_plan_get(self.handle)

    def __del__(self):
        if self.handle:
            self.library.lib.vic_plan_free(self.handle)
        if self.engine:
            self.library.lib.vic_engine_free(self.engine)

    def workspace_size(self, batch):
        return self.library.lib.vic_plan_workspace_size(self.handle, 1, batch)

    def arguments(self, q, k, v, out, workspace=None, workspace_size=0):
        return Args(size=c.sizeof(Args), q=q, k=k, v=v, out=out, workspace=workspace, workspace_size=workspace_size)

    def run(self, arguments):
        self.library("vic_attention", self.engine, self.handle, c.addressof(arguments))

    def enqueue(self, arguments, stream):
        self.library("vic_attention_enqueue", self.handle, c.addressof(arguments), stream)
