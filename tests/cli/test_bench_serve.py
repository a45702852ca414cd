# SPDX-License-Identifier: Apache-2.0
"""`bench serve` against a server that keeps its own record: what is sent, what is counted, and when latency begins.
Speed is not judged; a pause of the server is, since no machine makes it shorter."""
import json
import os
import threading
import time

import numpy as np
import pytest

from conftest import write_xyz
from protocol_server import HEADS, POINTS, SIZE, Server, shared_names

SHORT = ["--seconds", 0.2, "--warm-up", 0, "--connections", 3, "--json"]


def bench(vicinal, server, *more, code=0):
    return vicinal("bench", "serve", getattr(server, "url", None) or "", *SHORT, *more, code=code)


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64"])
def test_requests_and_counts(vicinal, datatype):
    with Server(datatype=datatype) as server:
        r = bench(vicinal, server, "--outputs", "O,LSE").json
        record, connections = list(server.inferences), server.connections
    assert (r["bench"], r["server"], r["model"], r["loop"]) == ("serve", "fake 7", "tiny", "closed")
    assert [t["name"] for t in r["inputs"]] == ["Q", "K", "V"], "an optional input is left out"
    asked, inputs = record[0]
    assert [i["shape"] for i in asked["inputs"]] == 3 * [[POINTS, HEADS, SIZE]]
    assert [o["name"] for o in asked["outputs"]] == ["O", "LSE"]
    q, k, v = (inputs[name].astype(np.float64) for name in "QKV")
    if datatype == "FP64":
        assert not q.any() and not k.any() and not v.any(), "types without a generator are zeros"
    else:
        x = np.concatenate([q, k, v], axis=None)
        assert 0.7 < x.std() < 1.3 and abs(x.mean()) < 0.3 and not np.array_equal(q, k)
    for other, values in record[1:]:
        assert other == asked and all(np.array_equal(values[n], inputs[n]) for n in "QKV")
    # All but the first inference, which is made before the load, and nothing is counted twice.
    assert 0 < r["due"] == r["status"]["200"] == len(record) - 1
    assert set(r["status"]) == {"200"} and r["latency"]["count"] == r["due"]
    assert r["answers_per_second"] == pytest.approx(r["answers"] / 0.2)
    assert 0 < r["latency"]["min"] <= r["latency"]["p50"] <= r["latency"]["p99"] <= r["latency"]["max"]
    assert r["refusals"] is None and r["checked"] >= 1 and r["different"] == 0
    assert connections == 3 + 5, "one a connection of the load, and one for each question before it"


def test_shared_memory_and_batch(vicinal):
    before = shared_names()
    with Server(batch=True) as server:
        r = bench(vicinal, server, "--shm", "system", "--batch", 2, "--outputs", "LSE,O").json
        record, regions, gone = list(server.inferences), dict(server.regions), list(server.gone)
    assert r["status"]["200"] > 0 and r["different"] == 0 and r["shm"] == "system"
    asked, inputs = record[0]
    assert inputs["Q"].shape == (2, POINTS, HEADS, SIZE) and inputs["V"].std() > 0.5
    places = {(o["parameters"]["shared_memory_region"], o["parameters"].get("shared_memory_offset", 0))
              for a, _ in record for o in a["outputs"]}
    assert len(places) == 3 * 2, "every connection has places of its own for its outputs"
    assert sorted(gone) == sorted(regions) and len(gone) == 2
    assert shared_names() <= before


def test_shared_memory_leaves_nothing_behind_on_failure(vicinal):
    before = shared_names()
    with Server(decide=lambda n, _: (400, {"error": "not this one"})) as server:
        assert "not this one" in bench(vicinal, server, "--shm", "system", code=1).err
        assert len(server.gone) == 2
    assert shared_names() <= before


def test_seeds(vicinal):
    """Other seeds, other numbers; the same seed, the same."""
    def first(*more):
        with Server() as server:
            bench(vicinal, server, *more)
            return server.inferences[0][1]["Q"]
    assert np.array_equal(first(), first("--seed", 0))
    assert not np.array_equal(first(), first("--seed", 1))
    assert not first("--inputs", "zero").any()


