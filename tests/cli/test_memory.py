# SPDX-License-Identifier: Apache-2.0
"""What does not fit the memory is refused before it is built, and lengths in nanometres are warned of."""
import re
import resource
import subprocess

import numpy as np
import pytest

from conftest import write_xyz

MIB = 1 << 20


@pytest.fixture
def box(tmp_path):
    """8,000 atoms at the density of water, hydrogens included."""
    edge = 43.0
    positions = np.round(np.random.default_rng(3).uniform(0, edge, (8000, 3)), 3)
    return write_xyz(tmp_path / "box.xyz", positions, cell=edge * np.eye(3))


@pytest.fixture
def short(vicinal):
    """short(arguments..., code=1): with so little address space that large patterns do not fit."""

    def call(*arguments, code=1, mib=700):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))
        return vicinal(*arguments, "--threads", 2, code=code, preexec=limit)

    return call


@pytest.mark.parametrize("command", [["pattern"], ["run", "--heads", 1], ["packing", "--pbc", "xyz"], ["bench", "pattern"],
                                     ["bench", "latency"]])
def test_too_large_a_cutoff(short, box, command):
    at = 2 if command[0] == "bench" else 1
    call = [*command[:at], box, "--cutoff", 2000, *command[at:]]
    done = short(*call)
    assert done.out == "" and "--force" in done.err and "ulimit" in done.err and done.err.count("\n") == 1
    words = re.search(r"--cutoff 2000: at ([\d.]+) A already the pattern would have about ([\d,]+) pairs and take about "
                      r"([\d.]+ \wB).*such as --cutoff ([\d.]+),", done.err)
    assert words, done.err
    assert 10 < float(words[4]) < float(words[1]) < 2000


def test_the_cutoff_that_is_named_fits(short, box):
    named = re.search(r"such as --cutoff ([\d.]+)", short("pattern", box, "--cutoff", 300).err)[1]
    assert short("pattern", box, "--cutoff", named, "--json", code=0).json["pairs"] > 0


def test_other_large_things(short, box):
    err = short("pattern", box, "--nearest", 7999).err
    assert "--nearest 7999" in err and re.search(r"such as --nearest \d+", err)
    err = short("run", box, "--cutoff", 4, "--heads", 256, "--head-dim", 128).err
    assert "tensors" in err and "fewer or smaller heads" in err
    err = short("pattern", box, "--cutoff", 35, "--pairs-out", "pairs.npz").err
    assert "--pairs-out" in err and "-o FILE.vnp" in err


def test_force_tries_it_anyway(short, box):
    assert "--force" not in short("pattern", box, "--nearest", 7999, "--force").err
    assert short("pattern", box, "--cutoff", 5, "--force", "--json", code=0).json["pairs"] > 0


def warned(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("command", [["info"], ["pattern", "--cutoff", 0.3], ["run", "--cutoff", 0.3],
                                     ["pattern", "--nearest", 3]])
def test_lengths_in_nanometres(binary, tmp_path, box, command):
    positions = np.random.default_rng(3).uniform(0, 4.3, (2000, 3))
    # the cell alone; everything; positions alone, without a cell
    cases = [[box, "--cell", "4.3,4.3,4.3"],
             [write_xyz(tmp_path / "all.xyz", positions, cell=4.3 * np.eye(3))],
             [write_xyz(tmp_path / "open.xyz", positions)]]
    for case in cases:
        done = warned(binary, command[0], *case, *command[1:])
        assert done.stderr.startswith("vicinal: warning: ") and "nanometres?" in done.stderr
        assert done.stderr.count("\n") == 1
        note = re.search(r"^  note +(.*)$", done.stdout, re.M)
        assert note and note[1] in done.stderr
        assert "nanometres" in warned(binary, command[0], *case, *command[1:], "--json").stdout.split('"notes": [')[1]


def test_matter_is_not_warned_of(vicinal, box):
    assert vicinal("pattern", box, "--cutoff", 4, "--json").json["notes"] == []
