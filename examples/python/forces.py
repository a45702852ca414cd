#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Energies, forces and stress of a small attention potential, and dynamics that conserve energy.

    python forces.py                             # 300 atoms in a periodic box, 1,000 steps of 1 fs
    python forces.py --atoms 500 --steps 2000 --plot energy.svg

Each atom attends to the atoms within a cutoff, with weights that depend on distance by a learned bias and fade out at the cutoff.
The energy is a sum over atoms of a linear function of what comes out.  Here nothing is trained: weights are random numbers,
scaled so that near atoms repel.  What is shown is what a trained potential needs from attention: forces that are the
derivative of the energy, also in a periodic cell, no jump where atoms come and go, and so dynamics that do not heat up.
"""
import argparse
import sys
import time

import numpy as np
import torch
from torch import nn

import vicinal

ACCELERATION = 9.648533e-3  # A / fs^2 of a force of 1 eV / A on 1 atomic mass unit
BOLTZMANN = 8.617333e-5     # eV / K
MASS = 12.011


class Potential(nn.Module):
    """Energy (eV) of atoms by their kinds and positions."""

    def __init__(self, cutoff, heads=4, size=8, kinds=4, points=4096):
        super().__init__()
        self.cutoff = cutoff
        self.q, self.k, self.v = (nn.Embedding(kinds, heads * size) for _ in range(3))
        self.to_energy = nn.Parameter(0.03 * torch.randn(heads * size))
        self.per_head = nn.Parameter(torch.full((heads,), 0.4))
        self.heads, self.size = heads, size
        # Terms in d, each head with its own weights; the last one takes every weight to 0 at the cutoff.
        d = torch.linspace(0.0, 1.0, points, dtype=torch.float64).sqrt() * cutoff
        centers = torch.linspace(0.0, 0.75, 6, dtype=torch.float64) * cutoff
        self.register_buffer("basis", torch.exp(-((d - centers[:, None]) / 1.2) ** 2).float())
        x = d / cutoff
        self.register_buffer("envelope", torch.log1p(-28 * x ** 6 + 48 * x ** 7 - 21 * x ** 8).float())
        self.bias = nn.Parameter(torch.tensor([3.0, 3.0, 2.0, 1.0, 0.5, 0.2]) + 0.2 * torch.randn(heads, 6))

    def forward(self, kinds, positions, pattern, cell=None, backend="auto", fade=True):
        q, k, v = (e(kinds).unflatten(-1, (self.heads, self.size)) for e in (self.q, self.k, self.v))
        table = self.bias @ self.basis
        bias = vicinal.DistanceBias(table + self.envelope if fade else table, self.cutoff).at(positions, cell=cell)
        out, lse = vicinal.attention(q, k, v, pattern, bias=bias, return_lse=True, backend=backend)
        return (out.flatten(-2) @ self.to_energy).double().sum() + (lse @ self.per_head).double().sum()


def energy_and_forces(potential, kinds, positions, pattern):
    """(eV, eV / A [atoms, 3]) at new positions, of which the pattern is told."""
    pattern.update_(positions)
    at = positions.clone().requires_grad_()
    energy = potential(kinds, at, pattern)
    force, = torch.autograd.grad(energy, at)
    return float(energy.detach()), -force


def dynamics(potential, kinds, positions, velocities, pattern, step, steps):
    """Velocity Verlet (Swope et al., J. Chem. Phys. 76, 637, 1982): [steps + 1, 2] potential and kinetic energy, eV."""
    x, v = positions.clone(), velocities.clone()
    energy, force = energy_and_forces(potential, kinds, x, pattern)
    energies = []

    def note():
        energies.append((energy, 0.5 * MASS * float((v * v).sum()) / ACCELERATION))
    note()
    for _ in range(steps):
        v += 0.5 * step * ACCELERATION / MASS * force
        x += step * v
        energy, force = energy_and_forces(potential, kinds, x, pattern)
        v += 0.5 * step * ACCELERATION / MASS * force
        note()
    return np.array(energies)


def lattice(atoms, rng):
    """Positions (A) at 0.05 atoms a cubic angstrom, none near another, and the side of their cube."""
    n = int(np.ceil(atoms ** (1 / 3)))
    side = (atoms / 0.05) ** (1 / 3)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    chosen = rng.permutation(len(grid))[:atoms]
    return (grid[chosen] + 0.5) * (side / n) + rng.normal(0.0, 0.1, (atoms, 3)), side


def drift(energies):
    """(change of the mean total energy from the first to the last tenth, spread of it), both over the kinetic energy."""
    total, kinetic = energies.sum(1), energies[:, 1].mean()
    tenth = max(1, len(total) // 10)
    return abs(total[-tenth:].mean() - total[:tenth].mean()) / kinetic, np.ptp(total) / kinetic


def check_forces(potential, kinds, positions, cell):
    """Largest difference of force and stress from central differences of the energy, in float64 by the reference, relative."""
    pattern = vicinal.pattern(positions, potential.cutoff, cell=cell)
    double = Potential(potential.cutoff).double()
    double.load_state_dict(potential.state_dict())

    def energy(x, c):
        return float(double(kinds, x, vicinal.pattern(x, potential.cutoff, cell=c), c, backend="reference").detach())
    x, c = positions.clone().requires_grad_(), torch.as_tensor(cell).clone().requires_grad_()
    by_x, by_cell = torch.autograd.grad(potential(kinds, x, pattern, c), (x, c))
    worst = 0.0
    for atom, axis in ((0, 0), (1, 1), (2, 2), (len(positions) - 1, 0)):
        h = torch.zeros_like(positions)
        h[atom, axis] = 1e-4
        found = (energy(positions + h, c.detach()) - energy(positions - h, c.detach())) / 2e-4
        worst = max(worst, abs(found - float(by_x[atom, axis])) / float(by_x.abs().max()))
    for row in range(3):
        h = torch.zeros_like(c)
        h[row, row] = 1e-4
        found = (energy(positions, (c + h).detach()) - energy(positions, (c - h).detach())) / 2e-4
        worst = max(worst, abs(found - float(by_cell[row, row])) / float(by_cell.abs().max()))
    return worst


def largest_jump(potential, fade):
    """Largest change of the energy of three atoms while the third goes through the cutoff in steps of 0.0001 A, eV."""
    kinds, energies = torch.tensor([0, 1, 2]), []
    for r in np.arange(potential.cutoff - 0.005, potential.cutoff + 0.005, 1e-4):
        x = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [r, 0.0, 0.0]], dtype=torch.float64)
        with torch.no_grad():
            energies.append(float(potential(kinds, x, vicinal.pattern(x, potential.cutoff), fade=fade)))
    return float(np.abs(np.diff(energies)).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--atoms", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1000, help="of the shortest run; the others take as long in time")
    parser.add_argument("--step", type=float, default=1.0, metavar="FS", help="also half and twice of it")
    parser.add_argument("--cutoff", type=float, default=5.0)
    parser.add_argument("--temperature", type=float, default=300.0, metavar="K")
    parser.add_argument("--plot", metavar="FILE", help="total energy over time, by matplotlib")
    o = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    start, side = lattice(o.atoms, rng)
    positions, cell = torch.from_numpy(start), np.diag([side] * 3)
    kinds = torch.from_numpy(rng.integers(0, 4, o.atoms))
    velocities = torch.from_numpy(rng.normal(0.0, np.sqrt(BOLTZMANN * o.temperature * ACCELERATION / MASS), (o.atoms, 3)))
    velocities -= velocities.mean(0)
    potential = Potential(o.cutoff).requires_grad_(False)
    pattern = vicinal.pattern(positions, o.cutoff, cell=cell)
    print(pattern)
    print(f"forces and stress beside differences of the energy in float64: {check_forces(potential, kinds, positions, cell):.1e}")
    print(f"an atom through the cutoff: largest change in 0.0001 A {largest_jump(potential, True):.1e} eV; "
          f"without the envelope {largest_jump(potential, False):.1e} eV")
    runs = {}
    for factor in (2.0, 1.0, 0.5):
        step = factor * o.step
        steps = round(o.steps / factor)
        began = time.perf_counter()
        runs[step] = dynamics(potential, kinds, positions, velocities, pattern, step, steps)
        took = time.perf_counter() - began
        change, spread = drift(runs[step])
        print(f"{steps:5} steps of {step:g} fs: total energy drifts by {change:.1e} of the kinetic energy, and swings by "
              f"{spread:.1e}; {1e3 * took / steps:.2f} ms a step")
    if o.plot:
        from matplotlib import pyplot
        for step, energies in runs.items():
            total = energies.sum(1)
            pyplot.plot(step * np.arange(len(total)), (total - total[0]) / energies[:, 1].mean(), label=f"{step:g} fs")
        pyplot.xlabel("time / fs")
        pyplot.ylabel("change of the total energy / kinetic energy")
        pyplot.legend()
        pyplot.savefig(o.plot)
    worst = drift(runs[o.step])[0]
    return 0 if worst < 1e-4 else f"forces.py: the total energy drifts by {worst:.1e} of the kinetic energy"


if __name__ == "__main__":
    sys.exit(main())
