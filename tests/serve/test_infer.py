# SPDX-License-Identifier: Apache-2.0
"""Inference over HTTP against attention by numpy in float64, in every form that the protocol has for tensors."""
import gzip
import json
import zlib

import numpy as np
import pytest

from conftest import CHAIN, reference, write_xyz

CUTOFF, TOLERANCE = 2.0, {np.float32: 2e-6, np.float16: 3e-3}


def close(ours, theirs, dtype=np.float32):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.asarray(ours, np.float64), theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def check(answer, positions, cutoff, given, lse=False):
    assert answer.status == 200, answer.body
    out, log_sum = reference(positions, cutoff, given["Q"], given["K"], given["V"])
    found = answer.tensors()
    close(found["O"], out)
    if lse:
        close(found["LSE"], log_sum)
    else:
        assert list(found) == ["O"]


def test_default_outputs(tiny_server, tensors):
    given = tensors()
    with tiny_server.client() as client:
        answer = client.infer("tiny", given)
        check(answer, CHAIN, CUTOFF, given)
        assert answer.json["parameters"] == {"positions_version": 1}
        assert [o["name"] for o in answer.json["outputs"]] == ["O"]
        for order in (["K", "Q", "V"], ["V", "K", "Q"]):
            check(client.infer("tiny", {name: given[name] for name in order}), CHAIN, CUTOFF, given)


@pytest.mark.parametrize("names", [["O", "LSE"], ["LSE", "O"], ["LSE"], ["O"]])
@pytest.mark.parametrize("places", [[True, True], [True, False], [False, True], [False, False]])
def test_outputs_asked_for(tiny_server, tensors, names, places):
    given = tensors()
    outputs = [{"name": n, "parameters": {"binary_data": b}} for n, b in zip(names, places)]
    with tiny_server.client() as client:
        answer = client.infer("tiny", given, outputs, id="x-1")
        assert answer.status == 200, answer.body
        out, lse = reference(CHAIN, CUTOFF, *given.values())
        found = answer.tensors()
        assert list(found) == names and answer.json["id"] == "x-1"
        for name, expected in (("O", out), ("LSE", lse)):
            if name in found:
                close(found[name], expected)


def test_json_alone(tiny_server, tensors):
    given = tensors()
    for flat in (True, False):
        inputs = [{"name": n, "shape": list(a.shape), "datatype": "FP32",
                   "data": (a.ravel() if flat else a).tolist()} for n, a in given.items()]
        answer = tiny_server.ask("POST", "/v2/models/tiny/infer", {"inputs": inputs})
        assert answer.headers["content-type"] == "application/json"
        check(answer, CHAIN, CUTOFF, given)


def test_json_has_infinity(serve, tmp_path, tensors):
    """An atom that no other is near, and that does not see itself, has no pairs."""
    far = np.array([[0, 0, 0], [50.0, 0, 0]])
    server = serve(write_xyz(tmp_path / "far.xyz", far), "--cutoff", "2", "--no-self", "--heads", "1", "--head-dim", "8")
    with server.client() as client:
        answer = client.infer("far", tensors(2, 1), [{"name": "LSE", "parameters": {"binary_data": False}}])
    assert answer.tensors()["LSE"].tolist() == [[-np.inf], [-np.inf]]


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_dimension(tiny_server, tensors, batch):
    given = tensors(batch=batch)
    with tiny_server.client() as client:
        answer = client.infer("tiny", given, [{"name": "O"}, {"name": "LSE"}])
        assert answer.json["outputs"][0]["shape"] == [batch, 5, 2, 8]
        assert answer.json["outputs"][1]["shape"] == [batch, 5, 2]
        for i in range(batch):
            out, lse = reference(CHAIN, CUTOFF, *(a[i] for a in given.values()))
            close(answer.tensors()["O"][i], out)
            close(answer.tensors()["LSE"][i], lse)
        wrong = client.infer("tiny", {**given, "V": given["V"][0]})
        assert wrong.status == 400 and "batch dimension" in wrong.error


