# SPDX-License-Identifier: Apache-2.0
"""Models that come and go while they are used."""
import base64
import json
import threading

import numpy as np
import pytest

from conftest import CHAIN, reference, write_xyz


def config(**members):
    return {"parameters": {"config": json.dumps(members)}}


def xyz(positions):
    text = f"{len(positions)}\n\n" + "".join("C %r %r %r\n" % tuple(map(float, p)) for p in positions)
    return base64.b64encode(text.encode()).decode()


def check(answer, positions, cutoff, given):
    assert answer.status == 200, answer.body
    out, _ = reference(positions, cutoff, *given.values())
    np.testing.assert_allclose(answer.tensors()["O"], out, rtol=2e-6, atol=2e-6)


@pytest.fixture
def folder(tmp_path):
    write_xyz(tmp_path / "tiny.xyz", CHAIN)
    for name, more in (("near", {"cutoff": 1.6}), ("far", {"cutoff": 100, "heads": 1})):
        (tmp_path / f"{name}.json").write_text(json.dumps({"structure": "tiny.xyz", "heads": 2, "head_dim": 8, **more}))
    return tmp_path


def test_folder(serve, folder, tensors):
    server = serve("--models", folder)
    with server.client() as client:
        assert [m["name"] for m in sorted(client.post("/v2/repository/index").json, key=lambda m: m["name"])] == \
            ["far", "near"]
        check(client.infer("near", tensors()), CHAIN, 1.6, tensors())
        check(client.infer("far", tensors(heads=1)), CHAIN, 100, tensors(heads=1))
        assert client.post("/v2/repository/models/near/unload").status == 200
        states = {m["name"]: m for m in client.post("/v2/repository/index").json}
        assert states["near"] == {"name": "near", "state": "UNAVAILABLE", "reason": "unloaded"}
        assert [m["name"] for m in client.post("/v2/repository/index", {"ready": True}).json] == ["far"]
        assert client.infer("near", tensors()).status == 404
        assert client.post("/v2/repository/models/near/load").status == 200
        check(client.infer("near", tensors()), CHAIN, 1.6, tensors())
        # What has changed in the folder is there with the next load, also a new model.
        (folder / "near.json").write_text(json.dumps({"structure": "tiny.xyz", "cutoff": 100, "heads": 2,
                                                      "head_dim": 8}))
        (folder / "new.json").write_text(json.dumps({"structure": "tiny.xyz", "cutoff": 2, "heads": 2, "head_dim": 8}))
        assert client.post("/v2/repository/models/near/load").status == 200
        check(client.infer("near", tensors()), CHAIN, 100, tensors())
        assert client.post("/v2/repository/models/new/load").status == 200
        check(client.infer("new", tensors()), CHAIN, 2, tensors())


def test_several_files(serve, tmp_path, tensors):
    a, b = write_xyz(tmp_path / "a.xyz", CHAIN), write_xyz(tmp_path / "b.c.xyz", CHAIN[:3])
    server = serve(a, b, "atoms:4", "--windows", "2,4", "--heads", "2", "--head-dim", "8")
    assert sorted(m["name"] for m in server.ask("POST", "/v2/repository/index").json) == ["a", "atoms_4", "b.c"]
    with server.client() as client:  # windows do not follow the atoms; what is said of it is for clients
        answer = client.infer("a", {"POSITIONS": CHAIN})
        assert answer.status == 400 and "replace the whole pattern" in answer.error and "vic_" not in answer.error


def test_structure_in_the_request(tiny_server, tensors):
    longer = np.array([[1.2 * i, 0, 0] for i in range(7)])
    with tiny_server.client() as client:
        answer = client.post("/v2/repository/models/tiny/load", {"parameters": {"file:1/x.xyz": xyz(longer)}})
        assert answer.status == 200 and answer.body == b"", answer.body
        assert client.get("/v2/models/tiny").json["inputs"][0]["shape"] == [7, 2, 8]
        check(client.infer("tiny", tensors(7)), longer, 2.0, tensors(7))
        assert client.infer("tiny", tensors(5)).status == 400
        # Another model, with settings of its own; those that it does not give are the command line's.
        answer = client.post("/v2/repository/models/other/load", {"parameters": {
            "config": json.dumps({"cutoff": 1.3, "heads": 4, "parameters": {"head_dim": {"string_value": "16"}}}),
            "file:structure": xyz(longer)}})
        assert answer.status == 200, answer.body
        given = tensors(7, 4, 16)
        check(client.infer("other", given), longer, 1.3, given)
        # A load without a structure takes the file again.
        assert client.post("/v2/repository/models/tiny/load", {}).status == 200
        check(client.infer("tiny", tensors()), CHAIN, 2.0, tensors())


