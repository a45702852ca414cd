# SPDX-License-Identifier: Apache-2.0
"""Every way to a pattern against scipy, ASE and numpy: block masks, pairs, nearest neighbours, windows, several
structures, atoms left out, unions, exclusions, and files."""
import numpy as np
import pytest

import vicinal_ctypes as vic

sparse = pytest.importorskip("scipy.sparse")
spatial = pytest.importorskip("scipy.spatial")
neighborlist = pytest.importorskip("ase.neighborlist")


def by_columns(pairs):
    return pairs[np.lexsort(pairs.T[::-1])]


def with_images(i, j, image=None):
    i, j = np.asarray(i, np.int64), np.asarray(j, np.int64)
    image = np.zeros((len(i), 3), np.int64) if image is None else np.asarray(image, np.int64)
    return by_columns(np.column_stack([i, j, image]))


def of_mask(mask):
    return with_images(*np.nonzero(mask))


def ase_pairs(positions, cell, pbc, cutoff, self_pairs=True):
    i, j, shift = neighborlist.primitive_neighbor_list("ijS", pbc, cell, positions, cutoff, self_interaction=self_pairs)
    return with_images(i, j, shift)


def points(seed, n, size):
    return np.random.default_rng(seed).uniform(0, size, (n, 3))


def equal(pattern, expected):
    got = pattern.pairs()
    assert pattern.info.pairs == len(expected)
    assert np.array_equal(got, expected)
    counts = np.bincount(expected[:, 0], minlength=pattern.info.n_q)
    assert np.array_equal(pattern.counts(), counts)
    assert pattern.info.max_pairs == (counts.max() if len(counts) else 0)


# ---- block masks ----

@pytest.mark.parametrize("n_q, n_k, block", [(1024, 1024, 128), (1000, 700, 128), (513, 300, 16), (700, 500, 48), (64, 64, 64),
                                             (200, 333, 80), (5, 9, 16), (256, 1040, 256)])
