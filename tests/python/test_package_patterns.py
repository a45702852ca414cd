# SPDX-License-Identifier: Apache-2.0
"""The package's patterns: what they are made from, beside plain formulas and the programs of others; what is refused,
and with which words.  Their life is in test_package_life.py."""
import os

import numpy as np
import pytest

import vicinal
from package_tools import SKEWED, pairs_of, same, sorted_rows
from vicinal import _points

pytestmark = pytest.mark.skipif(not os.path.isfile(os.environ.get("VIC_LIBRARY", "")),
                                reason="VIC_LIBRARY does not name libvicinal.so")


# ---- Which pairs: beside others ----


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("n, cutoff", [(1, 9.0), (7, 6.5), (40, 3.0)])
def test_neighbors_are_those_of_ase(rng, pbc, n, cutoff):
    """Small skewed cells with many images; positions outside of the cell, too."""
    ase = pytest.importorskip("ase")
    from ase.neighborlist import neighbor_list
    atoms = ase.Atoms(f"H{n}", positions=rng.uniform(-2, 3, (n, 3)) @ SKEWED, cell=SKEWED, pbc=pbc)
    pattern = vicinal.pattern(atoms, cutoff, exclude_self=True)
    assert list(pattern.pbc) == [bool(axis) for axis in pbc]
    got = pattern.neighbors("ijSdD")
    want = sorted_rows(*neighbor_list("ijSdD", atoms, cutoff))
    for a, b in zip(got[:3], want[:3]):
        assert np.array_equal(a, b)  # also in this sequence
    for a, b in zip(got[3:], want[3:]):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert vicinal.pattern(atoms, cutoff).n_pairs == len(got[0]) + n
    half = pattern.neighbors("ijS", half=True)
    assert 2 * len(half[0]) == len(got[0])
    assert np.array_equal(pattern.edge_index(), [got[1], got[0]])
    assert np.array_equal(pattern.edge_index(flow="target_to_source"), got[:2])
    counts = np.bincount(want[0], minlength=n)
    assert np.array_equal(pattern.counts(), counts) and pattern.max_pairs == max(counts)
    dense = np.zeros((n, n), bool)
    dense[want[0], want[1]] = True
    assert np.array_equal(pattern.to_dense(), dense)


def test_nearest_are_those_of_sorting(rng):
    x, y = rng.uniform(0, 9, (50, 3)), rng.uniform(0, 9, (30, 3))
    d = np.linalg.norm(y - x[:, None], axis=2)
    for k in (1, 7, 30, 31):
        near = np.zeros((50, 30), bool)
        np.put_along_axis(near, np.argsort(d, axis=1)[:, :k], True, axis=1)
        assert np.array_equal(vicinal.nearest(x, k, keys=y).to_dense(), near)
    ase = pytest.importorskip("ase")
    from ase.neighborlist import neighbor_list
    atoms = ase.Atoms("H9", positions=rng.uniform(0, 1, (9, 3)) @ SKEWED, cell=SKEWED, pbc=True)
    i, j, S, d = neighbor_list("ijSd", atoms, 7.0)
    want = set()
    for atom in range(9):
        some = np.flatnonzero(i == atom)
        some = some[np.argsort(d[some])][:20]
        want |= {(atom, int(j[e]), tuple(int(s) for s in S[e])) for e in some}
    assert pairs_of(vicinal.nearest(atoms, 20, exclude_self=True)) == want