def test_positions_in_the_request(tiny_server, tensors):
    positions = np.random.default_rng(5).uniform(0, 6, (9, 3))
    with tiny_server.client() as client:
        body = config(positions=positions.tolist(), cutoff=3.5, heads=2, head_dim=8)
        assert client.post("/v2/repository/models/free/load", body).status == 200
        check(client.infer("free", tensors(9)), positions, 3.5, tensors(9))
        cell = np.diag([30.0, 30, 30])
        body = config(positions=positions.tolist(), cell=cell.tolist(), cutoff=3.5, heads=2, head_dim=8)
        assert client.post("/v2/repository/models/free/load", body).status == 200
        check(client.infer("free", tensors(9)), positions, 3.5, tensors(9))


REFUSED = {
    "not there": ({}, 500, "failed to poll from model repository"),
    "no object": ({"parameters": 5}, 400, "'parameters'"),
    "unknown parameter": ({"parameters": {"what": "x"}}, 400, "'what'"),
    "config no text": ({"parameters": {"config": {}}}, 400, "'config'"),
    "config no JSON": ({"parameters": {"config": "{"}}, 400, "JSON object"),
    "no base64": ({"parameters": {"file:x": "????"}}, 400, "base64"),
    "no structure": ({"parameters": {"file:x": base64.b64encode(b"nothing").decode()}}, 400, "failed to load"),
    "two files": ({"parameters": {"file:x": xyz(CHAIN), "file:y": xyz(CHAIN)}}, 400, "one file"),
    "a file of the server": (config(structure="/etc/passwd"), 400, "names no files"),
    "pairs of the server": (config(structure="x", pairs="/etc/passwd"), 400, "names no files"),
    "skip of the server": (config(skip="/etc/passwd"), 400, "names no files"),
    "force": (config(force=True), 400, "'force'"),
    "unknown setting": (config(cutof=3), 400, "'cutof'"),
    "wrong value": (config(cutoff="far"), 400, "--cutoff"),
    "negative": (config(cutoff=-1), 400, "--cutoff"),
    "list": (config(cutoff=[1]), 400, "'cutoff'"),
    "head size": (config(positions=CHAIN.tolist(), head_dim=7), None, "failed to load"),
    "no positions": (config(positions=[], cutoff=1), 400, "'positions'"),
    "pairs of positions": (config(positions=[[1, 2]], cutoff=1), 400, "three numbers"),
    "text in positions": (config(positions=[[1, 2, "3"]], cutoff=1), 400, "three numbers"),
    "flat cell": (config(positions=CHAIN.tolist(), cell=[0] * 9, cutoff=1), 400, "failed to load"),
    "cell": (config(positions=CHAIN.tolist(), cell=[[1]], cutoff=1), 400, "nine numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tiny_server, tensors, tmp_path, name):
    body, status, text = REFUSED[name]
    before = tiny_server.descriptors()
    with tiny_server.client() as client:
        for model in ("tiny", "new") if name != "not there" else ("new",):
            answer = client.post(f"/v2/repository/models/{model}/load", body)
            assert answer.status == (status or answer.status) != 200, answer.body
            assert text in answer.error, answer.error
            assert str(tmp_path) not in answer.error and "/proc" not in answer.error
        check(client.infer("tiny", tensors()), CHAIN, 2.0, tensors())
        assert client.infer("new", tensors()).status == 404
    tiny_server.wait(lambda: tiny_server.descriptors() <= before, "nothing stays open")


def test_reload_under_load(tiny_server, tensors):
    """Twenty loads, by turns of two structures of one size, while three clients ask: no query is lost, and each is
    answered by one of the two."""
    given = tensors()
    other = CHAIN * 0.6  # the second neighbours come near
    expected = [reference(p, 2.0, *given.values())[0] for p in (CHAIN, other)]
    stop, counts, wrong = threading.Event(), [0, 0], []

    def ask():
        with tiny_server.client() as client:
            while not stop.is_set():
                answer = client.infer("tiny", given)
                if answer.status != 200:
                    wrong.append(answer.body)
                    return
                match = [np.allclose(answer.tensors()["O"], e, rtol=1e-5, atol=1e-5) for e in expected]
                if not any(match):
                    wrong.append(answer.tensors()["O"])
                    return
                counts[match.index(True)] += 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    [t.start() for t in threads]
    try:
        with tiny_server.client() as client:
            for i in range(20):
                positions = CHAIN if i % 2 else other
                answer = client.post("/v2/repository/models/tiny/load",
                                     {"parameters": {"file:x.xyz": xyz(positions)}})
                assert answer.status == 200, answer.body
                for _ in range(5):
                    check(client.infer("tiny", given), positions, 2.0, given)
    finally:
        stop.set()
        [t.join() for t in threads]
    assert not wrong, wrong[0]
    assert min(counts) > 0, counts


def test_reload_in_another_form_under_load(tiny_server, tensors):
    """Heads that change make another model: who asked the old one is answered by it."""
    stop, wrong, seen = threading.Event(), [], set()

    def ask():
        with tiny_server.client() as client:
            while not stop.is_set():
                for heads in (2, 4):
                    answer = client.infer("tiny", tensors(heads=heads))
                    seen.add((heads, answer.status))
                    if answer.status not in (200, 400):
                        wrong.append(answer.body)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    [t.start() for t in threads]
    with tiny_server.client() as client:
        for i in range(20):
            assert client.post("/v2/repository/models/tiny/load", config(heads=4 if i % 2 == 0 else 2)).status == 200
            heads = 4 if i % 2 == 0 else 2
            check(client.infer("tiny", tensors(heads=heads)), CHAIN, 2.0, tensors(heads=heads))
            assert client.post("/v2/repository/models/tiny/unload").status == 200 or True
            assert client.post("/v2/repository/models/tiny/load", config(heads=heads)).status == 200
    stop.set()
    [t.join() for t in threads]
    assert not [w for w in wrong if b"Request for unknown model" not in w], wrong


def test_index_while_models_come_and_go(serve, folder, tensors):
    """The index is of one moment: models that stay are in it, loaded, and one that comes and goes is in it once."""
    for name in ("a", "z"):
        (folder / f"{name}.json").write_text((folder / "near.json").read_text())
    server = serve("--models", folder)
    stop = threading.Event()

    def swap():
        with server.client() as client:
            while not stop.is_set():
                for what in ("unload", "load"):
                    assert client.post(f"/v2/repository/models/a/{what}", {}).status == 200

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        with server.client() as client:
            for _ in range(1500):
                states = [(m["name"], m["state"]) for m in client.post("/v2/repository/index").json]
                assert sorted(name for name, _ in states) == ["a", "far", "near", "z"], states
                assert [s for n, s in states if n != "a"] == ["READY"] * 3, states
                assert len(client.get("/v2/models/stats").json["model_stats"]) >= 3
    finally:
        stop.set()
        thread.join()


def test_admin_port(serve, tiny):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--admin-port", "0")
    for action in ("load", "unload"):
        answer = server.ask("POST", f"/v2/repository/models/tiny/{action}", {})
        assert answer.status == 403 and "--admin-port" in answer.error
        assert server.ask("POST", f"/v2/repository/models/tiny/{action}", {}, address=server.admin).status == 200
    assert server.ask("GET", "/v2/health/ready", address=server.admin).status == 200


def test_no_admin(serve, tiny):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--no-admin")
    for action in ("load", "unload"):
        answer = server.ask("POST", f"/v2/repository/models/tiny/{action}", {})
        assert answer.status == 403 and "--no-admin" in answer.error
    assert "model_repository" not in server.ask("GET", "/v2").json["extensions"]


def test_statistics(tiny_server, tensors):
    with tiny_server.client() as client:
        for _ in range(4):
            assert client.infer("tiny", tensors()).status == 200
        assert client.infer("tiny", tensors(batch=3)).status == 200
        assert client.infer("tiny", tensors(4)).status == 400
        model, = client.get("/v2/models/tiny/stats").json["model_stats"]
        assert client.get("/v2/models/stats").json["model_stats"][0]["name"] == "tiny"
    assert (model["inference_count"], model["execution_count"]) == (7, 5)
    stats = model["inference_stats"]
    assert stats["success"]["count"] == 5 and stats["fail"]["count"] == 1
    assert stats["success"]["ns"] >= stats["compute_infer"]["ns"] > 0
    assert model["batch_stats"][0]["batch_size"] == 1 and model["batch_stats"][0]["compute_infer"]["count"] == 5
    assert model["last_inference"] > 1.7e12
    assert tiny_server.figure("nv_inference_request_success", "tiny") == 5
    assert tiny_server.figure("nv_inference_request_failure", "tiny") == 1
    assert tiny_server.figure("nv_inference_count", "tiny") == 7
    assert tiny_server.figure("nv_inference_exec_count", "tiny") == 5
    assert tiny_server.figure("vicinal_batch_size_count", "tiny") == 5
    assert tiny_server.figure('vicinal_stage_seconds_count{model="tiny",version="1",stage="total"}') == 5
