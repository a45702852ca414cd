# SPDX-License-Identifier: Apache-2.0
"""examples/python: that they learn, on real structures, and that what they compute is what plain torch says."""
import importlib.util
import os
import pathlib
import sys

import numpy as np
import pytest
import torch
import vicinal

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "examples" / "python"))
import atom_transformer as example  # noqa: E402
import compare_gradients  # noqa: E402

DATA = os.environ.get("VIC_TEST_DATA")
real = pytest.mark.skipif(not DATA, reason="real structures: VIC_TEST_DATA names no folder")

pytestmark = pytest.mark.filterwarnings("ignore:vicinal. gradients come from the reference")


def small(name):
    return f"{DATA}/small/{name}.pdb"


@pytest.fixture
def made(tmp_path):
    """made(seed): a file of some 300 atoms in residues of five, whose B-factors fall with the number of neighbours."""
    def make(seed, atoms=300):
        draw = np.random.default_rng(seed)
        grid = np.stack(np.meshgrid(*[np.arange(8)] * 3), -1).reshape(-1, 3) * 2.2
        near = grid[np.argsort(np.linalg.norm(grid - grid.mean(0) - draw.normal(size=3), axis=1))[:atoms]]
        xyz = near + 0.3 * draw.normal(size=near.shape)
        element = draw.choice(["C", "N", "O", "S"], atoms, p=[0.5, 0.2, 0.25, 0.05])
        count = (np.linalg.norm(xyz[:, None] - xyz, axis=-1) < 5.0).sum(1)
        b = 60.0 - count + 5.0 * (element == "O") + draw.normal(size=atoms)
        path = tmp_path / f"made{seed}.pdb"
        path.write_text("".join(
            f"ATOM  {n + 1:5}  {element[n]:3} ALA A{n // 5 + 1:4}    {xyz[n, 0]:8.3f}{xyz[n, 1]:8.3f}{xyz[n, 2]:8.3f}"
            f"  1.00{b[n]:6.2f}          {element[n]:>2}\n" for n in range(atoms)) + "END\n")
        return str(path)
    return make


def dense(positions, structure, cutoff):
    """What vicinal.attention() answers, by a matrix of all pairs."""
    distance = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    pairs = (distance < cutoff) & (structure[:, None] == structure)

    def attention(q, k, v, pattern, *, bias=None, return_lse=False):
        scores = torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5
        if bias is not None:
            at = distance.square() * ((bias.table.shape[1] - 1) / cutoff**2)
            m = at.long().clamp(max=bias.table.shape[1] - 2)
            scores = scores + bias.table[:, m] * (1 - (at - m)) + bias.table[:, m + 1] * (at - m)
        scores = scores.masked_fill(~pairs, -torch.inf)
        return torch.einsum("hij,jhd->ihd", scores.softmax(-1), v), scores.logsumexp(-1).T
    return attention


def of_files(paths, **options):
    return example.Batch.of([example.read(path) for path in paths], 5.0, "cpu", **options)


@pytest.mark.parametrize("bias", [False, True])
def test_model_is_what_plain_torch_says(made, monkeypatch, bias):
    batch = of_files([made(1)] if bias else [made(1), made(2, 250)])
    model = example.AtomTransformer(cutoff=5.0 if bias else None)
    if bias:
        with torch.no_grad():
            for block in model.blocks:
                block.attention.bias.normal_()
    answers = model(batch.numbers, batch.pattern)
    answers.square().mean().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    positions = torch.from_numpy(np.concatenate([example.read(made(1)).positions, example.read(made(2, 250)).positions]))
    structure = torch.arange(550) // 300
    n = len(batch.numbers)
    monkeypatch.setattr(vicinal, "attention", dense(positions[:n].float(), structure[:n], 5.0))
    expected = model(batch.numbers, batch.pattern)
    expected.square().mean().backward()
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-4)
    for name, p in model.named_parameters():
        torch.testing.assert_close(ours[name], p.grad, rtol=1e-3, atol=1e-4 * p.grad.abs().max().item(), msg=name)


def test_batch_is_its_structures(made):
    paths = [made(1), made(2, 250), made(3, 120)]
    model = example.AtomTransformer()
    together, alone = of_files(paths), [of_files([path]) for path in paths]
    assert together.first == [0, 300, 550, 670] and together.pattern.n_structures == 3
    assert together.pattern.n_pairs == sum(batch.pattern.n_pairs for batch in alone)
    answers = torch.cat([model(batch.numbers, batch.pattern) for batch in alone])
    torch.testing.assert_close(model(together.numbers, together.pattern), answers, rtol=1e-5, atol=1e-5)
    for name in ("target", "packing"):
        parts = [torch.as_tensor(getattr(batch, name)) for batch in alone]
        torch.testing.assert_close(torch.as_tensor(getattr(together, name)), torch.cat(parts))
    assert [len(group) for group in example.grouped([example.read(path) for path in paths], 400)] == [1, 2]


def test_what_is_held_out_is_not_learned_from(made):
    batch = of_files([made(1)], held_out="residues")
    assert 0.1 < 1.0 - batch.learned.float().mean() < 0.3
    residue = example.read(made(1)).residue_numbers
    held_out = batch.learned.numpy()
    assert not set(residue[held_out]) & set(residue[~held_out])  # residues are held out whole
    losses = []
    for noise in (0.0, 100.0):
        torch.manual_seed(3)
        batch.target[~batch.learned] += noise
        losses.append(example.train(example.AtomTransformer(), [batch], 3, 5e-3))
    assert losses[0] == losses[1]


