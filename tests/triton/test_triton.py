# SPDX-License-Identifier: Apache-2.0
"""The backend in the real Triton, asked by Triton's own clients; results are those of `vicinal run`, bit by bit."""
import concurrent.futures
import json
import queue
import re
import subprocess
import threading
import time
import urllib.request
import uuid

import numpy as np
import pytest
from triton_tools import BINARY, config, run_command, write_xyz

http = pytest.importorskip("tritonclient.http")
grpc = pytest.importorskip("tritonclient.grpc")
shared_memory = pytest.importorskip("tritonclient.utils.shared_memory")
utils = pytest.importorskip("tritonclient.utils")

N = 300
HEAVY = (4000, 4, 64)


def draw(rng, shape):
    """Normal numbers, float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def tensors(rng, shape):
    """Q, K and V of one shape."""
    return {name: draw(rng, shape) for name in "QKV"}


def inputs(module, arrays, types=None):
    """Inputs of a client; `types` name -> Triton's type, where it is not that of the array."""
    out = []
    for name, array in arrays.items():
        kind = (types or {}).get(name) or utils.np_to_triton_dtype(array.dtype)
        one = module.InferInput(name, list(array.shape), kind)
        one.set_data_from_numpy(array)
        out.append(one)
    return out


def ask(client, model, arrays, outputs=None, types=None, **more):
    """One inference by either client."""
    module = http if isinstance(client, http.InferenceServerClient) else grpc
    wanted = outputs and [module.InferRequestedOutput(name) for name in outputs]
    return client.infer(model, inputs(module, arrays, types), outputs=wanted, **more)


def version_of(result):
    """The number of the positions that an answer was made with."""
    answer = result.get_response()
    if isinstance(answer, dict):
        return answer["parameters"]["positions_version"]
    return answer.parameters["positions_version"].int64_param


@pytest.fixture(params=["http", "grpc"])
def client(request, triton):
    if request.param == "http":
        made = http.InferenceServerClient(f"127.0.0.1:{triton.http}", concurrency=8)
    else:
        made = grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}")
    yield made
    made.close()


@pytest.fixture
def web(triton):
    made = http.InferenceServerClient(f"127.0.0.1:{triton.http}", concurrency=8)
    yield made
    made.close()


def test_same_bits_as_the_command(client, models, rng, tmp_path):
    for model, arguments in (("plain", ["--cutoff", "6"]), ("saved", ["--cutoff", "6"])):
        given = tensors(rng, (N, 4, 32))
        want = run_command(tmp_path, models / "plain/1/s.xyz", arguments, given["Q"], given["K"], given["V"])
        result = ask(client, model, given)
        assert result.as_numpy("O").tobytes() == want["out"]
        assert result.as_numpy("LSE").tobytes() == want["lse"]
        assert result.as_numpy("LSE").shape == (N, 4)
        assert version_of(result) == 1


def test_half_types(client, models, rng, tmp_path):
    given = {"Q": draw(rng, (N, 2, 16)).astype(np.float16), "K": draw(rng, (N, 1, 16)).astype(np.float16),
             "V": draw(rng, (N, 1, 24)).astype(np.float16)}
    want = run_command(tmp_path, models / "half/1/s.xyz", ["--cutoff", "6", "--scale", "0.3"], *given.values(), "FP16")
    result = ask(client, "half", given)
    assert result.as_numpy("O").shape == (N, 2, 24)
    assert result.as_numpy("O").tobytes() == want["out"] and result.as_numpy("LSE").tobytes() == want["lse"]

    ml_dtypes = pytest.importorskip("ml_dtypes")
    given = {name: draw(rng, (N, 2, 16)).astype(ml_dtypes.bfloat16) for name in "QKV"}
    want = run_command(tmp_path, models / "brain/1/s.xyz", ["--nearest", "20"], *given.values(), "BF16")
    result = ask(client, "brain", given, types=dict.fromkeys("QKV", "BF16"))
    out = result.as_numpy("O").astype(ml_dtypes.bfloat16)
    assert out.tobytes() == want["out"] and result.as_numpy("LSE").tobytes() == want["lse"]


