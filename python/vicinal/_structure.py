# SPDX-License-Identifier: Apache-2.0
"""Structures read from files."""
import ctypes as c
import weakref

import numpy as np

from . import _c
from ._points import I32, axes, file_name, host_array, whole


def _copied(address, shape, kind):
    """An array of the library's own, copied; None where there is none."""
    if not address:
        return None
    if 0 in shape:
        return np.zeros(shape, kind)
    return np.ctypeslib.as_array(c.cast(address, c.POINTER(kind)), shape).copy()


class Structure:
    """Atoms of a file, and their cell; made by vicinal.read().  Arrays are copies and may be changed; a file that lacks
    something has None.  len(structure) is the number of atoms.

    positions                   [atoms, 3] float64, A, as the file gives them
    numbers                     [atoms] uint8 atomic numbers, 0 = unknown
    cell                        [3, 3] float64, rows a, b, c in A, or None
    pbc                         [3] bool: periodic along a, b, c
    names, residues, chains     [atoms] str ("CA", "ALA", "A") or None
    residue_numbers             [atoms] int32 or None
    b_factors                   [atoms] float32, square A, or None
    occupancies                 [atoms] float32 or None
    format, title, space_group  str, empty where the file has none
    notes                       what was decided in reading and may surprise, a sentence a line; str
    """

    def __init__(self, handle):
        self._handle = handle
        self._finalizer = weakref.finalize(self, _c.library().vic_structure_free, handle)
        v = _c.filled("vic_structure_get", "vic_structure_info", handle)
        n = v.atoms
        self.positions = _copied(v.positions, (n, 3), c.c_double)
        self.numbers = _copied(v.atomic_numbers, (n,), c.c_uint8)
        self.b_factors = _copied(v.b_factors, (n,), c.c_float)
        self.occupancies = _copied(v.occupancies, (n,), c.c_float)
        self.cell = np.array(v.cell).reshape(3, 3) if v.has_cell else None
        self.pbc = np.array(v.periodic, bool)
        self.format, self.title = v.format.decode(), v.title.decode()
        self.space_group, self.notes = v.space_group.decode(), v.notes.decode()
        self.names = self.residues = self.chains = self.residue_numbers = None
        if v.labels:
            label = _c.STRUCTS["vic_atom_label"]
            kinds = {"c_char_Array_8": "S8", "c_char": "S1", "c_bool": "?", "c_int": "i4"}
            dtype = np.dtype({"names": [name for name, _ in label._fields_],
                              "formats": [kinds[kind.__name__] for _, kind in label._fields_],
                              "offsets": [getattr(label, name).offset for name, _ in label._fields_],
                              "itemsize": c.sizeof(label)})
            labels = np.frombuffer(c.string_at(v.labels, n * c.sizeof(label)), dtype)
            self.names, self.residues, self.chains = (
                np.char.decode(labels[name], "utf-8", "replace") for name in ("name", "residue", "chain"))
            self.residue_numbers = labels["sequence"].copy()

    def __len__(self):
        return len(self.positions)

    def __repr__(self):
        cell = "" if self.cell is None else ", cell %.4g x %.4g x %.4g A" % tuple(np.linalg.norm(self.cell, axis=1))
        axes = "".join(axis for axis, on in zip("xyz", self.pbc) if on)
        return f"<vicinal.Structure: {len(self):,} atoms ({self.format}){cell}, " \
               f"{'periodic along ' + axes if axes else 'not periodic'}>"

    def write(self, path, values, name="value"):
        """Write the atoms with a value each, for a viewer to colour them by.

        path    its ending says the format: .pdb, .cif, .mmcif, .xyz or .extxyz
        values  [atoms] numbers: the B-factor in .pdb (two decimals) and .cif, a column of its own in .xyz
        name    of that column

        Raises ArgumentError or FileError.
        """
        values = host_array(values, "values")
        if values.shape != (len(self),) or values.dtype.kind not in "biuf":
            raise _c.ArgumentError(f"values: expected a number for each of {len(self):,} atoms, got shape {values.shape} of "
                                   f"{values.dtype}")
        if not isinstance(name, str) or "\0" in name:
            raise _c.ArgumentError(f"name: expected the name of a column, got {name!r}")
        values = np.ascontiguousarray(values, np.float64)
        _c.call("vic_structure_write", self._handle, file_name(path), name.encode(), _c.pointer(values))


def read(path, *, model=0, altloc="highest", duplicates="refuse", cell=None, pbc=None, supercell=None, symmetry=False,
         hydrogen=True, water=True, max_atoms=0):
    """Read a structure: PDB, mmCIF, CIF, GRO, XYZ, extXYZ, POSCAR, LAMMPS data or Amber rst7, also gzipped.

    path        the file; its format is found by its content
    model       number of the model or frame (1, 2, ...); 0 = the first, -1 = the last
    altloc      "highest": per residue the alternative with the highest occupancy; "all"
    duplicates  of atoms listed twice in one place: "refuse", "drop" (keep the first) or "keep"
    cell        a, b, c, alpha, beta, gamma (A, degrees), or a, b, c with right angles, in place of the file's
    pbc         None: what the file says, or else all axes where there is a cell, but none where a crystal's space group
                was not applied; True, False or three of them
    supercell   repetitions along a, b, c, three whole numbers; None = 1, 1, 1
    symmetry    apply the space group
    hydrogen, water   False leaves them out; waters are known by the names of their residues
    max_atoms   refuse larger structures (InputError); 0 = any size

    Returns a Structure.  Raises FileError when the file cannot be opened, InputError (file, line, expected, found) when
    its content cannot be trusted, ArgumentError.  What is read of each format: docs/formats.md.
    """
    o = _c.STRUCTS["vic_read_options"](model=whole(model, "model", -1, I32), max_atoms=whole(max_atoms, "max_atoms"),
                                       symmetry=bool(symmetry), drop_hydrogen=not hydrogen, drop_water=not water)
    for given, name, choices in ((altloc, "altloc", ("highest", "all")),
                                 (duplicates, "duplicates", ("refuse", "drop", "keep"))):
        if given not in choices:
            raise _c.ArgumentError(f"{name}: expected {' or '.join(map(repr, choices))}, got {given!r}")
        setattr(o, name, choices.index(given))
    if cell is not None:
        numbers = host_array(cell, "cell")
        if numbers.shape not in ((3,), (6,)) or numbers.dtype.kind not in "iuf":
            raise _c.ArgumentError(f"cell: expected a, b, c, or a, b, c, alpha, beta, gamma, got {cell!r}")
        o.cell, o.has_cell = (c.c_double * 6)(*[*numbers, 90.0, 90.0, 90.0][:6]), True
    if supercell is not None:
        if np.shape(supercell) != (3,):
            raise _c.ArgumentError(f"supercell: expected three whole numbers, got {supercell!r}")
        o.supercell = (c.c_int32 * 3)(*(whole(repeats, "supercell", 1, I32) for repeats in supercell))
    if pbc is not None:
        o.pbc, o.periodic = _c.CONSTANTS["VIC_PBC_SET"], (c.c_bool * 3)(*axes(pbc))
    return Structure(_c.make("vic_structure_read", file_name(path), c.addressof(o)))