def test_packing_is_what_scipy_counts(made):
    spatial = pytest.importorskip("scipy.spatial")
    positions = example.read(made(1)).positions
    counts = spatial.cKDTree(positions).query_ball_point(positions, 7.35, return_length=True)
    np.testing.assert_array_equal(of_files([made(1)]).packing, 1.0 / counts)


def test_learns(made, capsys):
    losses, r = example.main([made(1), made(2), "--test", made(3), "--steps", "60", "--lr", "1e-2"])
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert r.shape == (1, 2) and r[0, 0] > 0.75
    assert "step   60" in capsys.readouterr().out


def test_learns_in_half_precision(made, monkeypatch):
    """As on a GPU, which has no kernels for float32."""
    types, attention = set(), vicinal.attention
    monkeypatch.setattr(vicinal, "attention", lambda q, *rest, **more: types.add(q.dtype) or attention(q, *rest, **more))
    arguments = [made(1), made(2), "--test", made(3), "--steps", "40", "--lr", "1e-2"]
    half, r_half = example.main([*arguments, "--half"])
    assert types == {torch.float16}
    single, r_single = example.main(arguments)
    assert abs(half[0] - single[0]) < 1e-2 and half[0] != single[0]
    assert np.mean(half[-5:]) < 0.6 * np.mean(half[:5]) and abs(r_half[0, 0] - r_single[0, 0]) < 0.1


def test_learns_a_bias(made):
    losses, _ = example.main([made(1), "--bias", "--steps", "30", "--lr", "1e-2"])
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_learns_burial(made):
    """The number of atoms within 10 A, which scipy knows, from who is within 5 A of whom."""
    spatial = pytest.importorskip("scipy.spatial")
    positions = example.read(made(1)).positions
    counts = spatial.cKDTree(positions).query_ball_point(positions, 10.0, return_length=True)
    batch = of_files([made(1)], target="burial")
    np.testing.assert_allclose(batch.target.numpy(), (counts - counts.mean()) / counts.std(), rtol=1e-5, atol=1e-5)
    losses, r = example.main([made(1), made(2), "--test", made(3), "--steps", "60", "--lr", "1e-2", "--target", "burial"])
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5]) and r[0, 0] > 0.85


def test_by_kernels_and_by_the_reference(made, tmp_path, capsys, monkeypatch):
    """The same training, up to rounding."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of the two processes
    picture = tmp_path / "losses.svg"
    plot = ["--plot", str(picture)] if importlib.util.find_spec("matplotlib") else []
    found = compare_gradients.main([made(1), made(2), "--test", made(3), "--steps", "12", "--target", "burial", *plot])
    kernels, reference = (found[backend]["losses"] for backend in ("auto", "reference"))
    assert len(kernels) == 12 and kernels[-1] < kernels[0]
    np.testing.assert_allclose(kernels, reference, rtol=1e-4)
    assert all(x["seconds"] > 0 and x["memory"] > 0 for x in found.values())
    text = capsys.readouterr().out
    assert "12 steps" in text and "losses differ by" in text
    assert not plot or "<svg" in picture.read_text()


def test_compiled(made):
    """The whole model is one graph, and another pattern compiles nothing anew."""
    batches = [of_files([made(seed, atoms)]) for seed, atoms in ((1, 300), (2, 250), (3, 120), (4, 310))]
    model = example.AtomTransformer()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for batch in batches:
        torch.testing.assert_close(compiled(batch.numbers, batch.pattern), model(batch.numbers, batch.pattern))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2  # one size of its own, then any size
    batch = batches[0]
    torch.manual_seed(3)
    eager = example.train(example.AtomTransformer(), [batch], 3, 5e-3)
    torch.manual_seed(3)
    model = torch.compile(example.AtomTransformer(), backend="aot_eager", fullgraph=True)
    np.testing.assert_allclose(example.train(model, [batch], 3, 5e-3), eager, rtol=1e-5)


@pytest.mark.parametrize("arguments, text", [
    ([str(ROOT / "examples/quartz.xyz")], "residue names"),
    (["none.pdb"], "none.pdb"),
])
def test_wrong_files(arguments, text):
    with pytest.raises(SystemExit) as raised:
        example.main(arguments)
    assert text in str(raised.value)


def test_files_that_teach_nothing(made, tmp_path):
    path = tmp_path / "flat.pdb"
    path.write_text("".join(line[:60] + "  0.00" + line[66:] for line in open(made(1)).read().splitlines(True)))
    with pytest.raises(SystemExit, match="expected a B-factor for each atom, got 0 for all"):
        example.main([str(path)])
    with pytest.raises(SystemExit, match="too few residues"):
        example.main([made(1, 100)])


@pytest.mark.gpu
@pytest.mark.parametrize("more", [[], ["--compile"]])
def test_on_a_gpu(made, more):
    arguments = [made(1), made(2), "--test", made(3), "--steps", "60", "--lr", "1e-2"]
    on_gpu, r = example.main([*arguments, "--device", "cuda", *more])
    on_cpu, _ = example.main(arguments)
    assert abs(on_gpu[0] - on_cpu[0]) < 1e-2
    assert np.mean(on_gpu[-5:]) < 0.5 * np.mean(on_gpu[:5]) and r[0, 0] > 0.75


@real
def test_on_real_structures():
    """B-factors of structures that were not seen, better than by the number of neighbours."""
    losses, r = example.main([*map(small, ("1UBQ", "1EN2", "1a4w")), "--test", *map(small, ("1crn", "1o1z"))])
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    of_model, of_packing = r.mean(0)
    assert of_model > of_packing and (r[:, 0] > 0.55).all()
