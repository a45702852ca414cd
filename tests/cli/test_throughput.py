# SPDX-License-Identifier: Apache-2.0
"""`bench throughput`: that its figures fit together; how fast an engine is, is not judged."""
import pytest

from test_bench import CONTEXT

SHORT = ["--device", "cpu", "--heads", 2, "--head-dim", 8, "--seconds", 0.2, "--warm-up", 0, "--launches", 3]


@pytest.mark.parametrize("more", [[], ["--tensors", "host", "--order", "caller", "--dtype", "f16"],
                                  ["--max-batch", 2, "--max-delay", 100]])
def test_figures(vicinal, cloud, more):
    r = vicinal("bench", "throughput", cloud[0], "--cutoff", 5, *SHORT, "--workers", 2, "--in-flight", 3, "--check",
                "--processes", 2, *more, "--json").json
    assert CONTEXT <= set(r) and r["bench"] == "throughput" and r["check"]["pass"]
    assert (r["workers"], r["in_flight"]) == (2, 3)
    assert r["lone_queries_per_second_at_most"] == pytest.approx(1 / r["seconds"]["single"]["p50"])
    for phase, at_once in ((r["lone"], 1), (r["engine"], 6)):
        assert phase["queries"] == phase["latency"]["count"] > 0
        assert phase["queries_per_second"] == pytest.approx(phase["queries"] / 0.2)
        assert phase["each_second"] == [] and phase["relative_sigma"] is None
        least, *others = (phase["latency"][key] for key in ("min", "p50", "p95", "p99", "p999", "max"))
        assert 0 < least and [least, *others] == sorted([least, *others])
        assert phase["checked"] >= min(at_once, 2) and phase["different"] == 0
        assert sum(phase["batches_up_to"].values()) == phase["launches"] > 0
        limit = min(at_once, r["max_batch"])
        assert 1 <= phase["mean_batch"] <= limit
        assert all(int(size) < 2 * limit for size in phase["batches_up_to"])
    assert len(r["process"]["seconds"]) == 2
    told = sum(r["process"][part] for part in ("read", "order", "build", "plan", "attention"))
    assert 0 < told < r["process"]["p50"] == max(r["process"]["seconds"])


def test_as_text(vicinal, cloud):
    text = vicinal("bench", "throughput", cloud[0], "--cutoff=5", *SHORT, "--workers=1", "--processes=1").out
    for words in ("1 thread with 16 in flight each", "a lone query", "a process each", "launches", "attention alone"):
        assert words in text, text


def test_without_a_file(vicinal):
    r = vicinal("bench", "throughput", "--origin", 800, "--device", "cpu", "--heads", 1, "--head-dim", 8, "--seconds",
                0.1, "--warm-up", 0, "--launches", 1, "--workers", 1, "--in-flight", 2, "--processes", 1, "--json").json
    assert r["block128"]["count"] == 800 and len(r["process"]["seconds"]) == 1


@pytest.mark.parametrize("arguments, code, words", [
    ([], 2, ["FILE is missing", "bench throughput"]),
    (["dense:5", "--workers", "0"], 2, ["--workers"]),
    (["dense:5", "--workers", "1024", "--in-flight", "4096"], 2, ["4194304 queries", "65536"]),
    (["dense:5", "--tensors", "disk"], 2, ["resident, host or pinned"]),
    (["dense:5", "--seconds", "0"], 2, ["--seconds"]),
    (["-"], 2, ["--processes 0"]),
    (["dense:5", "--worker", "1"], 2, ["did you mean --workers"]),
])
def test_wrong_use(vicinal, arguments, code, words):
    done = vicinal("bench", "throughput", *arguments, code=code)
    for word in words:
        assert word in done.err, done.err