def test_blocks_as_scipy_expands_them(n_q, n_k, block):
    rows, columns = -(-n_q // block), -(-n_k // block)
    rng = np.random.default_rng(n_q + block)
    mask = sparse.csr_matrix(rng.uniform(size=(rows, columns)) < 0.4)
    dense = np.kron(mask.toarray(), np.ones((block, block), bool))[:n_q, :n_k]
    p = vic.from_blocks(n_q, n_k, block, mask.indptr, mask.indices)
    equal(p, of_mask(dense))
    assert p.info.kind == b"blocks" and p.info.cutoff == 0
    aligned = block % 64 == 0 and n_q % block == 0 and n_k % block == 0
    if aligned:
        assert p.info.full_blocks == p.info.blocks == mask.nnz * block * block // 1024


def test_blocks_in_any_order_and_square():
    p = vic.from_blocks(256, 0, 64, [0, 3, 3, 4, 6], [3, 0, 1, 2, 3, 0])
    mask = np.zeros((4, 4), bool)
    mask[[0, 0, 0, 2, 3, 3], [3, 0, 1, 2, 3, 0]] = True
    equal(p, of_mask(np.kron(mask, np.ones((64, 64), bool))))


@pytest.mark.parametrize("row_ptr, column, block, words", [
    ([0, 1, 3], [0, 1, 1], 32, "block row 1: expected each column once, found 1 twice"),
    ([0, 1, 2], [0, 2], 32, "column[1], in block row 1: expected 0 to 1, found 2"),
    ([0, 2, 1], [0, 1], 32, "row_ptr[2]: expected at least 2"),
    ([1, 2, 2], [0, 1], 32, "row_ptr[0]: expected 0"),
    ([0, 1, 2], [0, 1], 24, "multiple of 16, got 24"),
    ([0, 1, 2], [0, 1], 0, "multiple of 16, got 0"),
])
def test_blocks_that_are_wrong(row_ptr, column, block, words):
    with pytest.raises(vic.Error) as failure:
        vic.from_blocks(64, 64, block, row_ptr, column)
    assert words in str(failure.value)


@pytest.mark.parametrize("name, grid, n", [("800", 63, 800), ("1600", 89, 1600), ("3200", 126, 3200)])
def test_origin_shapes(name, grid, n):
    p = vic.generate("origin:" + name)
    mask = p.block_mask(128, 128)
    assert (p.info.n_q, mask.partial, mask.full, mask.rows, mask.columns) == (128 * grid, 0, n, grid, grid)
    assert p.info.pairs == n * 128 * 128
    assert np.array_equal(p.order(), np.arange(128 * grid))
    again = vic.generate(f"blocks:{grid}x{grid}:n={n},seed=1")
    assert np.array_equal(p.counts(), again.counts())


def test_generated_blocks():
    p = vic.generate("blocks:40x30:density=0.25,block=32,seed=5")
    assert p.info.pairs == 300 * 32 * 32
    assert (p.info.n_q, p.info.n_k) == (1280, 960)
    per_row = p.counts()[::32] / 32
    assert per_row.sum() == 300 and per_row.std() > 1  # random, not spread evenly
    assert not np.array_equal(p.counts(), vic.generate("blocks:40x30:density=0.25,block=32,seed=6").counts())
    every = vic.generate("blocks:3x5:n=15,block=16")
    assert every.info.pairs == 15 * 256
    assert vic.generate("blocks:3x5:density=0,block=16").info.pairs == 0


@pytest.mark.parametrize("text", ["blocks:3x3", "blocks:3x3:n=10", "blocks:3x3:n=1,density=0.5", "blocks:0x3:n=0", "blocks:3x3:n=1,",
                                  "blocks:3x3:n=1,block=17", "blocks:99999999x99999999:n=1", "blocks:3x3:density=1.5", "origin:801",
                                  "blocks:3x3:n=99999999999999999999", "blocks:3x3:n=1,x=2", "blocks:-3x3:n=1"])
def test_generated_blocks_that_are_wrong(text):
    with pytest.raises(vic.ArgumentError) as failure:
        vic.generate(text)


# ---- pairs ----

def test_pairs_without_geometry():
    rng = np.random.default_rng(3)
    mask = rng.uniform(size=(300, 417)) < 0.05
    i, j = np.nonzero(mask)
    shuffle = rng.permutation(len(i))
    p = vic.from_pairs(300, 417, i[shuffle], j[shuffle])
    equal(p, of_mask(mask))
    assert np.array_equal(p.order(), np.arange(300))
    assert p.info.kind == b"pairs"
    coo = sparse.coo_matrix(mask)
    equal(vic.from_pairs(300, 417, coo.row, coo.col), of_mask(mask))


def test_pairs_with_images_are_those_of_the_cutoff():
    positions, cell = points(4, 150, 9.0) - 3.0, np.array([[9.0, 0, 0], [2.0, 8.0, 0], [1.0, 3.0, 10.0]])
    expected = ase_pairs(positions, cell, [True] * 3, 4.5)
    s = vic.from_arrays(positions, cell)
    shuffled = expected[np.random.default_rng(5).permutation(len(expected))]
    p = vic.from_pairs(s, 0, shuffled[:, 0], shuffled[:, 1], shuffled[:, 2:])
    equal(p, expected)
    built = vic.build(s, 4.5)
    assert np.array_equal(p.order(), built.order())
    assert p.info.blocks == built.info.blocks
    bare = vic.from_pairs(150, 0, shuffled[:, 0], shuffled[:, 1], shuffled[:, 2:])
    equal(bare, expected)


@pytest.mark.parametrize("i, j, image, words", [
    ([0, 1, 2, 1], [0, 1, 2, 1], None, "pair 3 is (1, 1), and so is pair 1"),
    ([0, 9], [0, 1], None, "pair 1 is (9, 1): expected a query atom from 0 to 4, found 9"),
    ([0, 1], [0, -1], None, "pair 1 is (1, -1): expected a key atom from 0 to 6, found -1"),
    ([3, 3], [2, 2], [[0, 0, 1], [0, 0, 1]], "pair 1 is (3, 2), and so is pair 0, under the same image"),
    ([3], [2], [[0, 1 << 29, 0]], "within 2^29"),
])
def test_pairs_that_are_wrong(i, j, image, words):
    with pytest.raises(vic.InputError) as failure:
        vic.from_pairs(5, 7, i, j, image)
    assert words in str(failure.value)


def test_an_image_needs_a_periodic_axis():
    s = vic.from_arrays(points(1, 5, 3.0), np.eye(3) * 5, [True, False, True])
    vic.from_pairs(s, 0, [1], [2], [[1, 0, -1]])
    with pytest.raises(vic.Error, match="pair 0 is .1, 2. under the image 1 along b"):
        vic.from_pairs(s, 0, [1], [2], [[0, 1, 0]])


# ---- nearest neighbours ----

@pytest.mark.parametrize("k", [1, 7, 48])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_nearest_as_the_k_d_tree_finds_them(k, exclude_self):
    positions = points(11, 1500, 25.0)
    p = vic.nearest(vic.from_arrays(positions), k, exclude_self=exclude_self)
    _, j = spatial.cKDTree(positions).query(positions, k + exclude_self)
    j = j.reshape(len(positions), -1)[:, int(exclude_self):]
    equal(p, with_images(np.repeat(np.arange(1500), k), j.ravel()))
    assert p.info.kind == b"nearest" and p.info.cutoff == 0


def test_nearest_of_uneven_density():
    """A cluster and single atoms far away: each row reaches as far as it must."""
    rng = np.random.default_rng(12)
    positions = np.concatenate([rng.normal(0, 1, (700, 3)), rng.uniform(-5000, 5000, (33, 3))])
    p = vic.nearest(vic.from_arrays(positions), 12)
    _, j = spatial.cKDTree(positions).query(positions, 12)
    equal(p, with_images(np.repeat(np.arange(733), 12), j.ravel()))


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, True)])
def test_nearest_in_a_skewed_cell(pbc):
    cell = np.array([[6.0, 0, 0], [5.0, 6.0, 0], [-2.0, 3.0, 7.0]])
    positions, k = points(13, 40, 20.0) - 10, 60
    pairs = ase_pairs(positions, cell, pbc, 22.0)
    d = np.linalg.norm(positions[pairs[:, 1]] - positions[pairs[:, 0]] + pairs[:, 2:] @ cell, axis=1)
    expected = []
    for i in range(40):
        mine = np.flatnonzero(pairs[:, 0] == i)
        assert len(mine) >= k
        expected.append(pairs[mine[np.argsort(d[mine], kind="stable")[:k]]])
    p = vic.nearest(vic.from_arrays(positions, cell, pbc), k)
    equal(p, by_columns(np.concatenate(expected)))