def test_outputs_that_are_asked_for(client, rng):
    given = tensors(rng, (N, 4, 32))
    both, out, lse = (ask(client, "plain", given, names) for names in (None, ["O"], ["LSE"]))
    assert out.as_numpy("LSE") is None and lse.as_numpy("O") is None
    assert (out.as_numpy("O") == both.as_numpy("O")).all() and (lse.as_numpy("LSE") == both.as_numpy("LSE")).all()


def test_generated_blocks_and_stated_tensors(client, models, rng, tmp_path):
    given = tensors(rng, (512, 1, 64))
    want = run_command(tmp_path, "blocks:4x4:density=0.5", [], *given.values())
    assert ask(client, "blocks", given).as_numpy("O").tobytes() == want["out"]
    given = tensors(rng, (N, 3, 8))
    want = run_command(tmp_path, models / "stated/1/s.xyz", ["--cutoff", "6"], *given.values())
    assert ask(client, "stated", given).as_numpy("O").tobytes() == want["out"]


def test_inputs_at_any_address(web, rng):
    """Over HTTP tensors lie behind a JSON text, and ids of all lengths move them over all addresses modulo 16."""
    given = tensors(rng, (N, 4, 32))
    want = ask(web, "plain", given).as_numpy("O").tobytes()
    for length in range(1, 18):
        assert ask(web, "plain", given, request_id="x" * length).as_numpy("O").tobytes() == want


def test_batch_dimension(client, rng):
    given = {name: draw(rng, (3, N, 4, 32)) for name in "QKV"}
    together = ask(client, "batched", given)
    assert together.as_numpy("O").shape == (3, N, 4, 32) and together.as_numpy("LSE").shape == (3, N, 4)
    for i in range(3):
        lone = ask(client, "plain", {name: x[i] for name, x in given.items()})
        for name in ("O", "LSE"):
            assert together.as_numpy(name)[i].tobytes() == lone.as_numpy(name).tobytes()


def test_streaming(triton, rng):
    many = [tensors(rng, (N, 4, 32)) for _ in range(20)]
    answers = queue.Queue()
    with grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}") as client:
        lone = [ask(client, "plain", given).as_numpy("O").tobytes() for given in many]
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number, given in enumerate(many):
            client.async_stream_infer("plain", inputs(grpc, given), request_id=str(number))
        seen = set()
        for _ in many:
            result, error = answers.get(timeout=60)
            assert error is None
            number = int(result.get_response().id)
            assert result.as_numpy("O").tobytes() == lone[number]
            seen.add(number)
        client.stop_stream()
    assert seen == set(range(len(many)))