def test_inputs_are_those_of_run(vicinal, tmp_path):
    """Attention by NumPy over what the server got is what `vicinal run` computes of the same seed."""
    with Server() as server:
        bench(vicinal, server, "--seed", 5)
        q, k, v = (server.inferences[0][1][name].astype(np.float64) for name in "QKV")
    write_xyz(tmp_path / "near.xyz", np.arange(3 * POINTS).reshape(POINTS, 3) * 0.1)  # all within the cutoff
    vicinal("run", "near.xyz", "--cutoff", 9, "--heads", HEADS, "--head-dim", SIZE, "--seed", 5, "--device", "cpu",
            "-o", "out.npy")
    weight = np.exp(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(SIZE))
    expected = np.einsum("hij,jhd->ihd", weight / weight.sum(-1, keepdims=True), v)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=0, atol=1e-5)


def test_refusals_are_counted_apart(vicinal):
    with Server(decide=lambda n, _: (503, {"error": "full"}) if n % 3 == 1 else None) as server:
        r = bench(vicinal, server).json
    assert r["status"]["200"] > 0 and r["status"]["503"] > 0 and r["refusals"]["count"] == r["status"]["503"]
    assert r["latency"]["count"] == r["status"]["200"] and r["answers"] >= r["latency"]["count"] - 3
    assert abs(r["status"]["200"] - 2 * r["status"]["503"]) <= 6, "one in three"


def test_wrong_answers_are_found(vicinal):
    with Server(decide=lambda n, _: None if n == 0 else (200, b"other")) as server:
        done = bench(vicinal, server, code=1)
    assert "answers that were compared differ from the first one" in done.err
    assert json.loads(done.out)["different"] >= 1


def test_dropped_connections_are_made_anew(vicinal):
    with Server(decide=lambda n, _: "drop" if n % 4 == 3 else None) as server:
        r = bench(vicinal, server).json
        assert server.connections > 3 + 5
    assert r["connections_lost"] > 0 and r["status"]["200"] > 0
    assert r["due"] == r["status"]["200"] + r["connections_lost"] + r["late"]


def test_a_server_that_closes_behind_each_answer(vicinal):
    with Server(close=True) as server:
        r = bench(vicinal, server).json
        assert server.connections >= r["status"]["200"]
    assert r["status"]["200"] > 0 and r["connections_lost"] == 0


def test_open_loop_counts_from_when_a_request_was_due(vicinal):
    """One connection, 100 requests a second, and a server that stands still for 0.6 s at the beginning: about 60
    requests are due meanwhile, and all of them have waited, although only one was on its way."""
    def decide(n, _):
        if n == 1:
            time.sleep(0.6)
    with Server(decide=decide) as server:
        r = vicinal("bench", "serve", server.url, "--json", "--seconds", 1, "--warm-up", 0, "--connections", 1,
                    "--rate", 100).json
    assert r["loop"] == "open" and r["arrivals"] == "even" and 98 <= r["due"] <= 101
    assert r["status"]["200"] + r["unsent"] + r["late"] == r["due"]
    assert r["latency"]["max"] >= 0.59 and r["service"]["max"] >= 0.59
    assert r["latency"]["mean"] * r["latency"]["count"] >= 10, "the sum of 0.6, 0.59, 0.58, ..., less what was unsent"
    assert r["latency"]["p50"] >= 0.05


def test_random_arrivals(vicinal):
    with Server() as server:
        r = vicinal("bench", "serve", server.url, "--json", "--seconds", 1, "--warm-up", 0, "--rate", 200, "--arrivals",
                    "random", "--seed", 3).json
        again = vicinal("bench", "serve", server.url, "--json", "--seconds", 1, "--warm-up", 0, "--rate", 200,
                        "--arrivals", "random", "--seed", 4).json
    assert r["arrivals"] == "random" and 130 < r["due"] < 270 and 130 < again["due"] < 270  # five sigma