def test_max_batch(serve, tiny, tensors):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--max-batch", "2")
    assert server.ask("GET", "/v2/models/tiny").json["inputs"][0]["shape"] == [-1, 5, 2, 8]
    assert server.ask("GET", "/v2/models/tiny/config").json["max_batch_size"] == 2
    with server.client() as client:
        assert client.infer("tiny", tensors(batch=2)).status == 200
        assert "batch-size must be from 1 to 2" in client.infer("tiny", tensors(batch=3)).error


def test_json_numbers(tiny_server, tensors):
    """What is no number, or none that FP32 holds, is refused; the largest one is taken."""
    given = tensors()
    inputs = [{"name": n, "shape": list(a.shape), "datatype": "FP32", "data": a.ravel().tolist()} for n, a in
              given.items()]
    with tiny_server.client() as client:
        for number, words in ((1e39, "the range of FP32 behind 3"), (-3.4028236e38, "the range of FP32"),
                              (None, "no number behind 3"), (True, "no number"), ("1", "no number"),
                              ([[[[[1]]]]], "too deep")):
            inputs[2]["data"][3] = number
            answer = client.post("/v2/models/tiny/infer", {"inputs": inputs})
            assert answer.status == 400 and words in answer.error, (number, answer.body)
        inputs[2]["data"][3] = 3.4028235e38
        assert client.post("/v2/models/tiny/infer", {"inputs": inputs}).status == 200


