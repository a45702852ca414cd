# SPDX-License-Identifier: Apache-2.0
"""What torch and the libraries beside it give and get: tensors, torch_geometric, MDAnalysis, biotite, JAX;
FlexAttention by the block masks of patterns; data loaders."""
import math
import os

import numpy as np
import pytest
import torch

import vicinal

GPU = pytest.param("cuda", marks=pytest.mark.gpu)
FULL = pytest.mark.skipif(os.environ.get("VIC_TEST_FULL", "0") != "1", reason="takes minutes: VIC_TEST_FULL=1")
SKEWED = np.array([[6.1, 0.0, 0.0], [1.9, 5.9, 0.0], [-2.2, 1.7, 6.3]])


@pytest.fixture
def rng():
    return np.random.default_rng(int(os.environ.get("VIC_SEED", "1")))


def same(a, b):
    assert (a.n_queries, a.n_keys) == (b.n_queries, b.n_keys)
    for x, y in zip(a.neighbors("ijS"), b.neighbors("ijS")):
        assert np.array_equal(np.asarray(x.cpu() if isinstance(x, torch.Tensor) else x), np.asarray(y))


# ---- Tensors ----


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("form", [
    lambda x: x, lambda x: x.requires_grad_(), lambda x: x.T.contiguous().T,
    lambda x: x.repeat_interleave(2, 1)[:, ::2], lambda x: x.flip(0).flip(0), lambda x: torch.nn.Parameter(x),
    lambda x: x.expand(1, -1, -1)[0]])
def test_forms_of_tensors(rng, device, form):
    x = rng.uniform(0, 9, (80, 3))
    want, given = vicinal.pattern(x, 3.0), form(torch.tensor(x, device=device))
    got = vicinal.pattern(given, 3.0)
    same(got, want)
    for answer, dtype in ((got.counts(), torch.int64), (got.to_dense(), torch.bool), (got.order(), torch.int64),
                          (got.edge_index(), torch.int64), (got.neighbors("S"), torch.int64),
                          (got.neighbors("d"), torch.float64), (got.neighbors("D"), torch.float64)):
        assert isinstance(answer, torch.Tensor) and answer.device == given.device and answer.dtype == dtype
    for other in (got | got, got - vicinal.pattern(x, 2.0), got.transpose(), got.exclude(*got.edge_index()[:, :3])):
        assert other.counts().device == given.device
    assert isinstance(got.positions, np.ndarray)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.uint8])
def test_types_of_tensors(rng, device, dtype):
    x = torch.tensor(rng.uniform(0, 9, (80, 3))).to(dtype)
    same(vicinal.pattern(x.to(device), 3.0), vicinal.pattern(x.double().numpy(), 3.0))


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_everything_may_be_a_tensor(rng, device):
    def tensor(x):
        return torch.tensor(x, device=device)
    x, batch, mask = rng.uniform(0, 9, (60, 3)), np.repeat([0, 1, 3], 20), rng.random(60) < 0.8
    cells = np.stack([np.eye(3) * 9] * 4)
    given = {"cell": cells, "pbc": np.array([[True, True, False]] * 4), "batch": batch, "mask": mask,
             "ids": np.arange(60)}
    same(vicinal.pattern(tensor(x), 3.0, exclude_self=True, **{name: tensor(value) for name, value in given.items()}),
         vicinal.pattern(x, 3.0, exclude_self=True, **given))
    offsets = tensor([0, 20, 60]).int()
    same(vicinal.pattern(tensor(x), tensor(3.0), cu_seqlens=offsets),
         vicinal.pattern(x, 3.0, batch=np.repeat([0, 1], [20, 40])))
    i, j = tensor([0, 1]), tensor([5, 6])
    assert vicinal.pairs(i, j, tensor([[0, 0, 1], [0, 0, 0]]), n=7).counts().device == i.device
    same(vicinal.blocks(tensor(np.eye(3) > 0), 16), vicinal.blocks(np.eye(3), 16))
    same(vicinal.ranges(tensor([0, 3]), tensor([0, 1]), tensor([[0, 3]])), vicinal.ranges([0, 3], [0, 1], [[0, 3]]))
    same(vicinal.windows(60, 8, 16, cu_seqlens=offsets), vicinal.windows(60, 8, 16, cu_seqlens=[0, 20, 60]))
    pattern = vicinal.pattern(x, 3.0)
    same(pattern.update_(tensor(x * 0.9)), vicinal.pattern(x * 0.9, 3.0))


@pytest.mark.parametrize("x, text", [
    (torch.empty(5, 3, device="meta"), "Tensor, which is no array in memory of the CPU"),
    (torch.eye(3).to_sparse(), "to_dense()"), (torch.zeros(2, 5, 3), "batch= or cu_seqlens="),
    (torch.full((4, 3), math.nan), "atom 0: coordinate x is nan"),
    (torch.ones(4, 3, dtype=torch.complex64), "complex64")])
