# SPDX-License-Identifier: Apache-2.0
"""./demo with a file of one's own: which options go to which step. Installing and building are left out, by stand-ins."""
import shutil
import subprocess

import numpy as np
import pytest

from conftest import ROOT

PACKAGES = """
BUILD_PACKAGES=()
phase() { printf '%s\\n' "$1"; }
phase_end() { :; }
packages_install() { :; }
build_preset() { :; }
seconds_since() { echo 0; }
"""


@pytest.fixture
def demo(binary, tmp_path, cloud):
    tree = tmp_path / "tree"
    (tree / "tools").mkdir(parents=True)
    (tree / "build/release").mkdir(parents=True)
    shutil.copy(ROOT / "demo", tree)
    (tree / "tools/packages.sh").write_text(PACKAGES)
    (tree / "build/release/vicinal").symlink_to(binary)

    def call(*options, code=0):
        done = subprocess.run([tree / "demo", cloud[0], *options], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
        return [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("   $ ")]

    return call


@pytest.mark.parametrize("given, way", [
    ([], ["--cutoff", "10"]),
    (["--cutoff", "3"], ["--cutoff", "3"]),
    (["--cutoff=3", "--no-self"], ["--cutoff=3", "--no-self"]),
    (["--nearest", "16"], ["--nearest", "16"]),
    (["--nearest=16", "--no-self"], ["--nearest=16", "--no-self"]),
    (["--windows", "32,128"], ["--windows", "32,128"]),
    (["--pairs", "PAIRS"], ["--pairs", "PAIRS"]),
    (["--exclude-pairs", "PAIRS"], ["--cutoff", "10", "--exclude-pairs", "PAIRS"]),
])
def test_a_cutoff_only_where_no_way_is_given(demo, tmp_path, given, way):
    np.savez(tmp_path / "pairs.npz", i=np.arange(300), j=np.arange(300))
    pairs = str(tmp_path / "pairs.npz")
    given, way = ([pairs if w == "PAIRS" else w for w in words] for words in (given, way))
    packing, pattern, run = demo(*given, "--heads", "2", "--no-hydrogen")
    assert packing[1] == "packing" and not set(way) & set(packing) and "--no-hydrogen" in packing
    for step in (pattern, run):
        assert [w for w in step if w in way] == way and "--no-hydrogen" in step
        assert ("--cutoff" in step) == ("--cutoff" in way)
    assert run[1] == "run" and "--check" in run and "--heads" in run and "--heads" not in pattern


def test_two_ways_are_refused(demo):
    assert len(demo("--cutoff", "3", "--nearest", "9", code=1)) == 2  # packing, and pattern, which says why
