# SPDX-License-Identifier: Apache-2.0
"""`vicinal bench serve`, bench/serve.py and bench/loopback.py against `vicinal serve`.  No rate is judged."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import BINARY, HEADS, OPTIONS, PATIENCE, ROOT, SIZE, Served
from test_perf_analyzer import PROGRAM


def bench(*arguments):
    """Its JSON, after a short run."""
    done = subprocess.run([BINARY, "bench", "serve", *arguments, "--seconds", "0.3", "--warm-up", "0", "--json"],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", [[], ["--shm", "system"], ["--rate", "100", "--arrivals", "random"]],
                         ids=lambda how: " ".join(how) or "default")
def test_bench_serve(served, how):
    r = bench(served.url, "--connections", "4", "--pid", str(served.process.pid), *how)
    assert r["server"].startswith("vicinal ") and r["model"] == "cloud" and set(r["status"]) == {"200"}
    assert r["status"]["200"] > 0 and r["checked"] > 0 and r["different"] == 0
    assert r["server_process"]["rss_after"] > 1e6


def test_bench_serve_by_a_unix_socket(case, tmp_path):
    server = Served(tmp_path, case.structure, *OPTIONS, "--unix", tmp_path / "s.sock")
    assert bench("--unix", tmp_path / "s.sock")["status"]["200"] > 0
    assert server.stop() == 0


def test_serve_py(case, tmp_path):
    """The script: every client in every loop, as lines of JSON."""
    out = tmp_path / "out.jsonl"
    done = subprocess.run([sys.executable, ROOT / "bench/serve.py", case.structure, "--cutoff", "4", "--heads",
                           str(HEADS), "--head-dim", str(SIZE), "--connections", "2", "--shm", "system", "--seconds",
                           "0.3", "--vicinal", BINARY, "--only", "serve", "-o", out],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    clients = ["vicinal bench serve"] + (["perf_analyzer"] if os.access(PROGRAM, os.X_OK) else [])
    assert [(r["client"], r["loop"]) for r in rows] == [(c, "closed") for c in clients] + [
        (clients[0], "half"), (clients[0], "double")]
    assert all(r["server"] == "vicinal serve" and r["rate"] > 0 and np.isfinite(r["cpu"]) for r in rows)


def test_loopback_py(tmp_path):
    """Either server answers; the client checks that all answers of one server are the same."""
    out = tmp_path / "out.jsonl"
    done = subprocess.run([sys.executable, ROOT / "bench/loopback.py", "--points", "512", "--connections", "1,4",
                           "--seconds", "0.2", "--rounds", "1", "--vicinal", BINARY, "-o", out],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(r["server"], r["connections"]) for r in rows] == [
        (server, connections) for connections in (1, 4) for server in ("loopback", "vicinal serve")]
    assert all(r["rate"] > 0 and 0 <= r["http_us"] <= r["us"] for r in rows)
