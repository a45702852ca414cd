#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From structure files to a small transformer over atoms that says how mobile each atom is: its B-factor.

    python atom_transformer.py FILE...                    # held out: a fifth of the residues
    python atom_transformer.py FILE... --test FILE...     # held out: whole structures, which is the honest way
    python atom_transformer.py FILE... --device cuda      # float16 by autocast
    python atom_transformer.py FILE... --compile          # by torch.compile
    python atom_transformer.py FILE... --target burial    # learn what geometry knows: the number of atoms within 10 A

FILE has B-factors: PDB or mmCIF of an experiment.  What the model sees is atomic numbers and who is near whom, nothing
else.  docs/tutorial-python.md goes through it step by step; compare_gradients.py trains it twice, by kernels and without.
"""
import argparse
import pathlib
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import vicinal


class Attention(nn.Module):
    """Each atom attends to the atoms that the pattern pairs it with; x [atoms, width]."""

    def __init__(self, width, heads, bias_terms=0):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width + heads, width)
        self.bias = nn.Parameter(torch.zeros(heads, bias_terms)) if bias_terms else None

    def forward(self, x, pattern, basis=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # [atoms, heads, head size] each
        bias = None if self.bias is None else vicinal.DistanceBias(self.bias @ basis)
        out, lse = vicinal.attention(q, k, v, pattern, bias=bias, return_lse=True)
        # A mean over neighbours does not say how many there are; the log-sum-exp does: of equal scores it is ln n.
        return self.out(torch.cat([out.flatten(-2), lse.to(out.dtype)], -1))


class Block(nn.Module):
    """Attention, then a perceptron; each sees x normalised and adds to it."""

    def __init__(self, width, heads, bias_terms=0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, bias_terms)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x, pattern, basis=None):
        x = x + self.attention(self.norm1(x), pattern, basis)
        return x + self.mlp(self.norm2(x))


class AtomTransformer(nn.Module):
    """One number for each atom, from atomic numbers [atoms] and a pattern; with a cutoff (A) it also learns a bias by
    distance, which only the CPU has kernels for."""

    def __init__(self, width=32, heads=4, depth=2, cutoff=None, bias_terms=8):
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        basis = None
        if cutoff is not None:  # Gaussians of the distance, of which each head learns a weighted sum
            centers = np.linspace(0.0, cutoff, bias_terms)
            table = vicinal.DistanceBias.gaussian(1.0, centers, cutoff / bias_terms, cutoff).table
            basis = torch.from_numpy(table)  # [bias_terms, points]
        self.register_buffer("basis", basis)
        self.blocks = nn.ModuleList(Block(width, heads, 0 if basis is None else bias_terms) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, numbers, pattern):
        x = self.embedding(numbers)
        for block in self.blocks:
            x = block(x, pattern, self.basis)
        return self.head(x).squeeze(-1)


@dataclass
class Batch:
    """Structures one after another, and the pattern of all of them, which is made once and goes into every step."""

    pattern: vicinal.Pattern
    numbers: torch.Tensor  # [atoms] atomic numbers
    target: torch.Tensor  # [atoms] what is learned, shifted and scaled to mean 0 and variance 1 in each structure
    learned: torch.Tensor  # [atoms] bool; False is held out
    packing: np.ndarray  # [atoms] 1 / number of atoms within 7.35 A: what the model has to be better than with B-factors
    first: list  # [structures + 1] first atom of each structure, and the number of all atoms

    @classmethod
    def of(cls, structures, cutoff, device, held_out=None, target="b-factor"):
        """held_out: "all", or "residues": a fifth of each structure's, in runs of ten; None: nothing.
        target: "b-factor", or "burial", the number of atoms within 10 A."""
        first = np.cumsum([0] + [len(s) for s in structures])
        positions = np.concatenate([s.positions for s in structures])
        where = {"cu_seqlens": first, "pbc": np.stack([s.pbc for s in structures]),
                 "cell": np.stack([np.zeros((3, 3)) if s.cell is None else s.cell for s in structures])}
        if target == "burial":
            wanted = np.split(vicinal.pattern(positions, 10.0, **where).counts(), first[1:-1])
        else:
            wanted = [s.b_factors for s in structures]
        wanted = np.concatenate([(x - x.mean()) / x.std() for x in wanted]).astype(np.float32)
        learned = np.full(len(positions), held_out != "all")
        if held_out == "residues":
            ends = np.concatenate([np.diff(s.residue_numbers, prepend=s.residue_numbers[:1]) != 0 for s in structures])
            learned = np.cumsum(ends) // 10 % 5 != 2
            if learned.all():
                sys.exit("there are too few residues to hold some out: give other structures by --test")
        counts = vicinal.pattern(positions, 7.35, **where).counts()
        return cls(pattern=vicinal.pattern(positions, cutoff, **where),
                   numbers=torch.from_numpy(np.concatenate([s.numbers for s in structures])).long().to(device),
                   target=torch.from_numpy(wanted).to(device), learned=torch.from_numpy(learned).to(device),
                   packing=1.0 / counts, first=first.tolist())


def read(path, target="b-factor"):
    """The structure of a file, without waters and hydrogens; ends the program where it has no B-factors to learn."""
    try:
        structure = vicinal.read(path, water=False, hydrogen=False)
    except vicinal.Error as error:
        sys.exit(error)
    b = structure.b_factors
    if target == "burial":
        return structure
    if b is None or not np.ptp(b) > 0.0:
        sys.exit(f"{path}: expected a B-factor for each atom, got {'none' if b is None else f'{b[0]:g} for all'}: take a "
                 "PDB or mmCIF file of a crystal structure")
    return structure


def grouped(structures, most):
    """Lists of structures that follow one another, of at most `most` atoms in all or of one structure."""
    lists, atoms = [], 0
    for structure in structures:
        if not lists or atoms + len(structure) > most:
            lists, atoms = [*lists, []], 0
        lists[-1].append(structure)
        atoms += len(structure)
    return lists


def answers_of(model, batch, half):
    """[atoms] float32; half: matrix products and attention in float16, by autocast."""
    with torch.autocast(batch.numbers.device.type, torch.float16, enabled=half):
        return model(batch.numbers, batch.pattern).float()


def correlations(model, batches, half=False):
    """Pearson's r of the held-out atoms with the experiment, for each structure: the model's and that of packing."""
    found = []
    for batch in batches:
        with torch.no_grad():
            answers = answers_of(model, batch, half).cpu().numpy()
        target, learned = batch.target.cpu().numpy(), batch.learned.cpu().numpy()
        for begin, end in zip(batch.first, batch.first[1:]):
            some = begin + np.flatnonzero(~learned[begin:end])
            found.append([np.corrcoef(target[some], x[some])[0, 1] for x in (answers, batch.packing)])
    return np.array(found)


def train(model, batches, steps, lr, half=False, report=lambda step, loss: None):
    """Mean square errors of all steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    scaler = torch.amp.GradScaler(batches[0].numbers.device.type, init_scale=1024.0, enabled=half)
    losses = []
    for step in range(steps):
        batch = batches[step % len(batches)]
        loss = (answers_of(model, batch, half) - batch.target)[batch.learned].square().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        losses.append(loss.item())
        report(step, losses[-1])
    return losses