def by_centres(n, query_window, key_window):
    """AlphaFold 3, algorithm 7: l and m are a pair when, of some window's centre c, |l - c| < queries / 2 and
    |m - c| < keys / 2."""
    mask, place = np.zeros((n, n), bool), np.arange(n)
    for centre in np.arange(-(-n // query_window)) * query_window + (query_window - 1) / 2:
        near = np.abs(place - centre)
        mask |= np.outer(near < query_window / 2, near < key_window / 2)
    return mask


@pytest.mark.parametrize("n, q, k", [
    (300, 32, 128), (100, 32, 128), (77, 8, 24), (50, 3, 9), (20, 16, 2), (1, 32, 128)])
def test_windows_are_those_of_the_formula(n, q, k):
    want = by_centres(n, q, k)
    assert np.array_equal(vicinal.windows(n, q, k).to_dense(), want)
    mask = np.arange(n) % 3 > 0
    assert np.array_equal(vicinal.windows(n, q, k, mask=mask).to_dense(), want & mask & mask[:, None])


def test_windows_of_several_structures(rng):
    sizes = [70, 0, 1, 33, 0]
    offsets = np.cumsum([0, *sizes])
    want = np.zeros((104, 104), bool)
    for first, size in zip(offsets, sizes):
        want[first:first + size, first:first + size] = by_centres(size, 8, 32)
    for given in ({"cu_seqlens": offsets}, {"batch": np.repeat(np.arange(5), sizes)}):
        assert np.array_equal(vicinal.windows(104, 8, 32, **given).to_dense(), want)
    mask = rng.random(104) < 0.7
    got = vicinal.windows(rng.uniform(0, 9, (104, 3)), 8, 32, cu_seqlens=offsets, mask=mask).to_dense()
    assert np.array_equal(got, want & mask & mask[:, None])
    assert vicinal.windows(0, 8, 32, batch=[]).n_pairs == 0


@pytest.mark.parametrize("shape, block, n, n_keys", [
    ((5, 5), 16, None, None), ((5, 5), 32, 150, None), ((5, 5), 32, 150, 160), ((3, 7), 48, None, None),
    ((3, 7), 16, 40, 100)])
def test_blocks_are_those_of_the_layout(rng, shape, block, n, n_keys):
    sparse = pytest.importorskip("scipy.sparse")
    layout = rng.random(shape) < 0.4
    want = np.kron(layout, np.ones((block, block))) > 0
    sizes = n or want.shape[0], n_keys or (n if shape[0] == shape[1] else None) or want.shape[1]
    want = want[:sizes[0], :sizes[1]]
    entries = np.nonzero(layout)
    twice = sparse.coo_matrix((np.ones(2 * layout.sum()), np.tile(entries, 2)), shape)
    zeros = sparse.csr_matrix(layout.astype(float) + 1)
    zeros.data -= 1  # stored zeros
    for given in (layout, layout.tolist(), layout * 0.5, sparse.csr_matrix(layout), sparse.csc_matrix(layout), twice,
                  zeros):
        got = vicinal.blocks(given, block, n=n, n_keys=n_keys)
        assert np.array_equal(got.to_dense(), want)
        assert got.one_set == (n_keys is None and shape[0] == shape[1])
    assert zeros.nnz == layout.size, "the caller's matrix is changed"


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, (3, 5), (0, None), (None, 2)])
def test_ranges_are_those_of_a_mask(rng, causal, window):
    n_keys, queries, listed, first = 200, [0], [], [0]
    want = np.zeros((60, n_keys), bool)
    for group in range(6):
        queries.append(queries[-1] + 10)
        cuts = np.sort(rng.choice(n_keys + 1, 6, replace=False)).reshape(3, 2)
        cuts = cuts[rng.permutation(3)[:group % 4]]
        listed += cuts.tolist()
        first.append(len(listed))
        keys = np.concatenate([np.arange(*cut) for cut in cuts]) if len(cuts) else np.zeros(0, int)
        for r in range(10):
            place, at = len(keys) - 10 + r, np.arange(len(keys))
            left, right = window or (None, None)
            seen = (at <= place) | (not causal)
            seen &= (left is None) | (at >= place - (left or 0))
            seen &= (right is None) | (at <= place + (right or 0))
            want[10 * group + r, keys[seen]] = True
    got = vicinal.ranges(queries, first, listed, n_keys=n_keys, causal=causal, window=window)
    assert np.array_equal(got.to_dense(), want)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, (3, 5), (0, None), (None, 2)])
