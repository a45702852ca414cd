# SPDX-License-Identifier: Apache-2.0
"""perf_analyzer, as its users start it.  How many inferences a second it finds is not judged."""
import json
import os
import subprocess
import urllib.request

import pytest

from conftest import CACHE, PATIENCE

PROGRAM = CACHE / "perf_analyzer/perf_analyzer"
REQUESTS = 40


def statistics(served):
    """Answered inferences and failed ones."""
    with urllib.request.urlopen(served.url + "/v2/models/cloud/stats", timeout=PATIENCE) as answer:
        (model,) = json.load(answer)["model_stats"]
    return model["inference_count"], model["inference_stats"]["fail"]["count"]


@pytest.mark.parametrize("how", [[], ["--async"], ["--shared-memory", "system"], ["--async", "--shared-memory", "system"],
                                 ["--input-data", "zero"], ["--concurrency-range", "1:3"]],
                         ids=lambda how: " ".join(how) or "default")
def test_perf_analyzer(served, tmp_path, how):
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip(f"no {PROGRAM}: ./test --clients installs it")
    before = statistics(served)
    done = subprocess.run([PROGRAM, "-m", "cloud", "-u", served.address, "--request-count", str(REQUESTS),
                           *(["--concurrency-range", "2"] if "--concurrency-range" not in how else []), *how],
                          env={**os.environ, "LD_LIBRARY_PATH": str(PROGRAM.parent)}, cwd=tmp_path, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    after = statistics(served)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Inferences/Second vs. Client" in done.stdout and "throughput: 0 infer/sec" not in done.stdout
    assert after[0] - before[0] >= REQUESTS and after[1] == before[1]