def test_wrong_tensors_are_explained(x, text):
    with pytest.raises(vicinal.Error) as caught:
        vicinal.pattern(x, 3.0)
    assert text in str(caught.value)


# ---- Other libraries ----


def geometric(pos, batch, cutoff):
    """What radius_graph() gives, for its definition: sources in row 0, targets in row 1, no loops."""
    near = (torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist") < cutoff) & (batch[:, None] == batch)
    target, source = torch.nonzero(near.fill_diagonal_(False), as_tuple=True)
    return torch.stack([source, target])


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_data_of_torch_geometric(device):
    data = pytest.importorskip("torch_geometric.data")
    sizes = [12, 1, 0, 9, 0]
    batch = data.Batch.from_data_list([data.Data(pos=torch.rand(n, 3) * 4) for n in sizes]).to(device)
    got = vicinal.pattern(batch, 2.0, exclude_self=True)
    assert got.n_structures == 5
    assert torch.equal(got.edge_index(), geometric(batch.pos, batch.batch, 2.0))
    one = data.Data(pos=torch.rand(30, 3, device=device) * 6)
    assert torch.equal(vicinal.pattern(one, 2.0, exclude_self=True).edge_index(),
                       geometric(one.pos, torch.zeros(30, device=device), 2.0))
    with pytest.raises(vicinal.ArgumentError, match="this Data has no positions"):
        vicinal.pattern(data.Data(x=torch.rand(3, 3)), 2.0)


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3)])
def test_cells_of_torch_geometric(shape):
    """Batches join them end to end, or stack them, by their shape."""
    data = pytest.importorskip("torch_geometric.data")
    sizes, cells = [11, 7, 0], [np.eye(3) * 5, SKEWED, np.eye(3)]
    pbc = [(True, True, False), (True, True, True), (False, False, False)]
    items = [data.Data(pos=torch.rand(n, 3) * 5, cell=torch.tensor(cell).reshape(shape),
                       pbc=torch.tensor(axes).reshape(shape[1:] if len(shape) == 2 else (1, 3)))
             for n, cell, axes in zip(sizes, cells, pbc)]
    for some in ([0, 1, 2], [0, 1], [1, 2]):
        batch = data.Batch.from_data_list([items[k] for k in some])
        got = vicinal.pattern(batch, 4.0)
        i, j, S = (x.numpy() for x in got.neighbors("ijS"))
        first = 0
        for k in some:
            alone = vicinal.pattern(items[k].pos.numpy(), 4.0, cell=cells[k], pbc=pbc[k])
            mine = (i >= first) & (i < first + sizes[k])
            for x, y in zip((i[mine] - first, j[mine] - first, S[mine]), alone.neighbors("ijS")):
                assert np.array_equal(x, y)
            same(vicinal.pattern(items[k], 4.0), alone)
            first += sizes[k]
        assert first == got.n_queries and got.n_structures == len(some)
    with pytest.raises(vicinal.ArgumentError, match="give the positions alone"):
        got.update_(batch)
    moved = batch.clone()
    moved.pos = batch.pos * 0.9
    same(got.update_(moved.pos), vicinal.pattern(moved, 4.0))


@pytest.mark.filterwarnings("ignore")
def test_universes_of_mdanalysis(rng):
    mda = pytest.importorskip("MDAnalysis")
    from MDAnalysis.lib.distances import self_capped_distance
    universe = mda.Universe.empty(70, n_residues=10, atom_resindex=np.repeat(np.arange(10), 7), trajectory=True)
    universe.atoms.positions = rng.uniform(0, 12, (70, 3))
    for box in (None, [12.0, 13.0, 14.0, 90.0, 90.0, 90.0], [12.0, 13.0, 14.0, 75.0, 80.0, 65.0]):
        universe.dimensions = box
        pairs, d = self_capped_distance(universe.atoms.positions, 4.0, box=universe.dimensions)
        order = np.lexsort(pairs.T[::-1])
        i, j, found = vicinal.pattern(universe, 4.0).neighbors("ijd", half=True)
        order_found = np.lexsort((np.maximum(i, j), np.minimum(i, j)))
        got = np.stack([np.minimum(i, j), np.maximum(i, j)], 1)[order_found]
        assert np.array_equal(got, np.sort(pairs, 1)[np.lexsort(np.sort(pairs, 1).T[::-1])])
        np.testing.assert_allclose(np.sort(found), np.sort(d[order]), atol=2e-5)  # single precision there
        if box is not None:
            np.testing.assert_allclose(vicinal.pattern(universe, 4.0).cell,
                                       mda.lib.mdamath.triclinic_vectors(universe.dimensions), atol=2e-5)
        same(vicinal.pattern(universe.atoms[:30], 4.0),
             vicinal.pattern(universe.atoms.positions[:30], 4.0, cell=universe.dimensions))
        assert vicinal.pattern(universe.residues[2:5], 4.0).n_queries == 21


