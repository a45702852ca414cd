# SPDX-License-Identifier: Apache-2.0
"""`bench`: what its JSON holds and that the figures fit together; timing itself is not judged."""
import json

import pytest

import oracle

CONTEXT = {"bench", "command", "version", "build", "machine", "machine_detail", "device"}
TIMES = {"launches", "p50", "p95", "p99", "min", "mean", "sigma", "relative_sigma", "p99_over_p50", "gpairs_per_second",
         "tflops_computed", "tflops_useful", "gb_per_second"}
ORIGIN = {"tflops_origin", "tflops_origin_effective"}  # where all pairs are whole 128 x 128 blocks
SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}


def check_result(r):
    """The figures of one attention result follow from each other."""
    t = r["seconds"]["single"]
    whole = r["block128"]["full"] == r["block128"]["count"]
    assert set(t) == TIMES | (ORIGIN if whole else set())
    assert 0 < t["min"] <= t["p50"] <= t["p95"] <= t["p99"] and t["sigma"] >= 0
    flop = 2 * r["batch"] * r["heads"] * (r["head_dim"] + r["head_dim_v"])
    assert r["flop_useful"] == flop * r["pairs"] and r["flop_computed"] == flop * r["computed_pairs"]
    assert t["tflops_useful"] == pytest.approx(r["flop_useful"] / t["p50"] / 1e12)
    assert t["tflops_computed"] == pytest.approx(r["flop_computed"] / t["p50"] / 1e12)
    assert t["gpairs_per_second"] == pytest.approx(r["pairs"] * r["heads"] * r["batch"] / t["p50"] / 1e9)
    rows = r["atoms"] * r["heads"] + r.get("keys", r["atoms"]) * r["kv_heads"]
    assert r["tensor_bytes"] == rows * r["batch"] * (r["head_dim"] + r["head_dim_v"]) * SIZES[r["dtype"]]
    assert t["gb_per_second"] == pytest.approx(r["tensor_bytes"] / t["p50"] / 1e9)
    if whole:
        assert r["flop_origin"] == 2 * r["batch"] * r["heads"] * r["block128"]["count"] * 128 * 128 * r["head_dim"]
        assert t["tflops_origin"] == pytest.approx(r["flop_origin"] / t["p50"] / 1e12)
        assert t["tflops_origin_effective"] == pytest.approx(t["tflops_origin"] / r["block128"]["density"])
    assert t["p99_over_p50"] == pytest.approx(t["p99"] / t["p50"])
    assert r["check"]["pass"] and r["check"]["rows"] > 0


@pytest.mark.parametrize("order", ["pattern", "caller"])
@pytest.mark.parametrize("batch", [1, 3])
def test_latency(vicinal, cloud, order, batch):
    path, positions = cloud
    r = vicinal("bench", "latency", path, "--cutoff", 5, "--device", "cpu", "--launches", 4, "--order", order, "--batch",
                batch, "--head-dim", 16, "--head-dim-v", 24, "--dtype", "f16", "--json").json
    assert CONTEXT <= set(r) and r["bench"] == "latency" and r["device"] == "cpu"
    assert r["command"].startswith(f"vicinal bench latency {path} --cutoff 5")
    assert (r["row_order"], r["batch"], r["dtype"], r["head_dim"], r["head_dim_v"]) == (order, batch, "float16", 16, 24)
    assert r["pairs"] == len(oracle.pairs(positions, 5.0)[0])
    assert r["seconds"]["single"]["launches"] == 4 and set(r["seconds"]) == {"single"}
    check_result(r)


@pytest.mark.parametrize("order", ["pattern", "caller"])
def test_latency_of_items(vicinal, cloud, order):
    """Items at unrelated addresses: the check compares the first and the last with float64, as of a batch."""
    command = ("bench", "latency", cloud[0], "--cutoff", 5, "--device", "cpu", "--launches", 2, "--order", order)
    r = vicinal(*command, "--items", 5, "--json").json
    assert (r["items"], r["batch"]) == (True, 5)
    check_result(r)
    assert vicinal(*command, "--batch", 2, "--json").json["items"] is False
    assert "5 x 4 heads" in vicinal(*command, "--items", 5, "--heads", 4).out
    assert "at unrelated addresses" in vicinal(*command, "--items", 5, "--heads", 4).out
    refused = vicinal(*command, "--items", 5, "--batch", 3, code=2)
    assert "--batch 3 and --items 5: give one of them" in refused.err


@pytest.mark.parametrize("order", ["pattern", "caller"])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_latency_of_gradients(vicinal, cloud, order, dtype):
    command = ("bench", "latency", cloud[0], "--cutoff", 5, "--device", "cpu", "--launches", 2, "--order", order,
               "--dtype", dtype, "--heads", 4, "--kv-heads", 2, "--head-dim", 16, "--backward")
    r = vicinal(*command, "--batch", 2, "--json").json
    b = r["backward"]
    assert b["kernel"].startswith("attn_bwd_") and b["checked"] == "reference" and 0 < b["error"] <= b["bound"]
    assert set(b["seconds"]) == {"single"} and b["seconds"]["single"]["launches"] == 2
    assert 0 < b["seconds"]["single"]["min"] <= b["seconds"]["single"]["p50"]
    text = vicinal(*command).out
    assert b["kernel"] in text and "gradients" in text and "times as long" in text
    assert "backward" not in vicinal(*command[:-1], "--json").json
    assert "gradients take no items" in vicinal(*command, "--items", 2, code=2).err


def test_gradients_too_many_for_the_reference(vicinal):
    """By two sums that agree for gradients, as 10,240 x 10,240 points would take float64 long."""
    command = ("bench", "latency", "blocks:80x80:n=100", "--heads", 1, "--head-dim", 8, "--device", "cpu", "--launches",
               1, "--backward")
    b = vicinal(*command, "--json").json["backward"]
    assert b["checked"] == "sums" and 0 < b["error"] <= b["bound"]
    assert "by the sums that must agree" in vicinal(*command).out


