# SPDX-License-Identifier: Apache-2.0
"""System shared memory: registered, read, written, shrunk and removed while it is used."""
import os
import pathlib
import threading

import numpy as np
import pytest

from conftest import CHAIN, reference

SHM = pathlib.Path("/dev/shm")


@pytest.fixture
def memory(tmp_path):
    """memory(data): the key of new POSIX shared memory of these bytes, and its path."""
    made = []

    def make(data):
        name = f"vic_test_{os.getpid()}_{len(made)}_{tmp_path.name[-8:]}"
        path = SHM / name
        path.write_bytes(data)
        made.append(path)
        return "/" + name, path

    yield make
    for path in made:
        path.unlink(missing_ok=True)


def register(client, name, key, size, offset=0):
    return client.post(f"/v2/systemsharedmemory/region/{name}/register",
                       {"key": key, "offset": offset, "byte_size": size})


def request(offset=0, out=0, size=320, region="in", out_region="out", out_size=320, lse=False):
    def place(name, region, at, size):
        return {"name": name, "parameters": {"shared_memory_region": region, "shared_memory_byte_size": size,
                                             "shared_memory_offset": at}}
    inputs = [{**place(n, region, offset + i * 320, size), "shape": [5, 2, 8], "datatype": "FP32"} for i, n in
              enumerate("QKV")]
    outputs = [place("O", out_region, out, out_size)]
    if lse:
        outputs.append(place("LSE", out_region, out + 320, 40))
    return {"inputs": inputs, "outputs": outputs}


def packed(given):
    return b"".join(a.tobytes() for a in given.values())


@pytest.mark.parametrize("offset", [0, 1, 4096 + 7])
def test_regions(tiny_server, tensors, memory, offset):
    given = tensors()
    key, _ = memory(bytes(offset) + packed(given))
    out_key, out_path = memory(bytes(offset + 500))
    with tiny_server.client() as client:
        assert register(client, "in", key, 960, offset).status == 200
        assert register(client, "out", out_key, 360 + offset).status == 200
        answer = client.post("/v2/models/tiny/infer", request(out=offset, lse=True))
        assert answer.status == 200, answer.body
        assert answer.json["outputs"] == [{"name": "O", "datatype": "FP32", "shape": [5, 2, 8]},
                                          {"name": "LSE", "datatype": "FP32", "shape": [5, 2]}]
        out, lse = reference(CHAIN, 2.0, *given.values())
        written = out_path.read_bytes()
        np.testing.assert_allclose(np.frombuffer(written[offset:offset + 320], np.float32), out.ravel(), rtol=2e-6,
                                   atol=2e-6)
        np.testing.assert_allclose(np.frombuffer(written[offset + 320:offset + 360], np.float32), lse.ravel(),
                                   rtol=2e-6, atol=2e-6)
        assert written[:offset] + written[offset + 360:] == bytes(140 + offset)  # and nothing beside


@pytest.mark.parametrize("at, alias", [(0, False), (319, False), (-39, False), (0, True), (-39, True)])
def test_outputs_that_overlap(tiny_server, tensors, memory, at, alias):
    """O of 320 bytes from 100 on, and LSE of 40 on some of them: refused, and nothing is written."""
    key, _ = memory(packed(tensors()))
    out_key, out_path = memory(bytes(1000))
    with tiny_server.client() as client:
        assert register(client, "in", key, 960).status == 200
        assert register(client, "out", out_key, 1000).status == 200
        assert register(client, "alias", out_key, 990, 10).status == 200  # of the same memory
        asked = request(out=100, lse=True)
        place = asked["outputs"][1]["parameters"]
        for lse, status in ((100 + at, 400), (420, 200), (60, 200)):
            place["shared_memory_region"] = "alias" if alias else "out"
            place["shared_memory_offset"] = lse - 10 * alias
            answer = client.post("/v2/models/tiny/infer", asked)
            assert answer.status == status, (lse, answer.body)
            if status == 400:
                assert "'O'" in answer.error and "'LSE'" in answer.error and "overlap" in answer.error
                assert out_path.read_bytes() == bytes(1000)


@pytest.mark.parametrize("alias", [False, True])
def test_an_output_on_an_input(tiny_server, tensors, memory, alias):
    """O of 320 bytes, LSE of 40 behind it, among Q, K and V of 960 bytes from 400 on: refused, and nothing is written."""
    before = bytes(400) + packed(tensors()) + bytes(400)
    key, path = memory(before)
    with tiny_server.client() as client:
        assert register(client, "in", key, len(before)).status == 200
        assert register(client, "alias", key, len(before)).status == 200  # of the same memory
        for out, status, names in ((41, 400, ("'LSE'", "'Q'")), (1359, 400, ("'O'", "'V'")), (800, 400, ("'O'", "'K'")),
                                   (40, 200, ()), (1360, 200, ())):
            asked = request(offset=400, out=out, out_region="alias" if alias else "in", lse=True)
            answer = client.post("/v2/models/tiny/infer", asked)
            assert answer.status == status, (out, answer.body)
            if status == 400:
                assert all(name in answer.error for name in (*names, "overlap", "a place of its own"))
                assert path.read_bytes() == before
        after = path.read_bytes()
        assert after[400:1360] == before[400:1360] and after[40:400] == after[1360:1720] != bytes(360)


