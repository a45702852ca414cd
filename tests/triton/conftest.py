# SPDX-License-Identifier: Apache-2.0
"""The real Triton with our backend, started on free ports with a repository of models made here.

The server is the one that the wheel nvidia-pytriton carries, unpacked; ./test --clients fetches it and the Python that
has tritonclient.  Without them all tests here are skipped."""
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.request

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vicinal/clients"
BUILD = pathlib.Path(os.environ.get("VIC_BUILD") or ROOT / "build/dev")
BINARY = pathlib.Path(os.environ.get("VIC_BINARY") or BUILD / "vicinal")
BACKENDS = BUILD / "triton/backends"
SERVER = "pytriton/tritonserver/bin/tritonserver"
NAMES = {"FP32": "F32", "FP16": "F16", "BF16": "BF16"}


def server_path():
    """The server's program, or None where the cache is cold."""
    for path in (os.environ.get("VIC_TRITON_SERVER"), CACHE / "triton" / SERVER, CACHE / "pytriton" / SERVER):
        if path and os.access(path, os.X_OK):
            return pathlib.Path(path)
    return None


def pytest_collection_modifyitems(items):
    """Skips all, saying why, where the server or its client is not there."""
    why = None
    if server_path() is None:
        why = f"no tritonserver in {CACHE}: ./test --clients fetches it"
    try:
        import tritonclient.grpc  # noqa: F401
        import tritonclient.http  # noqa: F401
    except ImportError:
        why = "this Python has no tritonclient: ./test --clients makes one that does"
    for item in items:
        if why and pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


def parameter(name, value):
    """A line of config.pbtxt."""
    return f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'


def config(batch=0, more="", **parameters):
    """The text of a config.pbtxt; underscores of names stay, as the backend takes both."""
    return ('backend: "vicinal"\n' + (f"max_batch_size: {batch}\n" if batch else "") + more + "\n"
            + "".join(parameter(name, value) for name, value in parameters.items()))


def write_xyz(path, positions, cell=None):
    """An extXYZ file of carbon atoms, [n, 3] in angstrom, that reads back to the same float64."""
    lattice = "" if cell is None else 'Lattice="' + " ".join(repr(float(x)) for x in np.ravel(cell)) + '" '
    rows = "".join("C " + " ".join(repr(float(x)) for x in row) + "\n" for row in positions)
    path.write_text(f"{len(positions)}\n{lattice}Properties=species:S:1:pos:R:3\n{rows}")


def write_tensor(path, array, dtype):
    """A safetensors file with one tensor `x`; array [...] of its type."""
    head = json.dumps({"x": {"dtype": NAMES[dtype], "shape": list(array.shape),
                             "data_offsets": [0, array.nbytes]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + array.tobytes())


def read_tensors(path):
    """name -> bytes of every tensor of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + size])
    return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]
            for name, t in head.items() if name != "__metadata__"}


def run_command(folder, structure, arguments, q, k, v, dtype="FP32"):
    """What `vicinal run` makes of the tensors: name -> bytes of out and lse."""
    files = []
    for name, array in (("q", q), ("k", k), ("v", v)):
        write_tensor(folder / f"{name}.safetensors", array, dtype)
        files += [f"--{name}", folder / f"{name}.safetensors"]
    out = folder / "out.safetensors"
    done = subprocess.run([BINARY, "run", structure, *arguments, *files, "-o", out, "--lse", "--device", "cpu"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read_tensors(out)


def free_ports(count):
    """Ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Server:
    """A running Triton over the models of a folder."""

    def __init__(self, folder, *options):
        self.folder, self.log = folder, folder.parent / f"{folder.name}.log"
        self.http, self.grpc, self.metrics = free_ports(3)
        self.process = subprocess.Popen(
            [server_path(), f"--model-repository={folder}", f"--backend-directory={BACKENDS}", "--http-address=127.0.0.1",
             "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1", f"--http-port={self.http}",
             f"--grpc-port={self.grpc}", f"--metrics-port={self.metrics}", "--model-control-mode=explicit",
             "--load-model=*", "--exit-on-error=false", "--backend-config=vicinal,threads=2", *options],
            stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-4000:]
            time.sleep(0.05)

    def answers(self):
        """Whether it can be asked."""
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/live", timeout=5).status == 200
        except OSError:
            return False

    def why(self, model):
        """What the log says of why a model was not loaded."""
        found = re.findall(rf"failed to load '{model}' version 1: (.*)", self.log.read_text())
        return found[-1] if found else None

    def stop(self):
        """Ends it as a supervisor would; returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


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
        "plain": (box, None, config(file="s.xyz", cutoff=6, heads=4, head_dim=32)),
        "batched": (box, None, config(8, "dynamic_batching { }", file="s.xyz", cutoff=6, heads=4, head_dim=32)),
        "half": (box, None, config(file="s.xyz", cutoff=6, heads=2, kv_heads=1, head_dim=16, head_dim_v=24,
                                   dtype="FP16", scale=0.3)),
        "brain": (box, None, config(file="s.xyz", nearest=20, heads=2, head_dim=16, dtype="bfloat16")),
        "moving": (box, lattice, config(file="s.xyz", cutoff=6, heads=2, head_dim=8, positions="FP64")),
        "moving32": (box, lattice, config(4, file="s.xyz", cutoff=6, heads=2, head_dim=8, positions="FP32")),
        "stated": (box, None, config(0, (
            'input [ { name: "Q" data_type: TYPE_FP32 dims: [ -1, 3, 8 ] }, { name: "V" data_type: TYPE_FP32 dims: '
            '[ 300, 3, 8 ] }, { name: "K" data_type: TYPE_FP32 dims: [ 300, 3, 8 ] } ]\n'
            'output [ { name: "O" data_type: TYPE_FP32 dims: [ 300, 3, 8 ] } ]'), file="s.xyz", cutoff=6)),
        "saved": (box, None, config(heads=4, head_dim=32)),
        "blocks": (None, None, config(file="blocks:4x4:density=0.5", heads=1, head_dim=64)),
        "busy": (heavy, None, config(0, "instance_group { kind: KIND_CPU count: 6 }", file="s.xyz", cutoff=8, heads=4,
                                     head_dim=64, max_queue=1)),
        "narrow": (heavy, None, config(
            4, "dynamic_batching { default_queue_policy { max_queue_size: 2 timeout_action: REJECT "
            "default_timeout_microseconds: 8000 } }", file="s.xyz", cutoff=8, heads=4, head_dim=64)),
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
        shutil.rmtree(server.folder)