def test_nearest_ties_go_to_the_lower_key_then_image():
    lattice = np.stack(np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    order = np.random.default_rng(14).permutation(64)
    positions = lattice[order]
    d2 = ((positions[:, None] - positions[None]) ** 2).sum(-1)
    j = np.lexsort((np.broadcast_to(np.arange(64), (64, 64)), d2), axis=-1)[:, :5]
    equal(vic.nearest(vic.from_arrays(positions), 5), with_images(np.repeat(np.arange(64), 5), j.ravel()))
    one = vic.nearest(vic.from_arrays([[0.0, 0, 0]], np.eye(3)), 4)
    assert one.pairs()[:, 2:].tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]]


def test_nearest_when_there_are_fewer():
    positions = points(15, 9, 4.0)
    equal(vic.nearest(vic.from_arrays(positions), 100), of_mask(np.ones((9, 9), bool)))
    equal(vic.nearest(vic.from_arrays(positions), 9, exclude_self=True), of_mask(~np.eye(9, dtype=bool)))
    same = np.zeros((200, 3))
    p = vic.nearest(vic.from_arrays(same), 3)
    assert np.array_equal(p.pairs()[:, 1].reshape(200, 3), np.tile([0, 1, 2], (200, 1)))
    assert vic.nearest(vic.from_arrays(np.empty((0, 3))), 3).info.pairs == 0
    with pytest.raises(vic.Error, match="k: expected 1 or more"):
        vic.nearest(vic.from_arrays(positions), 0)


# ---- windows ----

@pytest.mark.parametrize("atoms, queries, keys", [(1000, 32, 128), (31, 32, 128), (500, 7, 21), (300, 64, 64), (100, 40, 10), (0, 32, 128)])
def test_windows(atoms, queries, keys):
    """AlphaFold 3's rule (its algorithm 7): a window's centre is within queries / 2 and keys / 2."""
    i, j = np.arange(atoms), np.arange(atoms)
    centre = i // queries * queries + (queries - 1) / 2
    mask = np.abs(j[None] - centre[:, None]) < keys / 2
    p = vic.windows(atoms, queries, keys)
    equal(p, of_mask(mask))
    assert p.info.kind == b"windows"


