# SPDX-License-Identifier: Apache-2.0
"""vicinal.distributed over processes with gloo: the bits of one process, and errors where one has gone."""
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import vicinal
from vicinal import distributed

PROGRAM = pathlib.Path(__file__).with_name("distributed_process.py")
PATIENCE = 3600  # seconds, for what hangs
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # the package as this process finds it


def run(what, size, folder):
    """What each process said, and how it ended."""
    processes = [subprocess.Popen([sys.executable, PROGRAM, what, str(rank), str(size), folder / "store"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT) for rank in range(size)]
    try:
        return [(p.communicate(timeout=PATIENCE)[0], p.returncode) for p in processes]
    finally:
        for p in processes:
            p.kill()


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_processes_have_the_bits_of_one(size, tmp_path):
    for said, code in run("results", size, tmp_path):
        assert code == 0, said


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_a_process_that_is_killed_is_an_error_on_the_others(tmp_path):
    found = run("gone", 3, tmp_path)
    assert found[1][1] == -9
    for said, code in (found[0], found[2]):
        assert code == 0 and "rows of other processes did not come" in said, said


def test_domains_can_be_asked_without_processes():
    pattern = vicinal.pattern(np.random.default_rng(3).random((1400, 3)) * 24, 5.0)
    every = [distributed.Domains(pattern, rank=r, size=3) for r in range(3)]
    assert sorted(np.concatenate([d.queries for d in every])) == list(range(1400))
    assert all(d.halo > 0 and d.halo == d.halo_backward for d in every)  # symmetric
    x = torch.randn(len(every[0].queries), 1, 8)
    with pytest.raises(vicinal.ArgumentError, match="to be asked"):
        distributed.attention(x, x, x, every[0])


def test_refusals():
    pattern = vicinal.pattern(np.zeros((3, 3)), 5.0)
    with pytest.raises(vicinal.ArgumentError, match="init_process_group"):
        distributed.Domains(pattern)
    with pytest.raises(vicinal.ArgumentError, match="give both"):
        distributed.Domains(pattern, size=2)
    with pytest.raises(vicinal.ArgumentError, match="rank"):
        distributed.Domains(pattern, rank=2, size=2)
    with pytest.raises(vicinal.ArgumentError, match="pattern: expected"):
        distributed.Domains(None, rank=0, size=2)
    with pytest.raises(vicinal.ArgumentError, match="the 3 rows of all queries"):
        distributed.Domains(pattern, rank=0, size=2).shard(torch.zeros(4, 2))
    with pytest.raises(vicinal.ArgumentError, match="Domains"):
        distributed.attention(torch.zeros(3, 1, 8), torch.zeros(3, 1, 8), torch.zeros(3, 1, 8), pattern)
