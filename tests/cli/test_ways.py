# SPDX-License-Identifier: Apache-2.0
"""Patterns that are not the cutoff of a structure file: from .vnp, masks, lists, texts, and in `run`."""
import subprocess

import numpy as np
import pytest

import oracle
from conftest import PATIENCE, environment, write_xyz

sparse = pytest.importorskip("scipy.sparse")
spatial = pytest.importorskip("scipy.spatial")


def pairs_of(vicinal, tmp_path, *arguments):
    """The JSON, and the pairs as (i, j, image) by i, j, image."""
    target = tmp_path / "out.npz"
    answer = vicinal("pattern", *arguments, "--json", "--pairs-out", target).json
    with np.load(target) as data:
        table = np.column_stack([data["i"], data["j"], data["image"]])
    assert answer["pairs"] == len(table)
    return answer, table


def of_mask(mask):
    i, j = np.nonzero(mask)
    return np.column_stack([i, j, np.zeros((len(i), 3), int)])


def test_a_pattern_in_place_of_the_structure(vicinal, tmp_path, crystal):
    path, positions, cell = crystal
    first, expected = pairs_of(vicinal, tmp_path, path, "--cutoff", 5, "-o", tmp_path / "p.vnp")
    again, found = pairs_of(vicinal, tmp_path, tmp_path / "p.vnp")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, oracle.pairs(positions, 5, cell, (True, True, True))[0])
    with np.load(tmp_path / "out.npz") as data:
        i, j, n = data["i"], data["j"], data["image"]
        np.testing.assert_allclose(data["d"], np.linalg.norm(positions[j] - positions[i] + n @ cell, axis=1), atol=1e-12)
    for key in ("kind", "cutoff", "cell", "periodic", "pairs", "blocks", "fill", "block128", "boundary_pairs"):
        assert again[key] == first[key], key
    one = vicinal("run", path, "--cutoff", 5, "--json", "--seed", 3, "--check").json
    two = vicinal("run", tmp_path / "p.vnp", "--json", "--seed", 3, "--check").json
    assert one["checksum"] == two["checksum"] and two["check"]["pass"]
    vicinal("pattern", tmp_path / "p.vnp", "--plot", tmp_path / "p.svg")
    assert (tmp_path / "p.svg").read_text().startswith("<")
    # A pattern goes on as one: written again it is the same file.
    vicinal("pattern", tmp_path / "p.vnp", "-o", tmp_path / "q.vnp")
    assert (tmp_path / "p.vnp").read_bytes() == (tmp_path / "q.vnp").read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape, block", [((512, 512), 64), ((480, 640), 32)])