@pytest.mark.parametrize("queries, keys", [(32, 127), (0, 2), (4, 0), (-2, 2)])
def test_windows_that_are_wrong(queries, keys):
    with pytest.raises(vic.Error, match="windows: expected"):
        vic.windows(100, queries, keys)


# ---- atoms that take no part ----

def without(pairs, skip, skip_keys=None):
    skip_keys = skip if skip_keys is None else skip_keys
    return pairs[(skip[pairs[:, 0]] == 0) & (skip_keys[pairs[:, 1]] == 0)]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_left_out_atoms(share):
    n, rng = 500, np.random.default_rng(21)
    positions, cell = points(22, n, 12.0), np.eye(3) * 12.0
    skip = (rng.uniform(size=n) < share).astype(np.uint8)
    s = vic.from_arrays(positions, cell)
    equal(vic.build(s, 4.0, mask=skip == 0), without(ase_pairs(positions, cell, [True] * 3, 4.0), skip))
    equal(vic.windows(n, 32, 128, mask=skip == 0), without(vic.windows(n, 32, 128).pairs(), skip))
    mask = rng.uniform(size=(n, n)) < 0.1
    i, j = np.nonzero(mask)
    equal(vic.from_pairs(s, 0, i, j, mask=skip == 0), without(of_mask(mask), skip))
    equal(vic.from_pairs(n, 0, i, j, mask=skip == 0), without(of_mask(mask), skip))
    columns = sparse.csr_matrix(rng.uniform(size=(6, 6)) < 0.5)
    equal(vic.from_blocks(n, 0, 96, columns.indptr, columns.indices, mask=skip == 0),
          without(vic.from_blocks(n, 0, 96, columns.indptr, columns.indices).pairs(), skip))


def test_left_out_atoms_are_not_nearest():
    positions, n = points(23, 400, 15.0), 400
    skip = (np.random.default_rng(24).uniform(size=n) < 0.5).astype(np.uint8)
    kept = np.flatnonzero(skip == 0)
    _, j = spatial.cKDTree(positions[kept]).query(positions[kept], 6)
    equal(vic.nearest(vic.from_arrays(positions), 6, mask=skip == 0), with_images(np.repeat(kept, 6), kept[j.ravel()]))


def test_left_out_queries_and_keys_of_two_sets():
    q, k = points(25, 90, 8.0), points(26, 210, 8.0)
    rng = np.random.default_rng(27)
    skip, skip_keys = (rng.uniform(size=n).round().astype(np.uint8) for n in (90, 210))
    pairs = of_mask(spatial.distance.cdist(q, k) < 3.0)
    equal(vic.build(q, 3.0, k), pairs)
    equal(vic.build(q, 3.0, k, mask=skip == 0, key_mask=skip_keys == 0), without(pairs, skip, skip_keys))
    equal(vic.build(q, 3.0, k, key_mask=skip_keys == 0), without(pairs, np.zeros(90, int), skip_keys))


def test_left_out_atoms_cost_nothing():
    positions = points(28, 4096, 30.0)
    skip = np.tile([0, 1], 2048).astype(np.uint8)
    masked, half = vic.build(vic.from_arrays(positions), 5.0, mask=skip == 0), vic.build(vic.from_arrays(positions[::2]), 5.0)
    assert masked.info.blocks == half.info.blocks and masked.info.boundary_pairs == half.info.boundary_pairs
    assert np.array_equal(np.sort(masked.order()[2048:]), np.arange(1, 4096, 2))


# ---- several structures ----

