# SPDX-License-Identifier: Apache-2.0
"""The binary under test (VIC_BINARY, or what the dev preset builds) and structures made for it."""
import json
import os
import pathlib
import select
import subprocess

import numpy as np
import pytest

from command_tools import environment

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Seconds after which a command counts as hanging. No test judges speed, and a busy machine may be slow by any factor.
PATIENCE = 3600


class Done:
    """What one call of the command gave."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        assert self.out.endswith("\n") and self.out.count("\n") == 1, self.out
        return json.loads(self.out)


@pytest.fixture
def vicinal(binary, tmp_path):
    """vicinal(arguments..., code=0): runs in an empty folder, checks the exit code, and that errors are on stderr only."""

    def call(*arguments, code=0, env=None, preexec=None):
        done = Done(subprocess.run([binary, *map(str, arguments)], capture_output=True, encoding="utf-8",
                                   timeout=PATIENCE, cwd=tmp_path, env=environment(**(env or {})), preexec_fn=preexec))
        assert done.code == code, f"exit code {done.code}, expected {code}\n{done.out}{done.err}"
        if code in (2, 3, 4):
            assert done.out == "", f"stdout must be empty after an error: {done.out}"
            assert done.err.count("\n") == 1 and ": error: " in done.err, done.err
        elif code == 0:
            assert done.err == "", done.err
        return done

    return call


class Terminal:
    """A pseudo-terminal: give .follower to a program, then close_follower(), and read what it shows."""

    def __init__(self):
        import pty
        self.leader, self.follower = pty.openpty()
        self.shown = b""

    def close_follower(self):
        if self.follower is not None:
            os.close(self.follower)
        self.follower = None

    def more(self):
        """Waits for more on the terminal; False at its end, when no program has it any longer."""
        ready, _, _ = select.select([self.leader], [], [], PATIENCE)
        assert ready, f"nothing more on the terminal after {self.shown!r}"
        try:
            piece = os.read(self.leader, 65536)
        except OSError:  # what Linux says at the end of a terminal
            piece = b""
        self.shown += piece
        return bool(piece)

    def close(self):
        self.close_follower()
        os.close(self.leader)


@pytest.fixture
def terminal():
    """terminal(): a new Terminal, or a skipped test where the system has none to give."""
    made = []

    def make():
        try:
            made.append(Terminal())
        except (ImportError, OSError) as error:
            pytest.skip(f"no pseudo-terminal to be had here: {error}")
        return made[-1]

    yield make
    for one in made:
        one.close()


def write_xyz(path, positions, elements="C", cell=None, pbc=None):
    """extXYZ with a lattice, plain XYZ without."""
    n = len(positions)
    elements = [elements] * n if isinstance(elements, str) else elements
    comment = "made by the test"
    if cell is not None:
        comment = 'Lattice="%s" Properties=species:S:1:pos:R:3' % " ".join(repr(float(x)) for x in np.ravel(cell))
        if pbc is not None:
            comment += ' pbc="%s"' % " ".join("T" if p else "F" for p in pbc)
    rows = "".join("%s %r %r %r\n" % (e, *map(float, p)) for e, p in zip(elements, positions))
    path.write_text("%d\n%s\n%s" % (n, comment, rows))
    return path


"""What the JSON of every command says of a structure."""
STRUCTURE = {"periodic", "space_group", "symmetry", "symmetry_operations", "unapplied_operations", "notes"}


def write_pdb(path, positions, b, elements="C", cell=None, group="P 1"):
    """Positions must have three decimals, B-factors two."""
    n = len(positions)
    elements = [elements] * n if isinstance(elements, str) else elements
    lines = []
    if cell is not None:
        lines.append("CRYST1%9.3f%9.3f%9.3f%7.2f%7.2f%7.2f %-11s%4d" % (*cell, group, 1))
    for i, (p, e) in enumerate(zip(positions, elements)):
        lines.append("ATOM  %5d %-4s ALA A%4d    %8.3f%8.3f%8.3f%6.2f%6.2f          %2s" %
                     (i + 1, " " + e, i + 1, *p, 1.0, b[i], e))
    path.write_text("\n".join(lines + ["END", ""]))
    return path


@pytest.fixture
def cloud(tmp_path):
    """300 atoms in the open, positions with three decimals."""
    rng = np.random.default_rng(7)
    positions = np.round(rng.uniform(0, 18, (300, 3)), 3)
    return write_xyz(tmp_path / "cloud.xyz", positions), positions


CRYSTAL_CELL = np.array([[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 1.5, 7.5]])


@pytest.fixture
def crystal(tmp_path):
    """70 atoms in a skewed periodic cell smaller than twice the usual cutoffs, some of them outside it."""
    rng = np.random.default_rng(8)
    positions = np.round(rng.uniform(-0.6, 1.5, (70, 3)) @ CRYSTAL_CELL, 3)
    return write_xyz(tmp_path / "crystal.xyz", positions, cell=CRYSTAL_CELL), positions, CRYSTAL_CELL


@pytest.fixture
def real_structure():
    """real_structure("small/1crn.pdb"): a file of the folder of real structures, or a skipped test."""

    def find(name):
        folder = pathlib.Path(os.environ.get("VIC_TEST_DATA") or ROOT.parent / "shared/data")
        if not (folder / name).is_file():
            pytest.skip(f"no {name} in {folder} (set VIC_TEST_DATA to the folder of real structures)")
        return folder / name

    return find
