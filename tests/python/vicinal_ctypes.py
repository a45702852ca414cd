# SPDX-License-Identifier: Apache-2.0
"""The C API as Python sees it through ctypes: structures and patterns of include/vicinal.h, for tests.

VIC_LIBRARY names libvicinal.so, VIC_TEST_DATA the folder of real structures; without them tests skip, saying so."""
import ctypes as c
import os

import numpy as np
import pytest

OK, BAD_ARGUMENT, BAD_INPUT, CANNOT_READ, CANNOT_WRITE = 0, 10, 20, 21, 22
ALTLOC_HIGHEST, ALTLOC_ALL = 0, 1
PBC_AUTO, PBC_SET = 0, 1
PATIENCE = 3600  # seconds until a program counts as hanging; no test judges speed


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("text", c.c_char * 1024)]


class ReadOptions(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("model", c.c_int), ("altloc", c.c_int), ("drop_hydrogen", c.c_bool),
        ("drop_water", c.c_bool), ("symmetry", c.c_bool), ("supercell", c.c_int * 3), ("has_cell", c.c_bool),
        ("cell", c.c_double * 6), ("pbc", c.c_int), ("periodic", c.c_bool * 3), ("max_atoms", c.c_int64),
        ("duplicates", c.c_int),
    ]


class AtomLabel(c.Structure):
    _fields_ = [
        ("name", c.c_char * 8), ("residue", c.c_char * 8), ("chain", c.c_char * 8), ("insertion", c.c_char),
        ("altloc", c.c_char), ("hetero", c.c_bool), ("sequence", c.c_int32),
    ]


class StructureView(c.Structure):
    _fields_ = [
        ("atoms", c.c_int64), ("positions", c.POINTER(c.c_double)), ("atomic_numbers", c.POINTER(c.c_uint8)),
        ("labels", c.POINTER(AtomLabel)), ("b_factors", c.POINTER(c.c_float)), ("occupancies", c.POINTER(c.c_float)),
        ("has_cell", c.c_bool), ("cell", c.c_double * 9), ("periodic", c.c_bool * 3), ("format", c.c_char_p),
        ("title", c.c_char_p), ("space_group", c.c_char_p), ("models", c.c_int64), ("altloc_atoms", c.c_int64),
        ("file_atoms", c.c_int64), ("symmetry_operations", c.c_int64),
        ("unapplied_operations", c.c_int64), ("notes", c.c_char_p),
    ]


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