def molecules(seed, count, largest=100):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, largest, count)
    sizes[:3] = (1, 0, 64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    positions = np.concatenate([rng.uniform(-50, 50, 3) + rng.uniform(0, 0.6 + 2.2 * max(n, 1) ** (1 / 3), (n, 3)) for n in sizes])
    return offsets, positions


def test_structures_open():
    offsets, positions = molecules(31, 60)
    expected = []
    for first, end in zip(offsets[:-1], offsets[1:]):
        if end > first:
            mask = spatial.distance.cdist(positions[first:end], positions[first:end]) < 4.0
            expected.append(of_mask(mask) + [first, first, 0, 0, 0])
    p = vic.structures(offsets, positions, cutoff=4.0)
    equal(p, np.concatenate(expected))
    assert p.info.groups == 60 and p.info.kind == b"cutoff" and p.info.cutoff == 4.0
    assert p.info.strips == -(-offsets[-1] // 64)


@pytest.mark.parametrize("exclude_self", [False, True])
def test_structures_with_cells_of_their_own(exclude_self):
    offsets, positions = molecules(32, 20, 40)
    rng = np.random.default_rng(33)
    cells = rng.normal(0, 1.0, (20, 3, 3)) + np.eye(3) * rng.uniform(4, 9, (20, 1, 1))
    periodic = rng.uniform(size=(20, 3)) < 0.6
    cells[4] = 0
    periodic[4] = False
    skip = (rng.uniform(size=offsets[-1]) < 0.2).astype(np.uint8)
    expected = []
    for s in range(20):
        part = positions[offsets[s]:offsets[s + 1]]
        if len(part):
            cell = cells[s] if s != 4 else np.eye(3)
            pairs = ase_pairs(part, cell, periodic[s], 5.0)
            expected.append(pairs + [offsets[s], offsets[s], 0, 0, 0])
    expected = np.concatenate(expected)
    if exclude_self:
        expected = expected[(expected[:, 0] != expected[:, 1]) | expected[:, 2:].any(1)]
    equal(vic.structures(offsets, positions, cells, periodic, cutoff=5.0, exclude_self=exclude_self), expected)
    equal(vic.structures(offsets, positions, cells, periodic, cutoff=5.0, exclude_self=exclude_self, mask=skip == 0),
          without(expected, skip))


def test_a_large_structure_among_small_ones():
    rng = np.random.default_rng(34)
    sizes = [5, 20000, 17]
    positions = np.concatenate([rng.uniform(0, 1.9 * n ** (1 / 3), (n, 3)) for n in sizes])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    expected = np.concatenate([[len(x) for x in spatial.cKDTree(positions[a:b]).query_ball_point(positions[a:b], 4.0)]
                               for a, b in zip(offsets[:-1], offsets[1:])])
    assert np.array_equal(vic.structures(offsets, positions, cutoff=4.0).counts(), expected)


@pytest.mark.parametrize("shift, scale", [(0.0, 1.0), (1e8, 1.0), (-3e3, 1e-7), (0.0, 1e5)])
def test_structures_exactly_at_the_cutoff(shift, scale):
    """Pairs within rounding of the cutoff are decided by the rule, as they are one by one."""
    rng = np.random.default_rng(36)
    lattice = np.stack(np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    parts = [(lattice[rng.permutation(125)[:n]] * 1.1 + rng.normal(0, 1e-10, (n, 3))) * scale + shift for n in (90, 3, 125, 60)]
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in parts])])
    for cutoff in (1.1 * scale, 2.2 * scale, 1.1 * scale * np.sqrt(3.0)):
        p = vic.structures(offsets, np.concatenate(parts), cutoff=cutoff)
        alone = [vic.build(vic.from_arrays(x), cutoff) for x in parts]
        equal(p, np.concatenate([q.pairs() + [first, first, 0, 0, 0] for q, first in zip(alone, offsets)]))
        assert p.info.boundary_pairs == sum(q.info.boundary_pairs for q in alone)
        if shift == 0:
            assert p.info.boundary_pairs > 500


def test_structures_that_are_wrong():
    positions = points(35, 10, 5.0)
    for offsets, words in [([0, 5, 3, 10], "offsets[2]: expected at least 5"), ([1, 10], "offsets[0]: expected 0")]:
        with pytest.raises(vic.Error) as failure:
            vic.structures(offsets, positions, cutoff=3.0)
        assert words in str(failure.value)
    flat = np.array([np.eye(3) * 9, [[9, 0, 0], [9, 0, 0], [0, 0, 9]]])
    with pytest.raises(vic.Error, match="structure 1: the periodic cell vectors are not independent"):
        vic.structures([0, 4, 10], positions, flat, cutoff=3.0)
    with pytest.raises(vic.Error, match="cutoff: expected a distance above 0"):
        vic.structures([0, 4, 10], positions)
    broken = positions.copy()
    broken[7, 1] = np.nan
    with pytest.raises(vic.Error, match="input atom 7: coordinate y"):
        vic.structures([0, 4, 10], broken, cutoff=3.0)


# ---- unions and exclusions ----

def as_set(pairs):
    return set(map(tuple, pairs))


def from_set(pairs):
    return by_columns(np.array(sorted(pairs), np.int64).reshape(-1, 5))


