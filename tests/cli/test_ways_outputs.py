# SPDX-License-Identifier: Apache-2.0
"""Every way to a pattern with every output: what is written holds the pairs of that way, by brute force, or is refused
for a reason that is so."""
import itertools
import json
import xml.etree.ElementTree

import numpy as np
import pytest

import oracle
from conftest import CRYSTAL_CELL, write_xyz

sparse = pytest.importorskip("scipy.sparse")

N = 90
OPEN, ALL, SLAB = (False,) * 3, (True,) * 3, (True, True, False)


class Way:
    """A line of options, the pairs that it must give, and what is known of the atoms."""

    def __init__(self, words, pairs, kind, positions=None, keys=None, cell=None, periodic=OPEN, n_q=N, n_k=None,
                 distances=True, **metadata):
        self.words, self.kind, self.positions, self.keys, self.cell = words, kind, positions, keys, cell
        self.pairs = np.array(sorted(map(tuple, np.asarray(pairs, int))), int).reshape(-1, 5)
        self.periodic, self.n_q, self.n_k = periodic, n_q, n_k or n_q
        self.distances = distances and positions is not None
        self.metadata = metadata


def flat(mask):
    """The pairs of a matrix, in the cell itself."""
    i, j = np.nonzero(mask)
    return np.column_stack([i, j, np.zeros((len(i), 3), int)])


_near = {}


def near(positions, cutoff, cell=None, periodic=ALL):
    """Each way is made once for every output."""
    key = (positions.tobytes(), cutoff, None if cell is None else cell.tobytes(), periodic)
    if key not in _near:
        _near[key] = oracle.pairs(positions, cutoff, cell, periodic)[0]
    return _near[key]


def nearest(positions, k, cell=None):
    ranges = [range(-3, 4)] * 3 if cell is not None else [(0,)] * 3
    candidates = [(j, *n) for j in range(len(positions)) for n in itertools.product(*ranges)]
    table = np.array(candidates)
    places = positions[table[:, 0]] + (table[:, 1:] @ cell if cell is not None else 0)
    out = []
    for i, r in enumerate(positions):
        d2 = ((places - r) ** 2).sum(1)
        for m in np.lexsort((table[:, 3], table[:, 2], table[:, 1], table[:, 0], d2))[:k]:
            out.append((i, *candidates[m]))
    return out


def windows(n, queries, keys):
    middle = np.arange(n) // queries * queries + (queries - 1) / 2
    return flat(abs(np.arange(n) - middle[:, None]) < keys / 2)


def without(pairs, others):
    others = set(map(tuple, others))
    return [p for p in map(tuple, pairs) if p not in others]


def atoms(folder, name, cell=None):
    rng = np.random.default_rng(12)
    positions = rng.uniform(-0.4, 1.2, (N, 3)) @ (CRYSTAL_CELL if cell is not None else 14 * np.eye(3))
    write_xyz(folder / name, np.round(positions, 3), cell=cell)
    return np.round(positions, 3)


def save_mask(folder, blocks, size, kind):
    if kind == "csr":
        sparse.save_npz(folder / "mask.npz", sparse.csr_matrix(blocks.astype(np.int8)))
    else:
        dense = np.kron(blocks, np.ones((size, size), np.int8))
        sparse.save_npz(folder / "mask.npz", sparse.bsr_matrix(dense, blocksize=(size, size)))
    return flat(np.kron(blocks, np.ones((size, size), bool)))


def by_library(make):
    """A pattern that only the library makes, saved as p.vnp."""
    import vicinal_ctypes as library
    make(library).save("p.vnp")
    return ["p.vnp"]


# ---- the ways; each is called in an empty folder ----


def cutoff(folder, vicinal):
    r = atoms(folder, "a.xyz")
    return Way(["a.xyz", "--cutoff", 4], near(r, 4), "cutoff", r, cutoff="4")