def test_a_mask_from_scipy(vicinal, tmp_path, shape, block, compressed):
    rng = np.random.default_rng(1)
    blocks = rng.uniform(size=(shape[0] // block, shape[1] // block)) < 0.4
    dense = np.kron(blocks, np.ones((block, block)))
    sparse.save_npz(tmp_path / "mask.npz", sparse.bsr_matrix(dense, blocksize=(block, block)), compressed=compressed)
    answer, found = pairs_of(vicinal, tmp_path, tmp_path / "mask.npz")
    np.testing.assert_array_equal(found, of_mask(dense))
    assert answer["kind"] == "blocks" and answer["cutoff"] is None and answer["atoms"] == shape[0]
    assert answer.get("keys", shape[0]) == shape[1]
    run = vicinal("run", tmp_path / "mask.npz", "--json", "--check", "--head-dim", 16).json
    assert run["check"]["pass"] and run["check"]["rows"] == shape[0]


def test_a_mask_of_one_entry_a_block(vicinal, tmp_path):
    blocks = sparse.random(7, 5, density=0.4, format="csr", random_state=2)
    sparse.save_npz(tmp_path / "mask.npz", blocks)
    answer, found = pairs_of(vicinal, tmp_path, tmp_path / "mask.npz")
    np.testing.assert_array_equal(found, of_mask(np.kron(blocks.toarray() != 0, np.ones((128, 128)))))
    assert answer["block128"]["count"] == answer["block128"]["full"] == blocks.nnz


@pytest.mark.parametrize("shape, grid, blocks", [(800, 63, 800), (1600, 89, 1600), (3200, 126, 3200)])
def test_the_origins_shapes(vicinal, shape, grid, blocks):
    answer = vicinal("pattern", "--origin", shape, "--json").json
    assert answer["block128"]["count"] == answer["block128"]["full"] == blocks
    assert answer["atoms"] == 128 * grid and 0.2 < answer["block128"]["density"] < 0.203
    named = vicinal("pattern", f"blocks:{grid}x{grid}:n={blocks},seed=1", "--json").json
    assert {k: v for k, v in named.items() if k not in ("file", "seconds")} == {
        k: v for k, v in answer.items() if k not in ("file", "seconds")}


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_pairs_from_files(vicinal, tmp_path, cloud, dtype):
    path, _ = cloud
    mask = np.random.default_rng(4).uniform(size=(300, 300)) < 0.03
    i, j = (x.astype(dtype) for x in np.nonzero(mask))
    np.savez(tmp_path / "a.npz", i=i, j=j)
    np.savez_compressed(tmp_path / "b.npz", j=j, other=np.ones(3), i=i)
    np.save(tmp_path / "c.npy", np.column_stack([i, j]))
    for name in ("a.npz", "b.npz", "c.npy"):
        for source in (path, "atoms:300"):
            _, found = pairs_of(vicinal, tmp_path, source, "--pairs", tmp_path / name)
            np.testing.assert_array_equal(found, of_mask(mask))
    assert vicinal("run", "atoms:300", "--pairs", tmp_path / "a.npz", "--check", "--json").json["check"]["pass"]


def test_what_pairs_out_writes_can_be_read(vicinal, tmp_path, crystal):
    path, _, _ = crystal
    _, expected = pairs_of(vicinal, tmp_path, path, "--cutoff", 4.5)
    (tmp_path / "out.npz").rename(tmp_path / "given.npz")
    answer, found = pairs_of(vicinal, tmp_path, path, "--pairs", tmp_path / "given.npz")
    np.testing.assert_array_equal(found, expected)
    assert answer["kind"] == "pairs"
    none = vicinal("pattern", path, "--cutoff", 4.5, "--exclude-pairs", tmp_path / "given.npz", "--json").json
    assert none["pairs"] == 0 and none["kind"] == "exclusion"
    run = vicinal("run", path, "--cutoff", 4.5, "--exclude-pairs", tmp_path / "given.npz", "--json", "--check", "--lse",
                  "-o", tmp_path / "out.npy", code=2)
    assert "--lse" in run.err
    run = vicinal("run", path, "--cutoff", 4.5, "--exclude-pairs", tmp_path / "given.npz", "--json", "--check", "-o", tmp_path / "out.npy")
    assert run.json["check"]["pass"] and not np.load(tmp_path / "out.npy").any()


def test_nearest_and_windows(vicinal, tmp_path, cloud):
    path, positions = cloud
    _, found = pairs_of(vicinal, tmp_path, path, "--nearest", 9, "--no-self")
    _, j = spatial.cKDTree(positions).query(positions, 10)
    expected = np.zeros((300, 300), bool)
    np.put_along_axis(expected, j[:, 1:], True, axis=1)
    np.testing.assert_array_equal(found, of_mask(expected))
    centre = np.arange(300) // 32 * 32 + 15.5
    _, found = pairs_of(vicinal, tmp_path, "atoms:300", "--windows", "32,128")
    np.testing.assert_array_equal(found, of_mask(abs(np.arange(300) - centre[:, None]) < 64))
    assert vicinal("run", path, "--nearest", 9, "--check", "--json").json["check"]["pass"]


def test_unions_and_left_out_atoms(vicinal, tmp_path, cloud):
    path, positions = cloud
    skip = np.arange(300) % 4 == 1
    np.save(tmp_path / "skip.npy", skip)
    near = (spatial.distance.cdist(positions, positions) < 3.5) & ~skip & ~skip[:, None]
    answer, found = pairs_of(vicinal, tmp_path, path, "--cutoff", 3.5, "--skip", tmp_path / "skip.npy")
    np.testing.assert_array_equal(found, of_mask(near))
    assert answer["kind"] == "cutoff" and answer["cutoff"] == 3.5
    vicinal("pattern", "atoms:300", "--windows", "4,12", "-o", tmp_path / "w.vnp")
    _, windows = pairs_of(vicinal, tmp_path, tmp_path / "w.vnp")
    near[windows[:, 0], windows[:, 1]] = True
    arguments = (path, "--cutoff", 3.5, "--skip", tmp_path / "skip.npy", "--unite", tmp_path / "w.vnp")
    answer, found = pairs_of(vicinal, tmp_path, *arguments)
    np.testing.assert_array_equal(found, of_mask(near))
    assert answer["kind"] == "union"
    assert vicinal("run", *arguments, "--check", "--json").json["check"]["pass"]


@pytest.mark.parametrize("arguments, words", [
    (["atoms:9"], "--pairs FILE or --windows Q,K"),
    (["atoms:x", "--windows", "2,4"], "atoms:N: expected a number"),
    (["atoms:9", "--cutoff", "3"], "--cutoff: atoms:9 is atoms without positions"),
    (["atoms:9", "--windows", "2,5"], "both even or both odd"),
    (["atoms:9", "--windows", "25"], "expected QUERIES,KEYS"),
    (["--origin", "801"], "expected 800, 1600 or 3200"),
    (["atoms:9", "--origin", "800", "--windows", "2,4"], "got 'atoms:9' beside an option"),
    (["blocks:3x3:n=99"], "at most 9 blocks"),
    (["blocks:3x3:n=9", "--no-self"], "--exclude-pairs takes out"),
])
def test_wrong_use(vicinal, arguments, words):
    assert words in vicinal("pattern", *arguments, code=2).err


STRUCTURE_OPTIONS = [["--cell", "9,9,9"], ["--pbc", "none"], ["--symmetry"], ["--supercell", "1x1x2"], ["--model", 1],
                     ["--frame", -1], ["--altloc", "all"], ["--duplicates", "drop"], ["--no-hydrogen"], ["--no-water"]]


@pytest.mark.parametrize("option", STRUCTURE_OPTIONS)
def test_options_of_a_structure_are_refused_where_there_is_none(vicinal, tmp_path, cloud, option):
    name = "--model" if option[0] == "--frame" else option[0]
    vicinal("pattern", cloud[0], "--cutoff", 4, "-o", tmp_path / "p.vnp")
    for command in (["pattern", tmp_path / "p.vnp"], ["run", tmp_path / "p.vnp"], ["run", "blocks:3x3:n=4"],
                    ["pattern", "atoms:9", "--windows", "4,8"], ["bench", "pattern", "dense:9"]):
        err = vicinal(*command, *option, code=2).err
        assert f"error: {name}: " in err and "has no use for it" in err
    assert "where the pattern is made of the structure" in vicinal("run", tmp_path / "p.vnp", *option, code=2).err


def test_a_pattern_is_no_structure(vicinal, tmp_path, cloud):
    vicinal("pattern", cloud[0], "--cutoff", 4, "-o", tmp_path / "p.vnp")
    for command in ("info", "packing"):
        err = vicinal(command, tmp_path / "p.vnp", code=3).err
        assert "expected a structure, found a pattern (.vnp)" in err and "`run`" in err


def test_wrong_pairs_name_their_file(vicinal, tmp_path, cloud):
    np.savez(tmp_path / "far.npz", i=[0, 1], j=[1, 900])
    for options in (["--pairs", tmp_path / "far.npz"], ["--cutoff", 4, "--exclude-pairs", tmp_path / "far.npz"]):
        err = vicinal("pattern", cloud[0], *options, code=3).err
        assert f"error: {tmp_path / 'far.npz'}: pair 1 is (1, 900): " in err


def test_wrong_files(vicinal, tmp_path, cloud):
    path, _ = cloud
    cases = [
        ({"i": [0, 1], "j": [1, 300]}, "pair 1 is (1, 300): expected a key atom from 0 to 299"),
        ({"i": [0, 1, 0], "j": [1, 2, 1]}, "pair 2 is (0, 1), and so is pair 0"),
        ({"i": [0, 1], "j": [1]}, "j: expected shape [2], as i has, found [1]"),
        ({"i": [0, 1]}, "expected an array 'j' of pairs"),
        ({"i": [0.5], "j": [1.0]}, "expected whole numbers, got type '<f8'"),
        ({"i": [0], "j": [1 << 40]}, "expected a number of 32 bits"),
        ({"i": [0], "j": [1], "image": [[0, 1, 0]]}, "not periodic there"),
        ({"i": [0], "j": [1], "image": [0]}, "image: expected shape [1, 3]"),
    ]
    for arrays, words in cases:
        np.savez(tmp_path / "bad.npz", **arrays)
        assert words in vicinal("pattern", path, "--pairs", tmp_path / "bad.npz", code=3).err
    np.save(tmp_path / "bad.npy", np.zeros((3, 3), int))
    assert "expected shape [pairs, 2], found [3, 3]" in vicinal("pattern", path, "--pairs", tmp_path / "bad.npy", code=3).err
    assert "expected shape [300]" in vicinal("pattern", path, "--cutoff", 3, "--skip", tmp_path / "bad.npy", code=3).err
    sparse.save_npz(tmp_path / "mask.npz", sparse.csc_matrix(np.eye(4)))
    assert "found the format csc" in vicinal("pattern", tmp_path / "mask.npz", code=3).err
    sparse.save_npz(tmp_path / "mask.npz", sparse.bsr_matrix(np.eye(64), blocksize=(8, 8)))
    assert "block: expected a multiple of 16, got 8" in vicinal("pattern", tmp_path / "mask.npz", code=2).err
    vicinal("pattern", path, "--cutoff", 3, "-o", tmp_path / "p.vnp")
    vnp = bytearray((tmp_path / "p.vnp").read_bytes())
    vnp[len(vnp) // 2] ^= 1
    (tmp_path / "p.vnp").write_bytes(vnp)
    assert "expected the checksum" in vicinal("run", tmp_path / "p.vnp", code=3).err
    (tmp_path / "p.vnp").write_bytes(vnp[:-5])
    assert "bytes of the file: expected" in vicinal("run", tmp_path / "p.vnp", code=3).err


def test_archives_that_lie(binary, tmp_path):
    """Each byte of the zip's own records changed: an answer or an error, never a fault."""
    def run():
        return subprocess.run([binary, "pattern", str(tmp_path / "bad.npz"), "--json"], capture_output=True,
                              env=environment(), timeout=PATIENCE)

    sparse.save_npz(tmp_path / "mask.npz", sparse.bsr_matrix(np.eye(64), blocksize=(16, 16)))
    good = (tmp_path / "mask.npz").read_bytes()
    rng = np.random.default_rng(5)
    places = [*range(len(good) - 330, len(good)), *rng.integers(0, len(good), 80)]
    for at in places:
        bad = bytearray(good)
        bad[at] = rng.choice([0, 255, bad[at] ^ 1, bad[at] ^ 128])
        (tmp_path / "bad.npz").write_bytes(bad)
        done = run()
        assert done.returncode in (0, 2, 3), (at, done.stderr)
    for n in range(0, len(good), 41):
        (tmp_path / "bad.npz").write_bytes(good[:n])
        assert run().returncode in (2, 3)