def test_unions_over_one_structure():
    n, cell = 350, np.array([[11.0, 0, 0], [3.0, 10.0, 0], [0, 1.0, 12.0]])
    positions = points(41, n, 30.0) - 12
    s, rng = vic.from_arrays(positions, cell), np.random.default_rng(42)
    near = ase_pairs(positions, cell, [True] * 3, 3.5)
    i, j, image = rng.integers(0, n, 900), rng.integers(0, n, 900), rng.integers(-2, 3, (900, 3))
    listed = from_set(as_set(np.column_stack([i, j, image])))
    cutoff, pairs = vic.build(s, 3.5), vic.from_pairs(s, 0, listed[:, 0], listed[:, 1], listed[:, 2:])
    expected = from_set(as_set(near) | as_set(listed))
    for both in (vic.unite(cutoff, pairs), vic.unite(pairs, cutoff)):
        equal(both, expected)
        assert both.info.kind == b"union" and both.info.cutoff == 0
    # Without geometry the rows are others; the union takes the structure's.
    window = vic.windows(n, 8, 24)
    for both in (vic.unite(cutoff, window), vic.unite(window, cutoff)):
        equal(both, from_set(as_set(near) | as_set(window.pairs())))
        assert np.array_equal(both.order(), cutoff.order())
    wide = vic.unite(cutoff, vic.build(s, 5.0))
    equal(wide, ase_pairs(positions, cell, [True] * 3, 5.0))
    assert wide.info.cutoff == 5.0
    # A left-out atom has other rows in one than in the other.
    skip = (rng.uniform(size=n) < 0.3).astype(np.uint8)
    part = vic.build(s, 5.0, mask=skip == 0)
    equal(vic.unite(cutoff, part), from_set(as_set(near) | as_set(part.pairs())))


def test_unions_that_cannot_be():
    a, b = vic.windows(100, 8, 24), vic.windows(101, 8, 24)
    with pytest.raises(vic.Error, match="expected 100 queries"):
        vic.unite(a, b)
    x = points(43, 50, 9.0)
    moved = x.copy()
    moved[31, 2] += 1e-9
    with pytest.raises(vic.Error, match="query atom 31 is at"):
        vic.unite(vic.build(vic.from_arrays(x), 3.0), vic.build(vic.from_arrays(moved), 3.0))
    with pytest.raises(vic.Error, match="same cell"):
        vic.unite(vic.build(vic.from_arrays(x), 3.0), vic.build(vic.from_arrays(x, np.eye(3) * 30), 3.0))


def test_exclusions():
    n, cell = 200, np.eye(3) * 7.0
    positions = points(44, n, 7.0)
    s, rng = vic.from_arrays(positions, cell), np.random.default_rng(45)
    p = vic.build(s, 5.0)
    pairs = p.pairs()
    out = pairs[rng.permutation(len(pairs))[:500]]
    equal(vic.exclude(p, out[:, 0], out[:, 1], out[:, 2:]), from_set(as_set(pairs) - as_set(out)))
    # Under every image, and pairs that are not there do no harm.
    i, j = np.nonzero(rng.uniform(size=(n, n)) < 0.1)
    listed = set(zip(i, j))
    kept = from_set({x for x in as_set(pairs) if (x[0], x[1]) not in listed})
    less = vic.exclude(p, i, j)
    equal(less, kept)
    assert less.info.kind == b"exclusion" and less.info.cutoff == 5.0
    with pytest.raises(vic.Error, match="pair 1 is .0, 200."):
        vic.exclude(p, [0, 0], [5, 200])


def test_combinations_of_structures():
    offsets, positions = molecules(46, 30, 50)
    n = int(offsets[-1])
    batch = vic.structures(offsets, positions, np.tile(np.eye(3) * 8.0, (30, 1, 1)), cutoff=3.0)
    bonds = np.arange(n - 1)
    listed = with_images(np.concatenate([bonds, bonds + 1]), np.concatenate([bonds + 1, bonds]))
    chain = vic.from_pairs(n, 0, listed[:, 0], listed[:, 1])
    both = vic.unite(batch, chain)
    equal(both, from_set(as_set(batch.pairs()) | as_set(listed)))
    equal(vic.exclude(both, listed[:, 0], listed[:, 1], np.zeros((len(listed), 3))), from_set(as_set(batch.pairs()) - as_set(listed)))
    assert vic.exclude(both, listed[:, 0], listed[:, 1]).info.groups == 30


# ---- ranges, transposes ----

