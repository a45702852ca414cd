# SPDX-License-Identifier: Apache-2.0
"""The real Triton with our backend, and a repository of models made here.

The server is the one that the wheel nvidia-pytriton carries, unpacked; ./test --clients fetches it and the Python that
has tritonclient.  Without them all tests here are skipped."""
import importlib.util
import pathlib
import subprocess

import numpy as np
import pytest
from triton_tools import BINARY, CACHE, Server, config, server_path, write_xyz


def pytest_collection_modifyitems(items):
    """Skips all, saying why, where the server or its client is not there."""
    why = None
    if server_path() is None:
        why = f"no tritonserver in {CACHE}: ./test --clients fetches it"
    if importlib.util.find_spec("tritonclient") is None:
        why = "this Python has no tritonclient: ./test --clients makes one that does"
    for item in items:
        if why and pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def box():
    """Positions of 300 atoms in a box of 20 A, [300, 3]."""
    return np.random.default_rng(5).uniform(0, 20, (300, 3))


@pytest.fixture(scope="session")
def lattice():
    """A triclinic cell, [3, 3]."""
    return np.array([[20.0, 0, 0], [1.5, 21.0, 0], [-2.0, 1.0, 19.0]])


@pytest.fixture(scope="session")
def models(tmp_path_factory, box, lattice):
    """A repository: name -> config.pbtxt, each with the structure in its version's folder."""
    folder = tmp_path_factory.mktemp("triton") / "models"
    heavy = np.random.default_rng(6).uniform(0, 42, (4000, 3))
    wanted = {
        "plain": (box, None, config(structure="s.xyz", cutoff=6, heads=4, head_dim=32)),
        "batched": (box, None, config(8, "dynamic_batching { }", structure="s.xyz", cutoff=6, heads=4, head_dim=32)),
        "half": (box, None, config(structure="s.xyz", cutoff=6, heads=2, kv_heads=1, head_dim=16, head_dim_v=24,
                                   dtype="FP16", scale=0.3)),
        "brain": (box, None, config(structure="s.xyz", nearest=20, heads=2, head_dim=16, dtype="bfloat16")),
        "moving": (box, lattice, config(structure="s.xyz", cutoff=6, heads=2, head_dim=8, positions="FP64")),
        "moving32": (box, lattice, config(4, structure="s.xyz", cutoff=6, heads=2, head_dim=8, positions="FP32")),
        "stated": (box, None, config(0, (
            'input [ { name: "Q" data_type: TYPE_FP32 dims: [ -1, 3, 8 ] }, { name: "V" data_type: TYPE_FP32 dims: '
            '[ 300, 3, 8 ] }, { name: "K" data_type: TYPE_FP32 dims: [ 300, 3, 8 ] } ]\n'
            'output [ { name: "O" data_type: TYPE_FP32 dims: [ 300, 3, 8 ] } ]'), structure="s.xyz", cutoff=6)),
        "saved": (box, None, config(heads=4, head_dim=32)),
        "blocks": (None, None, config(structure="blocks:4x4:density=0.5", heads=1, head_dim=64)),
        "busy": (heavy, None, config(0, "instance_group { kind: KIND_CPU count: 6 }", structure="s.xyz", cutoff=8,
                                     heads=4, head_dim=64, queue=1)),
        "narrow": (heavy, None, config(
            4, "dynamic_batching { default_queue_policy { max_queue_size: 2 timeout_action: REJECT "
            "default_timeout_microseconds: 8000 } }", structure="s.xyz", cutoff=8, heads=4, head_dim=64)),
    }
    for name, (positions, cell, text) in wanted.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
        if positions is not None and name != "saved":
            write_xyz(folder / name / "1/s.xyz", positions, cell)
    subprocess.run([BINARY, "pattern", folder / "plain/1/s.xyz", "--cutoff", "6", "-o",
                    folder / "saved/1/pattern.vnp"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def triton(models):
    """The server over all of `models`, which stay loaded."""
    server = Server(models)
    yield server
    code = server.stop()
    log = server.log.read_text()
    assert code == 0, log[-4000:]


@pytest.fixture
def own_server(tmp_path):
    """A function that starts a server over models of the test's own: name -> (config.pbtxt, positions)."""
    started = []

    def start(wanted, *options):
        folder = tmp_path / "models"
        for name, (text, positions) in wanted.items():
            (folder / name / "1").mkdir(parents=True)
            (folder / name / "config.pbtxt").write_text(text)
            write_xyz(folder / name / "1/s.xyz", positions)
        started.append(Server(folder, *options))
        return started[-1]

    yield start
    for server in started:
        server.stop()