def arguments(given):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="PDB or mmCIF with B-factors, to learn from")
    parser.add_argument("--test", nargs="+", default=[], metavar="FILE", help="held out; none: residues of FILEs are")
    parser.add_argument("--target", choices=("b-factor", "burial"), default="b-factor",
                        help="what is learned: B-factors, or the number of atoms within 10 A")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--cutoff", type=float, default=5.0, help="atoms closer than that attend to each other, A")
    parser.add_argument("--bias", action="store_true", help="learn a bias by distance, too; on the CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--half", action="store_true", help="float16 by autocast; on a GPU always")
    parser.add_argument("--compile", action="store_true", help="the model by torch.compile")
    parser.add_argument("--batch-atoms", type=int, default=4000, help="atoms of a batch, but at least one structure")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args(given)
    o.half |= o.device != "cpu"  # GPUs have no kernels for float32
    if o.bias and o.device != "cpu":
        parser.error("--bias: only the CPU has kernels for a bias by distance: leave it out, or take --device cpu")
    return o


def batches_of(o):
    """Batches to learn from, and those to ask of afterwards."""
    # A bias by distance goes with patterns of one structure.
    groups = grouped([read(path, o.target) for path in o.files], 0 if o.bias else o.batch_atoms)
    batches = [Batch.of(group, o.cutoff, o.device, None if o.test else "residues", o.target) for group in groups]
    return batches, [Batch.of([read(path, o.target)], o.cutoff, o.device, "all", o.target) for path in o.test] or batches


def main(given=None):
    """Trains, prints, and returns (losses, correlations)."""
    o = arguments(given)
    torch.manual_seed(o.seed)
    batches, tests = batches_of(o)
    for batch in batches:
        print(batch.pattern)

    model = AtomTransformer(cutoff=o.cutoff if o.bias else None).to(o.device)
    run = torch.compile(model) if o.compile else model
    begun = time.perf_counter()

    def report(step, loss):
        if step % 10 == 9 or step == o.steps - 1:
            r = correlations(run, tests, o.half)[:, 0].mean()
            print(f"step {step + 1:4}   loss {loss:.3f}   held out r = {r:.3f}   {time.perf_counter() - begun:.1f} s",
                  flush=True)
    losses = train(run, batches, o.steps, o.lr, o.half, report)

    r = correlations(run, tests, o.half)
    print("held out                        model   1 / neighbours")
    for path, (of_model, of_packing) in zip(o.test or o.files, r):
        print(f"{pathlib.Path(path).name:30}  {of_model:5.3f}   {of_packing:5.3f}")
    return losses, r


if __name__ == "__main__":
    main()
