# SPDX-License-Identifier: Apache-2.0
"""`vicinal serve` under test (VIC_BINARY, or what the dev preset builds), and a client of sockets alone."""
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from command_tools import environment

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Seconds after which something counts as hanging. No test judges speed, and a busy machine may be slow by any factor.
PATIENCE = 600


@pytest.fixture(scope="session")
def binary(binary):
    said = subprocess.run([binary, "serve", "--help"], capture_output=True, encoding="utf-8", timeout=PATIENCE)
    if "this build has no server" in said.stderr:
        pytest.skip("this build has no server (libmicrohttpd-dev and libjansson-dev were missing)")
    return binary


class Answer:
    """An HTTP answer: .status, .headers by small letters, .body; .json and .tensors of what it holds."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json_size(self):
        return int(self.headers.get("inference-header-content-length", len(self.body)))

    @property
    def json(self):
        return json.loads(self.body[:self.json_size])

    @property
    def error(self):
        assert self.status != 200, self.body
        assert self.headers["content-type"] == "application/json", self.headers
        return self.json["error"]

    def tensors(self):
        """{name: array} of an inference's answer, binary or JSON."""
        types = {"FP32": np.float32, "FP16": np.float16, "BF16": np.uint16}
        at, found = self.json_size, {}
        for output in self.json["outputs"]:
            dtype = types[output["datatype"]]
            if "data" in output:
                data = [float("nan") if x is None else x for x in output["data"]]
                found[output["name"]] = np.array(data, np.float64).astype(dtype).reshape(output["shape"])
            elif "parameters" in output:
                size = output["parameters"]["binary_data_size"]
                found[output["name"]] = np.frombuffer(self.body[at:at + size], dtype).reshape(output["shape"])
                at += size
        assert at == len(self.body) or self.json_size == len(self.body)
        return found


