# SPDX-License-Identifier: Apache-2.0
"""Gradients by positions and cell, through a bias that is at them: forces and stress."""
import pathlib
import sys

import numpy as np
import pytest
import torch

import vicinal

from problems import close, tensors

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CELLS = {"open": None, "periodic": [[7.0, 0, 0], [0, 7.5, 0], [0, 0, 8.0]],
         "triclinic, several images": [[4.0, 0, 0], [1.0, 4.2, 0], [-0.5, 1.0, 3.9]]}
CUTOFF = 4.0



def table_for(heads, fade=True):
    x = torch.linspace(0, 1, 400, dtype=torch.float64).sqrt()
    rows = torch.stack([torch.sin(3 * x + h) for h in range(heads)])
    return (rows + torch.log1p(-28 * x ** 6 + 48 * x ** 7 - 21 * x ** 8) if fade else rows).float()


def problem(kind="open", n=40, n_keys=None, **shape):
    torch.manual_seed(1)
    cell = None if CELLS[kind] is None else torch.tensor(CELLS[kind], dtype=torch.float64)
    side = 8.0 if cell is None else 1.0
    x, y = (torch.rand(m, 3, dtype=torch.float64) for m in (n, n_keys or n))
    x, y = (side * x, side * y) if cell is None else (x @ cell, y @ cell)
    pattern = vicinal.pattern(x, CUTOFF, cell=None if cell is None else cell.numpy(), keys=None if n_keys is None else y)
    return x, (y if n_keys else None), cell, pattern


def loss_of(q, k, v, table, moved, pattern, w, **how):
    positions, keys, cell = moved
    bias = vicinal.DistanceBias(table, CUTOFF).at(positions, keys=keys, cell=cell)
    out, lse = vicinal.attention(q, k, v, pattern, bias=bias, return_lse=True, **how)
    return (out.double() * w).sum() + torch.where(lse.isfinite(), lse, 0.0).double().sin().sum()


def both(kind, dtype=torch.float32, limit=3e-6, shape=(40, 2, 8), **more):
    """Gradients by the kernels beside those of the reference in float64, of all that there is."""
    n_keys = more.pop("n_keys", None)
    sort = more.pop("sorted", False)
    x, y, cell, pattern = problem(kind, shape[-3], n_keys)
    q, k, v = tensors(shape, dtype, n_k=n_keys, **more)
    table, w = table_for(shape[-2]), torch.randn(*shape[:-1], v.shape[-1], dtype=torch.float64)
    found = []
    for kind_of, backend in ((dtype, "auto"), (torch.float64, "reference")):
        leaves = [t.detach().to(kind_of) for t in (q, k, v)] + [table.double() if backend == "reference" else table]
        leaves = [t.clone().requires_grad_() for t in leaves]
        moved = [None if t is None else t.clone().requires_grad_() for t in (x, y, cell)]
        given = leaves[:3]
        if sort:
            given = [pattern.sort(leaves[0]), pattern.sort(leaves[1], "key"), pattern.sort(leaves[2], "key")]
        loss = loss_of(*given, leaves[3], moved, pattern, w, backend=backend, sorted=sort)
        inputs = [t for t in (*leaves, *moved) if t is not None]
        found.append(torch.autograd.grad(loss, inputs))
    for got, want in zip(*found):
        close(got, want.detach(), limit)


@pytest.mark.parametrize("kind", CELLS)
def test_against_the_reference(kind):
    both(kind)


@pytest.mark.parametrize("more", [{"n_keys": 55}, {"shape": (3, 40, 2, 8)}, {"sorted": True}, {"shape": (40, 4, 16),
                                  "kv_heads": 2}, {"shape": (40, 2, 8), "d_v": 24}])
def test_kinds_of_calls(more):
    both("triclinic, several images", **more)


@pytest.mark.parametrize("dtype, limit", [(torch.float16, 3e-3), (torch.bfloat16, 3e-2)])
def test_types(dtype, limit):
    both("periodic", dtype, limit)


def test_differences_of_the_energy():
    """Of the reference, whose distances are functions of the tensors: not only of itself."""
    x, _, cell, pattern = problem("triclinic, several images", 12)
    q, k, v = (t.double() for t in tensors((12, 2, 8)))
    table, w = table_for(2).double(), torch.randn(12, 2, 8, dtype=torch.float64)

    def energy(x, cell):
        return loss_of(q, k, v, table, (x, None, cell), vicinal.pattern(x.detach(), CUTOFF, cell=cell.detach().numpy()), w,
                       backend="reference")
    a, b = x.clone().requires_grad_(), cell.clone().requires_grad_()
    by_x, by_cell = torch.autograd.grad(energy(a, b), (a, b))
    for at, grad in ((0, by_x), (1, by_cell)):
        for i, axis in ((0, 0), (1, 2), (2, 1)):
            moved = [(x.clone(), cell.clone()) for _ in range(2)]
            moved[0][at][i, axis] += 1e-5
            moved[1][at][i, axis] -= 1e-5
            want = float(energy(*moved[0]) - energy(*moved[1])) / 2e-5
            assert float(grad[i, axis]) == pytest.approx(want, rel=2e-3, abs=2e-3 * float(grad.abs().max()))


def test_second_derivatives_by_the_reference():
    x, _, cell, pattern = problem("periodic", 6)
    q, k, v = (t.double().detach().requires_grad_() for t in tensors((6, 1, 8)))
    table = table_for(1, fade=False).double()

    def force(q, k, v, x):
        bias = vicinal.DistanceBias(table, CUTOFF).at(x)
        out = vicinal.attention(q, k, v, pattern, bias=bias, backend="reference")
        return torch.autograd.grad(out.square().sum(), x, create_graph=True)[0]
    # Linear between the points of the table: a difference must not leave the interval.
    assert torch.autograd.gradcheck(force, (q, k, v, x.clone().requires_grad_()), eps=1e-7, atol=1e-4, rtol=1e-3)