@pytest.mark.parametrize("offset", [0, 6])  # 6: not aligned to the type
def test_system_shared_memory(client, rng, offset):
    module = http if isinstance(client, http.InferenceServerClient) else grpc
    given = tensors(rng, (N, 4, 32))
    want = ask(client, "plain", given)
    size, sizes = given["Q"].nbytes, {"O": given["Q"].nbytes, "LSE": N * 4 * 4}
    region, key = f"region-{uuid.uuid4().hex[:8]}", f"/vicinal-{uuid.uuid4().hex[:12]}"
    total = offset + 4 * size + sizes["LSE"] + 64
    handle = shared_memory.create_shared_memory_region(region, key, total)
    try:
        client.register_system_shared_memory(region, key, total)
        asked = []
        for i, (name, array) in enumerate(given.items()):
            shared_memory.set_shared_memory_region(handle, [array], offset=offset + i * size)
            one = module.InferInput(name, list(array.shape), "FP32")
            one.set_shared_memory(region, size, offset=offset + i * size)
            asked.append(one)
        wanted, at = [], offset + 3 * size
        for name, length in sizes.items():
            one = module.InferRequestedOutput(name)
            one.set_shared_memory(region, length, offset=at)
            wanted.append((one, at, length, name))
            at += length
        client.infer("plain", asked, outputs=[one for one, *_ in wanted])
        for _, at, length, name in wanted:
            got = shared_memory.get_contents_as_numpy(handle, np.uint8, [total])[at:at + length]
            assert got.tobytes() == want.as_numpy(name).tobytes()
        client.unregister_system_shared_memory(region)
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_dynamic_batching(triton, web, rng):
    """Many clients at once: fewer executions than requests, and everybody gets their own answer."""
    given = [tensors(rng, (1, N, 4, 32)) for _ in range(12)]
    want = [ask(web, "batched", g).as_numpy("O").tobytes() for g in given]
    before = web.get_inference_statistics("batched")["model_stats"][0]

    def work(number):
        with grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}") as client:
            for turn in range(40):
                i = (number + turn) % len(given)
                if ask(client, "batched", given[i]).as_numpy("O").tobytes() != want[i]:
                    return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    after = web.get_inference_statistics("batched")["model_stats"][0]
    requests = after["inference_count"] - before["inference_count"]
    executions = after["execution_count"] - before["execution_count"]
    assert requests == 320 and executions < requests
    assert max(row["batch_size"] for row in after["batch_stats"]) > 1
    stats = after["inference_stats"]
    assert stats["fail"]["count"] == 0
    parts = sum(stats[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < stats["compute_infer"]["ns"] < parts <= stats["success"]["ns"] * 1.01


def test_positions(client, triton, models, box, lattice, rng, tmp_path):
    """New positions are those of the request that brings them and of all that follow, over either protocol."""
    given = tensors(rng, (N, 2, 8))

    def command(positions, cell):
        write_xyz(tmp_path / "moved.xyz", positions, cell)
        return run_command(tmp_path, tmp_path / "moved.xyz", ["--cutoff", "6"], *given.values())["out"]

    first = version_of(ask(client, "moving", {"POSITIONS": box, "CELL": lattice}))
    moved, wider = box + rng.uniform(-1, 1, (N, 3)), lattice * 1.05
    assert ask(client, "moving", given).as_numpy("O").tobytes() == command(box, lattice)
    result = ask(client, "moving", {**given, "POSITIONS": moved})
    assert result.as_numpy("O").tobytes() == command(moved, lattice) and version_of(result) == first + 1
    result = ask(client, "moving", given)
    assert result.as_numpy("O").tobytes() == command(moved, lattice) and version_of(result) == first + 1
    result = ask(client, "moving", {**given, "POSITIONS": box, "CELL": wider})
    assert result.as_numpy("O").tobytes() == command(box, wider)
    result = ask(client, "moving", {"POSITIONS": moved})  # alone: no outputs
    assert result.as_numpy("O") is None and version_of(result) == first + 3
    assert ask(client, "moving", given).as_numpy("O").tobytes() == command(moved, wider)

    # float32 positions, and a batch dimension in front of everything
    moved = moved.astype(np.float32)
    cell = lattice.astype(np.float32)
    batched = {name: x[None] for name, x in given.items()}
    result = ask(client, "moving32", {**batched, "POSITIONS": moved[None], "CELL": cell[None]})
    assert result.as_numpy("O")[0].tobytes() == command(moved.astype(np.float64), cell.astype(np.float64))
    with pytest.raises(utils.InferenceServerException, match="first dimension of 1"):
        ask(client, "moving32", {name: np.concatenate([x, x]) for name, x in
                                 {**batched, "POSITIONS": moved[None]}.items()})


def test_positions_that_are_wrong(client, box, rng):
    given = tensors(rng, (N, 2, 8))
    before = version_of(ask(client, "moving", given))
    bad = box.copy()
    bad[7, 1] = np.nan
    with pytest.raises(utils.InferenceServerException, match="7"):
        ask(client, "moving", {**given, "POSITIONS": bad})
    with pytest.raises(utils.InferenceServerException, match="K|Q|V"):
        ask(client, "moving", {"Q": given["Q"], "POSITIONS": box})
    result = ask(client, "moving", {**given, "POSITIONS": box})
    assert version_of(result) > before


def test_wrong_requests(client, rng):
    given = tensors(rng, (N, 4, 32))
    cases = [({**given, "Q": given["Q"][:-1]}, None, "shape"),
             ({**given, "Q": given["Q"].astype(np.float16)}, None, "FP16"),
             ({"Q": given["Q"]}, None, "inputs"), (given, ["Z"], "Z"), ({**given, "Z": given["Q"]}, None, "Z|inputs")]
    for arrays, outputs, text in cases:
        with pytest.raises(utils.InferenceServerException, match=text):
            ask(client, "plain", arrays, outputs)
    wrong = tensors(rng, (N - 1, 3, 8))  # of a model with -1 in its shape: only the backend sees it
    with pytest.raises(utils.InferenceServerException, match="300") as caught:
        ask(client, "stated", {**wrong, "K": draw(rng, (N, 3, 8)), "V": draw(rng, (N, 3, 8))})
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert ask(client, "plain", given).as_numpy("O").shape == (N, 4, 32)


def refusals(triton, model, shape, workers):
    """Asks from many threads at once: the number of good answers, and the errors' statuses and texts."""
    given = tensors(np.random.default_rng(3), shape)
    good, refused, lock = [], [], threading.Lock()

    def work(number):
        client = (http.InferenceServerClient(f"127.0.0.1:{triton.http}") if number % 2 else
                  grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}"))
        for _ in range(5):
            try:
                out = ask(client, model, given, ["O"]).as_numpy("O")
                with lock:
                    good.append(out.tobytes())
            except utils.InferenceServerException as error:
                with lock:
                    refused.append((error.status(), error.message()))
        client.close()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return good, refused


def test_overload(triton):
    """More than the engine's queue takes, or Triton's: 503 and UNAVAILABLE at once, and the others are right."""
    for model, shape, text in (("busy", HEAVY, "queue"), ("narrow", (1, *HEAVY), "queue size|timeout")):
        good, refused = refusals(triton, model, shape, 12)
        assert len(good) + len(refused) == 60 and good and refused
        assert len(set(good)) == 1
        for status, message in refused:
            assert status in ("503", "StatusCode.UNAVAILABLE"), (status, message)
            assert re.search(text, message), message


def test_timeout(web, rng):
    """A client's own limit, in microseconds: what is not launched in it is refused, and nothing else is."""
    body = inputs(http, tensors(rng, HEAVY))
    for limit, good in ((1, False), (60_000_000, True)):
        try:
            assert web.infer("busy", body, timeout=limit).as_numpy("O").shape == HEAVY and good
        except utils.InferenceServerException as error:
            assert not good and error.status() == "503" and "not launched within its time" in error.message()


def test_cancelled(triton, rng):
    """A caller that goes away takes nothing down, and the next one is answered."""
    given = inputs(grpc, tensors(rng, HEAVY))
    with grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}") as client:
        for _ in range(4):
            seen = queue.Queue()
            calls = [client.async_infer("busy", given, lambda result, error, to=seen: to.put((result, error)))
                     for _ in range(3)]
            for call in calls:
                call.cancel()
            for _ in calls:
                seen.get(timeout=60)
        end = time.monotonic() + 30
        while True:  # those that ran fill the queue until they are done
            try:
                assert client.infer("busy", given).as_numpy("O").shape == HEAVY
                break
            except utils.InferenceServerException as error:
                assert time.monotonic() < end, error
    assert triton.process.poll() is None


def test_reload_under_load(triton, web, models, box, rng, tmp_path):
    """20 new patterns by value while clients infer: nobody fails, and each answer is of the old pattern or the new."""
    given = tensors(rng, (N, 4, 32))
    name = "saved"
    text = (models / name / "config.pbtxt").read_text()
    files, want = [], set()
    for i, cutoff in enumerate(("5", "7")):
        path = tmp_path / f"{i}.vnp"
        subprocess.run([BINARY, "pattern", models / "plain/1/s.xyz", "--cutoff", cutoff, "-o", path], check=True,
                       capture_output=True)
        files.append(path.read_bytes())
        want.add(run_command(tmp_path, models / "plain/1/s.xyz", ["--cutoff", cutoff], *given.values())["out"])
    want.add(run_command(tmp_path, models / "plain/1/s.xyz", ["--cutoff", "6"], *given.values())["out"])
    assert len(want) == 3
    stop, seen, errors = threading.Event(), set(), []

    def work(number):
        client = (http.InferenceServerClient(f"127.0.0.1:{triton.http}") if number % 2 else
                  grpc.InferenceServerClient(f"127.0.0.1:{triton.grpc}"))
        count = 0
        while not stop.is_set():
            try:
                seen.add(ask(client, name, given, ["O"]).as_numpy("O").tobytes())
                count += 1
            except utils.InferenceServerException as error:
                errors.append(str(error))
        client.close()
        return count

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        counts = [pool.submit(work, number) for number in range(3)]
        try:
            for turn in range(20):
                full = json.dumps({"backend": "vicinal", "parameters": {
                    key: {"string_value": value} for key, value in
                    {"heads": "4", "head_dim": "32", "revision": str(turn)}.items()}})
                web.load_model(name, config=full, files={"file:1/pattern.vnp": files[turn % 2]})
                time.sleep(0.02)
        finally:
            stop.set()
        answered = sum(one.result() for one in counts)
    assert errors == [] and answered > 20
    assert seen <= want and len(seen) >= 2
    assert text == (models / name / "config.pbtxt").read_text()
    web.load_model(name)
    assert ask(web, name, given).as_numpy("O").tobytes() in want


def test_unload_and_load(web, rng):
    given = tensors(rng, (N, 2, 16))
    given = {name: x.astype(np.float16) for name, x in given.items()}
    web.unload_model("half")
    end = time.monotonic() + 20
    while web.is_model_ready("half"):
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(utils.InferenceServerException):
        ask(web, "half", given)
    web.load_model("half")
    assert web.is_model_ready("half")


def test_metrics(triton, web, rng):
    def count():
        text = urllib.request.urlopen(f"http://127.0.0.1:{triton.metrics}/metrics").read().decode()
        found = re.search(r'nv_inference_count\{model="plain",version="1"\} (\d+)', text)
        return int(found[1]) if found else 0

    before = count()
    for _ in range(5):
        ask(web, "plain", tensors(rng, (N, 4, 32)))
    assert count() == before + 5


def test_auto_completed_configuration(web):
    made = web.get_model_config("moving32")
    assert [(one["name"], one["data_type"], one["dims"], one["optional"]) for one in made["input"]] == [
        ("Q", "TYPE_FP32", [N, 2, 8], True), ("K", "TYPE_FP32", [N, 2, 8], True), ("V", "TYPE_FP32", [N, 2, 8], True),
        ("POSITIONS", "TYPE_FP32", [N, 3], True), ("CELL", "TYPE_FP32", [3, 3], True)]
    assert [(one["name"], one["dims"]) for one in made["output"]] == [("O", [N, 2, 8]), ("LSE", [N, 2])]
    assert made["max_batch_size"] == 4
    made = web.get_model_config("half")
    assert [(one["name"], one["data_type"], one["dims"]) for one in made["input"]] == [
        ("Q", "TYPE_FP16", [N, 2, 16]), ("K", "TYPE_FP16", [N, 1, 16]), ("V", "TYPE_FP16", [N, 1, 24])]


WRONG = {
    "typo": (config(structure="s.xyz", cutof=6, heads=1, head_dim=8),
             "cutof is not known; there are structure, cutoff"),
    "no-cutoff": (config(structure="s.xyz", heads=1, head_dim=8), "parameter cutoff is missing"),
    "no-heads": (config(structure="s.xyz", cutoff=6), "parameter heads is missing"),
    "no-pattern": (config(heads=1, head_dim=8), "pattern.vnp"),
    "no-file": (config(structure="absent.cif", cutoff=6, heads=1, head_dim=8), "absent.cif"),
    "outside": (config(structure="../../typo/1/s.xyz", cutoff=6, heads=1, head_dim=8), "in the version's folder"),
    "absolute": (config(structure="/etc/passwd", cutoff=6, heads=1, head_dim=8), "in the version's folder"),
    "two-ways": (config(structure="s.xyz", cutoff=6, nearest=4, heads=1, head_dim=8), "one of them, got both"),
    "negative": (config(structure="s.xyz", cutoff=-6, heads=1, head_dim=8), "expected a number above 0, got '-6'"),
    "head-size": (config(structure="s.xyz", cutoff=6, heads=1, head_dim=12), "head_dim"),
    "kernel": (config(structure="s.xyz", cutoff=6, heads=1, head_dim=8, kernel="attn_fwd_none"), "attn_fwd_none"),
    "blocks-moved": (config(structure="blocks:2x2:density=1", heads=1, head_dim=8, positions="FP64"),
                     "does not follow positions"),
    "cell-open": (config(0, "input [ " + ", ".join(
        f'{{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ] }}' for name, dims in (
            ("Q", "20, 1, 8"), ("K", "20, 1, 8"), ("V", "20, 1, 8"), ("POSITIONS", "20, 3"), ("CELL", "3, 3"))) + " ]",
        structure="s.xyz", cutoff=6), "CELL: the structure is periodic along no axis"),
    "positions-type": (config(structure="s.xyz", cutoff=6, heads=1, head_dim=8, positions="FP16"), "FP32 or FP64"),
    "one-input": (config(0, 'input { name: "Q" data_type: TYPE_FP32 dims: [ 20, 1, 8 ] }', structure="s.xyz", cutoff=6),
                  "input K is missing"),
    "shape": (config(0, "input [ " + ", ".join(
        f'{{ name: "{name}" data_type: TYPE_FP32 dims: [ 21, 1, 8 ] }}' for name in "QKV") + " ]", structure="s.xyz",
        cutoff=6), r"Q: expected dims: \[ 20, 1, 8 \], got \[ 21, 1, 8 \]"),
    "unknown-output": (config(0, 'output { name: "OUT" data_type: TYPE_FP32 dims: [ 20, 1, 8 ] }', structure="s.xyz",
                              cutoff=6, heads=1, head_dim=8), "output 'OUT' is not known; there are O and LSE"),
    "kind": (config(0, "instance_group { kind: KIND_MODEL }", structure="s.xyz", cutoff=6, heads=1, head_dim=8),
             "KIND_CPU or KIND_GPU"),
}


def test_wrong_configurations(own_server, rng):
    positions = rng.uniform(0, 8, (20, 3))
    server = own_server({name: (text, positions) for name, (text, _) in WRONG.items()})
    for name, (_, text) in WRONG.items():
        why = server.why(name)
        assert why and re.search(text, why), (name, why)


def test_complete_configurations_alone(own_server, rng):
    """Without auto-completion a whole configuration is needed, and enough; one of several versions."""
    positions = rng.uniform(0, 8, (20, 3))
    whole = ('input [ ' + ", ".join(f'{{ name: "{name}" data_type: TYPE_FP32 dims: [ 20, 2, 8 ] }}' for name in "QKV")
             + ' ]\noutput [ { name: "O" data_type: TYPE_FP32 dims: [ 20, 2, 8 ] }, { name: "LSE" data_type: TYPE_FP32 '
             'dims: [ 20, 2 ] } ]\ninstance_group { kind: KIND_CPU count: 2 }')
    server = own_server({"whole": (config(0, whole, structure="s.xyz", cutoff=6), positions),
                         "part": (config(structure="s.xyz", cutoff=6, heads=2, head_dim=8), positions)},
                        "--disable-auto-complete-config")
    with http.InferenceServerClient(f"127.0.0.1:{server.http}") as client:
        assert client.is_model_ready("whole") and not client.is_model_ready("part")
        assert ask(client, "whole", tensors(rng, (20, 2, 8))).as_numpy("LSE").shape == (20, 2)
    assert re.search("does not complete|must specify|at least one", server.why("part") or server.log.read_text())
    assert server.stop() == 0


