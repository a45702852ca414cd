# SPDX-License-Identifier: Apache-2.0
"""Structures and patterns of the C library for tests, by vicinal._c.

VIC_LIBRARY names libvicinal.so, beside which the others lie, VIC_TEST_DATA the folder of real structures; without them
tests skip, saying so."""
import ctypes as c
import os

import numpy as np
import pytest

from vicinal import _c
from vicinal._c import CONSTANTS, ArgumentError, Error, FileError, InputError, call, filled, pointer  # noqa: F401
from vicinal._c import STRUCTS as S, array_tensor as tensor

ALTLOC_HIGHEST, ALTLOC_ALL = CONSTANTS["VIC_ALTLOC_HIGHEST"], CONSTANTS["VIC_ALTLOC_ALL"]
PATIENCE = 3600  # seconds until a program counts as hanging; no test judges speed


def library():
    """The functions of the shared libraries; skips the test where VIC_LIBRARY does not name one."""
    if not os.path.isfile(os.environ.get("VIC_LIBRARY", "")):
        pytest.skip("VIC_LIBRARY does not name libvicinal.so")
    return _c.library()


def data(name):
    """Path of a real structure; skips the test where the folder is absent."""
    path = os.path.join(os.environ.get("VIC_TEST_DATA", "../shared/data"), name)
    if not os.path.exists(path):
        pytest.skip(f"no {path}: set VIC_TEST_DATA to the folder of real structures")
    return path


def make(function, *arguments):
    """_c.make(); skips the test where there is no library.  Every handle comes from here."""
    library()
    return _c.make(function, *arguments)


def seen(address, shape, kind):
    """An array of the library's own, copied; None where there is none."""
    if not address:
        return None
    return np.ctypeslib.as_array(c.cast(address, c.POINTER(kind)), shape).copy()


class Structure:
    """What vic_structure_get() shows, copied into arrays."""

    def __init__(self, handle):
        self.handle = handle
        v = filled("vic_structure_get", "vic_structure_info", handle)
        n = v.atoms
        self.atoms = n
        self.positions = seen(v.positions, (n, 3), c.c_double)
        self.numbers = seen(v.atomic_numbers, (n,), c.c_uint8).astype(int) if v.atomic_numbers else None
        self.b_factors = seen(v.b_factors, (n,), c.c_float)
        self.occupancies = seen(v.occupancies, (n,), c.c_float)
        self.labels = None
        if v.labels:
            labels = c.cast(v.labels, c.POINTER(S["vic_atom_label"]))[:n]
            self.labels = [(l.chain.decode(), l.sequence, l.insertion.decode(), l.residue.decode(), l.name.decode(),
                            l.altloc.decode()) for l in labels]
            self.hetero = [l.hetero for l in labels]
        self.cell = np.array(v.cell).reshape(3, 3) if v.has_cell else None
        self.periodic = list(v.periodic)
        self.format, self.title = v.format.decode(), v.title.decode()
        self.space_group = v.space_group.decode()
        self.models, self.altloc_atoms, self.file_atoms = v.models, v.altloc_atoms, v.file_atoms
        self.symmetry_operations, self.unapplied_operations = v.symmetry_operations, v.unapplied_operations
        self.notes = v.notes.decode()

    def write(self, path, values, name="value"):
        call("vic_structure_write", self.handle, str(path).encode(), name.encode(), pointer(array(values, float)))

    def __del__(self):
        library().vic_structure_free(self.handle)


def read(path, **options):
    o = S["vic_read_options"]()
    for name, value in options.items():
        setattr(o, name, tuple(value) if isinstance(value, (list, tuple)) else value)
    return Structure(make("vic_structure_read", str(path).encode(), c.byref(o)))


def from_arrays(positions, cell=None, periodic=None, numbers=None):
    positions, cell = array(positions, float), array(cell, float)
    periodic, numbers = array(periodic, bool), array(numbers, np.uint8)
    return Structure(make("vic_structure_from_arrays", len(positions), pointer(positions), pointer(cell),
                          pointer(periodic), pointer(numbers)))