class Client:
    """One connection."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        piece = self.socket.recv(1 << 20)
        self.rest += piece
        return bool(piece)

    def read(self, head=False):
        """The next answer; None where the server has closed the connection instead. `head`: one without its body."""
        try:
            while b"\r\n\r\n" not in self.rest:
                if not self._more():
                    assert not self.rest, self.rest
                    return None
            top, _, self.rest = self.rest.partition(b"\r\n\r\n")
            lines = top.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            size = 0 if head else int(headers["content-length"])
            while len(self.rest) < size:
                assert self._more(), "the connection ended within an answer"
        except ConnectionResetError:
            return None
        body, self.rest = self.rest[:size], self.rest[size:]
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    def ask(self, method, path, body=None, headers=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: test"] + [f"{k}: {v}" for k, v in dict(headers).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines + ["", ""]).encode() + (body or b""))
        return self.read(head=method == "HEAD")

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=b"", **more):
        return self.ask("POST", path, body, **more)

    def infer(self, model, inputs, outputs=None, headers=(), parameters=None, **members):
        """Inputs {name: array}, all binary; bfloat16 as uint16."""
        types = {"float32": "FP32", "float64": "FP64", "float16": "FP16", "uint16": "BF16"}
        listed = [{"name": name, "shape": list(a.shape), "datatype": types[str(a.dtype)],
                   "parameters": {"binary_data_size": a.nbytes}} for name, a in inputs.items()]
        request = {**members, "inputs": listed, "parameters": {"binary_data_output": True, **(parameters or {})}}
        if outputs is not None:
            request["outputs"] = outputs
        text = json.dumps(request).encode()
        body = text + b"".join(np.ascontiguousarray(a).tobytes() for a in inputs.values())
        return self.post(f"/v2/models/{model}/infer", body,
                         headers={"Inference-Header-Content-Length": len(text), **dict(headers)})

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Server:
    """A running server: .address, .admin, .pid; clients by .client()."""

    def __init__(self, binary, arguments, folder, env=None):
        self.log_path = folder / f"log-{time.monotonic_ns()}"
        self.log_file = open(self.log_path, "wb")
        arguments = list(map(str, arguments))
        if "--port" not in arguments and "--no-tcp" not in arguments:
            arguments += ["--port", "0"]
        if "--drain-timeout" not in arguments:
            arguments += ["--drain-timeout", str(PATIENCE)]
        self.process = subprocess.Popen([binary, "serve", *arguments], bufsize=0, stdout=subprocess.PIPE,
                                        stderr=self.log_file,
                                        cwd=folder, env={**environment(), **(env or {})})
        self.pid, self.address, self.admin, self.unix, self.said = self.process.pid, None, None, None, ""
        self._wait_ready("unix:" if "--no-tcp" in arguments else "http:")

    def _wait_ready(self, last):
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert ready, f"not ready: {self.said}{self.log}"
            line = self.process.stdout.readline().decode()
            if not line:
                self.process.wait(PATIENCE)
                raise AssertionError(f"exit code {self.process.returncode}: {self.said}{self.log}")
            self.said += line
            if line.startswith("admin: "):
                self.admin = ("127.0.0.1", int(line.rsplit(":", 1)[1]))
            if line.startswith("ready: unix:"):
                self.unix = line[12:].strip()
            if line.startswith("ready: http:"):
                self.address = ("127.0.0.1", int(line.rsplit(":", 1)[1]))
            if line.startswith("ready: " + last):
                return

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def events(self):
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def client(self, address=None):
        return Client(address or self.address or self.unix)

    def ask(self, method, path, body=None, headers=(), address=None):
        with self.client(address) as client:
            return client.ask(method, path, body, headers)

    def figure(self, name, model=None):
        """Of /metrics."""
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name) and (model is None or f'model="{model}"' in line):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no {name} in /metrics")

    def wait(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not in time: {what}"
            assert self.process.poll() is None, f"exit code {self.process.returncode}: {self.log}"
            time.sleep(0.01)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self):
        """KiB."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def terminate(self, code=0):
        """SIGTERM, and the exit code that it ends with."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == code, self.log

    def close(self):
        try:
            if self.process.poll() is None:
                self.terminate()
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.log_file.close()
        for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
            assert word not in self.log, self.log


@pytest.fixture
def serve(binary, tmp_path):
    """serve(arguments...): a Server, ended with the test and its exit code held against 0."""
    running = []

    def start(*arguments, **more):
        running.append(Server(binary, arguments, tmp_path, **more))
        return running[-1]

    yield start
    for server in running:
        server.close()


CHAIN = np.array([[1.5 * i, 0, 0] for i in range(5)])  # the model `tiny` of the recordings


def write_xyz(path, positions):
    path.write_text(f"{len(positions)}\n\n" + "".join("C %r %r %r\n" % tuple(map(float, p)) for p in positions))
    return path


@pytest.fixture
def tiny(tmp_path):
    return write_xyz(tmp_path / "tiny.xyz", CHAIN)


@pytest.fixture
def tiny_server(serve, tiny):
    return serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--allow-client-shm")


@pytest.fixture
def tensors():
    """tensors(n=5, heads=2, size=8, dtype=float32): {"Q", "K", "V"} by random numbers."""
    def make(n=5, heads=2, size=8, dtype=np.float32, seed=1, batch=None):
        rng = np.random.default_rng(seed)
        shape = (n, heads, size) if batch is None else (batch, n, heads, size)
        return {name: rng.standard_normal(shape).astype(dtype) for name in "QKV"}
    return make


def reference(positions, cutoff, q, k, v, box=None):
    """Attention over all pairs nearer than `cutoff` in float64: out [n, heads, size], lse [n, heads]. Open, or periodic
    in a rectangular `box` of edges longer than 2 `cutoff`. K and V may have fewer heads."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    apart = positions[:, None] - positions[None]
    if box is not None:
        apart = apart - box * np.round(apart / box)
    distance = np.linalg.norm(apart, axis=2)
    scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1])
    scores[:, distance >= cutoff] = -np.inf
    most = scores.max(axis=2, keepdims=True)
    weights = np.exp(scores - most)
    total = weights.sum(axis=2, keepdims=True)
    return np.einsum("hij,jhd->ihd", weights / total, v), (most + np.log(total))[..., 0].T