def test_status(tiny_server, memory):
    key, _ = memory(bytes(100))
    with tiny_server.client() as client:
        assert register(client, "a", key, 90, 10).status == 200
        assert register(client, "b", key.lstrip("/"), 100).status == 200
        assert register(client, "a", key, 90, 10).error == "shared memory region 'a' already in manager"
        assert client.get("/v2/systemsharedmemory/status").json == [
            {"name": "a", "key": key, "offset": 10, "byte_size": 90},
            {"name": "b", "key": key.lstrip("/"), "offset": 0, "byte_size": 100}]
        assert client.get("/v2/systemsharedmemory/region/b/status").json[0]["name"] == "b"
        assert client.post("/v2/systemsharedmemory/region/a/unregister").status == 200
        assert client.get("/v2/systemsharedmemory/region/a/status").status == 404
        assert client.post("/v2/cudasharedmemory/unregister").status == 200  # the other kind
        assert len(client.get("/v2/systemsharedmemory/status").json) == 1
        assert client.post("/v2/systemsharedmemory/unregister").status == 200
        assert client.get("/v2/systemsharedmemory/status").json == []


def test_refused(tiny_server, memory, tmp_path):
    key, path = memory(bytes(100))
    (SHM / (path.name + "_dir")).mkdir()
    (SHM / (path.name + "_link")).symlink_to("/etc/passwd")
    try:
        before = tiny_server.descriptors()
        with tiny_server.client() as client:
            wrong = [(key, 101, 0), (key, 100, 1), (key, 2**63 - 1, 1), (key, 0, 0), (key, 1, 100),
                     (key + "_none", 1, 0), (key + "_dir", 1, 0), (key + "_link", 1, 0), ("/etc/passwd", 1, 0),
                     ("/../../etc/passwd", 1, 0), ("..", 1, 0), ("/", 1, 0), ("", 1, 0), ("/x" * 100, 1, 0), (7, 1, 0),
                     (key, -1, 0), (key, 1, -1), (key, "1", 0), (key, 1.5, 0)]
            for key_, size, offset in wrong:
                answer = register(client, "r", key_, size, offset)
                assert answer.status == 400, (key_, size, offset, answer.body)
                assert str(path) not in answer.error and "/etc" not in answer.error
            for name in ("a b", "x" * 65, "%2e%2e%2f"):
                assert register(client, name.replace(" ", "%20"), key, 1).status in (400, 404)
            assert client.get("/v2/systemsharedmemory/status").json == []
        tiny_server.wait(lambda: tiny_server.descriptors() <= before, "nothing stays open")
    finally:
        (SHM / (path.name + "_dir")).rmdir()
        (SHM / (path.name + "_link")).unlink()


def test_use_refused(tiny_server, tensors, memory):
    (key, _), (out_key, _) = memory(packed(tensors())), memory(bytes(320))
    with tiny_server.client() as client:
        register(client, "in", key, 960)
        register(client, "out", out_key, 320)
        cases = [(request(offset=1), 400, "Invalid offset + byte size"), (request(size=319), 400, "320 bytes"),
                 (request(offset=2**63 - 2000), 400, "Invalid offset"), (request(out=1), 400, "Invalid offset"),
                 (request(region="none"), 404, "Unable to find"), (request(out_region="none"), 404, "Unable to find"),
                 (request(out_size=319), 500, "should be at least 320 bytes"),
                 (request(out_size=2**62), 400, "Invalid offset")]
        for body, status, text in cases:
            answer = client.post("/v2/models/tiny/infer", body)
            assert answer.status == status and text in answer.error, answer.body
        assert client.post("/v2/models/tiny/infer", request()).status == 200


def test_shrunk(tiny_server, tensors, memory):
    """A client that shrinks its memory gets an error, and the server lives; it makes no memory longer."""
    key, path = memory(packed(tensors()))
    out_key, out_path = memory(bytes(320))
    with tiny_server.client() as client:
        register(client, "in", key, 960)
        register(client, "out", out_key, 320)
        for size in (959, 320, 0):
            os.truncate(path, size)
            answer = client.post("/v2/models/tiny/infer", request())
            assert answer.status == 400 and "smaller than when it was registered" in answer.error
        path.write_bytes(packed(tensors()))
        os.truncate(out_path, 10)
        assert "smaller" in client.post("/v2/models/tiny/infer", request()).error
        assert out_path.stat().st_size == 10
        assert tiny_server.figure("nv_inference_request_success", "tiny") == 0
        assert tiny_server.figure("nv_inference_request_failure", "tiny") == 4
        out_path.write_bytes(bytes(320))
        assert client.post("/v2/models/tiny/infer", request()).status == 200