def test_half_type_in_json_changes_nothing(serve, tiny, tensors):
    """An answer that JSON cannot say is refused before its positions are taken."""
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--dtype", "float16")
    given = tensors(dtype=np.float16)
    with server.client() as client:
        moved = client.infer("tiny", {**given, "POSITIONS": CHAIN + 1}, [{"name": "O", "parameters": {
            "binary_data": False}}])
        assert moved.status == 400 and "FP16 data via JSON" in moved.error
        assert client.infer("tiny", given).json["parameters"] == {"positions_version": 1}
        alone = client.infer("tiny", {"POSITIONS": CHAIN + 1}, parameters={"binary_data_output": False})
        assert alone.status == 200 and alone.json["parameters"] == {"positions_version": 2}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_types(serve, tiny, tensors, name):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--dtype", name)
    given = tensors(dtype=np.float16)
    sent = given
    if name == "bfloat16":
        sent = {k: (a.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for k, a in given.items()}
        given = {k: (a.astype(np.uint32) << 16).view(np.float32) for k, a in sent.items()}
    with server.client() as client:
        answer = client.infer("tiny", sent, [{"name": "O"}, {"name": "LSE"}])
        found, (out, lse) = answer.tensors(), reference(CHAIN, CUTOFF, *given.values())
        got = found["O"]
        if name == "bfloat16":
            got = (got.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(np.asarray(got, np.float64), out, rtol=1e-2, atol=1e-2)
        close(found["LSE"], lse, np.float16)
        wrong = client.infer("tiny", sent, [{"name": "O", "parameters": {"binary_data": False}}])
        assert wrong.status == 400 and "via JSON is not supported" in wrong.error


def test_grouped_heads(serve, tiny, tensors):
    server = serve(tiny, "--cutoff", "2", "--heads", "4", "--kv-heads", "2", "--head-dim", "16", "--head-dim-v", "8")
    given = {"Q": tensors(heads=4, size=16)["Q"], "K": tensors(size=16)["K"], "V": tensors(size=8)["V"]}
    with server.client() as client:
        answer = client.infer("tiny", given)
    repeated = {k: a if k == "Q" else np.repeat(a, 2, axis=1) for k, a in given.items()}
    check(answer, CHAIN, CUTOFF, repeated)


def test_any_length_of_json_in_front(tiny_server, tensors):
    """The tensors lie at every address modulo 64, and the kernel gets them all the same."""
    given = tensors()
    with tiny_server.client() as client:
        for length in range(70):
            check(client.infer("tiny", given, id="x" * length), CHAIN, CUTOFF, given)


def test_same_head_other_numbers(tiny_server, tensors):
    """What a request's JSON said is kept for the next one: its numbers are not."""
    with tiny_server.client() as client:
        for seed in (1, 2, 3):
            given = tensors(seed=seed)
            check(client.infer("tiny", given), CHAIN, CUTOFF, given)
        for seed in (1, 2):
            given = tensors(seed=seed)
            inputs = [{"name": n, "shape": list(a.shape), "datatype": "FP32", "data": a.tolist()} for n, a in
                      given.items()]
            check(client.post("/v2/models/tiny/infer", {"inputs": inputs}), CHAIN, CUTOFF, given)


@pytest.mark.parametrize("encoding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies(tiny_server, tensors, encoding, pack):
    given = tensors()
    text = json.dumps({"inputs": [{"name": n, "shape": list(a.shape), "datatype": "FP32",
                                   "parameters": {"binary_data_size": a.nbytes}} for n, a in given.items()],
                       "parameters": {"binary_data_output": True}}).encode()
    body = text + b"".join(a.tobytes() for a in given.values())
    headers = {"Inference-Header-Content-Length": len(text), "Content-Encoding": encoding}
    check(tiny_server.ask("POST", "/v2/models/tiny/infer", pack(body), headers), CHAIN, CUTOFF, given)
    assert tiny_server.ask("POST", "/v2/models/tiny/infer", pack(body)[:-5], headers).status == 400
    assert tiny_server.ask("POST", "/v2/models/tiny/infer", body, headers).status == 400
    assert tiny_server.ask("POST", "/v2/models/tiny/infer", pack(body) + b"more", headers).status == 400
    assert tiny_server.ask("POST", "/v2/models/tiny/infer", body, {**headers, "Content-Encoding": "br"}).status == 415


def test_packed_bomb(serve, tiny):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--max-body", "1M")
    bomb = gzip.compress(bytes(200 << 20))
    answer = server.ask("POST", "/v2/models/tiny/infer", bomb, {"Content-Encoding": "gzip"})
    assert answer.status == 400 and "unpacks to more than" in answer.error


def test_chunked_body(tiny_server, tensors):
    given = tensors()
    text = json.dumps({"inputs": [{"name": n, "shape": list(a.shape), "datatype": "FP32",
                                   "parameters": {"binary_data_size": a.nbytes}} for n, a in given.items()],
                       "parameters": {"binary_data_output": True}}).encode()
    body = text + b"".join(a.tobytes() for a in given.values())
    for size in (1, 7, 4096):
        with tiny_server.client() as client:
            client.send((f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
                         f"Inference-Header-Content-Length: {len(text)}\r\n\r\n").encode())
            for at in range(0, len(body), size):
                piece = body[at:at + size]
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
            answer = client.read()
            check(answer, CHAIN, CUTOFF, given)
            assert answer.headers["connection"].lower() == "close"
            assert client.read() is None


# ---- new positions ----

def moved(seed, n=5):
    return CHAIN[:n] + np.random.default_rng(seed).uniform(-0.4, 0.4, (n, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_positions(tiny_server, tensors, dtype):
    given = tensors()
    with tiny_server.client() as client:
        for version in (2, 3, 4):
            positions = moved(version).astype(dtype)
            answer = client.infer("tiny", {**given, "POSITIONS": positions}, [{"name": "O"}, {"name": "LSE"}])
            check(answer, positions.astype(np.float64), CUTOFF, given, lse=True)
            assert answer.json["parameters"]["positions_version"] == version
            answer = client.infer("tiny", given)  # and they stay
            check(answer, positions.astype(np.float64), CUTOFF, given)
            assert answer.json["parameters"]["positions_version"] == version
        assert tiny_server.figure("vicinal_positions_version", "tiny") == 4


def test_positions_alone(tiny_server, tensors):
    given, positions = tensors(), moved(9)
    with tiny_server.client() as client:
        answer = client.infer("tiny", {"POSITIONS": positions})
        assert answer.status == 200 and answer.json["outputs"] == []
        assert answer.json["parameters"]["positions_version"] == 2
        check(client.infer("tiny", given), positions, CUTOFF, given)


def test_cell(serve, tmp_path, tensors):
    """A chain in a periodic cell, whose ends are neighbours until the cell grows."""
    path = tmp_path / "ring.xyz"
    path.write_text('3\nLattice="4.5 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3\n' +
                    "".join(f"C {1.5 * i} 0 0\n" for i in range(3)))
    server = serve(path, "--cutoff", "2", "--heads", "1", "--head-dim", "8")
    given = tensors(3, 1)
    positions = np.array([[1.5 * i, 0, 0] for i in range(3)])
    ring = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]])  # all near each other
    with server.client() as client:
        check(client.infer("ring", given), ring, CUTOFF, given)
        cell = np.diag([30.0, 20.0, 20.0])
        check(client.infer("ring", {**given, "POSITIONS": positions, "CELL": cell}), positions, CUTOFF, given)
        check(client.infer("ring", given), positions, CUTOFF, given)
        assert "CELL" in client.infer("ring", {**given, "CELL": cell}).error
        wrong = client.infer("ring", {**given, "POSITIONS": positions, "CELL": np.diag([0.0, 1, 1])})
        assert wrong.status == 400, wrong.body
        check(client.infer("ring", given), positions, CUTOFF, given)  # a refused change changes nothing


def test_positions_refused(tiny_server, tensors):
    given = tensors()
    bad = moved(1)
    bad[2, 1] = np.nan
    with tiny_server.client() as client:
        for positions in (bad, moved(1)[:4], moved(1)[:, :2]):
            answer = client.infer("tiny", {**given, "POSITIONS": positions})
            assert answer.status == 400, answer.body
        check(client.infer("tiny", given), CHAIN, CUTOFF, given)


@pytest.mark.parametrize("loops", [1, 3])
def test_many_clients_same_bits(serve, tiny, tensors, loops):
    """Queries of several connections share launches, and loops; each gets the bits of its own."""
    import concurrent.futures
    tiny_server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--http-threads", loops)
    given = [tensors(seed=s) for s in range(8)]
    with tiny_server.client() as client:
        alone = [client.infer("tiny", g).tensors()["O"].tobytes() for g in given]

    def work(which):
        with tiny_server.client() as own:
            return [own.infer("tiny", given[which]).tensors()["O"].tobytes() == alone[which] for _ in range(40)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(all(same) for same in pool.map(work, range(8)))


# ---- what is refused ----

def request(inputs, **members):
    return {"inputs": inputs, **members}


def tensor(name="Q", **members):
    return {"name": name, "shape": [5, 2, 8], "datatype": "FP32", "data": [0.0] * 80, **members}


ALL = [tensor("Q"), tensor("K"), tensor("V")]
WRONG = {
    "no object": ([1, 2], "expected an object"),
    "no inputs": ({}, "expected 'inputs'"),
    "empty inputs": (request([]), "expected 'inputs'"),
    "inputs no array": (request({"Q": 1}), "expected 'inputs'"),
    "six inputs": (request(ALL + ALL), "at most 5"),
    "input twice": (request([tensor("Q"), tensor("Q"), tensor("V")]), "is there twice"),
    "unknown input": (request([tensor("X")] + ALL[1:]), "unexpected inference input 'X'"),
    "no name": (request([{"shape": [5, 2, 8]}]), "'name'"),
    "name no string": (request([tensor(7)]), "'name'"),
    "no shape": (request([{"name": "Q", "datatype": "FP32", "data": []}]), "'shape'"),
    "shape no array": (request([tensor(shape=5)]), "'shape'"),
    "shape of text": (request([tensor(shape=["5", 2, 8])]), "shape[0]"),
    "negative shape": (request([tensor(shape=[-1, 2, 8])]), "shape[0]"),
    "rank 5": (request([tensor(shape=[1, 1, 5, 2, 8])]), "at most 4"),
    "huge shape": (request([tensor(shape=[2**62, 2**62, 8])]), "does not fit any machine"),
    "unknown type": (request([tensor(datatype="FP128")]), "'datatype'"),
    "text": (request([tensor(datatype="BYTES")]), "'datatype'"),
    "half in JSON": (request([tensor(datatype="FP16")] + ALL[1:]), "data-type is 'FP16'"),
    "too few numbers": (request([tensor(data=[1.0] * 79)] + ALL[1:]), "Shape does not match"),
    "too many numbers": (request([tensor(data=[1.0] * 81)] + ALL[1:]), "Shape does not match"),
    "text among numbers": (request([tensor(data=["1"] * 80)] + ALL[1:]), "no number behind"),
    "deep numbers": (request([tensor(data=[[[[[[[1.0]]]]]]] * 80)] + ALL[1:]), "too deep"),
    "data no array": (request([tensor(data=5)] + ALL[1:]), "expected 'data'"),
    "binary size": (request([tensor(parameters={"binary_data_size": 319})] + ALL[1:]), "expected 320"),
    "binary size of text": (request([tensor(parameters={"binary_data_size": "320"})] + ALL[1:]), "expected 320"),
    "binary without": (request([tensor(parameters={"binary_data_size": 320})] + ALL[1:]), "0 follow the JSON"),
    "id no string": (request(ALL, id=5), "'id'"),
    "long id": (request(ALL, id="x" * 300), "'id'"),
    "parameters": (request(ALL, parameters=5), "'parameters'"),
    "timeout": (request(ALL, parameters={"timeout": "soon"}), "'timeout'"),
    "negative timeout": (request(ALL, parameters={"timeout": -1}), "'timeout'"),
    "outputs": (request(ALL, outputs={}), "'outputs'"),
    "output": (request(ALL, outputs=[{"name": "P"}]), "unexpected inference output 'P'"),
    "output twice": (request(ALL, outputs=[{"name": "O"}, {"name": "O"}]), "is there twice"),
    "three outputs": (request(ALL, outputs=[{"name": "O"}, {"name": "LSE"}, {"name": "O"}]), "at most 2"),
    "binary_data": (request(ALL, outputs=[{"name": "O", "parameters": {"binary_data": 1}}]), "binary_data"),
    "region name": (request([tensor(parameters={"shared_memory_region": "../x"})] + ALL[1:]), "letters"),
    "region size": (request([tensor(parameters={"shared_memory_region": "x"})] + ALL[1:]), "byte_size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(tiny_server, name):
    body, text = WRONG[name]
    with tiny_server.client() as client:
        answer = client.post("/v2/models/tiny/infer", body)
        assert answer.status == 400 and text in answer.error, answer.body
        assert client.get("/v2/health/live").status == 200  # the connection goes on


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b'{"inputs":[],"inputs":[]}', b"[" * 100000,
                                  b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"id":"\\u0000"}', b"{}x"])
def test_refused_json(tiny_server, body):
    with tiny_server.client() as client:
        assert client.post("/v2/models/tiny/infer", body).status == 400
        assert client.get("/v2/health/live").status == 200


@pytest.mark.parametrize("size, status", [("0", 400), ("5000", 400), ("-1", 400), ("x", 400), ("1e3", 400),
                                          ("99999999999999999999999", 400), ("", 400)])
def test_refused_json_size(tiny_server, tensors, size, status):
    body = json.dumps(request(ALL)).encode()[:200]
    answer = tiny_server.ask("POST", "/v2/models/tiny/infer", body, {"Inference-Header-Content-Length": size})
    assert answer.status == status


def test_too_large(serve, tiny, tensors):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--max-body", "64K")
    with server.client() as client:
        answer = client.infer("tiny", tensors(batch=100))
        assert answer.status == 413 and "at most 65536" in answer.error
    with server.client() as client:
        assert client.infer("tiny", tensors(batch=30)).status == 200
    text = b'{"inputs":' + b" " * 66000
    answer = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8").ask(
        "POST", "/v2/models/tiny/infer", text + b"}xx", {"Inference-Header-Content-Length": len(text) + 1})
    assert answer.status == 413 and "binary data" in answer.error
