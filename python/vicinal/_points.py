# SPDX-License-Identifier: Apache-2.0
"""Positions, cells and batches as people have them, made into the points of the C library."""
import ctypes as c
import numbers
import operator
import os
import sys

import numpy as np

from . import _c

ARRAYS = "a NumPy array, a torch tensor, or anything with __dlpack__ or __array__"
POSITIONS = ("positions [atoms, 3] (a NumPy array, a torch tensor, anything with __dlpack__ or __array__), "
             "a vicinal.Structure, ASE Atoms, a biotite AtomArray, an MDAnalysis Universe or AtomGroup, or "
             "torch_geometric Data")


# ---- Numbers and arrays ----

def is_torch(x):
    """Whether x is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def whole(x, what, least=0):
    """x as an int from `least` on."""
    try:
        number = operator.index(x)
    except (TypeError, ValueError, RuntimeError):
        number = None
    if number is None or not least <= number < 1 << 63:
        raise _c.ArgumentError(f"{what}: expected a whole number from {least} on, got {_shown(x)}")
    return number


def length(x, what):
    """x as a float."""
    if not isinstance(x, (str, bytes)):
        try:
            return float(x)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise _c.ArgumentError(f"{what}: expected a number, got {_shown(x)}")


def _shown(x):
    """x in a message, short."""
    if x is None or isinstance(x, (numbers.Number, np.generic)):
        return str(x)
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:57]}..."


def host_array(x, what, expected=ARRAYS):
    """x as a NumPy array in memory of the CPU: a view where that is possible, else a copy."""
    if isinstance(x, np.ndarray):
        if np.ma.is_masked(x):
            raise _c.ArgumentError(f"{what}: {np.ma.count_masked(x):,} entries are masked, and what they hold is no "
                                   "value: leave them out, or fill them and say by mask= which points take no part")
        x = np.asarray(x)
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    try:
        array = _converted(x)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise _c.ArgumentError(f"{what}: expected {expected}, got {type(x).__name__}, which is no array in memory of "
                               f"the CPU ({error})") from error
    if array.dtype == object:
        raise _c.ArgumentError(f"{what}: expected {expected}, got {type(x).__name__}")
    return array


def _converted(x):
    if is_torch(x):
        x = x.detach().cpu()
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    if hasattr(x, "__dlpack__"):
        if x.__dlpack_device__()[0] != _c.CPU and hasattr(x, "get"):  # CuPy
            return np.asarray(x.get())
        if not hasattr(x, "__array__"):
            return np.from_dlpack(x)
    return np.asarray(x)


def integers(x, what, dtype, shape=None):
    """x as a contiguous array of an integer `dtype`, of this shape where one is given (-1: any); None of None."""
    if x is None:
        return None
    array = host_array(x, what)
    if shape is not None and (array.ndim != len(shape) or any(n not in (-1, m) for n, m in zip(shape, array.shape))):
        if shape == (-1,):
            form = "a vector"
        elif len(shape) == 1:
            form = f"a vector of {shape[0]:,} entries"
        else:
            form = "[" + ", ".join("n" if n == -1 else str(n) for n in shape) + "]"
        if array.size or len(shape) == 1 or shape[0] not in (-1, 0):
            raise _c.ArgumentError(f"{what}: expected {form}, got shape {array.shape}")
        array = np.zeros((0, *shape[1:]), dtype)  # of an empty list
    if not np.issubdtype(array.dtype, np.integer):
        if array.size == 0:
            return np.zeros(array.shape, dtype)
        raise _c.ArgumentError(f"{what}: expected integers, got {array.dtype}")
    if array.size and not np.can_cast(array.dtype, dtype):
        limits = np.iinfo(dtype)
        for value in (int(array.min()), int(array.max())):
            if not limits.min <= value <= limits.max:
                raise _c.ArgumentError(f"{what}: expected numbers that {np.dtype(dtype)} holds, got {value}")
    return np.ascontiguousarray(array, dtype)


def flags(x, what, n):
    """x as a vector of n bytes, 0 and 1; None of None."""
    if x is None:
        return None
    array = host_array(x, what)
    if array.shape != (n,):
        raise _c.ArgumentError(f"{what}: expected one True or False for each of {n:,} points, got shape {array.shape}")
    if array.dtype != bool and array.size and not (array.dtype.kind in "iu" and np.isin(array, (0, 1)).all()):
        raise _c.ArgumentError(f"{what}: expected True or False for each point, got {array.dtype}"
                               f"{' with other numbers than 0 and 1' if array.dtype.kind in 'iu' else ''}")
    return np.ascontiguousarray(array, np.uint8)


# ---- Cells and structures ----

def lattice(cell, groups=None):
    """A cell as [3, 3] float64, rows a, b, c in A; with groups [groups, 3, 3].  None where there is none.

    Taken are 3 x 3 numbers, three lengths, or lengths and angles in degrees (a, b, c, alpha, beta, gamma); of several
    structures one of these, or [groups, 3, 3], [groups, 6], or [3 groups, 3] (torch_geometric joins cells so).
    A cell of zeros is none.
    """
    if cell is None:
        return None
    array = _cell_numbers(cell)
    many = groups is not None and groups > 1
    if many and array.shape == (3 * groups, 3):
        array = array.reshape(groups, 3, 3)
    if many and array.shape in ((groups, 3, 3), (groups, 6)):
        cells = [_one_cell(one, groups) for one in array]
        if all(one is None for one in cells):
            return None
        return np.array([np.zeros((3, 3)) if one is None else one for one in cells])
    array = _one_cell(array[0] if array.shape == (1, 3, 3) else array, groups)
    return array if array is None or not many else np.repeat(array[None], groups, 0)


def _cell_numbers(cell):
    array = host_array(getattr(cell, "array", cell), "cell")
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise _c.ArgumentError(f"cell: expected numbers in A, got {array.dtype}")
    return np.asarray(array, np.float64)


def _one_cell(array, groups):
    """[3, 3] of one of the forms; None of zeros."""
    if not np.any(array[:3] if array.shape == (6,) else array):
        return None
    if array.shape == (6,):
        return _by_angles(*array)
    if array.shape == (3,):
        return np.diag(array)
    if array.shape != (3, 3):
        more = (f"; of {groups} structures one of these, or [{groups}, 3, 3], or [{groups}, 6] (empty structures at "
                "the end are said by cu_seqlens=)" if groups else
                "; cells of several structures need batch= or cu_seqlens=" if array.ndim == 3 else "")
        raise _c.ArgumentError("cell: expected 3 x 3 numbers (rows a, b, c in A), three lengths, or a, b, c, alpha, "
                               f"beta, gamma, got shape {array.shape}{more}")
    return array


def _by_angles(a, b, edge, *angles):
    cosines = np.where(np.abs(np.subtract(angles, 90.0)) < 1e-12, 0.0, np.cos(np.radians(angles)))
    sine = np.sin(np.radians(angles[2]))
    with np.errstate(all="ignore"):
        x = (cosines[0] - cosines[1] * cosines[2]) / sine
        z2 = 1.0 - cosines[1] ** 2 - x ** 2
    if not (z2 > 0.0 and all(0.0 < angle < 180.0 for angle in angles)):
        raise _c.ArgumentError("cell: no cell has the angles {:g}, {:g}, {:g} degrees".format(*angles))
    return np.array([[a, 0, 0], [b * cosines[2], b * sine, 0], [edge * cosines[1], edge * x, edge * np.sqrt(z2)]])


def axes(pbc, groups=None):
    """pbc as [3] bool, with groups [groups, 3]; None of None (then all axes are periodic where there is a cell)."""
    if pbc is None:
        return None
    array = host_array(pbc, "pbc")
    if array.dtype != bool:
        if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
            raise _c.ArgumentError(f"pbc: expected True or False for each axis, got {_shown(pbc)}")
        array = array.astype(bool)
    if array.ndim == 0:
        array = np.full(3, bool(array))
    if array.shape == (1, 3):
        array = array[0]
    many = groups is not None and groups > 1
    if many and array.shape == (3 * groups,):  # torch_geometric joins vectors
        array = array.reshape(groups, 3)
    if array.shape != (3,) and not (many and array.shape == (groups, 3)):
        raise _c.ArgumentError(f"pbc: expected True, False or three of them{f', or [{groups}, 3]' if many else ''}, "
                               f"got shape {array.shape}")
    return np.array(np.broadcast_to(array, (groups, 3))) if many else array


def offsets_of(batch, cu_seqlens, n, name="batch"):
    """[groups + 1] int64 from a vector that says of each point which structure it is in, or from cumulated lengths."""
    if batch is None and cu_seqlens is None:
        return None
    prefix = name[:-len("batch")]
    if batch is not None and cu_seqlens is not None:
        raise _c.ArgumentError(f"{name}, {prefix}cu_seqlens: expected one of them; both say which points belong "
                               "together")
    if cu_seqlens is not None:
        offsets = integers(cu_seqlens, prefix + "cu_seqlens", np.int64, (-1,))
        if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != n or np.any(np.diff(offsets) < 0):
            raise _c.ArgumentError(f"{prefix}cu_seqlens: expected numbers that rise from 0 to the {n:,} points, got "
                                   f"{np.array2string(offsets, threshold=6)}")
        return offsets
    batch = integers(batch, name, np.int64, (n,))
    wrong = np.flatnonzero(np.diff(batch) < 0)
    if len(wrong) or (n and batch[0] < 0):
        where = int(wrong[0]) + 1 if len(wrong) else 0
        raise _c.ArgumentError(f"{name}: expected structure numbers from 0 that do not fall, got {batch[where]} at "
                               f"point {where}: sort the points by structure")
    last = int(batch[-1]) if n else -1
    if last > 64 * n + 65536:
        raise _c.ArgumentError(f"{name}: {n:,} points are said to be in {last + 1:,} structures, nearly all of them "
                               "empty: expected numbers from 0 without gaps")
    return np.searchsorted(batch, np.arange(last + 2)).astype(np.int64)


# ---- Points ----

class Points:
    """A set of points: n, positions [n, 3] or None, cell, pbc, offsets, mask, ids; `.c` is the vic_points of it, which
    borrows from this object.  `like` is the torch device that the positions came from, or None.

    given     what the caller gave as positions; None: points without, of which there are n
    side      "positions", or "keys", which have no cell of their own
    groups    there are at least so many structures: more than the batch says are empty ones behind
    """

    def __init__(self, given, *, cell=None, pbc=None, batch=None, cu_seqlens=None, mask=None, ids=None,
                 side="positions", n=None, groups=0):
        self.like, self.kept = None, given
        if given is None and n is None:
            raise _c.ArgumentError(f"{side}: expected {POSITIONS}, got None")
        positions, own_cell, own_pbc, own_batch, own_groups = _taken(given, side)
        prefix = "key_" if side == "keys" else ""
        self.positions = None
        if given is not None:
            self.positions, self.like = _positions(positions, side)
            n = len(self.positions)
        self.n = whole(n, "n_keys" if prefix else "n")
        by_batch = cu_seqlens is None
        self.offsets = offsets_of(own_batch if batch is None and by_batch else batch, cu_seqlens, n, prefix + "batch")
        self.exact = not by_batch  # no structures are added behind
        if self.offsets is not None and by_batch:
            self.extend(max(1, groups, own_groups if batch is None else 0))
        self.cell = lattice(own_cell if cell is None else cell, self.groups)
        self.pbc = axes((own_pbc if cell is None else None) if pbc is None else pbc, self.groups)
        if self.cell is None and self.pbc is not None and np.any(self.pbc):
            who = "" if pbc is not None else f" by the {type(given).__name__}"
            raise _c.ArgumentError(f"pbc: an axis is periodic{who}, but there is no cell: give cell=, or pbc=False")
        self.mask, self.ids = flags(mask, prefix + "mask", n), integers(ids, prefix + "ids", np.int64, (n,))
        self.c = _c.STRUCTS["vic_points"](n=n)
        self.c.positions = _c.array_tensor(self.positions)
        self.c.mask, self.c.ids = _c.array_tensor(self.mask), _c.array_tensor(self.ids)
        if self.cell is not None and not prefix:
            self.cell = np.ascontiguousarray(self.cell)
            self.c.cell = _c.pointer(self.cell)
            if self.pbc is not None:
                self.pbc = np.ascontiguousarray(self.pbc)
                self.c.periodic = _c.pointer(self.pbc)
        self._set_offsets()

    @property
    def groups(self):
        """Number of structures; None where nothing was said of them."""
        return None if self.offsets is None else len(self.offsets) - 1

    def extend(self, groups):
        """Empty structures behind those that there are."""
        more = groups - self.groups
        if more > 0:
            self.offsets = np.concatenate([self.offsets, np.full(more, self.n)])

    def _set_offsets(self):
        """One structure is none that has to be told from others."""
        if self.offsets is not None and self.groups > 1:
            self.c.group_offsets, self.c.groups = _c.pointer(self.offsets), self.groups

    def without_positions(self):
        """For patterns that do not depend on them."""
        self.c.positions = _c.array_tensor(None)
        self.c.cell = self.c.periodic = None
        return self

    @property
    def address(self):
        return c.addressof(self.c)


def two_sets(queries, keys, cell=None, **given):
    """Points of two sets: what Points() takes of each, as dicts, and what it takes of both; keys None: one set."""
    if keys is None:
        return Points(**queries, cell=cell, **given), None
    keys = Points(**keys, side="keys")
    queries = Points(**queries, cell=cell, **given, groups=keys.groups or 0)
    first, second = queries.groups or 1, keys.groups or 1
    if first > second and keys.offsets is not None and not keys.exact:
        keys.extend(first)
        keys._set_offsets()
    elif first != second:
        lacking = "key_batch" if keys.offsets is None else "batch" if queries.offsets is None else "batch, key_batch"
        raise _c.ArgumentError(f"{lacking}: the positions are of {first:,} structure{'s' * (first > 1)} and the keys "
                               f"of {second:,}: expected as many of both, in the same sequence; say of both by batch "
                               "and key_batch (or cu_seqlens and key_cu_seqlens) which point belongs to which")
    if cell is None and keys.cell is not None:
        _check_cells(queries, keys, given.get("pbc") is not None)
    return queries, keys


def _check_cells(queries, keys, for_both):
    """Keys may come with a cell (ASE Atoms and the like), which must be that of the queries.

    for_both   the periodic axes of the queries are those of the keys, whatever these say
    """
    effective = []
    for points in (queries, keys):
        cell = np.zeros((1, 3, 3)) if points.cell is None else points.cell.reshape(-1, 3, 3)
        pbc = queries.pbc if for_both else points.pbc
        periodic = np.any(cell, axis=-1) & (True if pbc is None else pbc.reshape(-1, 3)[:len(cell)])
        effective.append(cell * periodic[..., None])
    n = min(map(len, effective))  # structures behind those are empty
    if not np.allclose(effective[0][:n], effective[1][:n], rtol=1e-6, atol=1e-6):
        raise _c.ArgumentError("keys: they come with a cell or periodic axes that differ from those of the positions, "
                               "and there is one cell for both: give cell= (and pbc=) for both")


def _positions(x, side):
    """([n, 3] float32 or float64, device of torch or None)"""
    array = host_array(x, side, POSITIONS)
    if array.ndim != 2 or array.shape[1] != 3:
        hint = ""
        if array.ndim == 3:
            hint = ": a batch of structures goes in as [atoms of all, 3] with batch= or cu_seqlens="
        raise _c.ArgumentError(f"{side}: expected [atoms, 3], got shape {array.shape}{hint}")
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise _c.ArgumentError(f"{side}: expected numbers, got {array.dtype}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    return np.ascontiguousarray(array), x.device if is_torch(x) else None


def _taken(x, side):
    """(positions, cell, pbc, batch, structures) of what a caller gives; None, and 0, where it does not say."""
    from ._structure import Structure
    if x is None:
        return None, None, None, None, 0
    if isinstance(x, (str, bytes, os.PathLike)):
        raise _c.ArgumentError(f"{side}: expected {POSITIONS}, got {_shown(x)}: a file is read by vicinal.read(path)")
    if isinstance(x, Structure):
        return x.positions, x.cell, x.pbc, None, 0
    kind = f"{type(x).__module__}.{type(x).__name__}"
    if hasattr(x, "get_positions") and hasattr(x, "get_pbc"):  # ASE Atoms
        return x.get_positions(), x.cell.array, x.get_pbc(), None, 0
    if kind.startswith("MDAnalysis.") and hasattr(x, "atoms"):  # Universe, AtomGroup, ResidueGroup
        atoms = x.atoms
        box = atoms.dimensions
        return atoms.positions, None if box is None or not np.any(box) else box, None, None, 0
    if hasattr(x, "coord") and hasattr(x, "array_length"):  # biotite AtomArray, AtomArrayStack
        if np.ndim(x.coord) == 3:
            if len(x.coord) != 1:
                raise _c.ArgumentError(f"{side}: an AtomArrayStack of {len(x.coord)} models: choose one, stack[0]")
            return x.coord[0], None if x.box is None else x.box[0], None, None, 0
        return x.coord, x.box, None, None, 0
    if hasattr(x, "pos") and is_torch(x.pos):  # torch_geometric Data, Batch
        batch = getattr(x, "batch", None)
        groups = 0 if batch is None else int(getattr(x, "num_graphs", 0))
        return x.pos, getattr(x, "cell", None), getattr(x, "pbc", None), batch, groups
    if kind.startswith("torch_geometric."):
        raise _c.ArgumentError(f"{side}: this {type(x).__name__} has no positions: expected a tensor `pos` in it")
    return x, None, None, None, 0