def places(n, listed):
    """The keys of a group, one after another, and the place among them of each of its n queries, which stand at the end."""
    keys = np.concatenate([np.arange(a, b) for a, b in listed]) if len(listed) else np.empty(0, int)
    return keys, len(keys) - n + np.arange(n)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, (20, -1), (0, 0), (-1, 7), (40, 3)])
def test_ranges(causal, window):
    """As packed sequences and pages of a cache are masked: by a key's place among its group's."""
    rng = np.random.default_rng(61)
    sizes, n_k = [0, 5, 130, 1, 64], 700
    query_offsets, range_offsets, listed = [0], [0], []
    mask = np.zeros((sum(sizes), n_k), bool)
    for n in sizes:
        cuts = np.sort(rng.choice(n_k, 6, replace=False))
        own = [cuts[k:k + 2] for k in rng.permutation([0, 2, 4])]
        keys, at = places(n, own)
        place = np.arange(len(keys))[None] - at[:, None]
        kept = np.ones(place.shape, bool)
        if causal:
            kept &= place <= 0
        if window:
            kept &= ((window[0] < 0) | (place >= -window[0])) & ((window[1] < 0) | (place <= window[1]))
        mask[query_offsets[-1]:query_offsets[-1] + n, keys] = kept
        listed += own
        query_offsets.append(query_offsets[-1] + n)
        range_offsets.append(len(listed))
    p = vic.ranges(len(mask), n_k, query_offsets, range_offsets, listed, causal, window)
    equal(p, of_mask(mask))
    assert p.info.kind == b"ranges"


@pytest.mark.parametrize("make", [
    lambda x, cell: vic.build(vic.from_arrays(x, cell), 4.0), lambda x, cell: vic.nearest(vic.from_arrays(x, cell), 9),
    lambda x, cell: vic.build(vic.Points(positions=x[:80], n=80, cell=cell), 4.0, x[50:]), lambda x, cell: vic.windows(200, 8, 24),
])
def test_transposes(make):
    p = make(points(62, 200, 9.0), np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0, 2.0, 9.0]]))
    pairs = p.pairs()
    turned = by_columns(np.column_stack([pairs[:, 1], pairs[:, 0], -pairs[:, 2:]]))
    equal(vic.transpose(p), turned)
    if p.info.symmetric:
        assert np.array_equal(pairs, turned)


# ---- neighbour lists ----

@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True)])
def test_neighbour_lists_as_ase_has_them(pbc):
    positions, cell = points(63, 150, 9.0) - 4, np.array([[9.0, 0, 0], [1.0, 8.0, 0], [-2.0, 2.0, 7.0]])
    p = vic.build(vic.from_arrays(positions, cell, pbc), 5.0, exclude_self=True)
    found = p.neighbors()
    expected = neighborlist.primitive_neighbor_list("ijSdD", pbc, cell, positions, 5.0)
    order = np.lexsort((*expected[2].T[::-1], expected[1], expected[0]))
    for name, a, b in zip("ijSdD", found, expected):
        assert np.allclose(a, b[order], rtol=0, atol=1e-12), name
    i, j, shift, d, vectors = p.neighbors(half=True)
    assert len(i) * 2 == p.info.pairs and p.info.symmetric
    both = np.concatenate([np.column_stack([i, j, shift]), np.column_stack([j, i, -shift])]).astype(np.int64)
    assert np.array_equal(by_columns(both), p.pairs())
    first = np.where(shift[:, 0] != 0, shift[:, 0], np.where(shift[:, 1] != 0, shift[:, 1], shift[:, 2]))
    assert np.all((i < j) | ((i == j) & (first > 0)))


# ---- files ----