def array(values, dtype):
    """Contiguous, or None."""
    return None if values is None else np.ascontiguousarray(values, dtype)


class Points:
    """vic_points, with the arrays that it borrows: of a structure, of positions, or of n points that are nowhere."""

    def __init__(self, structure=None, positions=None, n=0, cell=None, periodic=None, mask=None, ids=None, offsets=None):
        self.c = p = S["vic_points"]()
        self.kept = [structure, positions, array(cell, float), array(periodic, bool), mask, ids, array(offsets, np.int64)]
        if structure is not None:
            call("vic_structure_points", structure.handle, c.byref(p))
        else:
            p.n = n
            p.positions = tensor(positions)
            p.cell, p.periodic = pointer(self.kept[2]), pointer(self.kept[3])
        p.mask, p.ids = tensor(mask), tensor(ids)
        if offsets is not None:
            p.group_offsets, p.groups = pointer(self.kept[6]), len(offsets) - 1


def points_of(given, **more):
    """Points of a structure, positions or a number."""
    if isinstance(given, Points):
        return given
    if isinstance(given, Structure):
        return Points(structure=given, **more)
    if isinstance(given, (int, np.integer)):
        return Points(n=given, **more)
    return Points(positions=array(given, float), n=len(given), **more)


class Pattern:
    """Made by a constructor, given what stands between its context and `out`; raises _c.Error."""

    def __init__(self, function, *arguments, threads=None):
        self.handle = None
        context = threads and make("vic_context_create", c.byref(S["vic_context_options"](threads=threads)))
        try:
            self.handle = make(function, context, *arguments)
        finally:
            library().vic_context_free(context)
        self.info = filled("vic_pattern_get", "vic_pattern_info", self.handle)

    def neighbors(self, half=False):
        """i, j, S, d, D; d and D are None without positions."""
        n, far = self.info.pairs, bool(self.info.positions)
        i, j, shift = np.empty(n, np.int32), np.empty(n, np.int32), np.empty((n, 3), np.int32)
        d, vectors = (np.empty(n), np.empty((n, 3))) if far else (None, None)
        out = S["vic_neighbors"](pairs=n, half=half, i=pointer(i), j=pointer(j), S=pointer(shift), d=pointer(d),
                                 D=pointer(vectors))
        call("vic_pattern_neighbors", None, self.handle, c.byref(out))
        return [a if a is None else a[:out.pairs] for a in (i, j, shift, d, vectors)]

    def pairs(self):
        """(i, j, S1, S2, S3) of every pair, by i, j, S."""
        n = self.info.pairs
        i, j, shift = np.empty(n, np.int32), np.empty(n, np.int32), np.empty((n, 3), np.int32)
        out = S["vic_neighbors"](pairs=n, i=pointer(i), j=pointer(j), S=pointer(shift))
        call("vic_pattern_neighbors", None, self.handle, c.byref(out))
        return np.column_stack([i, j, shift]).astype(np.int64)

    def counts(self):
        counts = np.empty(self.info.n_q, np.int64)
        call("vic_pattern_counts", self.handle, pointer(counts))
        return counts

    def order(self):
        order = make("vic_pattern_order", self.handle, CONSTANTS["VIC_QUERY"])
        return seen(order, (self.info.n_q,), c.c_int32)

    def block_mask(self, query_block, key_block):
        """The sizes of vic_pattern_block_mask()."""
        mask = S["vic_block_mask"](query_block=query_block, key_block=key_block)
        call("vic_pattern_block_mask", None, self.handle, c.byref(mask))
        return mask

    def save(self, path):
        call("vic_pattern_save", self.handle, str(path).encode())

    def __del__(self):
        if self.handle:
            library().vic_pattern_free(self.handle)


def options(exclude_self=False):
    return c.byref(S["vic_pattern_options"](exclude_self=exclude_self))


