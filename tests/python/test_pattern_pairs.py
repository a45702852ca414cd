# SPDX-License-Identifier: Apache-2.0
"""Pair sets of real structures against SciPy's k-d tree and ASE's neighbour list, read by other readers than ours.

Cutoffs stand off the shells (no pair of these structures is within 1e-9 of them: boundary_pairs is checked to be 0),
so that the last bit of a distance cannot decide between two programs.
"""

import gzip
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from vicinal_ctypes import PATIENCE

scipy_spatial = pytest.importorskip("scipy.spatial")
ase_io = pytest.importorskip("ase.io")
ase_neighborlist = pytest.importorskip("ase.neighborlist")

BINARY = os.environ.get("VIC_BINARY", "")
DATA = os.environ.get("VIC_TEST_DATA", "")
FULL = bool(os.environ.get("VIC_TEST_FULL"))
pytestmark = pytest.mark.skipif(not BINARY, reason="VIC_BINARY does not name the command")


def data(name):
    path = pathlib.Path(DATA) / name
    if not DATA or not path.exists():
        pytest.skip(f"no {name}: VIC_TEST_DATA does not name the folder of real structures")
    return path


def ours(path, cutoff, tmp_path, *options):
    """JSON of `vicinal pattern` and its pairs as an array of (i, j, n1, n2, n3), sorted."""
    out = tmp_path / "pairs.npz"
    run = subprocess.run([BINARY, "pattern", str(path), "--cutoff", repr(cutoff), "--json", "--pairs-out", str(out), *options],
                         capture_output=True, encoding="utf-8", timeout=PATIENCE)
    assert run.returncode == 0, run.stderr
    with np.load(out) as arrays:
        pairs = np.column_stack([arrays["i"], arrays["j"], arrays["image"]]).astype(np.int64)
        distances = arrays["d"]
    report = json.loads(run.stdout)
    assert report["pairs"] == len(pairs) == len(distances)
    assert report["boundary_pairs"] == 0, "the cutoff is on a shell: choose another for this test"
    assert distances.max() < cutoff
    return report, pairs


def by_columns(pairs):
    return pairs[np.lexsort(pairs.T[::-1])]


def ase_pairs(positions, cell, pbc, cutoff):
    i, j, shift = ase_neighborlist.primitive_neighbor_list("ijS", pbc, cell, positions, cutoff, self_interaction=True)
    return by_columns(np.column_stack([i, j, shift]).astype(np.int64))


def scipy_pairs(positions, cutoff):
    tree = scipy_spatial.cKDTree(positions)
    half = tree.query_pairs(cutoff, output_type="ndarray")
    self_pairs = np.arange(len(positions))
    i = np.concatenate([half[:, 0], half[:, 1], self_pairs])
    j = np.concatenate([half[:, 1], half[:, 0], self_pairs])
    zero = np.zeros_like(i)
    return by_columns(np.column_stack([i, j, zero, zero, zero]).astype(np.int64))


def read_pdb_positions(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="ascii") as lines:
        return np.array([[float(line[c:c + 8]) for c in (30, 38, 46)]
                         for line in lines if line.startswith(("ATOM", "HETATM"))])


