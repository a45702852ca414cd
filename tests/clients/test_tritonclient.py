# SPDX-License-Identifier: Apache-2.0
"""tritonclient over HTTP, blocking and asyncio: every call that it has, against `vicinal serve`.  Results are those of
`vicinal run`, bit for bit."""
import asyncio
import base64
import os

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from conftest import ATOMS, HEADS, OPTIONS, SIZE, Case, Served

SHAPE = [ATOMS, HEADS, SIZE]


class Waiting:
    """tritonclient.http.aio with calls that wait, so that one test asks both clients the same."""

    def __init__(self, address):
        self.loop = asyncio.new_event_loop()
        self.client = self.wait(self.make(address))

    @staticmethod
    async def make(address):
        return tritonclient.http.aio.InferenceServerClient(address)

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def __getattr__(self, name):
        return lambda *args, **named: self.wait(getattr(self.client, name)(*args, **named))

    def close(self):
        self.wait(self.client.close())
        self.loop.close()


@pytest.fixture(params=["sync", "aio"])
def client(request, served):
    kinds = {"sync": tritonclient.http.InferenceServerClient, "aio": Waiting}
    client = kinds[request.param](served.address)
    client.module = tritonclient.http if request.param == "sync" else tritonclient.http.aio
    yield client
    client.close()


def inputs(client, tensors, binary=True, datatype="FP32"):
    made = []
    for name, array in tensors.items():
        made.append(client.module.InferInput(name, list(array.shape), datatype))
        made[-1].set_data_from_numpy(array, binary_data=binary)
    return made


def wanted(client, *names, **more):
    return [client.module.InferRequestedOutput(name, **more) for name in names]


def same(got, expected):
    """The same bits."""
    assert got is not None and got.dtype == expected.dtype and got.shape == expected.shape
    assert got.tobytes() == expected.tobytes(), np.abs(got - expected).max()


def refused(call, status, *words):
    with pytest.raises(InferenceServerException) as caught:
        call()
    assert str(caught.value.status()) == str(status), caught.value
    for word in words:
        assert word in caught.value.message(), caught.value


# ---- what is there ----

def test_health(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("cloud") and client.is_model_ready("cloud", "1")
    assert not client.is_model_ready("cloud", "2") and not client.is_model_ready("no such")


def test_metadata_and_configuration(client):
    about = client.get_server_metadata()
    assert about["name"] == "vicinal" and about["version"]
    assert {"binary_tensor_data", "statistics", "model_configuration", "model_repository", "system_shared_memory",
            "parameters"} <= set(about["extensions"]) and "cuda_shared_memory" not in about["extensions"]
    model, config = client.get_model_metadata("cloud"), client.get_model_config("cloud")
    assert model["name"] == config["name"] == "cloud" and model["versions"] == ["1"]
    assert client.get_model_metadata("cloud", "1") == model and client.get_model_config("cloud", "1") == config
    assert [t["name"] for t in model["inputs"]][:3] == ["Q", "K", "V"] and model["outputs"][0]["name"] == "O"
    for tensor in model["inputs"][:3] + model["outputs"][:1]:
        assert tensor["datatype"] == "FP32" and tensor["shape"][-3:] == SHAPE
    named = {t["name"]: t for t in config["input"] + config["output"]}
    for name in "QKVO":
        assert named[name]["data_type"] == "TYPE_FP32" and named[name]["dims"] == SHAPE
    refused(lambda: client.get_model_metadata("absent"), 404, "absent")
    refused(lambda: client.get_model_config("absent"), 404, "absent")


def test_repository_index(client):
    (model,) = client.get_model_repository_index()
    assert (model["name"], model["version"], model["state"]) == ("cloud", "1", "READY")


# ---- inference ----

@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_inference(client, case, binary_in, binary_out):
    r = client.infer("cloud", inputs(client, case.tensors, binary_in),
                     outputs=wanted(client, "O", "LSE", binary_data=binary_out), request_id="request 7/ä")
    same(r.as_numpy("O"), case.out)
    same(r.as_numpy("LSE"), case.lse)
    answer = r.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("cloud", "1", "request 7/ä")
    assert [o["name"] for o in answer["outputs"]] == ["O", "LSE"]


def test_outputs_that_are_not_named(client, case):
    """Every output that the model's description has."""
    r = client.infer("cloud", inputs(client, case.tensors))
    same(r.as_numpy("O"), case.out)


def test_some_binary_some_not(client, case):
    made = inputs(client, case.tensors)
    made[1] = inputs(client, {"K": case.k}, binary=False)[0]
    r = client.infer("cloud", made[::-1], outputs=wanted(client, "LSE") + wanted(client, "O", binary_data=False))
    same(r.as_numpy("O"), case.out)
    same(r.as_numpy("LSE"), case.lse)


def test_batch(client, case):
    """[b, n, h, d]: each item as alone."""
    sets = [(case.q, case.k, case.v)] + [tuple(case.others(seed)) for seed in (11, 12)]
    batch = {name: np.stack([s[i] for s in sets]) for i, name in enumerate("QKV")}
    r = client.infer("cloud", inputs(client, batch), outputs=wanted(client, "O", "LSE"))
    for i, (q, k, v) in enumerate(sets):
        out, lse = case.run(case.positions, q, k, v)
        same(np.ascontiguousarray(r.as_numpy("O")[i]), out)
        same(np.ascontiguousarray(r.as_numpy("LSE")[i]), lse)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client, case, algorithm):
    r = client.infer("cloud", inputs(client, case.tensors), request_compression_algorithm=algorithm,
                     response_compression_algorithm="gzip")
    same(r.as_numpy("O"), case.out)