def every_kind():
    x, cell = points(51, 260, 9.0), np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0, 2.0, 9.0]])
    s, skip = vic.from_arrays(x, cell), (np.arange(260) % 7 == 3).astype(np.uint8)
    offsets, positions = molecules(52, 12, 30)
    k = points(53, 77, 9.0)
    near = vic.build(s, 3.0)
    yield "cutoff", near
    yield "open", vic.build(vic.from_arrays(x), 4.0, exclude_self=True)
    yield "two sets", vic.build(x, 3.0, k, mask=skip == 0, key_mask=np.ones(77, np.uint8))
    yield "left out", vic.build(s, 3.0, mask=skip == 0)
    yield "blocks", vic.generate("blocks:9x11:density=0.3,block=32")
    yield "full", vic.generate("origin:800")
    yield "pairs", vic.from_pairs(s, 0, [1, 5, 100], [2, 1, 3], [[0, 0, 1], [0, 0, 0], [-1, 4, 0]], mask=skip == 0)
    yield "nearest", vic.nearest(s, 5, mask=skip == 0)
    yield "windows", vic.windows(260, 32, 128)
    yield "structures", vic.structures(offsets, positions, np.tile(np.eye(3) * 9, (12, 1, 1)), cutoff=4.0)
    yield "union", vic.unite(near, vic.exclude(vic.windows(260, 8, 24), [1], [2]))
    yield "ids", vic.build(vic.Points(positions=x, n=260, ids=np.arange(260, 0, -1)), 3.0, exclude_self=True)
    yield "ranges", vic.ranges(260, 77, [0, 100, 260], [0, 1, 3], [[0, 77], [5, 30], [40, 70]], causal=True)
    yield "difference", vic.difference(near, vic.windows(260, 8, 24))
    yield "transpose", vic.transpose(vic.nearest(s, 5))
    yield "nothing", vic.from_pairs(0, 0, [], [])
    yield "no pairs", vic.from_pairs(70, 30, [], [])


def test_files_keep_everything(tmp_path):
    seen = set()
    for name, p in every_kind():
        path, again = tmp_path / "one.vnp", tmp_path / "two.vnp"
        p.save(path)
        q = vic.load(path)
        assert np.array_equal(p.pairs(), q.pairs()), name
        for field, _ in vic.S["vic_pattern_info"]._fields_:
            if not field.startswith("seconds") and field != "bytes":
                a, b = (vic.value_of(getattr(x.info, field)) for x in (p, q))
                assert a == b, (name, field)
        q.save(again)
        assert path.read_bytes() == again.read_bytes(), name
        assert [x.name for x in tmp_path.iterdir() if "part" in x.name] == []
        seen.add(q.info.kind)
    assert seen >= {b"cutoff", b"blocks", b"pairs", b"nearest", b"windows", b"union", b"ranges", b"difference"}


def test_threads_change_nothing(tmp_path):
    x, cell = points(55, 5000, 40.0), np.eye(3) * 38.0
    s = vic.from_arrays(x, cell)
    offsets, positions = molecules(56, 200)
    near = vic.build(s, 3.0).pairs()
    makers = [lambda t: vic.nearest(s, 17, threads=t), lambda t: vic.structures(offsets, positions, cutoff=4.0, threads=t),
              lambda t: vic.from_pairs(s, 0, near[:, 0], near[:, 1], near[:, 2:], threads=t),
              lambda t: vic.generate("blocks:50x50:density=0.3,block=48", threads=t),
              lambda t: vic.build(s, 4.0, mask=np.arange(5000) % 3 != 0, threads=t)]
    for make in makers:
        files = []
        for threads in (1, 2, 5):
            make(threads).save(tmp_path / "p.vnp")
            files.append((tmp_path / "p.vnp").read_bytes())
        assert files[0] == files[1] == files[2]


def test_a_loaded_pattern_can_be_combined(tmp_path):
    x = points(54, 300, 12.0)
    s = vic.from_arrays(x)
    vic.build(s, 3.0).save(tmp_path / "a.vnp")
    equal(vic.unite(vic.load(tmp_path / "a.vnp"), vic.build(s, 4.0)), of_mask(spatial.distance.cdist(x, x) < 4.0))


def test_files_that_cannot_be(tmp_path):
    p = vic.windows(64, 8, 24)
    with pytest.raises(vic.FileError) as failure:
        p.save(tmp_path / "missing" / "a.vnp")
    assert failure.value.status == "CANNOT_WRITE"
    with pytest.raises(vic.FileError) as failure:
        p.save(tmp_path)
    assert failure.value.status == "CANNOT_WRITE"
    with pytest.raises(vic.FileError) as failure:
        vic.load(tmp_path / "no.vnp")
    assert failure.value.status == "CANNOT_READ"
    with pytest.raises(vic.Error, match="regular file"):
        vic.load(tmp_path)
    (tmp_path / "text.vnp").write_text("ATOM      1  N   THR A   1      17.047  14.099   3.625\n" * 20)
    with pytest.raises(vic.Error, match="not a .vnp file"):
        vic.load(tmp_path / "text.vnp")
