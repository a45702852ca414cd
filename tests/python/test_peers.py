# SPDX-License-Identifier: Apache-2.0
"""bench/peers_cpu.py: what it prints is JSON, and a peer with other pairs gets no time."""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import vicinal_ctypes

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "bench/peers_cpu.py"


@pytest.fixture
def peers(tmp_path):
    vicinal_ctypes.library()  # or skip
    rng = np.random.default_rng(3)
    rows = "".join("C %.3f %.3f %.3f\n" % tuple(p) for p in rng.uniform(0, 20, (400, 3)))
    (tmp_path / "cloud.xyz").write_text(f"400\n\n{rows}")

    def run(*arguments):
        done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "cloud.xyz"), "--library",
                               os.path.abspath(os.environ["VIC_LIBRARY"]), "--repeat", "1", *map(str, arguments)],
                              capture_output=True, encoding="utf-8", timeout=vicinal_ctypes.PATIENCE)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
    return run


def test_peers_do_the_same_work(peers):
    rows, _ = peers("--cutoff", 6, "--skip", "flex,segments")
    done = {(r["what"], r["peer"]) for r in rows}
    assert {("pairs", "vicinal"), ("pairs", "scipy"), ("pairs", "ase"), ("attention", "vicinal")} <= done
    assert all(r["seconds"] > 0 and r["atoms"] == 400 and r["threads"] >= 1 and r["file"] == "cloud.xyz" for r in rows)
    assert all(r["relative_error"] < 1e-5 for r in rows if r["what"] == "attention")


def test_what_is_left_out_is_said(peers):
    rows, said = peers("--cutoff", 4, "--skip", "scipy,ase,vesin,flex,segments")
    assert [(r["what"], r["peer"]) for r in rows] == [("pairs", "vicinal"), ("attention", "vicinal")]
    assert said.count("skipped") == 5