_SIGNATURES = {  # name: (result, arguments)
    "vic_structure_read": (c.c_int, [c.c_char_p, c.POINTER(ReadOptions), c.POINTER(c.c_void_p), c.POINTER(Error)]),
    "vic_structure_from_arrays": (c.c_int, [c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p,
                                            c.POINTER(c.c_void_p), c.POINTER(Error)]),
    "vic_structure_get": (StructureView, [c.c_void_p]),
    "vic_structure_write": (c.c_int, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_void_p, c.POINTER(Error)]),
    "vic_structure_free": (None, [c.c_void_p]),
    "vic_pattern_build": (c.c_int, [c.c_void_p, c.POINTER(PatternOptions), c.POINTER(c.c_void_p), c.POINTER(Error)]),
    "vic_pattern_build_points": (c.c_int, [c.c_int64, c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p,
                                           c.POINTER(PatternOptions), c.POINTER(c.c_void_p), c.POINTER(Error)]),
    "vic_pattern_get": (PatternInfo, [c.c_void_p]),
    "vic_pattern_query_order": (c.POINTER(c.c_int32), [c.c_void_p]),
    "vic_pattern_key_order": (c.POINTER(c.c_int32), [c.c_void_p]),
    "vic_pattern_counts": (None, [c.c_void_p, c.c_void_p]),
    "vic_pattern_pairs": (c.c_int, [c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p, c.POINTER(Error)]),
    "vic_pattern_dense": (c.c_int, [c.c_void_p, c.c_void_p, c.POINTER(Error)]),
    "vic_pattern_free": (None, [c.c_void_p]),
    "vic_pattern_from_blocks": (c.c_int, [c.c_int64] * 3 + [c.c_void_p] * 5),
    "vic_pattern_generate": (c.c_int, [c.c_char_p] + [c.c_void_p] * 3),
    "vic_pattern_from_pairs": (c.c_int, [c.c_void_p] + [c.c_int64] * 3 + [c.c_void_p] * 6),
    "vic_pattern_nearest": (c.c_int, [c.c_void_p, c.c_int64] + [c.c_void_p] * 3),
    "vic_pattern_windows": (c.c_int, [c.c_int64] * 3 + [c.c_void_p] * 3),
    "vic_pattern_structures": (c.c_int, [c.c_int64] + [c.c_void_p] * 7),
    "vic_pattern_unite": (c.c_int, [c.c_void_p] * 4),
    "vic_pattern_exclude": (c.c_int, [c.c_void_p, c.c_int64] + [c.c_void_p] * 5),
    "vic_pattern_save": (c.c_int, [c.c_void_p, c.c_char_p, c.c_void_p]),
    "vic_pattern_load": (c.c_int, [c.c_char_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_positions": (c.c_void_p, [c.c_void_p, c.c_int]),
}
_library = None


def library():
    """The shared library with its signatures; skips the test where VIC_LIBRARY does not name one."""
    global _library
    path = os.environ.get("VIC_LIBRARY", "")
    if not os.path.exists(path):
        pytest.skip("VIC_LIBRARY does not name libvicinal.so")
    if _library is None:
        _library = c.CDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            if hasattr(_library, name):
                function = getattr(_library, name)
                function.restype, function.argtypes = result, arguments
    return _library


def data(name):
    """Path of a real structure; skips the test where the folder is absent."""
    path = os.path.join(os.environ.get("VIC_TEST_DATA", "../shared/data"), name)
    if not os.path.exists(path):
        pytest.skip(f"no {path}: set VIC_TEST_DATA to the folder of real structures")
    return path


class VicinalError(Exception):
    def __init__(self, error):
        self.status, self.text = error.status, error.text.decode()
        super().__init__(self.text)


class Structure:
    """What vic_structure_get() shows, copied into arrays."""

    def __init__(self, handle):
        lib = library()
        self.handle = handle
        v = lib.vic_structure_get(handle)
        n = v.atoms
        array = lambda pointer, shape, dtype: (  # noqa: E731
            np.ctypeslib.as_array(pointer, shape).astype(dtype) if pointer else None)
        self.atoms = n
        self.positions = array(v.positions, (n, 3), float)
        self.numbers = array(v.atomic_numbers, (n,), int)
        self.b_factors = array(v.b_factors, (n,), float)
        self.occupancies = array(v.occupancies, (n,), float)
        self.labels = None
        if v.labels:
            self.labels = [(l.chain.decode(), l.sequence, l.insertion.decode(), l.residue.decode(), l.name.decode(),
                            l.altloc.decode()) for l in v.labels[:n]]
            self.hetero = [l.hetero for l in v.labels[:n]]
        self.cell = np.array(v.cell).reshape(3, 3) if v.has_cell else None
        self.periodic = list(v.periodic)
        self.format, self.title = v.format.decode(), v.title.decode()
        self.space_group = v.space_group.decode()
        self.models, self.altloc_atoms, self.file_atoms = v.models, v.altloc_atoms, v.file_atoms
        self.symmetry_operations, self.unapplied_operations = v.symmetry_operations, v.unapplied_operations
        self.notes = v.notes.decode()

    def write(self, path, values, name="value"):
        values = np.ascontiguousarray(values, float)
        error = Error()
        if library().vic_structure_write(self.handle, str(path).encode(), name.encode(), values.ctypes.data, error):
            raise VicinalError(error)

    def __del__(self):
        library().vic_structure_free(self.handle)


def read(path, **options):
    o = ReadOptions(size=c.sizeof(ReadOptions), supercell=(1, 1, 1))
    for name, value in options.items():
        setattr(o, name, tuple(value) if isinstance(value, (list, tuple)) else value)
    handle, error = c.c_void_p(), Error()
    if library().vic_structure_read(str(path).encode(), o, handle, error):
        raise VicinalError(error)
    return Structure(handle)


def from_arrays(positions, cell=None, periodic=None, numbers=None):
    positions = np.ascontiguousarray(positions, float)
    cell = None if cell is None else np.ascontiguousarray(cell, float)
    periodic = None if periodic is None else np.ascontiguousarray(periodic, bool)
    numbers = None if numbers is None else np.ascontiguousarray(numbers, np.uint8)
    pointer = lambda a: None if a is None else a.ctypes.data  # noqa: E731
    handle, error = c.c_void_p(), Error()
    if library().vic_structure_from_arrays(len(positions), pointer(positions), pointer(cell), pointer(periodic),
                                           pointer(numbers), handle, error):
        raise VicinalError(error)
    return Structure(handle)


def array(values, dtype):
    """Contiguous, or None."""
    return None if values is None else np.ascontiguousarray(values, dtype)


def pointer(a):
    return None if a is None else a.ctypes.data


class Pattern:
    """A pattern made by one of the ways of vicinal.h; raises VicinalError."""

    def __init__(self, function, *arguments):
        self.handle, error = c.c_void_p(), Error()
        if getattr(library(), function)(*arguments, c.byref(self.handle), c.byref(error)):
            raise VicinalError(error)
        self.info = library().vic_pattern_get(self.handle)

    def pairs(self):
        """(i, j, n1, n2, n3) of every pair, by i, j, n."""
        n = self.info.pairs
        i, j, image = np.empty(n, np.int32), np.empty(n, np.int32), np.empty((n, 3), np.int32)
        error = Error()
        if library().vic_pattern_pairs(self.handle, n, pointer(i), pointer(j), pointer(image), error):
            raise VicinalError(error)
        return np.column_stack([i, j, image]).astype(np.int64)

    def counts(self):
        counts = np.empty(self.info.n_q, np.int64)
        library().vic_pattern_counts(self.handle, pointer(counts))
        return counts

    def order(self):
        return np.ctypeslib.as_array(library().vic_pattern_query_order(self.handle), (self.info.n_q,)).copy()

    def save(self, path):
        error = Error()
        if library().vic_pattern_save(self.handle, str(path).encode(), c.byref(error)):
            raise VicinalError(error)

    def __del__(self):
        if self.handle:
            library().vic_pattern_free(self.handle)


def options(cutoff=0.0, exclude_self=False, skip=None, skip_keys=None, threads=0):
    """The struct; keep the arrays alive while it is used."""
    return c.byref(PatternOptions(c.sizeof(PatternOptions), cutoff, exclude_self, threads, pointer(skip),
                                  pointer(skip_keys)))


def build(structure, cutoff, **more):
    return Pattern("vic_pattern_build", structure.handle, options(cutoff, **more))


def from_blocks(n_q, n_k, block, row_ptr, column, **more):
    row_ptr, column = array(row_ptr, np.int64), array(column, np.int32)
    return Pattern("vic_pattern_from_blocks", n_q, n_k, block, pointer(row_ptr), pointer(column), options(**more))


def generate(text, **more):
    return Pattern("vic_pattern_generate", text.encode(), options(**more))


def from_pairs(structure, n_q, n_k, i, j, image=None, **more):
    i, j, image = array(i, np.int32), array(j, np.int32), array(image, np.int32)
    return Pattern("vic_pattern_from_pairs", structure.handle if structure else None, n_q, n_k, len(i), pointer(i),
                   pointer(j), pointer(image), options(**more))


def nearest(structure, k, **more):
    return Pattern("vic_pattern_nearest", structure.handle, k, options(**more))


def windows(atoms, queries, keys, **more):
    return Pattern("vic_pattern_windows", atoms, queries, keys, options(**more))


def structures(offsets, positions, cells=None, periodic=None, **more):
    offsets, positions = array(offsets, np.int64), array(positions, float)
    cells, periodic = array(cells, float), array(periodic, bool)
    return Pattern("vic_pattern_structures", len(offsets) - 1, pointer(offsets), pointer(positions), pointer(cells),
                   pointer(periodic), options(**more))


def unite(a, b):
    return Pattern("vic_pattern_unite", a.handle, b.handle)


def exclude(p, i, j, image=None):
    i, j, image = array(i, np.int32), array(j, np.int32), array(image, np.int32)
    return Pattern("vic_pattern_exclude", p.handle, len(i), pointer(i), pointer(j), pointer(image))


def load(path):
    return Pattern("vic_pattern_load", str(path).encode())
