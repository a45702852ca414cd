# SPDX-License-Identifier: Apache-2.0
"""perf_analyzer, as its users start it.  How many inferences a second it finds is not judged."""
import json
import os
import subprocess
import urllib.request

import pytest

from conftest import CACHE, OPTIONS, PATIENCE, Served

PROGRAM = CACHE / "perf_analyzer/perf_analyzer"
REQUESTS = 40


def statistics(served):
    """Answered inferences, a batch counted as its items, and failed requests."""
    with urllib.request.urlopen(served.url + "/v2/models/cloud/stats", timeout=PATIENCE) as answer:
        (model,) = json.load(answer)["model_stats"]
    return model["inference_count"], model["inference_stats"]["fail"]["count"]


def run(served, folder, *how):
    """Runs it until REQUESTS requests are answered; returns what it printed."""
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip(f"no {PROGRAM}: ./test --clients installs it")
    before = statistics(served)
    done = subprocess.run([PROGRAM, "-m", "cloud", "-u", served.address, "--concurrency-range", "2", "--request-count",
                           str(REQUESTS), *how], env={**os.environ, "LD_LIBRARY_PATH": str(PROGRAM.parent)}, cwd=folder,
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    after = statistics(served)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Inferences/Second vs. Client" in done.stdout and "throughput: 0 infer/sec" not in done.stdout
    assert after[1] == before[1], "none has failed"
    return after[0] - before[0]


@pytest.mark.parametrize("how", [[], ["--async"], ["--shared-memory", "system"],
                                 ["--async", "--shared-memory", "system"], ["--input-data", "zero"]],
                         ids=lambda how: " ".join(how) or "default")
def test_perf_analyzer(served, tmp_path, how):
    assert run(served, tmp_path, *how) >= REQUESTS


def test_batches(case, tmp_path):
    """Of a model whose description has a batch dimension."""
    server = Served(tmp_path, case.structure, *OPTIONS, "--max-batch", 8)
    assert run(server, tmp_path, "-b", "4") >= 4 * REQUESTS
    assert server.stop() == 0