@pytest.mark.parametrize("share", [1, 4])
def test_pages_are_those_of_a_mask(rng, causal, window, share):
    page, n_keys, lengths, queries = 32, 32 * 9 + 5, [], [0]
    table = np.stack([rng.permutation(9)[:6] for _ in range(7)])
    want = []
    for group in range(7):
        lengths.append(int(rng.integers(1, 6 * page + 1)) if group else 0)
        n = 1 if group % 2 else 9
        queries.append(queries[-1] + n * share)
        at = np.arange(lengths[-1])
        keys = table[group][at // page] * page + at % page
        for r in range(n * share):
            place, row = lengths[-1] - n + r // share, np.zeros(n_keys, bool)
            left, right = window or (None, None)
            seen = (at <= place) | (not causal)
            seen &= (left is None) | (at >= place - (left or 0))
            seen &= (right is None) | (at <= place + (right or 0))
            row[keys[seen]] = True
            want.append(row)
    got = vicinal.pages(queries, lengths, table, page, n_keys=n_keys, causal=causal, window=window, queries_per_place=share)
    assert got.kind == "ranges" and not got.one_set
    assert np.array_equal(got.to_dense(), np.array(want))


def test_patterns_of_patterns_are_sets(rng):
    x, cell = rng.uniform(0, 9, (60, 3)), np.diag([9.0, 8.0, 7.0])
    a, b = vicinal.pattern(x, 3.0, cell=cell), vicinal.nearest(x, 14, cell=cell, exclude_self=True)
    A, B = pairs_of(a), pairs_of(b)
    assert A - B and B - A and A & B
    assert pairs_of(a | b) == A | B
    assert pairs_of(a - b) == A - B
    assert pairs_of(a.transpose()) == {(j, i, tuple(-s for s in S)) for i, j, S in A}
    i, j, S = (np.array(column) for column in zip(*sorted(B)))
    assert pairs_of(a.exclude(i, j, S)) == A - B
    some = np.unique(np.stack([i, j])[:, ::3], axis=1)
    kept = {pair for pair in A if pair[:2] not in set(map(tuple, some.T.tolist()))}
    assert pairs_of(a.exclude(*some)) == kept and len(kept) < len(A)
    same(a.exclude([], []), a)
    listed = vicinal.pairs(i, j, S, positions=x, cell=cell)
    assert pairs_of(listed) == B
    for letter in "dD":
        assert np.array_equal(listed.neighbors(letter), b.neighbors(letter))


# ---- What positions may be ----


class OnlyDlpack:
    """Like arrays that NumPy has to ask by DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class OnDevice:
    """Like CuPy: on a GPU, no implicit copy, but get()."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        raise BufferError("not on the CPU")

    def __dlpack_device__(self):
        return 2, 0

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def get(self):
        return self.array


def frozen(x):
    x = x.copy()
    x.setflags(write=False)
    return x


@pytest.mark.parametrize("form", [
    np.ndarray.tolist, list, np.asfortranarray, lambda x: x[::-1][::-1], lambda x: np.repeat(x, 2, 1)[:, ::2], frozen,
    lambda x: x.astype(">f8"), lambda x: x.astype(np.longdouble), OnlyDlpack, OnlyArray, OnDevice,
    lambda x: np.ma.masked_array(x, np.zeros(x.shape, bool))])
def test_forms_of_positions(rng, form):
    x = rng.uniform(0, 9, (80, 3))
    same(vicinal.pattern(form(x), 3.0), vicinal.pattern(x, 3.0))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", ">f4"])
def test_types_of_positions(rng, dtype):
    x = rng.uniform(0, 9, (80, 3)).astype(dtype)
    got = vicinal.pattern(x, 3.0)
    same(got, vicinal.pattern(x.astype(np.float64), 3.0))
    assert got.positions.dtype == np.float64 and np.array_equal(got.positions, x.astype(np.float64))


def test_no_points():
    for pattern in (vicinal.pattern(np.zeros((0, 3)), 3.0), vicinal.nearest(np.zeros((0, 3), np.float32), 4),
                    vicinal.pattern(np.zeros((0, 3)), 3.0, batch=[]),
                    vicinal.pattern(np.zeros((0, 3)), 3.0, cu_seqlens=[0]),
                    vicinal.pattern(np.zeros((0, 3)), 3.0, cell=SKEWED), vicinal.blocks(np.zeros((0, 0))),
                    vicinal.pairs([], [], n=0), vicinal.ranges([0], [0], [])):
        assert (pattern.n_queries, pattern.n_keys, pattern.n_pairs, pattern.n_structures) == (0, 0, 0, 1)
        assert pattern.to_dense().shape == (0, 0) and pattern.edge_index().shape == (2, 0)
        assert "0 pairs" in repr(pattern)
        empty = np.zeros((0, 2, 8), np.float32)
        assert vicinal.attention(empty, empty, empty, pattern).shape == (0, 2, 8)
    pattern = vicinal.pattern(np.zeros((0, 3)), 3.0, keys=np.ones((4, 3)))
    assert (pattern.n_queries, pattern.n_keys) == (0, 4)


def test_structures_of_files():
    from vicinal_ctypes import data
    structure = vicinal.read(data("small/1vln-triclinic.gro"))
    assert structure.pbc.all()
    got = vicinal.pattern(structure, 6.0)
    by_arrays = vicinal.pattern(structure.positions, 6.0, cell=structure.cell)
    assert all(map(np.array_equal, got.neighbors("ijSd"), by_arrays.neighbors("ijSd")))
    assert np.array_equal(got.positions, structure.positions) and np.any(got.neighbors("S"))


def test_options_of_reading(tmp_path):
    """What is out of the range of C was taken modulo 2^32, and a path ended at a NUL."""
    from vicinal_ctypes import data
    path = data("small/1vln-triclinic.gro")
    right = vicinal.read(path, cell=(50, 51, 52), supercell=(2, 1, 1))
    np.testing.assert_allclose(right.cell, np.diag([100.0, 51.0, 52.0]), atol=1e-9)
    for options, text in (({"model": 1 << 32}, "model: .* to 2,147,483,647"), ({"model": 1.5}, "model: expected a whole number"),
                          ({"supercell": ((1 << 32) + 1, 1, 1)}, "supercell: .* to 2,147,483,647"),
                          ({"supercell": (1.5, 1, 1)}, "supercell: expected a whole number"),
                          ({"max_atoms": 1 << 70}, "max_atoms"), ({"cell": np.eye(3)}, "cell: expected a, b, c, or"),
                          ({"cell": ["50"] * 6}, "cell: expected a, b, c, or")):
        with pytest.raises(vicinal.ArgumentError, match=text):
            vicinal.read(path, **options)
    for call in (vicinal.read, vicinal.load, vicinal.windows(4, 2, 2).save):
        for wrong in (f"{path}\0.pdb", None, 3):
            with pytest.raises(vicinal.ArgumentError, match="path: expected the path of a file"):
                call(wrong)
    for values, name, text in ((["x"] * len(right), "value", "values: expected a number for each"),
                               (np.zeros(len(right), complex), "value", "values: .* of complex128"),
                               (np.zeros(len(right)), "a\0b", "name: expected"), (np.zeros(len(right)), None, "name: expected")):
        with pytest.raises(vicinal.ArgumentError, match=text):
            right.write(tmp_path / "x.xyz", values, name)


def test_plans_are_for_what_attention_takes(rng):
    """Heads of 13 are padded, and a number of heads was taken modulo 2^32."""
    pattern = vicinal.pattern(rng.uniform(0, 5, (20, 3)), 2.0)
    assert pattern.prepare(2, 13, head_dim_v=5) == pattern.prepare(2, 16, head_dim_v=8)
    both = pattern.prepare(2, 16, backward=True)
    assert "attn_bwd" in both.pop("backward_kernel") and both == pattern.prepare(2, 16)  # one plan, which does for both
    for wrong in (((1 << 32) + 2, 16), (2, (1 << 32) + 16)):
        with pytest.raises(vicinal.ArgumentError, match="to 2,147,483,647, got"):
            pattern.prepare(*wrong)
    points = rng.normal(size=(20, 3))
    assert np.array_equal(pattern.sort(points.tolist()), pattern.sort(points))
    with pytest.raises(vicinal.ArgumentError, match="expected 20 points along dimension 5"):
        pattern.sort(points, dim=5)


def test_atoms_of_ase(rng):
    ase = pytest.importorskip("ase")
    x = rng.uniform(0, 5, (30, 3))
    atoms = ase.Atoms("H30", positions=x, cell=SKEWED, pbc=[True, False, True])
    same(vicinal.pattern(atoms, 3.0), vicinal.pattern(x, 3.0, cell=SKEWED, pbc=[1, 0, 1]))
    same(vicinal.pattern(atoms, 3.0, pbc=False), vicinal.pattern(x, 3.0))
    same(vicinal.pattern(atoms, 3.0, cell=[6, 7, 8]), vicinal.pattern(x, 3.0, cell=[6, 7, 8]))
    same(vicinal.pattern(ase.Atoms("H30", positions=x), 3.0), vicinal.pattern(x, 3.0))
    slab = ase.Atoms("H30", positions=x, cell=[9, 9, 0], pbc=[True, True, False])
    same(vicinal.pattern(slab, 3.0), vicinal.pattern(x, 3.0, cell=[9, 9, 50], pbc=[1, 1, 0]))
    same(vicinal.pattern(atoms[:20], 3.0, keys=atoms[20:]),
         vicinal.pattern(x[:20], 3.0, keys=x[20:], cell=SKEWED, pbc=[1, 0, 1]))


def test_forms_of_cells(rng):
    ase_cell = pytest.importorskip("ase.cell")
    six = [7.0, 8.5, 9.25, 80.0, 95.0, 110.0]
    want = ase_cell.Cell.fromcellpar(six)
    array = want.array
    for given in (six, want, array, array[None], tuple(map(tuple, array)), np.asfortranarray(array)):
        np.testing.assert_allclose(_points.lattice(given), want.array, rtol=0, atol=1e-12)
    assert np.array_equal(_points.lattice([3, 4, 5]), np.diag([3, 4, 5]))
    assert np.array_equal(_points.lattice([3, 4, 5, 90, 90, 90]), np.diag([3, 4, 5]))
    for none in (None, np.zeros((3, 3)), [0, 0, 0], [0, 0, 0, 90, 90, 90], ase_cell.Cell(np.zeros((3, 3)))):
        assert _points.lattice(none) is None
    x = rng.uniform(0, 9, (40, 3))
    same(vicinal.pattern(x, 5.0, cell=six), vicinal.pattern(x, 5.0, cell=want.array))
    assert np.allclose(vicinal.pattern(x, 5.0, cell=six).cell, want.array, atol=1e-12)
    partly = vicinal.pattern(x, 5.0, cell=want, pbc=[True, False, True])
    assert not np.any(partly.cell[1]) and list(partly.pbc) == [True, False, True]


# ---- Several structures ----


def test_structures_each_for_itself(rng):
    """Cells and periodic axes of each, also none, and empty structures, as pattern by pattern."""
    sizes = [20, 0, 7, 31, 0]
    cells = np.stack([np.diag([6.0, 7.0, 8.0]), np.eye(3), SKEWED, np.zeros((3, 3)), np.zeros((3, 3))])
    pbc = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0]], bool)
    x, y = rng.uniform(0, 6, (58, 3)), rng.uniform(0, 6, (10, 3))
    offsets, key_offsets = np.cumsum([0, *sizes]), np.array([0, 3, 3, 6, 9, 10])
    want, want_keys = set(), set()
    for g in range(5):
        a, b = offsets[g], key_offsets[g]
        mine, keys = x[a:offsets[g + 1]], y[b:key_offsets[g + 1]]
        given = {"cell": cells[g], "pbc": pbc[g]} if np.any(cells[g]) else {}
        want |= {(i + a, j + a, S) for i, j, S in pairs_of(vicinal.pattern(mine, 4.0, **given))}
        want_keys |= {(i + a, j + b, S) for i, j, S in pairs_of(vicinal.pattern(mine, 4.0, keys=keys, **given))}
    got = vicinal.pattern(x, 4.0, cu_seqlens=offsets, cell=cells, pbc=pbc)
    assert got.n_structures == 5 and pairs_of(got) == want
    # The last structure is empty, of which a batch vector knows nothing.
    batch, key_batch = np.repeat(np.arange(5), sizes), np.repeat(np.arange(5), np.diff(key_offsets))
    got = vicinal.pattern(x, 4.0, batch=batch.astype(np.int32), cell=cells[:4], pbc=pbc[:4])
    assert got.n_structures == 4 and pairs_of(got) == want
    for given in ({"batch": batch, "key_batch": key_batch}, {"cu_seqlens": offsets, "key_cu_seqlens": key_offsets},
                  {"batch": batch, "key_cu_seqlens": key_offsets}):
        got = vicinal.pattern(x, 4.0, keys=y, cell=cells, pbc=pbc, **given)
        assert got.n_structures == 5 and pairs_of(got) == want_keys
    # torch_geometric joins matrices and vectors end to end.
    same(vicinal.pattern(x, 4.0, cu_seqlens=offsets, cell=cells.reshape(15, 3), pbc=pbc.reshape(15)),
         vicinal.pattern(x, 4.0, cu_seqlens=offsets, cell=cells, pbc=pbc))
    six = np.array([[6, 7, 8, 90, 90, 90], [0, 0, 0, 90, 90, 90]])
    same(vicinal.pattern(x[:27], 4.0, batch=batch[:27] // 2, cell=six),
         vicinal.pattern(x[:27], 4.0, batch=batch[:27] // 2, cell=[cells[0], cells[3]]))
    same(vicinal.pattern(x[:27], 4.0, batch=batch[:27], cell=SKEWED, pbc=[1, 0, 1]),
         vicinal.pattern(x[:27], 4.0, batch=batch[:27], cell=[SKEWED] * 3, pbc=[[1, 0, 1]] * 3))
    # d and D go by the cell of each.
    i, j, S, D = got.neighbors("ijSD")
    shift = np.einsum("ea,eab->eb", S, cells[batch[i]])
    np.testing.assert_allclose(D, y[j] + shift - x[i], rtol=0, atol=1e-12)


def test_one_structure_is_like_none_said(rng):
    x = rng.uniform(0, 9, (30, 3))
    one = vicinal.pattern(x, 3.0, batch=np.zeros(30, int), cell=[SKEWED * 3], pbc=[[True, True, False]])
    same(one, vicinal.pattern(x, 3.0, cell=SKEWED * 3, pbc=[1, 1, 0]))
    assert list(one.pbc) == [True, True, False] and np.array_equal(one.cell[:2], 3 * SKEWED[:2])
    assert "periodic along xy" in repr(one)
    several = vicinal.pattern(x, 3.0, batch=np.repeat([0, 1], 15), cell=SKEWED * 3)
    assert "2 structures" in repr(several) and "not periodic" not in repr(several)


def test_masks_and_ids(rng):
    x = rng.uniform(0, 6, (50, 3))
    mask, key_mask = rng.random(50) < 0.6, rng.random(50) < 0.5
    every = vicinal.pattern(x, 3.0, keys=x).to_dense()
    for form in (np.asarray, np.ndarray.tolist, lambda m: m.astype(np.uint8), lambda m: m.astype(np.int64)):
        got = vicinal.pattern(x, 3.0, keys=x, mask=form(mask), key_mask=form(key_mask))
        assert np.array_equal(got.to_dense(), every & mask[:, None] & key_mask)
    assert np.array_equal(vicinal.pattern(x, 3.0, mask=mask).to_dense(), every & mask[:, None] & mask)
    ids = rng.permutation(50)
    own = vicinal.pattern(x, 3.0, keys=x[::2], ids=ids, key_ids=ids[::2], exclude_self=True).to_dense()
    assert np.array_equal(own, every[:, ::2] & (np.arange(50)[:, None] != np.arange(0, 50, 2)))


# ---- Changes ----


def test_update(rng):
    x, cell = rng.uniform(0, 9, (60, 3)), np.diag([9.0, 8.0, 7.0])
    pattern = vicinal.pattern(x, 3.5, cell=cell, pbc=[1, 1, 0])
    assert pattern.update_((x + 0.3).tolist()) is pattern
    same(pattern, vicinal.pattern(x + 0.3, 3.5, cell=cell, pbc=[1, 1, 0]))
    pattern.update_(x, cell=cell * 1.1)
    same(pattern, vicinal.pattern(x, 3.5, cell=cell * 1.1, pbc=[1, 1, 0]))
    assert np.allclose(pattern.cell[0], [9.9, 0, 0]) and np.array_equal(pattern.positions, x)
    two = vicinal.nearest(x, 5, keys=x[:20]).update_(x * 0.9, keys=x[20:40])
    same(two, vicinal.nearest(x * 0.9, 5, keys=x[20:40]))
    batch = np.repeat([0, 1, 2], 20)
    same(vicinal.pattern(x, 3.5, batch=batch, cell=[cell, cell / 2, cell]).update_(x[::-1]),
         vicinal.pattern(x[::-1], 3.5, batch=batch, cell=[cell, cell / 2, cell]))
    q = rng.standard_normal((60, 2, 8)).astype(np.float32)
    vicinal.attention(q, q, q, pattern)
    pattern.update_(x * 0.8)
    np.testing.assert_allclose(vicinal.attention(q, q, q, pattern),
                               vicinal.attention(q, q, q, pattern, backend="reference"), atol=1e-5)


def test_update_by_atoms_of_ase(rng):
    """Their cell is taken, too: it changes under constant pressure."""
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("H40", positions=rng.uniform(0, 6, (40, 3)), cell=[6, 7, 8], pbc=[1, 1, 0])
    pattern = vicinal.pattern(atoms, 3.0)
    atoms.set_cell([5, 6, 8], scale_atoms=True)
    same(pattern.update_(atoms), vicinal.pattern(atoms, 3.0))
    assert pattern.cell[0, 0] == 5
    open_one = vicinal.pattern(atoms, 3.0, pbc=False)
    atoms.pbc = False
    same(open_one.update_(atoms), vicinal.pattern(atoms.positions, 3.0))
    with pytest.raises(vicinal.ArgumentError, match="periodic along a, and stays so"):
        pattern.update_(atoms)


# ---- What is refused ----


X = np.random.default_rng(3).uniform(0, 8, (30, 3))
TWO = np.repeat([0, 1], 15)


def broken(value):
    x = X.copy()
    x[7, 1] = value
    return x


def cutoff_3(positions=X, **given):
    return lambda: vicinal.pattern(positions, 3.0, **given)


REFUSED = {
    "positions None": (cutoff_3(None), "positions: expected positions [atoms, 3]", "ASE Atoms", "got None"),
    "positions a path": (cutoff_3("1crn.pdb"), "'1crn.pdb'", "vicinal.read(path)"),
    "positions a dict": (cutoff_3({"pos": X}), "positions: expected", "got dict"),
    "positions a number": (cutoff_3(5), "positions: expected [atoms, 3], got shape ()"),
    "positions flat": (cutoff_3(X[0]), "positions: expected [atoms, 3], got shape (3,)"),
    "positions in 2 D": (cutoff_3(X[:, :2]), "got shape (30, 2)"),
    "positions batched": (cutoff_3(X[None]), "got shape (1, 30, 3)", "batch= or cu_seqlens="),
    "positions bool": (cutoff_3(X > 4), "positions: expected numbers, got bool"),
    "positions complex": (cutoff_3(X.astype(complex)), "positions: expected numbers, got complex128"),
    "positions ragged": (cutoff_3([[1, 2, 3], [1, 2]]), "positions: expected"),
    "positions masked": (cutoff_3(np.ma.masked_array(X, X > 7)), "masked", "mask="),
    "positions NaN": (cutoff_3(broken(np.nan)), "atom 7", "coordinate y is nan"),
    "positions inf": (cutoff_3(broken(np.inf)), "atom 7", "coordinate y is inf"),
    "keys flat": (cutoff_3(keys=X[0]), "keys: expected [atoms, 3], got shape (3,)"),
    "keys NaN": (cutoff_3(keys=broken(np.nan)), "atom 7", "coordinate y is nan"),
    "cutoff 0": (lambda: vicinal.pattern(X, 0), "cutoff: expected a distance above 0", "got 0"),
    "cutoff < 0": (lambda: vicinal.pattern(X, -2.5), "cutoff: expected a distance above 0", "got -2.5"),
    "cutoff NaN": (lambda: vicinal.pattern(X, np.nan), "cutoff: expected a distance above 0", "got nan"),
    "cutoff inf": (lambda: vicinal.pattern(X, np.inf), "cutoff: expected a distance above 0", "got inf"),
    "cutoff str": (lambda: vicinal.pattern(X, "8.0"), "cutoff: expected a number, got '8.0'"),
    "cutoff None": (lambda: vicinal.pattern(X, None), "cutoff: expected a number, got None"),
    "cutoffs": (lambda: vicinal.pattern(X, [1.0, 2.0]), "cutoff: expected a number, got [1.0, 2.0]"),
    "count 0": (lambda: vicinal.nearest(X, 0), "count: expected a whole number from 1 on, got 0"),
    "count 2.5": (lambda: vicinal.nearest(X, 2.5), "count: expected a whole number from 1 on, got 2.5"),
    "count of many": (lambda: vicinal.nearest(X, 1 << 40), "expected 1 or more neighbours, up to 2147483647"),
    "max_bytes": (cutoff_3(max_bytes=-1), "max_bytes: expected a whole number from 1 on, got -1"),
    "cell of 2 x 2": (cutoff_3(cell=np.eye(2)), "cell: expected 3 x 3 numbers", "alpha", "got shape (2, 2)"),
    "cell a number": (cutoff_3(cell=9.0), "cell: expected 3 x 3 numbers", "got shape ()"),
    "cell str": (cutoff_3(cell="cubic"), "cell: expected numbers in A"),
    "cell complex": (cutoff_3(cell=np.eye(3) * 1j), "cell: expected numbers in A, got complex128"),
    "cell of no angles": (cutoff_3(cell=[5, 5, 5, 90, 90, 0]), "cell: no cell has the angles 90, 90, 0 degrees"),
    "cell of wrong angles": (cutoff_3(cell=[5, 5, 5, 10, 10, 170]), "cell: no cell has the angles 10, 10, 170"),
    "cell of NaN": (cutoff_3(cell=np.full((3, 3), np.nan)), "cell vector a, component 1", "got nan"),
    "cell that is flat": (cutoff_3(cell=[[5, 0, 0], [5, 0, 0], [0, 0, 5]]), "not independent", "check the cell"),
    "cell without b": (cutoff_3(cell=[5, 0, 5]), "cell vector b is 0 A long", "make the axis open"),
    "cells of one": (cutoff_3(cell=[np.eye(3)] * 2), "got shape (2, 3, 3)", "batch= or cu_seqlens="),
    "cells too many": (cutoff_3(cell=[np.eye(3)] * 3, batch=TWO), "got shape (3, 3, 3)", "[2, 3, 3]", "cu_seqlens="),
    "cells by lengths": (cutoff_3(cell=[[9, 9, 9]] * 2, batch=TWO), "got shape (2, 3)", "[2, 6]"),
    "pbc without cell": (cutoff_3(pbc=True), "pbc: an axis is periodic, but there is no cell", "cell="),
    "pbc of two": (cutoff_3(cell=[9, 9, 9], pbc=[1, 1]), "pbc: expected True, False or three of them, got shape (2,)"),
    "pbc str": (cutoff_3(cell=[9, 9, 9], pbc="xyz"), "pbc: expected True or False for each axis, got 'xyz'"),
    "pbc 2": (cutoff_3(cell=[9, 9, 9], pbc=2), "pbc: expected True or False for each axis, got 2"),
    "batch unsorted": (cutoff_3(batch=TWO[::-1]), "batch: expected", "got 0 at point 15", "sort the points"),
    "batch < 0": (cutoff_3(batch=TWO - 1), "batch: expected", "got -1 at point 0"),
    "batch short": (cutoff_3(batch=TWO[1:]), "batch: expected a vector of 30 entries, got shape (29,)"),
    "batch float": (cutoff_3(batch=TWO * 1.0), "batch: expected integers, got float64"),
    "batch with gaps": (cutoff_3(batch=TWO * 10**12), "batch: 30 points", "1,000,000,000,001", "without gaps"),
    "batch twice": (cutoff_3(batch=TWO, cu_seqlens=[0, 30]), "batch, cu_seqlens: expected one of them"),
    "cu_seqlens short": (cutoff_3(cu_seqlens=[0, 20]), "cu_seqlens: expected numbers that rise", "the 30", "[ 0 20]"),
    "cu_seqlens falls": (cutoff_3(cu_seqlens=[0, 20, 10, 30]), "cu_seqlens: expected numbers that rise"),
    "cu_seqlens late": (cutoff_3(cu_seqlens=[5, 30]), "cu_seqlens: expected numbers that rise from 0"),
    "key_cu_seqlens": (cutoff_3(keys=X, cu_seqlens=[0, 30], key_cu_seqlens=[0, 9]), "key_cu_seqlens: expected numbers"),
    "key_batch lacks": (cutoff_3(keys=X, batch=TWO), "key_batch: ", "of 2 structures", "of 1:"),
    "batch lacks": (cutoff_3(keys=X, key_batch=TWO), "batch: ", "of 1 structure ", "of 2:"),
    "structures differ": (cutoff_3(keys=X, cu_seqlens=[0, 9, 30], key_cu_seqlens=[0, 9, 20, 30]), "batch, key_batch: "),
    "mask short": (cutoff_3(mask=np.ones(29, bool)), "mask: expected one True or False for each of 30", "shape (29,)"),
    "mask float": (cutoff_3(mask=np.ones(30)), "mask: expected True or False for each point, got float64"),
    "mask of 256": (cutoff_3(mask=np.full(30, 256)), "mask: expected True or False", "other numbers than 0 and 1"),
    "key_mask": (cutoff_3(keys=X[:9], key_mask=[True]), "key_mask: expected one True or False for each of 9 points"),
    "key_mask without keys": (cutoff_3(key_mask=[True] * 30), "key_mask: there are no keys of their own", "keys="),
    "ids float": (cutoff_3(ids=X[:, 0]), "ids: expected integers, got float64"),
    "ids too large": (cutoff_3(ids=np.full(30, 2**64 - 1, np.uint64)), "ids: expected numbers that int64 holds"),
    "windows odd": (lambda: vicinal.windows(30, 4, 7), "both even or both odd", "4 and 7"),
    "windows 0": (lambda: vicinal.windows(30, 0, 8), "query_window: expected a whole number from 1 on, got 0"),
    "windows of 3.5": (lambda: vicinal.windows(3.5), "n: expected a whole number from 0 on, got 3.5"),
    "blocks of 24": (lambda: vicinal.blocks(np.eye(2), 24), "block_size: expected a multiple of 16, got 24"),
    "blocks of 0": (lambda: vicinal.blocks(np.eye(2), 0), "block_size: expected a whole number from 1 on, got 0"),
    "blocks in 3 D": (lambda: vicinal.blocks(np.ones((2, 2, 2))), "layout: expected [rows, columns]", "(2, 2, 2)"),
    "blocks of n": (lambda: vicinal.blocks(np.eye(2), 16, n=33), "n: 33 points are 3 blocks of 16", "layout has 2"),
    "pairs without n": (lambda: vicinal.pairs([0], [1]), "n, positions: expected one of them"),
    "pairs of floats": (lambda: vicinal.pairs([0.5], [1], n=2), "i: expected integers, got float64"),
    "pairs in 2 D": (lambda: vicinal.pairs([[0]], [[1]], n=2), "i: expected a vector, got shape (1, 1)"),
    "pairs uneven": (lambda: vicinal.pairs([0, 1], [1], n=2), "i, j: expected as many of each, got 2 and 1"),
    "pairs beyond": (lambda: vicinal.pairs([0, 5], [1, 1], n=2), "pair 1 is (5, 1)", "from 0 to 1"),
    "pairs twice": (lambda: vicinal.pairs([0, 0], [1, 1], n=2), "pair 1 is (0, 1), and so is pair 0"),
    "pairs S": (lambda: vicinal.pairs([0], [1], [0, 0, 1], n=2), "S: expected [1, 3], got shape (3,)"),
    "pairs S float": (lambda: vicinal.pairs([0], [1], [[0, 0, .5]], n=2), "S: expected integers, got float64"),
    "pairs n": (lambda: vicinal.pairs([], [], n=-1), "n: expected a whole number from 0 on, got -1"),
    "ranges beyond": (lambda: vicinal.ranges([0, 3], [0, 1], [[0, 4]]), "range 0, of group 0", "0 to 3", "0 and 4"),
    "ranges wrap": (lambda: vicinal.ranges([0, 3], [0, 1], [[0, 2**32 + 3]]), "ranges: expected numbers", "int32"),
    "ranges float": (lambda: vicinal.ranges([0, 3], [0, 1], [[0, 2.5]]), "ranges: expected integers, got float64"),
    "ranges flat": (lambda: vicinal.ranges([0, 3], [0, 1], [0, 3]), "ranges: expected [n, 2], got shape (2,)"),
    "ranges count": (lambda: vicinal.ranges([0, 3], [0, 2], [[0, 3]]), "range_offsets: expected", "the 1 ranges"),
    "pages page": (lambda: vicinal.pages([0, 3], [20], [[0, 1]], 8, n_keys=64), "page: expected a multiple of 16", "got 8"),
    "pages beyond": (lambda: vicinal.pages([0, 3], [20], [[0, 4]], 16, n_keys=64), "page 1 of group 0", "0 to 3", "found 4"),
    "pages twice": (lambda: vicinal.pages([0, 3], [20], [[2, 2]], 16, n_keys=64), "expected each page once", "found 2 again"),
    "pages long": (lambda: vicinal.pages([0, 3], [33], [[2, 1]], 16, n_keys=64), "lengths[0]", "0 to 32", "found 33"),
    "pages groups": (lambda: vicinal.pages([0, 3], [3, 4], [[2, 1]], 16, n_keys=64), "lengths: expected a vector of 1 entries"),
    "pages rows": (lambda: vicinal.pages([0, 3], [3], [[2], [1]], 16, n_keys=64), "table: expected a row for each of the 1"),
    "pages flat": (lambda: vicinal.pages([0, 3], [3], [2], 16, n_keys=64), "table: expected [n, n], got shape (1,)"),
    "pages none": (lambda: vicinal.pages([], [], [], 16, n_keys=64), "query_offsets: expected groups + 1"),
    "pages share": (lambda: vicinal.pages([0, 3], [3], [[2]], 16, n_keys=64, queries_per_place=2), "a multiple of the 2"),
    "ranges window": (lambda: vicinal.ranges([0, 3], [0, 1], [[0, 3]], window=3), "window: expected (left, right)"),
    "union of sizes": (lambda: cutoff_3()() | cutoff_3(X[:9])(), "the same atoms", "30"),
    "union of cells": (lambda: cutoff_3()() | cutoff_3(cell=[9, 9, 9])(), "the same cell"),
    "exclude beyond": (lambda: cutoff_3()().exclude([31], [0]), "pair 0 is (31, 0)", "from 0 to 29"),
    "exclude of floats": (lambda: cutoff_3()().exclude([1.0], [0]), "i: expected integers, got float64"),
    "update of 29": (lambda: cutoff_3()().update_(X[1:]), "positions: the pattern has 30 points, got 29"),
    "update without keys": (lambda: cutoff_3(keys=X[:5])().update_(X), "keys: the pattern has keys of their own"),
    "update with keys": (lambda: cutoff_3()().update_(X, keys=X), "keys: the pattern's queries are its keys"),
    "update of cells": (lambda: cutoff_3(batch=TWO)().update_(X, cell=[9, 9, 9]), "several structures", "make a new"),
    "update of windows": (lambda: vicinal.windows(30).update_(X), "of kind windows"),
    "letters": (lambda: cutoff_3()().neighbors("ijk"), "quantities: expected letters of 'ijSdD', got 'ijk'"),
    "d without positions": (lambda: vicinal.windows(30).neighbors("d"), "made without positions"),
    "half": (lambda: vicinal.nearest(X, 3).neighbors(half=True), "half: the pattern, of kind nearest, is not"),
    "flow": (lambda: cutoff_3()().edge_index(flow="up"), "flow: expected 'source_to_target'"),
    "side": (lambda: cutoff_3()().order("keys"), "side: expected 'query' or 'key', got 'keys'"),
    "sort": (lambda: cutoff_3()().sort(np.zeros(7)), "expected 30 points along dimension 0, got shape (7,)"),
    "prepare": (lambda: cutoff_3()().prepare(2.5, 16), "heads: expected a whole number from 1 on, got 2.5"),
    "prepare where": (lambda: cutoff_3()().prepare(2, 16, device="cuda:x"), "device: expected 'cpu', 'cuda'"),
    "load": (lambda: vicinal.load("/nonexistent.vnp"), "/nonexistent.vnp: cannot open"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", REFUSED)
def test_wrong_inputs_are_explained(name):
    make, *texts = REFUSED[name]
    with pytest.raises(vicinal.Error) as caught:
        make()
    for text in texts:
        assert text in str(caught.value)


def test_wrong_atoms_are_explained():
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("H30", positions=X, pbc=True)
    with pytest.raises(vicinal.ArgumentError, match="periodic by the Atoms, but there is no cell"):
        vicinal.pattern(atoms, 3.0)
    keys = ase.Atoms("H30", positions=X, cell=[9, 9, 9], pbc=True)
    with pytest.raises(vicinal.ArgumentError, match="keys: they come with a cell .* differ .* give cell="):
        vicinal.pattern(X, 3.0, keys=keys)
    same(vicinal.pattern(X, 3.0, keys=keys, pbc=False), vicinal.pattern(X, 3.0, keys=X))
    same(vicinal.pattern(keys, 3.0, keys=keys, pbc=[1, 0, 1]),
         vicinal.pattern(X, 3.0, keys=X, cell=[9, 9, 9], pbc=[1, 0, 1]))
    other = keys.copy()
    other.cell = [9, 9, 8]
    with pytest.raises(vicinal.ArgumentError, match="keys: they come with a cell"):
        vicinal.pattern(other, 3.0, keys=keys)
    other.cell, other.pbc = [9, 9, 9], [1, 1, 0]
    with pytest.raises(vicinal.ArgumentError, match="keys: they come with a cell or periodic axes"):
        vicinal.pattern(other, 3.0, keys=keys)
    assert vicinal.pattern(other, 3.0, keys=keys, cell=[9, 9, 9]).pbc.all()


def test_kinds_of_errors():
    with pytest.raises(vicinal.OutOfMemory, match="max_bytes"):
        vicinal.pattern(np.random.default_rng(1).uniform(0, 30, (3000, 3)), 20.0, max_bytes=1000)
    with pytest.raises(ValueError):
        vicinal.pattern(X, 0)
    with pytest.raises(vicinal.FileError) as caught:
        vicinal.load("/nonexistent.vnp")
    assert isinstance(caught.value, OSError)
    with pytest.raises(TypeError, match="unsupported operand"):
        vicinal.pattern(X, 3.0) | 5