def test_late_answers(vicinal):
    held = threading.Event()
    with Server(decide=lambda n, _: held.wait(60) and None if n == 2 else None) as server:
        r = vicinal("bench", "serve", server.url, "--json", "--seconds", 0.5, "--warm-up", 0, "--connections", 2,
                    "--timeout", 1).json
        held.set()
    assert r["late"] >= 1 and r["status"]["200"] > 0


def test_unix_socket_and_token(vicinal, tmp_path):
    path, token = tmp_path / "s.sock", tmp_path / "token"
    token.write_text("s3cret\nmore\n")
    with Server(path=path, token="s3cret") as server:
        r = vicinal("bench", "serve", "--unix", path, *SHORT, "--token-file", token).json
        assert server.unauthorised == 0
        assert "401" in vicinal("bench", "serve", "--unix", path, *SHORT, code=1).err
    assert r["status"]["200"] > 0 and r["url"] == f"unix:{path}" and "s3cret" not in str(r)


def test_processor_time_of_the_server(vicinal):
    with Server() as server:
        r = bench(vicinal, server, "--pid", os.getpid()).json
    process = r["server_process"]
    assert process["rss_after"] > 1e6 and process["cpu_seconds"] >= 0
    assert process["cpu_seconds_per_answer"] == pytest.approx(process["cpu_seconds"] / r["answers"])


def test_as_text(vicinal):
    with Server() as server:
        text = vicinal("bench", "serve", server.url, *SHORT[:-1]).out
    for words in ("fake 7", "tiny", "Q FP32 [5, 2, 8]", "closed loop; 3 connections", "P99.9", "0 different"):
        assert words in text, text


@pytest.mark.parametrize("arguments, code, words", [
    ([], 2, ["URL is missing"]),
    (["127.0.0.1"], 2, ["http://HOST:PORT", "'127.0.0.1'"]),
    (["https://127.0.0.1:1"], 2, ["https is not spoken"]),
    (["127.0.0.1:1", "--rate", "0"], 2, ["--rate", "above 0"]),
    (["127.0.0.1:1", "--arrivals", "random"], 2, ["--rate"]),
    (["127.0.0.1:1", "--device", "cuda"], 2, ["--shm cuda"]),
    (["127.0.0.1:1", "--shm", "cuda", "--device", "cpu"], 2, ["cuda or cuda:N", "'cpu'"]),
    (["127.0.0.1:1", "--shm", "posix"], 2, ["none, system or cuda"]),
    (["127.0.0.1:1", "--pid", "1073741823"], 2, ["no process 1073741823"]),
    (["127.0.0.1:1", "--connections", "0"], 2, ["--connections"]),
    (["127.0.0.1:1", "--unix", "x"], 2, ["127.0.0.1:1", "--unix"]),
    (["--unix", "none.sock"], 1, ["none.sock", "is the server running"]),
    (["127.0.0.1:1", "--token-file", "none"], 3, ["none"]),
])
def test_wrong_use(vicinal, arguments, code, words):
    done = vicinal("bench", "serve", *arguments, code=code)
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize("server, arguments, code, words", [
    ({"models": ("a", "tiny")}, [], 2, ["several models", "--model", "a, tiny"]),
    ({"models": ()}, [], 3, ["no ready model"]),
    ({}, ["--model", "x y"], 1, ["/v2/models/x%20y", "404"]),
    ({}, ["--outputs", "O,Z"], 2, ["no output 'Z'", "O, LSE"]),
    ({"decide": lambda n, _: (400, {"error": "wrong shape"})}, [], 1, ["answers 400", "wrong shape"]),
    ({"decide": lambda n, _: (200, b"{}")}, [], 1, ["expected 320 bytes of outputs"]),
    ({"decide": lambda n, _: None if n == 0 else (500, {"error": "x"})}, [], 1, ["none was answered with status 200"]),
])
def test_servers_that_cannot_be_loaded(vicinal, server, arguments, code, words):
    with Server(**server) as running:
        done = vicinal("bench", "serve", running.url, *SHORT, *arguments, code=code)
    for word in words:
        assert word in done.err, done.err


def test_a_port_where_nothing_listens(vicinal):
    with Server() as server:
        url = server.url
    assert "is the server running there?" in vicinal("bench", "serve", url, code=1).err