def test_everything_that_a_request_may_carry(client, case):
    r = client.infer("cloud", inputs(client, case.tensors), outputs=wanted(client, "O"), model_version="1",
                     request_id="x", priority=2, timeout=60000000, headers={"X-Trace": "abc"},
                     query_params={"a": "b c"}, parameters={"text": "p", "real": 0.5, "whole": 3, "flag": True})
    same(r.as_numpy("O"), case.out)


def test_many_at_once(served, case):
    """async_infer() of the blocking client, over several connections."""
    client = tritonclient.http.InferenceServerClient(served.address, concurrency=4)
    client.module = tritonclient.http
    sets = [case.others(seed) for seed in range(20, 28)]
    waiting = [client.async_infer("cloud", inputs(client, dict(zip("QKV", s)))) for s in sets]
    for s, w in zip(sets, waiting):
        same(w.get_result().as_numpy("O"), case.run(case.positions, *s)[0])
    client.close()


def test_new_positions(case, tmp_path):
    """They change the model for that query and all later ones."""
    server = Served(tmp_path, case.structure, *OPTIONS)
    client = tritonclient.http.InferenceServerClient(server.address)
    client.module = tritonclient.http
    for seed, dtype in ((31, "FP64"), (32, "FP32")):
        moved = np.round(np.random.default_rng(seed).uniform(0, 9, (ATOMS, 3)), 3)
        where = client.module.InferInput("POSITIONS", [ATOMS, 3], dtype)
        where.set_data_from_numpy(moved.astype(np.float64 if dtype == "FP64" else np.float32))
        expected = case.run(moved if dtype == "FP64" else moved.astype(np.float32).astype(np.float64), case.q, case.k,
                            case.v)[0]
        assert expected.tobytes() != case.out.tobytes()
        first = client.infer("cloud", inputs(client, case.tensors) + [where])
        then = client.infer("cloud", inputs(client, case.tensors))
        same(first.as_numpy("O"), expected)
        same(then.as_numpy("O"), expected)
        assert first.get_response()["parameters"] == then.get_response()["parameters"] != {}
    client.close()
    assert server.stop() == 0


@pytest.mark.parametrize("datatype, dtype, option", [("FP16", np.float16, "float16")])
def test_other_types(tmp_path, datatype, dtype, option):
    case = Case(tmp_path, dtype=dtype)
    server = Served(tmp_path, case.structure, *OPTIONS, "--dtype", option)
    client = tritonclient.http.InferenceServerClient(server.address)
    client.module = tritonclient.http
    r = client.infer("cloud", inputs(client, case.tensors, datatype=datatype), outputs=wanted(client, "O", "LSE"))
    same(r.as_numpy("O"), case.out)
    same(r.as_numpy("LSE"), case.lse)
    wider = inputs(client, {name: array.astype(np.float32) for name, array in case.tensors.items()})
    refused(lambda: client.infer("cloud", wider), 400, "FP32", datatype)
    client.close()
    assert server.stop() == 0


# ---- refusals ----