def test_shrunk_and_removed_while_used(tiny_server, tensors, memory):
    given = tensors()
    key, path = memory(packed(given))
    out_key, out_path = memory(bytes(320))
    stop, seen = threading.Event(), set()

    def use():
        with tiny_server.client() as client:
            while not stop.is_set():
                answer = client.post("/v2/models/tiny/infer", request())
                assert answer.status in (200, 400, 404), answer.body
                seen.add(answer.status)

    threads = [threading.Thread(target=use) for _ in range(3)]
    with tiny_server.client() as client:
        register(client, "in", key, 960)
        register(client, "out", out_key, 320)
        [t.start() for t in threads]
        for i in range(300):
            os.truncate(path, 0)
            path.write_bytes(packed(given))
            if i % 3 == 0:
                assert client.post("/v2/systemsharedmemory/region/in/unregister").status == 200
                assert register(client, "in", key, 960).status == 200
            if i % 50 == 0:
                out_path.unlink()
                out_path.write_bytes(bytes(320))
        stop.set()
        [t.join() for t in threads]
        assert 200 in seen
        assert client.post("/v2/models/tiny/infer", request()).status == 200
    tiny_server.wait(lambda: tiny_server.figure("vicinal_memory_bytes") == 0, "memory is given back")


def test_off(serve, tiny, memory):
    key, _ = memory(bytes(100))
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8")
    with server.client() as client:
        answer = register(client, "a", key, 100)
        assert answer.status == 403 and "--allow-client-shm" in answer.error
        assert client.get("/v2/systemsharedmemory/status").json == []
        assert client.post("/v2/systemsharedmemory/unregister").status == 200
        assert client.post("/v2/models/tiny/infer", request()).status == 404
        assert "system_shared_memory" not in client.get("/v2").json["extensions"]


def test_not_for_other_machines(serve, tiny, tensors, memory, tmp_path):
    """Who comes through a port that other machines reach finds no regions, whoever has registered them."""
    (tmp_path / "token").write_text("0123456789abcdef\n")
    key, path = memory(packed(tensors()) + bytes(320))
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--host", "0.0.0.0", "--token-file", "token",
                   "--unix", "socket", "--allow-client-shm")
    headers = {"Authorization": "Bearer 0123456789abcdef"}
    with server.client(str(tmp_path / "socket")) as near, server.client() as far:
        for name in ("in", "out"):
            assert near.post(f"/v2/systemsharedmemory/region/{name}/register", {"key": key, "byte_size": 1280},
                             headers=headers).status == 200
        assert far.get("/v2/systemsharedmemory/status", headers=headers).json == []
        assert far.get("/v2/systemsharedmemory/region/in/status", headers=headers).status == 404
        assert far.post("/v2/systemsharedmemory/unregister", headers=headers).status == 200
        asked = far.post("/v2/models/tiny/infer", request(out=960), headers=headers)
        assert asked.status == 404 and "Unable to find" in asked.error
        out = far.infer("tiny", tensors(), request(out=960)["outputs"], headers=headers)
        assert out.status == 404 and path.read_bytes()[960:] == bytes(320)
        assert len(near.get("/v2/systemsharedmemory/status", headers=headers).json) == 2
        assert near.post("/v2/models/tiny/infer", request(out=960), headers=headers).status == 200
        assert path.read_bytes()[960:] != bytes(320)


def test_many_regions(tiny_server, memory):
    key, _ = memory(bytes(100))
    with tiny_server.client() as client:
        for i in range(1024):
            assert register(client, f"r{i}", key, 100).status == 200
        answer = register(client, "more", key, 100)
        assert answer.status == 503 and "as many as there may be" in answer.error
        assert client.post("/v2/systemsharedmemory/unregister").status == 200
        assert register(client, "more", key, 100).status == 200


def test_cuda_handles_without_gpu(serve, tiny):
    """Handles that no GPU has given are refused, whatever they are."""
    import base64
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--allow-cuda-shm", "--device", "cpu")
    good = base64.b64encode(bytes(64)).decode()
    with server.client() as client:
        for handle in (good, good[:-4], good + good, "", "!" * 88, good[:-1] + "x", 5):
            for device in (0, 1023, 1024, -1):
                answer = client.post("/v2/cudasharedmemory/region/g/register",
                                     {"raw_handle": {"b64": handle}, "device_id": device, "byte_size": 64})
                assert answer.status == 400, answer.body
        assert client.get("/v2/cudasharedmemory/status").json == []
