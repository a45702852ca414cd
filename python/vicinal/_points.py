# SPDX-License-Identifier: Apache-2.0
"""Positions, cells and batches as people have them, made into the points of the C library."""
import ctypes as c
import sys

import numpy as np

from . import _c

ARRAYS = ("a NumPy array, a torch tensor, anything with __dlpack__ or __array__, a vicinal.Structure, ASE Atoms, "
          "a biotite AtomArray, an MDAnalysis Universe or AtomGroup, or torch_geometric Data")


def is_torch(x):
    """Whether x is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def host_array(x, what):
    """x as a NumPy array in memory of the CPU: a view where that is possible, else a copy."""
    if isinstance(x, np.ndarray):
        return x
    if is_torch(x):
        return x.detach().cpu().numpy()
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        try:
            if x.__dlpack_device__()[0] == _c.CPU:
                return np.from_dlpack(x)
            if hasattr(x, "get"):  # CuPy
                return x.get()
        except (BufferError, RuntimeError, TypeError) as error:
            raise _c.ArgumentError(f"{what}: its memory cannot be had through DLPack ({error}): copy it to the CPU, "
                                   "into a NumPy array") from error
    try:
        array = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise _c.ArgumentError(f"{what}: expected {ARRAYS}, got {type(x).__name__} ({error})") from error
    if array.dtype == object:
        raise _c.ArgumentError(f"{what}: expected {ARRAYS}, got {type(x).__name__}")
    return array


def vector(x, what, dtype, length=None):
    """x as a contiguous vector of `dtype`; None of None."""
    if x is None:
        return None
    array = host_array(x, what)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise _c.ArgumentError(f"{what}: expected a vector{'' if length is None else f' of {length:,} entries'}, got "
                               f"shape {array.shape}")
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(array.dtype, np.integer):
        if array.size == 0:
            return np.zeros(0, dtype)
        raise _c.ArgumentError(f"{what}: expected integers, got {array.dtype}")
    return np.ascontiguousarray(array, dtype)


def lattice(cell, groups=None):
    """A cell as [3, 3] float64, rows a, b, c in A; with groups [groups, 3, 3].  None where there is none.

    Taken are 3 x 3 numbers, three lengths, or lengths and angles in degrees (a, b, c, alpha, beta, gamma), also one of
    these for each group.  A cell of zeros is none.
    """
    if cell is None:
        return None
    array = np.asarray(host_array(getattr(cell, "array", cell), "cell"), np.float64)
    if groups is not None and array.ndim >= 2 and len(array) == groups and array.shape != (3, 3):
        cells = np.array([lattice(one) if np.any(one) else np.zeros((3, 3)) for one in array])
        return cells.reshape(groups, 3, 3)
    if groups is not None and array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.shape == (1, 3, 3):  # of torch_geometric, one structure
        array = array[0]
    if array.shape == (6,):
        lengths, angles = array[:3], np.radians(array[3:])
        if not np.any(lengths):
            return None
        cosines = np.where(np.abs(array[3:] - 90.0) < 1e-12, 0.0, np.cos(angles))
        sine = np.sin(angles[2])
        x = (cosines[0] - cosines[1] * cosines[2]) / sine
        z2 = 1.0 - cosines[1] ** 2 - x ** 2
        if not z2 > 0.0:
            raise _c.ArgumentError(f"cell: no cell has the angles {array[3]:g}, {array[4]:g}, {array[5]:g} degrees")
        a, b, edge = lengths
        array = np.array([[a, 0, 0], [b * cosines[2], b * sine, 0], [edge * cosines[1], edge * x, edge * np.sqrt(z2)]])
    elif array.shape == (3,):
        array = np.diag(array)
    elif array.shape == (9,):
        array = array.reshape(3, 3)
    if array.shape != (3, 3):
        raise _c.ArgumentError("cell: expected 3 x 3 numbers (rows a, b, c in A), three lengths, or a, b, c, alpha, "
                               f"beta, gamma{'' if groups is None else f', or one of these for each of {groups} structures'}"
                               f", got shape {array.shape}")
    if not np.any(array):
        return None
    return array if groups is None else np.broadcast_to(array, (groups, 3, 3))


def axes(pbc, groups=None):
    """pbc as [3] bool, with groups [groups, 3]; None of None (then all axes are periodic where there is a cell)."""
    if pbc is None:
        return None
    array = host_array(pbc, "pbc")
    if array.dtype != bool:
        if not np.isin(array, (0, 1)).all():
            raise _c.ArgumentError(f"pbc: expected True or False for each axis, got {pbc!r}")
        array = array.astype(bool)
    if array.ndim == 0:
        array = np.full(3, bool(array))
    if array.shape == (1, 3):
        array = array[0]
    if groups is not None and array.shape == (3 * groups,) and groups > 1:  # torch_geometric joins vectors
        array = array.reshape(groups, 3)
    if array.shape != (3,) and (groups is None or array.shape != (groups, 3)):
        raise _c.ArgumentError(f"pbc: expected True, False or three of them, got shape {array.shape}")
    return array if groups is None else np.broadcast_to(array, (groups, 3))


def offsets_of(batch, cu_seqlens, n, name="batch"):
    """[groups + 1] int64 from a vector that says of each point which structure it is in, or from cumulated lengths."""
    if batch is None and cu_seqlens is None:
        return None
    if batch is not None and cu_seqlens is not None:
        raise _c.ArgumentError(f"{name}, cu_seqlens: expected one of them; both say which points belong together")
    if cu_seqlens is not None:
        offsets = vector(cu_seqlens, "cu_seqlens", np.int64)
        if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != n or np.any(np.diff(offsets) < 0):
            raise _c.ArgumentError(f"cu_seqlens: expected numbers that rise from 0 to the {n:,} points, got "
                                   f"{np.array2string(offsets, threshold=6)}")
        return offsets
    batch = vector(batch, name, np.int64, n)
    wrong = np.flatnonzero(np.diff(batch) < 0)
    if len(wrong) or (n and batch[0] < 0):
        where = int(wrong[0]) + 1 if len(wrong) else 0
        raise _c.ArgumentError(f"{name}: expected structure numbers from 0 that do not fall, got {batch[where]} at point "
                               f"{where}: sort the points by structure")
    return np.searchsorted(batch, np.arange((int(batch[-1]) if n else -1) + 2)).astype(np.int64)


class Points:
    """A set of points: n, positions [n, 3] or None, cell, pbc, offsets, mask, ids; `.c` is the vic_points of it, which
    borrows from this object.  `like` is the torch device that the positions came from, or None."""

    def __init__(self, given, *, cell=None, pbc=None, batch=None, cu_seqlens=None, mask=None, ids=None, side="positions",
                 n=None):
        self.like, self.kept = None, given
        positions, own_cell, own_pbc, own_batch = (None,) * 4 if given is None else _taken(given, side)
        if is_torch(positions):
            self.like = positions.device
        if positions is not None:
            array = host_array(positions, side)
            if array.ndim != 2 or array.shape[1] != 3:
                raise _c.ArgumentError(f"{side}: expected [atoms, 3], got shape {array.shape}" + (
                    ": a batch of structures goes in as [atoms of all, 3] with batch= or cu_seqlens="
                    if array.ndim == 3 else ""))
            if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
                raise _c.ArgumentError(f"{side}: expected numbers, got {array.dtype}")
            if array.dtype not in (np.float32, np.float64):
                array = array.astype(np.float64)
            self.positions = np.ascontiguousarray(array)
            n = len(array)
        else:
            self.positions = None
        self.n = n
        self.offsets = offsets_of(batch if batch is not None or cu_seqlens is not None else own_batch, cu_seqlens, n)
        groups = None if self.offsets is None else len(self.offsets) - 1
        self.cell = lattice(own_cell if cell is None else cell, groups)
        self.pbc = axes((own_pbc if cell is None else None) if pbc is None else pbc, groups)
        if self.cell is None and self.pbc is not None and np.any(self.pbc):
            if pbc is not None:
                raise _c.ArgumentError("pbc: an axis is periodic, but there is no cell: give cell=, or pbc=False")
            self.pbc = None
        self.mask = None if mask is None else vector(mask, "mask", np.uint8, n)
        self.ids = vector(ids, "ids", np.int64, n)
        self.c = _c.STRUCTS["vic_points"](n=n)
        self.c.positions = _c.array_tensor(self.positions)
        self.c.mask, self.c.ids = _c.array_tensor(self.mask), _c.array_tensor(self.ids)
        if self.cell is not None:
            self.cell = np.ascontiguousarray(self.cell)
            self.c.cell = _c.pointer(self.cell)
            if self.pbc is not None:
                self.pbc = np.ascontiguousarray(self.pbc)
                self.c.periodic = _c.pointer(self.pbc)
        if self.offsets is not None:
            self.c.group_offsets, self.c.groups = _c.pointer(self.offsets), groups

    @property
    def address(self):
        return c.addressof(self.c)


def _taken(x, side):
    """(positions, cell, pbc, batch) of what a caller gives, each but the first None where it does not say."""
    from ._structure import Structure
    if isinstance(x, Structure):
        return x.positions, x.cell, x.pbc, None
    kind = f"{type(x).__module__}.{type(x).__name__}"
    if hasattr(x, "get_positions") and hasattr(x, "get_pbc"):  # ASE Atoms
        return x.get_positions(), x.cell.array, x.get_pbc(), None
    if kind.startswith("MDAnalysis.") and hasattr(x, "atoms"):  # Universe, AtomGroup, ResidueGroup
        atoms = x.atoms
        box = atoms.dimensions
        return atoms.positions, None if box is None or not np.any(box) else box, None, None
    if hasattr(x, "coord") and hasattr(x, "array_length"):  # biotite AtomArray, AtomArrayStack
        if np.ndim(x.coord) == 3:
            if len(x.coord) != 1:
                raise _c.ArgumentError(f"{side}: a biotite AtomArrayStack of {len(x.coord)} models: choose one, stack[0]")
            return x.coord[0], None if x.box is None else x.box[0], None, None
        return x.coord, x.box, None, None
    if hasattr(x, "pos") and is_torch(x.pos):  # torch_geometric Data, Batch
        batch = getattr(x, "batch", None)
        return x.pos, getattr(x, "cell", None), getattr(x, "pbc", None), batch
    return x, None, None, None