def cutoff_crystal(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    return Way(["a.xyz", "--cutoff", 4.25], near(r, 4.25, CRYSTAL_CELL), "cutoff", r, cell=CRYSTAL_CELL, periodic=ALL,
               cutoff="4.25")


def cutoff_slab(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    return Way(["a.xyz", "--cutoff", 4, "--pbc", "xy"], near(r, 4, CRYSTAL_CELL, SLAB), "cutoff", r,
               cell=CRYSTAL_CELL * np.array([[1], [1], [0]]), periodic=SLAB)


def cutoff_without_self(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    own = [(i, i, 0, 0, 0) for i in range(N)]
    return Way(["a.xyz", "--cutoff", 4, "--no-self"], without(near(r, 4, CRYSTAL_CELL), own), "cutoff", r,
               cell=CRYSTAL_CELL, periodic=ALL, self_pairs="left out")


def supercell(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    cell = CRYSTAL_CELL * np.array([[2], [1], [1]])
    r = np.concatenate([r, r + CRYSTAL_CELL[0]])
    return Way(["a.xyz", "--cutoff", 4, "--supercell", "2x1x1"], near(r, 4, cell), "cutoff", r, cell=cell,
               periodic=ALL, n_q=2 * N, supercell="2x1x1")


def gzipped(folder, vicinal):
    import gzip
    r = atoms(folder, "a.xyz")
    (folder / "a.xyz.gz").write_bytes(gzip.compress((folder / "a.xyz").read_bytes()))
    return Way(["a.xyz.gz", "--cutoff", 4], near(r, 4), "cutoff", r)


def dense(folder, vicinal):
    return Way(["dense:70"], flat(np.ones((70, 70))), "cutoff", ..., n_q=70)


def nearest_open(folder, vicinal):
    r = atoms(folder, "a.xyz")
    return Way(["a.xyz", "--nearest", 9], nearest(r, 9), "nearest", r, nearest="9")


def nearest_crystal(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    return Way(["a.xyz", "--nearest", 30], nearest(r, 30, CRYSTAL_CELL), "nearest", r, cell=CRYSTAL_CELL, periodic=ALL)


def windows_open(folder, vicinal):
    r = atoms(folder, "a.xyz")
    return Way(["a.xyz", "--windows", "32,64"], windows(N, 32, 64), "windows", r, windows="32,64")


def windows_crystal(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    return Way(["a.xyz", "--windows", "4,12"], windows(N, 4, 12), "windows", r)


def windows_bare(folder, vicinal):
    return Way(["atoms:90", "--windows", "4,12"], windows(N, 4, 12), "windows")


def listed(folder, vicinal):
    r = atoms(folder, "a.xyz")
    mask = np.random.default_rng(1).uniform(size=(N, N)) < 0.1
    np.save(folder / "pairs.npy", np.ascontiguousarray(np.argwhere(mask)))
    return Way(["a.xyz", "--pairs", "pairs.npy"], flat(mask), "pairs", r)


def listed_crystal(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    some = near(r, 5, CRYSTAL_CELL)[::3]
    np.savez(folder / "pairs.npz", i=some[:, 0], j=some[:, 1], image=some[:, 2:])
    return Way(["a.xyz", "--pairs", "pairs.npz"], some, "pairs", r, cell=CRYSTAL_CELL, periodic=ALL)


def listed_bare(folder, vicinal):
    np.save(folder / "pairs.npy", [[0, 5], [89, 0]])
    return Way(["atoms:90", "--pairs", "pairs.npy"], [(0, 5, 0, 0, 0), (89, 0, 0, 0, 0)], "pairs")


def listed_none(folder, vicinal):
    r = atoms(folder, "a.xyz")
    np.save(folder / "pairs.npy", np.zeros((0, 2), int))
    return Way(["a.xyz", "--pairs", "pairs.npy"], [], "pairs", r)


def mask_square(folder, vicinal):
    blocks = np.random.default_rng(2).uniform(size=(6, 6)) < 0.3
    return Way(["mask.npz"], save_mask(folder, blocks, 32, "bsr"), "blocks", n_q=192)


def mask_oblong(folder, vicinal):
    blocks = np.random.default_rng(3).uniform(size=(4, 6)) < 0.5
    return Way(["mask.npz"], save_mask(folder, blocks, 16, "bsr"), "blocks", n_q=64, n_k=96)


def mask_of_entries(folder, vicinal):
    blocks = np.random.default_rng(4).uniform(size=(2, 2)) < 0.7
    return Way(["mask.npz"], save_mask(folder, blocks, 128, "csr"), "blocks", n_q=256)


def generated(folder, vicinal):
    """All the blocks, so that chance has no say."""
    return Way(["blocks:3x2:n=6,seed=1,block=48"], flat(np.ones((144, 96))), "blocks", n_q=144, n_k=96)


def generated_none(folder, vicinal):
    return Way(["blocks:3x3:n=0,block=16"], [], "blocks", n_q=48)


def united(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    vicinal("pattern", "atoms:90", "--windows", "4,12", "-o", "w.vnp")
    both = set(map(tuple, near(r, 3, CRYSTAL_CELL))) | set(map(tuple, windows(N, 4, 12)))
    return Way(["a.xyz", "--cutoff", 3, "--unite", "w.vnp"], list(both), "union", r, cell=CRYSTAL_CELL, periodic=ALL,
               unite="w.vnp")


def united_bare(folder, vicinal):
    np.save(folder / "pairs.npy", [[0, 50], [50, 0]])
    vicinal("pattern", "atoms:90", "--pairs", "pairs.npy", "-o", "p.vnp")
    both = [*windows(N, 4, 12), (0, 50, 0, 0, 0), (50, 0, 0, 0, 0)]
    return Way(["atoms:90", "--windows", "4,12", "--unite", "p.vnp"], both, "union")


def united_to_windows(folder, vicinal):
    """Windows of a structure have positions through it alone; a cutoff joins them."""
    r = atoms(folder, "a.xyz")
    vicinal("pattern", "a.xyz", "--cutoff", 3, "-o", "c.vnp")
    both = set(map(tuple, near(r, 3))) | set(map(tuple, windows(N, 4, 12)))
    return Way(["a.xyz", "--windows", "4,12", "--unite", "c.vnp"], list(both), "union", r)


def excluded(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    out = [(i, i + 1) for i in range(0, N - 1, 2)]
    np.savez(folder / "bonds.npz", i=[p[0] for p in out], j=[p[1] for p in out])
    left = [p for p in near(r, 4, CRYSTAL_CELL) if (p[0], p[1]) not in set(out)]
    return Way(["a.xyz", "--cutoff", 4, "--exclude-pairs", "bonds.npz"], left, "exclusion", r, cell=CRYSTAL_CELL,
               periodic=ALL, exclude_pairs="bonds.npz")


def skipped(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    skip = np.arange(N) % 3 == 1
    np.save(folder / "skip.npy", skip)
    kept = [p for p in near(r, 4, CRYSTAL_CELL) if not skip[p[0]] and not skip[p[1]]]
    return Way(["a.xyz", "--cutoff", 4, "--skip", "skip.npy"], kept, "cutoff", r, cell=CRYSTAL_CELL, periodic=ALL,
               skip="skip.npy")


def saved(folder, vicinal):
    way = cutoff_crystal(folder, vicinal)
    vicinal("pattern", *way.words, "-o", "p.vnp")
    way.words = ["p.vnp"]
    return way


def saved_windows(folder, vicinal):
    """Of a structure, but the file has none of its positions."""
    vicinal("pattern", *windows_open(folder, vicinal).words, "-o", "p.vnp")
    return Way(["p.vnp"], windows(N, 32, 64), "windows")


def two_sets(folder, vicinal):
    r = atoms(folder, "a.xyz")
    queries, keys = r[:40], np.ascontiguousarray(r[40:])
    words = by_library(lambda lib: lib.build(queries, 4.0, keys))
    i, j = np.nonzero(np.linalg.norm(queries[:, None] - keys[None], axis=2) < 4)
    return Way(words, np.column_stack([i, j, np.zeros((len(i), 3), int)]), "cutoff", queries, keys, n_q=40, n_k=50)


def several_structures(folder, vicinal):
    r = atoms(folder, "a.xyz")
    words = by_library(lambda lib: lib.structures([0, 30, 30, 90], r, cutoff=4.0))
    pairs = [(i, j, 0, 0, 0) for i, j, *_ in near(r, 4) if (i < 30) == (j < 30)]
    return Way(words, pairs, "cutoff", r, distances=False, structures="3")


def several_crystals(folder, vicinal):
    r = atoms(folder, "a.xyz", CRYSTAL_CELL)
    cells = np.array([CRYSTAL_CELL, 1.25 * CRYSTAL_CELL])
    words = by_library(lambda lib: lib.structures([0, 30, 90], r, cells, cutoff=4.0))
    second = near(r[30:], 4, cells[1]) + [30, 30, 0, 0, 0]
    return Way(words, [*near(r[:30], 4, cells[0]), *second], "cutoff", r, distances=False, structures="2")


def one_atom(folder, vicinal):
    write_xyz(folder / "a.xyz", [[1, 2, 3]])
    return Way(["a.xyz", "--cutoff", 3], [(0, 0, 0, 0, 0)], "cutoff", np.array([[1.0, 2, 3]]), n_q=1)


WAYS = [cutoff, cutoff_crystal, cutoff_slab, cutoff_without_self, supercell, gzipped, dense, nearest_open, nearest_crystal,
        windows_open, windows_crystal, windows_bare, listed, listed_crystal, listed_bare, listed_none, mask_square,
        mask_oblong, mask_of_entries, generated, generated_none, united, united_bare, united_to_windows, excluded, skipped,
        saved, saved_windows, two_sets, several_structures, several_crystals, one_atom]


# ---- the outputs ----


def check_text(way, vicinal, folder):
    rows = dict(line.strip().split(None, 1) for line in vicinal("pattern", *way.words).out.splitlines()[1:])
    assert int(rows["pairs"].split()[0].replace(",", "")) == len(way.pairs)
    assert int(rows["atoms"].replace(",", "")) == way.n_q
    if way.distances:
        axes = [a for a, p in zip("abc", way.periodic) if p]
        said = rows.get("periodic", "no")  # of two sets nothing is said
        assert said.split(",")[0].split(":")[0] == "no" if not axes else said == "along " + " and ".join(
            [", ".join(axes[:-1])] * (len(axes) > 1) + axes[-1:])


def check_json(way, vicinal, folder):
    answer = vicinal("pattern", *way.words, "--json").json
    assert answer["pairs"] == len(way.pairs) and answer["atoms"] == way.n_q and answer["kind"] == way.kind
    assert answer.get("keys", way.n_q) == way.n_k
    counts = np.bincount(way.pairs[:, 0], minlength=way.n_q)
    assert answer["max_pairs"] == counts.max()
    if way.distances:
        assert answer["periodic"] == list(way.periodic)
        if any(way.periodic):
            assert answer["cell"] is not None


def check_pairs_out(way, vicinal, folder):
    vicinal("pattern", *way.words, "--pairs-out", "out.npz")
    with np.load(folder / "out.npz", allow_pickle=False) as data:
        got = dict(data)
    np.testing.assert_array_equal(np.column_stack([got["i"], got["j"], got["image"]]), way.pairs)
    assert ("positions" in got) == (way.positions is not None)
    assert ("d" in got) == ("periodic" in got) == way.distances
    assert ("cell" in got) == (way.cell is not None) and ("key_positions" in got) == (way.keys is not None)
    if way.positions is not None and way.positions is not ...:
        np.testing.assert_array_equal(got["positions"], way.positions)
    if way.keys is not None:
        np.testing.assert_array_equal(got["key_positions"], way.keys)
    if way.cell is not None:
        np.testing.assert_array_equal(got["cell"], way.cell)
    if way.distances:
        assert got["periodic"].dtype == bool and got["periodic"].tolist() == list(way.periodic)
        # By what the file itself holds.
        to = got.get("key_positions", got["positions"])[got["j"]] - got["positions"][got["i"]]
        to = to + got["image"] @ got.get("cell", np.zeros((3, 3)))
        np.testing.assert_allclose(got["d"], np.linalg.norm(to, axis=1), atol=1e-12)
    check_metadata(way, json.loads(got["metadata"].item()))
    if way.n_q == way.n_k:  # and read back
        assert vicinal("pattern", f"atoms:{way.n_q}", "--pairs", "out.npz", "--json").json["pairs"] == len(way.pairs)


def check_metadata(way, metadata):
    assert all(isinstance(v, str) for v in metadata.values())
    assert metadata["producer"].startswith("vicinal ") and metadata["file"] == str(way.words[0])
    assert metadata["kind"] == way.kind and metadata["atoms"] == str(way.n_q)
    assert metadata.get("keys", metadata["atoms"]) == str(way.n_k)
    for key, value in way.metadata.items():
        assert metadata.get(key) == value
    for key in {"nearest", "windows", "pairs", "unite", "exclude_pairs", "skip", "self_pairs", "supercell"}:
        option = "--" + key.replace("_", "-")
        assert (key in metadata) == (option in way.words or key in way.metadata)
        if key in ("pairs", "unite", "exclude_pairs", "skip") and option in way.words:
            assert metadata[key] == way.words[way.words.index(option) + 1]
    if way.cell is not None:
        np.testing.assert_array_equal(json.loads(metadata["cell"]), way.cell)
        assert metadata["periodic"] == "".join(a for a, p in zip("xyz", way.periodic) if p)


def check_vnp(way, vicinal, folder):
    vicinal("pattern", *way.words, "-o", "out.vnp")
    vicinal("pattern", "out.vnp", "--pairs-out", "again.npz", "-o", "twice.vnp")
    with np.load(folder / "again.npz") as data:
        np.testing.assert_array_equal(np.column_stack([data["i"], data["j"], data["image"]]), way.pairs)
    assert (folder / "out.vnp").read_bytes() == (folder / "twice.vnp").read_bytes()


def check_plot(way, vicinal, folder):
    vicinal("pattern", *way.words, "--plot", "out.svg")
    root = xml.etree.ElementTree.parse(folder / "out.svg").getroot()
    texts = " ".join("".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text"))
    assert f"{len(way.pairs):,} pair" in texts and f"{way.n_q:,} atom" in texts
    scene = way.positions is not None and way.keys is None  # one set of atoms that stand somewhere: drawn beside the matrix
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) >= (4 if scene else 1)


def check_run(way, vicinal, folder):
    """Queries and keys of zeros: the LSE counts the pairs, and the output is the mean of the values."""
    rng = np.random.default_rng(5)
    v = rng.normal(size=(way.n_k, 1, 8)).astype(np.float32)
    np.save(folder / "q0.npy", np.zeros((way.n_q, 1, 8), np.float32))
    np.save(folder / "k0.npy", np.zeros((way.n_k, 1, 8), np.float32))
    np.save(folder / "v0.npy", v)
    words = ["run", *way.words, "--heads", 1, "--head-dim", 8, "--device", "cpu", "--scale", 0.3, "--q", "q0.npy", "--k",
             "k0.npy", "--v", "v0.npy"]
    vicinal(*words, "-o", "out.npy")
    vicinal(*words, "-o", "out.safetensors", "--lse")
    tensors = oracle.read_safetensors(folder / "out.safetensors")
    expected = np.zeros((way.n_q, 8))
    np.add.at(expected, way.pairs[:, 0], v[way.pairs[:, 1], 0].astype(float))
    counts = np.bincount(way.pairs[:, 0], minlength=way.n_q)
    expected[counts > 0] /= counts[counts > 0, None]
    np.testing.assert_allclose(tensors["out"][:, 0], expected, atol=2e-6)
    np.testing.assert_array_equal(np.load(folder / "out.npy"), tensors["out"])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(tensors["lse"][:, 0], np.log(counts), atol=2e-6)
    raw = (folder / "out.safetensors").read_bytes()
    metadata = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    check_metadata(way, metadata)
    assert metadata["heads"] == "1" and metadata["head_dim"] == metadata["head_dim_v"] == "8"
    assert metadata["dtype"] == "float32" and metadata["scale"] == "0.3" and metadata["v"] == "v0.npy"
    assert "seed" not in metadata and metadata["kernel"].startswith("attn_") and metadata["device"] == "cpu"


OUTPUTS = [check_text, check_json, check_plot, check_pairs_out, check_vnp, check_run]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda f: f.__name__[6:])
@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_way_and_output(vicinal, tmp_path, monkeypatch, way, output):
    monkeypatch.chdir(tmp_path)
    output(way(tmp_path, vicinal), vicinal, tmp_path)


def test_the_seed_of_random_tensors(vicinal, tmp_path, cloud):
    vicinal("run", cloud[0], "--cutoff", 4, "--seed", 7, "--head-dim", 16, "--dtype", "bf16", "-o", "a.safetensors",
            "--radial", "cosine")
    raw = (tmp_path / "a.safetensors").read_bytes()
    metadata = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    assert metadata["q"] == metadata["k"] == metadata["v"] == "random" and metadata["seed"] == "7"
    assert metadata["scale"] == "0.25" and metadata["dtype"] == "bfloat16" and metadata["radial"] == "cosine"
    assert float(metadata["cutoff"]) == 4
    # Nothing of the machine's doing: the same file whatever the number of threads.
    for threads in (1, 3):
        vicinal("run", cloud[0], "--cutoff", 4, "--seed", 7, "--head-dim", 16, "--dtype", "bf16", "-o",
                f"{threads}.safetensors", "--radial", "cosine", "--threads", threads)
        assert (tmp_path / f"{threads}.safetensors").read_bytes() == raw


def test_metadata_of_odd_names(vicinal, tmp_path):
    """Quotes and bytes that are no UTF-8 stay JSON."""
    for name in (b'a"b\\c\n.xyz', "\u00e9\u4e2d.xyz".encode(), b"a\xffb.xyz"):
        path = tmp_path.joinpath(name.decode("utf-8", "surrogateescape"))
        path.write_text("1\n\nC 0 0 0\n")
        vicinal("pattern", path.name, "--cutoff", 3, "--pairs-out", "p.npz", "--json")
        vicinal("run", path.name, "--cutoff", 3, "-o", "p.safetensors", "--json")
        expected = name.decode("utf-8", "replace")
        with np.load(tmp_path / "p.npz") as data:
            assert json.loads(data["metadata"].item())["file"] == expected
        raw = (tmp_path / "p.safetensors").read_bytes()
        assert json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["file"] == expected