def test_types_of_gradients_and_what_is_not_needed():
    x, _, cell, pattern = problem("periodic")
    q, k, v = tensors((40, 2, 8))
    small = x.float().requires_grad_()
    bias = vicinal.DistanceBias(table_for(2), CUTOFF).at(small, cell=cell)
    out = vicinal.attention(q, k, v, pattern, bias=bias)
    out.sum().backward()
    assert small.grad.dtype == torch.float32 and small.grad.shape == (40, 3) and cell.grad is None and q.grad is None
    assert float(small.grad.double().sum(0).abs().max()) < 1e-4  # no net force
    with torch.no_grad():
        assert torch.equal(vicinal.attention(q, k, v, pattern, bias=bias), out)
    plain = vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias(table_for(2), CUTOFF))
    assert torch.equal(plain, out)


def test_open_axes_have_no_stress():
    x, _, cell, _ = problem("periodic")
    pattern = vicinal.pattern(x, CUTOFF, cell=cell.numpy(), pbc=[True, False, True])
    q, k, v = tensors((40, 2, 8))
    c = cell.clone().requires_grad_()
    bias = vicinal.DistanceBias(table_for(2), CUTOFF).at(x, cell=c)
    vicinal.attention(q, k, v, pattern, bias=bias).square().sum().backward()
    assert float(c.grad[1].abs().max()) == 0.0 and float(c.grad[0].abs().max()) > 0.0


def test_positions_that_are_not_the_patterns():
    x, y, cell, pattern = problem("periodic")
    q, k, v = tensors((40, 2, 8))
    bias = vicinal.DistanceBias(table_for(2), CUTOFF)

    def call(p=pattern, **at):
        at = {"positions": x, **at}
        return vicinal.attention(q, k, v, p, bias=bias.at(at.pop("positions"), **at))
    with pytest.raises(vicinal.ArgumentError, match=r"up to 0.01 A from those of the pattern.*update_"):
        call(positions=x + 0.01)
    with pytest.raises(vicinal.ArgumentError, match=r"positions: expected shape \(40, 3\).*\(39, 3\)"):
        call(positions=x[1:])
    with pytest.raises(vicinal.ArgumentError, match="positions: expected a torch tensor of floating-point numbers, got ndarray"):
        call(positions=x.numpy())
    with pytest.raises(vicinal.ArgumentError, match="nan A"):
        call(positions=torch.full_like(x, float("nan")))
    with pytest.raises(vicinal.ArgumentError, match="keys: this pattern has one set"):
        call(keys=x)
    with pytest.raises(vicinal.ArgumentError, match="cell: they are up to 0.5 A"):
        call(cell=cell + 0.5)
    with pytest.raises(vicinal.ArgumentError, match="cell: the pattern is not periodic"):
        call(vicinal.pattern(x, CUTOFF), cell=cell)
    with pytest.raises(vicinal.ArgumentError, match="add first"):
        bias.at(x) + bias
    with pytest.raises(vicinal.ArgumentError, match="NumPy has no gradients"):
        vicinal.attention(q.numpy(), k.numpy(), v.numpy(), pattern, bias=bias.at(x))


def test_what_cannot_be_differentiated_says_so():
    x, _, _, pattern = problem("periodic")
    q, k, v = tensors((40, 2, 8))
    at = x.clone().requires_grad_()
    bias = vicinal.DistanceBias(table_for(2), CUTOFF).at(at)
    energy = vicinal.attention(q, k, v, pattern, bias=bias).square().sum()
    force, = torch.autograd.grad(energy, at, create_graph=True)
    with pytest.raises(vicinal.ArgumentError, match="backend='reference'"):
        force.square().sum().backward()

    def through(p, backend="auto"):
        bias = vicinal.DistanceBias(table_for(2), CUTOFF).at(p)
        return vicinal.attention(q, k, v, pattern, bias=bias, backend=backend).square().sum()
    with pytest.raises(vicinal.ArgumentError, match="torch.func has no way"):
        torch.func.grad(through)(x)
    close(torch.func.grad(lambda p: through(p, "reference"))(x), force.detach(), 1e-5)
    energy = vicinal.attention(q, k, v, pattern, bias=bias).square().sum()
    pattern.update_(x + 0.001)
    with pytest.raises(vicinal.ArgumentError, match="was updated"):
        energy.backward()


def test_in_a_compiled_function():
    x, _, _, pattern = problem("periodic")
    q, k, v = tensors((40, 2, 8))
    table = table_for(2)

    def energy(p):
        return vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias(table, CUTOFF).at(p)).square().sum() * 2.0
    a, b = (x.clone().requires_grad_() for _ in range(2))
    energy(a).backward()
    torch.compile(energy, backend="eager")(b).backward()
    assert torch.equal(a.grad, b.grad)


def test_the_example(monkeypatch, capsys):
    """A short run of examples/python/forces.py: right forces, no jump, energy that stays."""
    monkeypatch.syspath_prepend(str(ROOT / "examples/python"))
    monkeypatch.setattr(sys, "argv", ["forces.py", "--atoms", "60", "--steps", "300"])
    import forces
    assert forces.main() == 0
    said = capsys.readouterr().out
    assert "300 steps of 1 fs" in said
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    start, side = forces.lattice(60, rng)
    potential = forces.Potential(5.0).requires_grad_(False)
    assert forces.check_forces(potential, torch.from_numpy(rng.integers(0, 4, 60)), torch.from_numpy(start),
                               np.diag([side] * 3)) < 1e-3
    assert forces.largest_jump(potential, True) < 1e-3 < forces.largest_jump(potential, False)