def test_what_is_refused(client, case):
    good = inputs(client, case.tensors)
    short = inputs(client, {"Q": case.q[:-1]})
    refused(lambda: client.infer("absent", good), 404, "absent")
    refused(lambda: client.infer("cloud", good, model_version="2"), 404)
    refused(lambda: client.infer("cloud", good[:2]), 400, "V")
    refused(lambda: client.infer("cloud", short + good[1:]), 400, "Q", "39")
    refused(lambda: client.infer("cloud", inputs(client, {"Z": case.q}) + good), 400, "Z")
    refused(lambda: client.infer("cloud", good, outputs=wanted(client, "Z")), 400, "Z")
    wrong = inputs(client, {"Q": case.q.astype(np.float64)}, datatype="FP64")
    refused(lambda: client.infer("cloud", wrong + good[1:]), 400, "FP64", "FP32")
    refused(lambda: client.infer("cloud", good, outputs=wanted(client, "O", class_count=2)), 501)
    assert client.is_server_ready()
    same(client.infer("cloud", good).as_numpy("O"), case.out)


def test_what_is_not_there(client):
    """Tracing and changes of the log are Triton's own."""
    if hasattr(client.module.InferenceServerClient, "get_trace_settings"):
        refused(client.get_trace_settings, 501)
    if hasattr(client.module.InferenceServerClient, "get_log_settings"):
        refused(client.get_log_settings, 501)


# ---- statistics ----

def test_statistics(client, case):
    def look():
        (one,) = client.get_inference_statistics("cloud")["model_stats"]
        return one
    before = look()
    for _ in range(3):
        client.infer("cloud", inputs(client, case.tensors))
    refused(lambda: client.infer("cloud", inputs(client, case.tensors)[:1]), 400)
    after = look()
    assert (after["name"], after["version"]) == ("cloud", "1")
    assert after["inference_count"] - before["inference_count"] == 3
    assert 1 <= after["execution_count"] - before["execution_count"] <= 3
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert after["inference_stats"][part]["count"] - before["inference_stats"][part]["count"] == 3
        assert after["inference_stats"][part]["ns"] >= before["inference_stats"][part]["ns"]
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]
    assert {m["name"] for m in client.get_inference_statistics()["model_stats"]} == {"cloud"}
    refused(lambda: client.get_inference_statistics("absent"), 404)


# ---- the repository ----

def test_unload_and_load(case, tmp_path):
    server = Served(tmp_path, case.structure, *OPTIONS)
    client = tritonclient.http.InferenceServerClient(server.address)
    client.module = tritonclient.http
    client.unload_model("cloud")
    assert not client.is_model_ready("cloud")
    refused(lambda: client.infer("cloud", inputs(client, case.tensors)), 404, "cloud")
    client.load_model("cloud")
    assert client.is_model_ready("cloud")
    same(client.infer("cloud", inputs(client, case.tensors)).as_numpy("O"), case.out)
    client.load_model("cloud")  # again, while it is there
    same(client.infer("cloud", inputs(client, case.tensors)).as_numpy("O"), case.out)
    refused(lambda: client.load_model("absent"), 500, "absent")
    client.close()
    assert server.stop() == 0


def test_load_with_a_structure(case, tmp_path):
    """The bytes of a structure in the request, as Triton takes files of a model."""
    moved = np.round(np.random.default_rng(41).uniform(0, 9, (ATOMS, 3)), 3)
    text = f"{ATOMS}\nsent\n" + "".join("C %r %r %r\n" % tuple(map(float, row)) for row in moved)
    server = Served(tmp_path, case.structure, *OPTIONS)
    client = tritonclient.http.InferenceServerClient(server.address)
    client.module = tritonclient.http
    client.load_model("cloud", config="{}", files={"file:1/structure.xyz": text.encode()})
    same(client.infer("cloud", inputs(client, case.tensors)).as_numpy("O"), case.run(moved, case.q, case.k, case.v)[0])
    refused(lambda: client.load_model("cloud", config="{}", files={"file:1/structure.xyz": b"no structure"}), 400)
    same(client.infer("cloud", inputs(client, case.tensors)).as_numpy("O"), case.run(moved, case.q, case.k, case.v)[0])
    client.close()
    assert server.stop() == 0


# ---- shared memory ----

