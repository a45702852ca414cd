# SPDX-License-Identifier: Apache-2.0
"""`pattern` against pairs found by brute force."""
import zipfile

import numpy as np
import pytest

import oracle
from conftest import STRUCTURE, write_xyz

KEYS = {"notes", "atoms", "pairs", "pairs_per_atom", "max_pairs", "boundary_pairs", "strips", "blocks", "full_blocks",
        "block_pairs", "fill", "block128", "bytes", "seconds"}
CONTEXT = {"file", "kind", "cutoff", "cell"} | STRUCTURE


def pairs_of(vicinal, tmp_path, path, *arguments):
    target = tmp_path / "pairs.npz"
    answer = vicinal("pattern", path, "--json", "--pairs-out", target, *arguments).json
    with np.load(target) as data:
        assert {"i", "j", "image", "d", "positions", "periodic", "metadata"} == set(data.files) - {"cell"}
        assert data["i"].dtype == data["j"].dtype == data["image"].dtype == np.int32 and data["d"].dtype == np.float64
        table = np.column_stack([data["i"], data["j"], data["image"]]), data["d"]
    assert zipfile.ZipFile(target).testzip() is None
    return answer, *table


@pytest.mark.parametrize("cutoff", [1.0, 4.0, 7.5])
def test_open(vicinal, tmp_path, cloud, cutoff):
    path, positions = cloud
    answer, found, d = pairs_of(vicinal, tmp_path, path, "--cutoff", cutoff)
    expected, distances = oracle.pairs(positions, cutoff)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(d, distances, rtol=1e-14)
    counts = np.bincount(expected[:, 0], minlength=300)
    assert set(answer) == KEYS | CONTEXT
    assert set(answer["block128"]) == {"count", "density", "full"}
    assert set(answer["seconds"]) == {"read", "order", "build"}
    assert answer["atoms"] == 300 and answer["pairs"] == len(expected) and answer["max_pairs"] == counts.max()
    assert answer["pairs_per_atom"] == pytest.approx(len(expected) / 300, rel=1e-15)
    assert answer["strips"] == 5 and answer["block_pairs"] == 1024 * answer["blocks"]
    assert answer["fill"] == pytest.approx(answer["pairs"] / answer["block_pairs"], rel=1e-15)
    assert 0 < answer["block128"]["count"] <= 9
    assert answer["block128"]["density"] == pytest.approx(answer["block128"]["count"] / 9)
    assert answer["cell"] is None and answer["periodic"] == [False] * 3 and answer["cutoff"] == cutoff


@pytest.mark.parametrize("axes", ["auto", "xyz", "xy", "z", "none"])
def test_periodic(vicinal, tmp_path, crystal, axes):
    path, positions, cell = crystal
    periodic = [True] * 3 if axes == "auto" else [c in axes for c in "xyz"] if axes != "none" else [False] * 3
    answer, found, d = pairs_of(vicinal, tmp_path, path, "--cutoff", 6, "--pbc", axes)
    expected, distances = oracle.pairs(positions, 6.0, cell, periodic)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(d, distances, rtol=1e-13)
    assert answer["periodic"] == periodic
    np.testing.assert_array_equal(answer["cell"], cell)


def test_no_self_leaves_out_that_and_only_that(vicinal, tmp_path, crystal):
    path, _, _ = crystal
    _, with_self, _ = pairs_of(vicinal, tmp_path, path, "--cutoff", 9.5)
    answer, without, _ = pairs_of(vicinal, tmp_path, path, "--cutoff", 9.5, "--no-self")
    is_self = (with_self[:, 0] == with_self[:, 1]) & (with_self[:, 2:] == 0).all(1)
    images_of_itself = (with_self[:, 0] == with_self[:, 1]) & ~is_self
    assert is_self.sum() == 70 and images_of_itself.any()
    np.testing.assert_array_equal(without, with_self[~is_self])
    assert answer["pairs"] == len(without)


def test_no_pairs_at_all(vicinal, tmp_path):
    path = write_xyz(tmp_path / "far.xyz", 100.0 * np.arange(9).reshape(3, 3))
    answer, found, _ = pairs_of(vicinal, tmp_path, path, "--cutoff", 2, "--no-self")
    assert answer["pairs"] == answer["blocks"] == answer["fill"] == 0 and found.shape == (0, 5)
    vicinal("pattern", path, "--cutoff", 2, "--no-self")


def test_boundary_pairs(vicinal, tmp_path):
    path = write_xyz(tmp_path / "two.xyz", np.array([[0, 0, 0], [3, 0, 0]]))
    answer = vicinal("pattern", path, "--cutoff", 3, "--json").json
    assert answer["pairs"] == 2 and answer["boundary_pairs"] == 2


def test_full_blocks(vicinal, tmp_path):
    rng = np.random.default_rng(1)
    path = write_xyz(tmp_path / "dense.xyz", rng.uniform(0, 12, (128, 3)))
    answer = vicinal("pattern", path, "--cutoff", 21, "--json").json
    assert answer["pairs"] == 128 * 128 and answer["blocks"] == answer["full_blocks"] == 16
    assert answer["fill"] == 1 and answer["block128"] == {"count": 1, "density": 1, "full": 1}


def test_same_pattern_for_every_number_of_threads(vicinal, tmp_path, crystal):
    path, _, _ = crystal
    answers = []
    for threads in (1, 2, 5):
        answer, found, _ = pairs_of(vicinal, tmp_path, path, "--cutoff", 7, "--supercell", "2x2x2", "--threads", threads)
        del answer["seconds"]
        answers.append((answer, found.tobytes()))
    assert answers[0] == answers[1] == answers[2]