def test_arrays_of_biotite(rng):
    structure = pytest.importorskip("biotite.structure")
    atoms = structure.AtomArray(60)
    atoms.coord = rng.uniform(0, 9, (60, 3)).astype(np.float32)
    for box in (None, np.diag([9.0, 10.0, 11.0]).astype(np.float32)):
        atoms.box = box
        cells = structure.CellList(atoms, 3.0, periodic=box is not None)
        want = cells.create_adjacency_matrix(3.0)
        got = vicinal.pattern(atoms, 3.0)
        assert np.array_equal(got.to_dense(), want) and got.pbc.all() == (box is not None)
        same(vicinal.pattern(structure.stack([atoms]), 3.0), got)
        same(vicinal.pattern(atoms[10:], 3.0), vicinal.pattern(atoms.coord[10:], 3.0, cell=box))
    with pytest.raises(vicinal.ArgumentError, match=r"AtomArrayStack of 2 models: choose one, stack\[0\]"):
        vicinal.pattern(structure.stack([atoms, atoms]), 3.0)


def test_arrays_of_jax(rng):
    jnp = pytest.importorskip("jax.numpy")
    x = rng.uniform(0, 9, (60, 3)).astype(np.float32)
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        given = jnp.asarray(x).astype(dtype)
        same(vicinal.pattern(given, 3.0), vicinal.pattern(np.asarray(given.astype(jnp.float32)), 3.0))
    same(vicinal.pattern(jnp.asarray(x), 3.0, cell=jnp.eye(3) * 9, mask=jnp.arange(60) % 2 == 0,
                         batch=jnp.zeros(60, int)),
         vicinal.pattern(x, 3.0, cell=np.eye(3) * 9, mask=np.arange(60) % 2 == 0))


# ---- FlexAttention ----


def all_kinds(rng):
    """Sizes that are no multiples of blocks, empty rows, two sets, full blocks."""
    return {
        "open": vicinal.pattern(rng.uniform(0, 15, (201, 3)), 5.0),
        "periodic": vicinal.pattern(rng.uniform(0, 18, (170, 3)), 6.0, cell=3 * SKEWED),
        "two sets": vicinal.pattern(rng.uniform(0, 15, (131, 3)), 4.0, keys=rng.uniform(0, 15, (205, 3))),
        "few pairs": vicinal.pattern(rng.uniform(0, 50, (150, 3)), 6.0, exclude_self=True),
        "structures": vicinal.pattern(rng.uniform(0, 9, (150, 3)), 6.0, batch=np.repeat([0, 1, 3], [60, 80, 10])),
        "all": vicinal.pattern(rng.uniform(0, 2, (140, 3)), 9.0),
        "windows": vicinal.windows(150),
        "blocks": vicinal.blocks(rng.random((5, 7)) < 0.5, 32, n=150, n_keys=200),
        "three": vicinal.pattern(rng.uniform(0, 2, (3, 3)), 1.0),
        "none": vicinal.pattern(rng.uniform(0, 90, (40, 3)), 1.0, exclude_self=True),
    }


KINDS = list(all_kinds(np.random.default_rng(1)))


def by_flex(flex, q, k, v, mask):
    """With tensors [n, heads, d] in the pattern's order."""
    return flex(*(x.transpose(0, 1)[None] for x in (q, k, v)), block_mask=mask)[0].transpose(0, 1)


def tensors(pattern, dtype, device="cpu", d=16):
    n, m = pattern.n_queries, pattern.n_keys
    return [torch.randn(rows, 2, d, dtype=dtype, device=device) for rows in (n, m, m)]


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("kind", KINDS)
def test_flex_attention(rng, kind):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    pattern = all_kinds(rng)[kind]
    n, m = pattern.n_queries, pattern.n_keys
    dense = torch.as_tensor(pattern.to_dense())[pattern.order()][:, pattern.order("key")]
    for size in (128, (64, 32), (48, 16)):
        mask = pattern.to_block_mask(size)
        rows, keys = torch.arange(n), torch.arange(m)
        assert torch.equal(mask.mask_mod(0, 0, rows[:, None], keys), dense)
        # The lists are those that torch makes of the mask.
        want = create_block_mask(lambda b, h, i, j: dense[i, j], None, None, n, m, "cpu",
                                 BLOCK_SIZE=size if isinstance(size, tuple) else (size, size))
        assert mask.BLOCK_SIZE == want.BLOCK_SIZE and mask.seq_lengths == want.seq_lengths == (n, m)
        assert torch.equal(mask.to_dense(), want.to_dense())
        full = mask.full_kv_num_blocks
        assert int(0 if full is None else full.sum()) <= int(mask.to_dense().sum())
    mask = pattern.to_block_mask()
    q, k, v = tensors(pattern, torch.float64)
    got = by_flex(flex_attention, q, k, v, mask)
    want = vicinal.attention(q, k, v, pattern, sorted=True, backend="reference")
    assert torch.allclose(got, want, rtol=0, atol=1e-13)
    q, k, v = tensors(pattern, torch.float32)
    got = by_flex(flex_attention, pattern.sort(q), pattern.sort(k, "key"), pattern.sort(v, "key"), mask)
    assert torch.allclose(pattern.unsort(got), vicinal.attention(q, k, v, pattern), rtol=0, atol=2e-6)