@pytest.fixture
def regions(client, case):
    """Regions of this test's own, inputs and outputs, registered."""
    n, tag = case.q.nbytes, f"vic_test_{os.getpid()}_{os.urandom(4).hex()}"
    made = [shm.create_shared_memory_region(f"{tag}_in", f"/{tag}_in", 3 * n),
            shm.create_shared_memory_region(f"{tag}_out", f"/{tag}_out", n + case.lse.nbytes)]
    shm.set_shared_memory_region(made[0], [case.q, case.k, case.v])
    client.register_system_shared_memory(f"{tag}_in", f"/{tag}_in", 3 * n)
    client.register_system_shared_memory(f"{tag}_out", f"/{tag}_out", n + case.lse.nbytes)
    yield tag, n, made
    client.unregister_system_shared_memory(f"{tag}_in")
    client.unregister_system_shared_memory(f"{tag}_out")
    for region in made:
        shm.destroy_shared_memory_region(region)


def shared_inputs(client, tag, n):
    made = [client.module.InferInput(name, SHAPE, "FP32") for name in "QKV"]
    for i, one in enumerate(made):
        one.set_shared_memory(f"{tag}_in", n, i * n)
    return made


def test_shared_memory(client, case, regions):
    tag, n, made = regions
    out, lse = wanted(client, "O", "LSE")
    out.set_shared_memory(f"{tag}_out", n)
    lse.set_shared_memory(f"{tag}_out", case.lse.nbytes, n)
    r = client.infer("cloud", shared_inputs(client, tag, n), outputs=[out, lse])
    assert r.get_output("O") == {"name": "O", "datatype": "FP32", "shape": SHAPE}, "its numbers are in the region"
    same(shm.get_contents_as_numpy(made[1], np.float32, SHAPE), case.out)
    same(shm.get_contents_as_numpy(made[1], np.float32, list(case.lse.shape), offset=n), case.lse)
    same(client.infer("cloud", shared_inputs(client, tag, n)).as_numpy("O"), case.out)
    status = {s["name"]: s for s in client.get_system_shared_memory_status()}
    assert status[f"{tag}_in"]["byte_size"] == 3 * n and status[f"{tag}_in"]["key"] == f"/{tag}_in"
    assert client.get_system_shared_memory_status(f"{tag}_out")[0]["name"] == f"{tag}_out"


def test_shared_memory_that_is_refused(client, case, regions):
    tag, n, _ = regions
    beyond = shared_inputs(client, tag, n)
    beyond[2].set_shared_memory(f"{tag}_in", n, 2 * n + 4)
    refused(lambda: client.infer("cloud", beyond), 400, "offset")
    unknown = shared_inputs(client, tag, n)
    unknown[0].set_shared_memory("never", n)
    refused(lambda: client.infer("cloud", unknown), 404, "never")
    small = wanted(client, "O")
    small[0].set_shared_memory(f"{tag}_out", n - 4)
    refused(lambda: client.infer("cloud", shared_inputs(client, tag, n), outputs=small), 500)
    refused(lambda: client.register_system_shared_memory(f"{tag}_in", f"/{tag}_in", n), 400, "already")
    refused(lambda: client.register_system_shared_memory("absent", f"/{tag}_absent", 64), 400)
    refused(lambda: client.register_system_shared_memory("large", f"/{tag}_in", 1 << 30), 400)
    client.unregister_system_shared_memory("never")  # as Triton: nothing happens
    refused(lambda: client.get_system_shared_memory_status("never"), 404)
    handle = base64.b64encode(bytes(64))
    refused(lambda: client.register_cuda_shared_memory("gpu", handle, 0, 64), 403)


def test_unregistering_all(case, tmp_path):
    server = Served(tmp_path, case.structure, *OPTIONS, "--allow-client-shm")
    client = tritonclient.http.InferenceServerClient(server.address)
    tag = f"vic_test_{os.getpid()}_all"
    region = shm.create_shared_memory_region(tag, "/" + tag, 64)
    client.register_system_shared_memory(tag, "/" + tag, 64)
    assert len(client.get_system_shared_memory_status()) == 1
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    assert client.get_system_shared_memory_status() == [] and client.get_cuda_shared_memory_status() == []
    shm.destroy_shared_memory_region(region)
    client.close()
    assert server.stop() == 0


def test_shared_memory_is_off_by_default(case, tmp_path):
    server = Served(tmp_path, case.structure, *OPTIONS)
    client = tritonclient.http.InferenceServerClient(server.address)
    assert "system_shared_memory" not in client.get_server_metadata()["extensions"]
    refused(lambda: client.register_system_shared_memory("x", "/x", 64), 403, "--allow-client-shm")
    client.close()
    assert server.stop() == 0
