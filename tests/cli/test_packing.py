# SPDX-License-Identifier: Apache-2.0
"""`packing` against counts and means taken by brute force."""
import functools

import numpy as np
import pytest
import scipy.stats

import oracle
from conftest import STRUCTURE, write_pdb, write_xyz

KEYS = {"file", "atoms", "cutoff", "count", "b_mean", "b_neighbourhood_mean", "correlation", "no_correlation", "seconds"} | STRUCTURE
SECONDS = {"read", "order", "build", "plan", "attention"}


@functools.lru_cache(maxsize=4)
def neighbours(raw, cutoff, edge):
    positions = np.frombuffer(raw).reshape(-1, 3)
    return oracle.pairs(positions, cutoff, None if edge is None else edge * np.eye(3), reach=2)[0]


def expected(positions, b, cutoff, edge=None):
    pairs = neighbours(positions.tobytes(), cutoff, edge)
    counts = np.bincount(pairs[:, 0], minlength=len(positions))
    around = np.bincount(pairs[:, 0], weights=b[pairs[:, 1]], minlength=len(positions)) / counts
    return counts, around


@pytest.fixture
def protein(tmp_path):
    rng = np.random.default_rng(3)
    positions = np.round(rng.normal(0, 7, (400, 3)), 3)
    b = np.round(10 + np.linalg.norm(positions, axis=1) + rng.normal(0, 3, 400).clip(-6, 6), 2)
    return positions, b


def check(answer, positions, b, cutoff, edge=None):
    counts, around = expected(positions, b, cutoff, edge)
    assert set(answer) == KEYS and set(answer["seconds"]) == SECONDS
    assert set(answer["count"]) == {"mean", "min", "max"} and answer["cutoff"] == cutoff
    assert (answer["count"]["min"], answer["count"]["max"]) == (counts.min(), counts.max())
    assert answer["count"]["mean"] == pytest.approx(counts.mean(), rel=1e-12)
    assert answer["b_mean"] == pytest.approx(b.mean(), rel=1e-6)
    assert answer["b_neighbourhood_mean"] == pytest.approx(around.mean(), rel=1e-5)
    assert answer["correlation"]["pearson"] == pytest.approx(scipy.stats.pearsonr(1 / counts, b)[0], abs=1e-6)
    assert answer["correlation"]["spearman"] == pytest.approx(scipy.stats.spearmanr(1 / counts, b)[0], abs=1e-6)


def test_open(vicinal, tmp_path, protein):
    positions, b = protein
    path = write_pdb(tmp_path / "p.pdb", positions, b)
    check(vicinal("packing", path, "--json").json, positions, b, 7.35)
    check(vicinal("packing", path, "--json", "--cutoff", "5.5", "--threads", "3").json, positions, b, 5.5)


def test_a_cell_counts_unless_told_otherwise(vicinal, tmp_path, protein):
    positions, b = protein
    positions = np.round(positions % 20.0, 3)
    path = write_pdb(tmp_path / "p.pdb", positions, b, cell=(20, 20, 20, 90, 90, 90))
    check(vicinal("packing", path, "--json", "--pbc", "none").json, positions, b, 7.35)
    for asked in ([], ["--symmetry"], ["--pbc", "xyz"], ["--pbc", "auto"], ["--cell", "20,20,20"]):
        check(vicinal("packing", path, "--json", *asked).json, positions, b, 7.35, 20.0)


def test_hydrogen(vicinal, tmp_path, protein):
    positions, b = protein
    elements = ["H" if i % 3 == 0 else "C" for i in range(400)]
    heavy = np.array([e != "H" for e in elements])
    path = write_pdb(tmp_path / "p.pdb", positions, b, elements)
    check(vicinal("packing", path, "--json").json, positions[heavy], b[heavy], 7.35)
    check(vicinal("packing", path, "--json", "--hydrogen").json, positions, b, 7.35)


def test_written_counts(vicinal, tmp_path, protein):
    positions, b = protein
    path = write_pdb(tmp_path / "p.pdb", positions, b)
    counts, _ = expected(positions, b, 7.35)
    vicinal("packing", path, "-o", tmp_path / "out.pdb")
    written = [float(line[60:66]) for line in (tmp_path / "out.pdb").read_text().splitlines() if line[:4] == "ATOM"]
    np.testing.assert_array_equal(written, counts)
    vicinal("packing", path, "-o", tmp_path / "out.xyz")
    rows = (tmp_path / "out.xyz").read_text().splitlines()
    assert "neighbours:R:1" in rows[1]
    np.testing.assert_array_equal([float(row.split()[-1]) for row in rows[2:]], counts)


@pytest.mark.parametrize("case, why", [("none", "no B-factors"), ("equal", "are equal"), ("lattice", "same number")])
def test_nothing_to_correlate_with(vicinal, tmp_path, protein, case, why):
    positions, b = protein
    if case == "none":
        path = write_xyz(tmp_path / "p.xyz", positions)
    elif case == "equal":
        path = write_pdb(tmp_path / "p.pdb", positions, np.full(400, 12.5))
    else:
        path = write_pdb(tmp_path / "p.pdb", 20.0 * np.arange(30).reshape(10, 3), b)
    answer = vicinal("packing", path, "--json").json
    assert answer["correlation"] is None
    assert answer["b_mean"] is None if case == "none" else answer["b_mean"] > 0
    assert why in answer["no_correlation"] and why in vicinal("packing", path).out


def test_only_hydrogen(vicinal, tmp_path):
    path = write_xyz(tmp_path / "h.xyz", np.arange(9.0).reshape(3, 3), "H")
    assert "hydrogen" in vicinal("packing", path, code=3).err
    assert vicinal("packing", path, "--hydrogen", "--json").json["atoms"] == 3


def test_debians_1tii(vicinal):
    import pathlib
    path = pathlib.Path("/usr/share/pymol/data/demo/1tii.pdb")
    if not path.is_file():
        pytest.skip("no 1tii.pdb (Debian package pymol-data)")
    answer = vicinal("packing", path, "--json").json
    assert answer["atoms"] == 5684 and 0.58 < answer["correlation"]["pearson"] < 0.66
