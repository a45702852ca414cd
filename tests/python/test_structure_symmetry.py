# SPDX-License-Identifier: Apache-2.0
"""Symmetry against the matrices that the PDB states for each entry (REMARK 290), which no library of ours wrote."""
import os

import numpy as np
import pytest

import vicinal_ctypes as vic

TII = "/usr/share/pymol/data/demo/1tii.pdb"
ENTRIES = ["small/1crn.pdb", "small/1UBQ.pdb", "small/4hhb.pdb", "small/1AKE.pdb", "small/1EN2.pdb", "small/1a4w.pdb",
           "small/1o1z.pdb", TII]


def find(name):
    if not os.path.isabs(name):
        return vic.data(name)
    if not os.path.exists(name):
        pytest.skip(f"no {name} (Debian's pymol-data)")
    return name


def stated_operations(path):
    """Cartesian rotations and translations.  REMARK 290 leaves out the origin shift that SCALE states, which of these
    entries only 4HHB has (taken as printed, its molecules would come within 0.22 A of each other)."""
    rows, scale = [], []
    with open(path) as file:
        for line in file:
            if line.startswith("REMARK 290   SMTRY"):
                rows.append([float(word) for word in line.split()[4:8]])
            if line.startswith("SCALE"):
                scale.append([float(word) for word in line.split()[1:5]])
    matrices, scale = np.array(rows).reshape(-1, 3, 4), np.array(scale)
    rotations, translations = matrices[:, :, :3], matrices[:, :, 3]
    origin = np.linalg.solve(scale[:, :3], scale[:, 3])
    return rotations, translations + rotations @ origin - origin


def minimum_image(difference, cell):
    fractional = difference @ np.linalg.inv(cell)
    return (fractional - np.round(fractional)) @ cell


@pytest.mark.parametrize("name", ENTRIES)
def test_operations_are_those_of_the_entry(name):
    path = find(name)
    rotations, translations = stated_operations(path)
    one, all_ = vic.read(path), vic.read(path, symmetry=True)
    assert all_.symmetry_operations == len(rotations)
    assert np.array_equal(all_.positions[:one.atoms], one.positions)
    # Without special positions copies follow each other, operation by operation.
    merged = all_.symmetry_operations * one.atoms - all_.atoms
    images = [one.positions @ r.T + t for r, t in zip(rotations, translations)]
    if merged == 0:
        left = list(range(len(images)))
        for k in range(all_.symmetry_operations):
            copy = all_.positions[k * one.atoms:(k + 1) * one.atoms]
            away = [np.abs(minimum_image(copy - images[i], one.cell)).max() for i in left]
            best = int(np.argmin(away))
            assert away[best] < 0.05, f"operation {k} is none of the entry"
            left.pop(best)
        assert not left
    else:
        tree_positions = np.concatenate(images)
        for position in all_.positions[::97]:
            away = np.linalg.norm(minimum_image(tree_positions - position, one.cell), axis=1)
            assert away.min() < 0.05


def test_special_positions_of_1tii():
    path = find(TII)
    one, all_ = vic.read(path), vic.read(path, symmetry=True)
    rotations, translations = stated_operations(path)
    kept = 0
    for position in one.positions:  # the rule, said again: a copy within 0.1 A of a kept one goes
        copies = []
        for r, t in zip(rotations, translations):
            copy = r @ position + t
            if all(np.linalg.norm(minimum_image(copy - c, one.cell)) >= 0.1 for c in copies):
                copies.append(copy)
        kept += len(copies)
    assert kept == all_.atoms


def test_the_crystal_of_the_demonstration():
    s = vic.read(find(TII), symmetry=True, supercell=[1, 1, 3])
    assert s.atoms == 102312
    one = vic.read(find(TII), symmetry=True)
    assert s.atoms == 3 * one.atoms
    for k in range(3):
        part = s.positions[k * one.atoms:(k + 1) * one.atoms]
        assert np.abs(part - one.positions - k * one.cell[2]).max() < 1e-9
    assert np.allclose(s.cell, one.cell * [[1], [1], [3]])


def test_crystal_contacts_do_not_overlap():
    """4HHB is given in a frame of its own: without it, molecules would run into each other."""
    from scipy.spatial import cKDTree

    s = vic.read(find("small/4hhb.pdb"), symmetry=True, drop_water=True)
    inverse = np.linalg.inv(s.cell)
    half = s.atoms // 2
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ s.cell
    tree = cKDTree(s.positions[:half])
    closest = np.inf
    for molecule in (0, 1):
        atoms = s.positions[molecule * half:(molecule + 1) * half]
        centre = (s.positions[:half].mean(0) - atoms.mean(0)) @ inverse
        for shift in shifts:
            if molecule == 0 and not shift.any():
                continue
            distances, _ = tree.query(atoms + np.round(centre) @ s.cell + shift, distance_upper_bound=4.0)
            closest = min(closest, distances.min())
    assert 2.0 < closest < 4.0