def sides(queries, keys, mask, key_mask):
    """Both sides' points, and as arguments."""
    q = points_of(queries, mask=mask)
    k = None if keys is None else points_of(keys, mask=key_mask)
    return (q, k), (c.byref(q.c), None if k is None else c.byref(k.c))


def build(queries, cutoff, keys=None, mask=None, key_mask=None, exclude_self=False, threads=None):
    kept, given = sides(queries, keys, mask, key_mask)
    return Pattern("vic_pattern_cutoff", *given, cutoff, options(exclude_self), threads=threads)


def nearest(queries, k, keys=None, mask=None, key_mask=None, exclude_self=False, threads=None):
    kept, given = sides(queries, keys, mask, key_mask)
    return Pattern("vic_pattern_nearest", *given, k, options(exclude_self), threads=threads)


def structures(offsets, positions, cells=None, periodic=None, cutoff=0.0, mask=None, exclude_self=False, threads=None):
    p = Points(positions=array(positions, float), n=len(positions), cell=cells, periodic=periodic, mask=mask, offsets=offsets)
    return build(p, cutoff, exclude_self=exclude_self, threads=threads)


def windows(n, queries, keys, mask=None, threads=None):
    p = points_of(n, mask=mask)
    return Pattern("vic_pattern_windows", c.byref(p.c), queries, keys, None, threads=threads)


def from_blocks(n_q, n_k, block, row_ptr, column, mask=None, key_mask=None):
    """n_k 0: the queries are the keys."""
    row_ptr, column = array(row_ptr, np.int64), array(column, np.int32)
    given = S["vic_block_list"](block=block, row_ptr=pointer(row_ptr), column=pointer(column))
    kept, points = sides(n_q, n_k or None, mask, key_mask)
    return Pattern("vic_pattern_blocks", *points, c.byref(given), None)


def generate(text, threads=None):
    return Pattern("vic_pattern_generate", text.encode(), None, threads=threads)


def pair_list(i, j, shift=None):
    """The struct and the arrays that it borrows."""
    kept = array(i, np.int32), array(j, np.int32), array(shift, np.int32)
    return kept, S["vic_pair_list"](query=tensor(kept[0]), key=tensor(kept[1]), shift=tensor(kept[2]))


def from_pairs(queries, n_k, i, j, shift=None, mask=None, key_mask=None, threads=None):
    """Of a structure, positions or a number; n_k 0: the queries are the keys."""
    arrays, given = pair_list(i, j, shift)
    kept, points = sides(queries, n_k or None, mask, key_mask)
    return Pattern("vic_pattern_pairs", *points, c.byref(given), None, threads=threads)


def ranges(n_q, n_k, query_offsets, range_offsets, listed, causal=False, window=None):
    """`window`: how far to both sides."""
    offsets = [array(a, np.int64) for a in (query_offsets, range_offsets)]
    listed = array(listed, np.int32)
    left, right = window or (0, 0)
    given = S["vic_range_list"](groups=len(query_offsets) - 1, query_offsets=pointer(offsets[0]),
                                range_offsets=pointer(offsets[1]), ranges=pointer(listed), causal=causal,
                                window=window is not None, left=left, right=right)
    kept, points = sides(n_q, n_k or None, None, None)
    return Pattern("vic_pattern_ranges", *points, c.byref(given), None)


def unite(a, b):
    return Pattern("vic_pattern_union", a.handle, b.handle)


def difference(a, b):
    return Pattern("vic_pattern_difference", a.handle, b.handle)


def transpose(p):
    return Pattern("vic_pattern_transpose", p.handle)


def exclude(p, i, j, shift=None):
    arrays, given = pair_list(i, j, shift)
    return Pattern("vic_pattern_exclude", p.handle, c.byref(given))


def load(path):
    return Pattern("vic_pattern_load", str(path).encode())


def value_of(member):
    """A member of a struct as something that can be compared."""
    if isinstance(member, c.Structure):
        return bytes(member)
    return list(member) if isinstance(member, c.Array) else member
