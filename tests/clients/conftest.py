# SPDX-License-Identifier: Apache-2.0
"""`vicinal serve` on a free port, and what attention over its model gives by the command and by NumPy.

The clients are the real ones, unchanged, from ~/.cache/vicinal/clients (./test --clients)."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("VIC_BINARY") or ROOT / "build/dev/vicinal")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vicinal/clients"
ATOMS, HEADS, SIZE, CUTOFF = 40, 2, 8, 4.0
OPTIONS = ["--cutoff", str(CUTOFF), "--heads", str(HEADS), "--head-dim", str(SIZE), "--device", "cpu"]
PATIENCE = 600  # seconds after which a server or a client counts as hanging
SAFETENSORS = {"F32": np.float32, "F16": np.float16}


def pytest_collection_modifyitems(items):
    """Skips all, saying why, where a client or the server is missing."""
    why = None
    try:
        import kserve  # noqa: F401
        import tritonclient.http.aio  # noqa: F401
    except ImportError:
        why = "this Python has no tritonclient or no kserve: ./test --clients makes one that does"
    if why is None and subprocess.run([BINARY, "serve", "--help"], capture_output=True, check=False).returncode != 0:
        why = "this build of vicinal has no serve: it needs libmicrohttpd-dev and libjansson-dev"
    for item in items:
        if why and pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


def write_xyz(path, positions):
    """A plain XYZ file of carbon atoms, [n, 3] in angstrom."""
    path.write_text(f"{len(positions)}\nmade by the test\n"
                    + "".join("C %r %r %r\n" % tuple(map(float, row)) for row in positions))
    return path


def write_tensor(path, array):
    """A safetensors file with one tensor; float32 or float16."""
    name = {np.dtype(t): n for n, t in SAFETENSORS.items()}[array.dtype]
    head = json.dumps({"x": {"dtype": name, "shape": list(array.shape), "data_offsets": [0, array.nbytes]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + array.tobytes())


def read_tensors(path):
    """name -> array of every tensor of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + size])
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
                                SAFETENSORS[t["dtype"]]).reshape(t["shape"])
            for name, t in head.items() if name != "__metadata__"}


def attention(positions, q, k, v):
    """out, lse in float64 over the pairs nearer than the cutoff, the atom itself among them; positions [n, 3] in the
    open, q, k, v [n, heads, size]."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    near = np.linalg.norm(positions[:, None] - positions[None], axis=-1) < CUTOFF
    score = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1])
    score = np.where(near, score, -np.inf)
    most = score.max(-1, keepdims=True)
    weight = np.exp(score - most)
    total = weight.sum(-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", weight / total, v), (most + np.log(total))[..., 0].T


class Case:
    """A structure, tensors for it, and what `vicinal run` makes of both."""

    def __init__(self, folder, seed=3, dtype=np.float32):
        rng = np.random.default_rng(seed)
        self.folder, self.dtype = folder, dtype
        self.positions = np.round(rng.uniform(0, 9, (ATOMS, 3)), 3)
        self.structure = write_xyz(folder / "cloud.xyz", self.positions)
        self.q, self.k, self.v = rng.standard_normal((3, ATOMS, HEADS, SIZE)).astype(dtype)
        self.tensors = {"Q": self.q, "K": self.k, "V": self.v}
        self.out, self.lse = self.run(self.positions, self.q, self.k, self.v)

    def run(self, positions, q, k, v):
        """out, lse of the command, held against NumPy."""
        structure, out = write_xyz(self.folder / "moved.xyz", positions), self.folder / "out.safetensors"
        files = []
        for name, array in (("q", q), ("k", k), ("v", v)):
            write_tensor(self.folder / f"{name}.safetensors", array)
            files += [f"--{name}", self.folder / f"{name}.safetensors"]
        subprocess.run([BINARY, "run", structure, "--cutoff", str(CUTOFF), *files, "-o", out, "--lse", "--device",
                        "cpu"], check=True, capture_output=True, timeout=PATIENCE)
        got = read_tensors(out)
        expected = attention(positions, q, k, v)
        error = 1e-5 if self.dtype == np.float32 else 4e-3
        np.testing.assert_allclose(got["out"], expected[0], rtol=0, atol=error * 4)
        np.testing.assert_allclose(got["lse"], expected[1], rtol=0, atol=error)
        return got["out"], got["lse"]

    def others(self, seed):
        """Other tensors of the same shape."""
        return np.random.default_rng(seed).standard_normal((3, ATOMS, HEADS, SIZE)).astype(self.dtype)


class Served:
    """A running `vicinal serve`; stop() ends it as a supervisor does, and returns its exit code."""

    def __init__(self, folder, *arguments):
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        self.address, self.url = f"127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}"
        self.log = folder / f"serve-{self.port}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BINARY, "serve", *map(str, arguments), "--port", str(self.port)],
                                            stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + PATIENCE
        while not self.is_ready():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-4000:]
            time.sleep(0.02)

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/v2/health/ready", timeout=PATIENCE).status == 200
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="session")
def served(case, tmp_path_factory):
    """The server of model `cloud`, shared by all tests of one session."""
    server = Served(tmp_path_factory.mktemp("served"), case.structure, *OPTIONS, "--allow-client-shm")
    yield server
    code = server.stop()
    assert code == 0, f"exit code {code}\n{server.log.read_text()[-4000:]}"