def compiled_as_ours(rng, device, dtype, atol):
    from torch.nn.attention.flex_attention import flex_attention
    flex = torch.compile(flex_attention, dynamic=False)
    for kind, pattern in all_kinds(rng).items():
        torch._dynamo.reset()
        q, k, v = tensors(pattern, dtype, device, 64)
        got = by_flex(flex, q, k, v, pattern.to_block_mask(device=device))
        assert torch.allclose(got, vicinal.attention(q, k, v, pattern, sorted=True), rtol=0, atol=atol), kind


@FULL
def test_flex_attention_compiled(rng):
    compiled_as_ours(rng, "cpu", torch.float32, 2e-6)


@pytest.mark.gpu
def test_flex_attention_on_a_gpu(rng):
    compiled_as_ours(rng, "cuda", torch.float16, 4e-3)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:vicinal. gradients come from the reference")
def test_gradients_of_flex_attention(rng):
    from torch.nn.attention.flex_attention import flex_attention
    flex = torch.compile(flex_attention, dynamic=False)
    pattern = all_kinds(rng)["two sets"]
    given = [x.requires_grad_() for x in tensors(pattern, torch.float16, "cuda", 64)]
    down = torch.randn(pattern.n_queries, 2, 64, dtype=torch.float16, device="cuda")
    got = torch.autograd.grad(by_flex(flex, *given, pattern.to_block_mask(device="cuda")), given, down)
    want = torch.autograd.grad(vicinal.attention(*given, pattern, sorted=True), given, down)
    for a, b in zip(got, want):
        assert torch.allclose(a, b, rtol=0, atol=2e-2)


def test_what_flex_attention_cannot_say():
    several = vicinal.pattern(np.random.default_rng(1).uniform(0, 4, (10, 3)), 5.0, cell=[4, 4, 4])
    with pytest.raises(vicinal.ArgumentError, match="query 0 has key 0 under 7 shifts of the cell.*vicinal.attention"):
        several.to_block_mask()
    one = vicinal.pattern(np.zeros((4, 3)), 1.0)
    for size in (24, 0, -16, "128", (16, 16, 16), (128, 8), 2.5):
        with pytest.raises(vicinal.ArgumentError, match="block_size: expected a multiple of 16"):
            one.to_block_mask(size)
    with pytest.raises(vicinal.ArgumentError, match="FlexAttention takes no empty tensors"):
        vicinal.pattern(np.zeros((0, 3)), 1.0).to_block_mask()


# ---- Data loaders ----


class Systems(torch.utils.data.Dataset):
    """Patterns made and used in the workers, which are children of fork(); one comes from the parent."""

    def __init__(self, x, pattern, q):
        self.x, self.pattern, self.q = x, pattern, q

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return vicinal.pattern(self.x[index], 3.0), vicinal.attention(self.q, self.q, self.q, self.pattern)


@pytest.mark.filterwarnings("ignore:os.fork")
def test_workers_of_a_data_loader(rng):
    """The parent's threads have been started, by torch and by us, when the workers are."""
    x, q = torch.tensor(rng.uniform(0, 9, (12, 300, 3))), torch.randn(300, 2, 16)
    pattern = vicinal.pattern(x[0], 3.0)
    want = vicinal.attention(q, q, q, pattern)
    torch.randn(1000, 1000) @ torch.randn(1000, 1000)
    loader = torch.utils.data.DataLoader(Systems(x, pattern, q), batch_size=None, num_workers=2, timeout=120,
                                         multiprocessing_context="fork")
    for _ in range(2):
        for number, (made, out) in enumerate(loader):
            assert torch.equal(out, want)
            same(made, vicinal.pattern(x[number].numpy(), 3.0))
            assert isinstance(made.counts(), torch.Tensor)  # also after it was sent here