def test_whole_blocks_are_counted_as_others_count_them(vicinal):
    r = vicinal("bench", "latency", "blocks:8x8:n=13", "--heads", 2, "--head-dim", 8, "--device", "cpu", "--launches", 2,
                "--sustain", 0, "--json").json
    assert r["block128"]["count"] == 13 and r["flop_origin"] == 2 * 2 * 13 * 128 * 128 * 8
    check_result(r)
    text = vicinal("bench", "latency", "blocks:8x8:n=13", "--heads", 2, "--head-dim", 8, "--device", "cpu", "--launches",
                   2).out
    assert "2 x 13 blocks x 128 x 128 x 8 a head" in text


def test_latency_as_text(vicinal, cloud):
    text = vicinal("bench", "latency", cloud[0], "--cutoff", 5, "--device", "cpu", "--launches", 3).out
    assert "single launches" in text and "P99/P50" in text and "against float64" in text


def test_dense_points_all_see_each_other(vicinal):
    r = vicinal("bench", "latency", "dense:100", "--device", "cpu", "--launches", 1, "--json").json
    assert r["atoms"] == 100 and r["pairs"] == 100 * 100
    check_result(r)
    assert vicinal("pattern", "dense:64", "--json").json["fill"] == 1


def test_pattern(vicinal, crystal):
    path, positions, cell = crystal
    r = vicinal("bench", "pattern", path, "--cutoff", 6, "--repeat", 3, "--json").json
    assert CONTEXT <= set(r) and r["repeat"] == 3
    assert r["pairs"] == len(oracle.pairs(positions, 6.0, cell)[0])
    for part in ("order", "build", "total"):
        assert 0 < r["seconds"][part]["min"] <= r["seconds"][part]["p50"]
    assert r["pairs_per_second"] == pytest.approx(r["pairs"] / r["seconds"]["total"]["p50"])
    assert 0 < r["resident_before"] <= r["resident_peak"]


@pytest.mark.parametrize("over, values, key, expected", [
    ("cutoff", "3,4.5,6", "cutoff", [3, 4.5, 6]),
    ("heads", "1,6", "heads", [1, 6]),
    ("head-dim", "8,24", "head_dim", [8, 24]),
    ("atoms", "1x1x1,2x1x1", "atoms", [70, 140]),
    ("threads", "1,2", "threads", [1, 2]),
    ("batch", "1,3", "batch", [1, 3]),
])
def test_scaling(vicinal, crystal, over, values, key, expected):
    done = vicinal("bench", "scaling", crystal[0], "--cutoff", 4, "--over", over, "--values", values, "--device", "cpu",
                   "--launches", 2, "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [r[key] for r in rows] == expected
    assert [r["value"] for r in rows] == values.split(",") and {r["over"] for r in rows} == {over}
    for r in rows:
        check_result(r)
        assert r["kv_heads"] == r["heads"] and r["head_dim_v"] == r["head_dim"]


def test_scaling_over_blocks(vicinal):
    done = vicinal("bench", "scaling", "--origin", 800, "--over", "blocks", "--values", "3,20", "--heads", 1, "--head-dim",
                   8, "--device", "cpu", "--launches", 2, "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(r["block128"]["count"], r["atoms"]) for r in rows] == [(3, 3 * 128), (20, 10 * 128)]
    for r in rows:
        check_result(r)


def test_scaling_as_text(vicinal, crystal):
    lines = vicinal("bench", "scaling", crystal[0], "--over", "cutoff", "--values", "3,5", "--device", "cpu", "--launches",
                    2).out.splitlines()
    assert lines[0] == str(crystal[0]) and lines[1].split(maxsplit=1) == ["periodic", "along a, b and c"]
    assert lines[2].startswith("cutoff") and [line.split()[0] for line in lines[3:]] == ["3", "5"]


@pytest.mark.parametrize("arguments, code, words", [
    ([], 2, ["choose what to time", "latency"]),
    (["latenc", "x.pdb"], 2, ["'latenc'", "did you mean latency?"]),
    (["latency"], 2, ["FILE is missing", "bench latency"]),
    (["latency", "dense:0"], 2, ["dense:N", "'0'"]),
    (["latency", "dense:5", "--cutoff", "4"], 2, ["--cutoff", "dense:5"]),
    (["latency", "dense:5", "--device", "cpu", "--cold"], 2, ["--cold", "GPU"]),
    (["latency", "dense:5", "--sustain", "-1"], 2, ["--sustain", "-1"]),
    (["latency", "dense:5", "--head-dim", "12", "--device", "cpu"], 2, ["--head-dim: ", "multiple of 8"]),
    (["pattern", "dense:5", "--repeat", "0"], 2, ["--repeat"]),
    (["scaling", "dense:5"], 2, ["--over is missing"]),
    (["scaling", "dense:5", "--over", "size"], 2, ["--over", "cutoff, heads"]),
    (["scaling", "dense:5", "--over", "heads", "--values", "x"], 2, ["--heads", "'x'"]),
    (["scaling", "dense:5", "--over", "blocks"], 2, ["--origin 800", "dense:5"]),
    (["scaling", "--origin", "800", "--over", "blocks", "--values", "0"], 2, ["--over blocks", "'0'"]),
    (["scaling", "dense:5", "--over", "atoms"], 3, ["repeats the cell", "dense:5 has none: give a structure file with a cell"]),
])
def test_wrong_use(vicinal, arguments, code, words):
    done = vicinal("bench", *arguments, code=code)
    for word in words:
        assert word in done.err, done.err