def read_gro(path):
    """Positions and cell in angstrom; columns as the format says."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="ascii") as file:
        lines = file.read().splitlines()
    n = int(lines[1])
    positions = np.array([[float(line[c:c + 8]) for c in (20, 28, 36)] for line in lines[2:2 + n]]) * 10
    box = [float(x) * 10 for x in lines[2 + n].split()] + [0.0] * 6
    xx, yy, zz, xy, xz, yx, yz, zx, zy = box[:9]
    return positions, np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])


@pytest.mark.parametrize("name, cutoff", [("small/1crn.pdb", 7.3501), ("small/1UBQ.pdb", 5.0003), ("small/4hhb.pdb", 9.9997)])
def test_open_proteins(name, cutoff, tmp_path):
    path = data(name)
    report, pairs = ours(path, cutoff, tmp_path, "--pbc", "none", "--altloc", "all")
    positions = read_pdb_positions(path)
    assert report["atoms"] == len(positions)
    assert np.array_equal(pairs, scipy_pairs(positions, cutoff))


def test_triclinic_protein(tmp_path):
    path = data("small/1vln-triclinic.gro")
    positions, cell = read_gro(path)
    report, pairs = ours(path, 5.0003, tmp_path)
    assert report["periodic"] == [True, True, True]
    assert np.array_equal(pairs, ase_pairs(positions, cell, [True] * 3, 5.0003))


def test_distances_of_a_triclinic_protein(tmp_path):
    path = data("small/1vln-triclinic.gro")
    positions, cell = read_gro(path)
    ours(path, 5.0003, tmp_path)
    i, j, shift, d = ase_neighborlist.primitive_neighbor_list("ijSd", [True] * 3, cell, positions, 5.0003,
                                                              self_interaction=True)
    with np.load(tmp_path / "pairs.npz") as arrays:
        assert np.allclose(arrays["d"], d[np.lexsort((*shift.T[::-1], j, i))], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name, cutoff", [("crystals/carbon.xyz", 14.037), ("crystals/diamond.xyz", 11.013)])
def test_cutoff_far_beyond_the_cell(name, cutoff, tmp_path):
    path = data(name)
    atoms = ase_io.read(str(path), format="extxyz")
    _, pairs = ours(path, cutoff, tmp_path)
    expected = ase_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    assert abs(expected[:, 2:]).max() >= 3
    assert np.array_equal(pairs, expected)


def test_slab(tmp_path):
    path = data("crystals/graphene_40400_model.xyz")
    atoms = ase_io.read(str(path), format="extxyz")
    assert list(atoms.pbc) == [True, True, False]
    _, pairs = ours(path, 4.0301, tmp_path)
    assert np.array_equal(pairs, ase_pairs(atoms.positions, atoms.cell.array, atoms.pbc, 4.0301))


def test_wire_and_overridden_cell(tmp_path):
    path = data("small/1crn.pdb")
    positions = read_pdb_positions(path)
    cell = np.diag([30.0, 30.0, 17.5])
    _, pairs = ours(path, 9.9997, tmp_path, "--cell", "30,30,17.5", "--pbc", "z")
    assert np.array_equal(pairs, ase_pairs(positions, cell, [False, False, True], 9.9997))


@pytest.mark.parametrize("cutoff", [6.0001, 8.0001] if FULL else [6.0001])
def test_apoa1_neighbours_of_every_atom(cutoff, tmp_path):
    """92,224 atoms whose molecules reach across the cell: counts per atom, open and periodic."""
    path = data("large/apoa1.pdb.gz")
    positions = read_pdb_positions(path)
    assert len(positions) == 92224
    _, pairs = ours(path, cutoff, tmp_path)
    open_counts = scipy_spatial.cKDTree(positions).query_ball_point(positions, cutoff, return_length=True)
    assert np.array_equal(np.bincount(pairs[:, 0], minlength=92224), open_counts)
    box = np.array([108.8612, 108.8612, 77.758])
    _, pairs = ours(path, cutoff, tmp_path, "--cell", "108.8612,108.8612,77.758")
    wrapped = positions - np.floor(positions / box) * box
    counts = scipy_spatial.cKDTree(wrapped, boxsize=box).query_ball_point(wrapped, cutoff, return_length=True)
    assert np.array_equal(np.bincount(pairs[:, 0], minlength=92224), counts)


@pytest.mark.parametrize("name", ["large/popc.gro.gz", "large/bigbox.gro.gz"])
def test_water_and_membrane_boxes(name, tmp_path):
    path = data(name)
    positions, cell = read_gro(path)
    box = np.diag(cell)
    report, pairs = ours(path, 4.0003, tmp_path)
    assert report["atoms"] == len(positions)
    wrapped = positions - np.floor(positions / box) * box
    wrapped[wrapped >= box] = 0.0
    counts = scipy_spatial.cKDTree(wrapped, boxsize=box).query_ball_point(wrapped, 4.0003, return_length=True)
    assert np.array_equal(np.bincount(pairs[:, 0], minlength=len(positions)), counts)


def test_supercell_repeats_the_pairs(tmp_path):
    path = data("small/1vln-triclinic.gro")
    one, _ = ours(path, 5.0003, tmp_path)
    many, _ = ours(path, 5.0003, tmp_path, "--supercell", "2x1x3")
    assert many["atoms"] == 6 * one["atoms"]
    assert many["pairs"] == 6 * one["pairs"]
    assert many["max_pairs"] == one["max_pairs"]
