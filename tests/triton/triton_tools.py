# SPDX-License-Identifier: Apache-2.0
"""A Triton with our backend, started on free ports; its models' configurations; what `vicinal run` makes of the
same tensors."""
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import time
import urllib.request

import numpy as np

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


def run_command(folder, structure, arguments, q, k, v, dtype="FP32", device="cpu"):
    """What `vicinal run` makes of the tensors: name -> bytes of out and lse."""
    files = []
    for name, array in (("q", q), ("k", k), ("v", v)):
        write_tensor(folder / f"{name}.safetensors", array, dtype)
        files += [f"--{name}", folder / f"{name}.safetensors"]
    out = folder / "out.safetensors"
    done = subprocess.run([BINARY, "run", structure, *arguments, *files, "-o", out, "--lse", "--device", device],
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
        command = [server_path(), f"--model-repository={folder}", f"--backend-directory={BACKENDS}",
                   "--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1",
                   f"--http-port={self.http}", f"--grpc-port={self.grpc}", f"--metrics-port={self.metrics}",
                   "--model-control-mode=explicit", "--load-model=*", "--exit-on-error=false",
                   "--backend-config=vicinal,threads=2", *options]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
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
