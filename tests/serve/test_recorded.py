# SPDX-License-Identifier: Apache-2.0
"""What unchanged clients of Triton sent, byte by byte, and what Triton answered, field by field, but for the differences
that docs/protocol.md lists. The recordings are not part of the project: VIC_TEST_RECORDED or ../shared/recorded."""
import json
import mmap
import os
import pathlib
import re

import numpy as np
import pytest

from conftest import ROOT, Client

# Another status than Triton's, on purpose: docs/protocol.md has the reasons.
OTHER_STATUS = {
    "infer-classification": 501,
    "shm-register-absent": 400,
    "shm-register-too-large": 400,
    "cudashm-register": 403,
    "trace": 501,
    "logging": 501,
    "pa-json": 400,
}
# Another text, with the same status.
OTHER_TEXT = {"infer-unknown-output", "pa-json"}


def recorded():
    folder = pathlib.Path(os.environ.get("VIC_TEST_RECORDED") or ROOT.parent / "shared/recorded")
    return folder if (folder / "INDEX.md").is_file() else None


class Recorded:
    """One message: .head, .headers, .body, .json, .tail of the binary tensors behind that."""

    def __init__(self, path):
        self.raw = path.read_bytes()
        self.head, _, self.body = self.raw.partition(b"\r\n\r\n")
        self.headers = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        size = int(self.headers.get("inference-header-content-length", len(self.body)))
        self.text, self.tail = self.body[:size], self.body[size:]

    @property
    def status(self):
        return int(self.head.split(b" ")[1])

    @property
    def json(self):
        return json.loads(self.text) if self.text else None


class Memory:
    """POSIX shared memory of the name that a recording has."""

    def __init__(self, name, data):
        self.path = pathlib.Path("/dev/shm") / name
        if self.path.exists():
            pytest.skip(f"{self.path} is there: another test of this machine uses it")
        self.path.write_bytes(data)

    def read(self):
        return self.path.read_bytes()

    def close(self):
        self.path.unlink(missing_ok=True)


def steps(name):
    folder = recorded()
    if folder is None:
        pytest.skip("no recordings (set VIC_TEST_RECORDED to their folder)")
    files = sorted((folder / name).glob("*.req"), key=lambda p: int(p.name.split("-")[0]))
    assert files, f"no recordings in {folder / name}"
    return [(p.stem.split("-", 1)[1].replace("sync-", "").replace("aio-", ""), Recorded(p),
             Recorded(p.with_suffix(".res"))) for p in files]


@pytest.fixture
def recorded_server(serve, tiny, tmp_path):
    """The models of the recordings."""
    for name, more in (("tiny", {}), ("tinyb", {"max_batch": 8})):
        (tmp_path / f"{name}.json").write_text(json.dumps(
            {"structure": "tiny.xyz", "cutoff": 2.0, "heads": 2, "head_dim": 8, **more}))
    return serve("--models", tmp_path, "--allow-client-shm")


@pytest.fixture
def memories():
    made = []

    def make(name, data):
        made.append(Memory(name, data))
        return made[-1]

    yield make
    for memory in made:
        memory.close()


def shape_of(value):
    """The structure of JSON, without its numbers."""
    if isinstance(value, dict):
        return {k: shape_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return type(value).__name__


def same_numbers(ours, theirs):
    """Also where theirs is not a number: perf_analyzer sends random bits, of which that version made none."""
    ours, theirs = np.array(ours, np.float32), np.array(theirs, np.float32)
    known = ~np.isnan(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[known], theirs[known], rtol=2e-5, atol=2e-6)


def compare_infer(answer, expected, label):
    ours, theirs = answer.json, expected.json
    assert list(ours.pop("parameters")) == ["positions_version"], label  # ours alone
    for mine, other in zip(ours["outputs"], theirs["outputs"]):
        if "data" in other:
            same_numbers(mine.pop("data"), other.pop("data"))
    assert ours == theirs, label
    tail = answer.body[answer.json_size:] if "inference-header-content-length" in answer.headers else b""
    if "accept-encoding" not in expected.headers and expected.headers.get("content-encoding") is None:
        assert len(tail) == len(expected.tail), label
        same_numbers(np.frombuffer(tail, np.float32), np.frombuffer(expected.tail, np.float32))


def compare_stats(answer, expected, label):
    ours, theirs = answer.json["model_stats"], expected.json["model_stats"]
    by_name = {m["name"]: m for m in ours}
    compared = 0
    for model in theirs:
        if model["name"] not in by_name:
            continue
        mine, other = shape_of(by_name[model["name"]]), shape_of(model)
        if not mine["batch_stats"] or not other["batch_stats"]:
            mine.pop("batch_stats"), other.pop("batch_stats")
        assert mine == other, label
        compared += 1
    assert compared, label


def compare(label, request, answer, expected):
    path = request.head.split(b" ")[1].decode()
    status = OTHER_STATUS.get(label, expected.status) if "pa-" not in label or expected.status != 200 else 200
    assert answer.status == status, (label, answer.status, answer.body)
    if status != 200:
        assert list(answer.json) == ["error"], label
        if status == expected.status and label not in OTHER_TEXT:
            assert answer.json == expected.json, label
        return
    if "content-encoding" in expected.headers:  # ours never packs its answers
        assert "content-encoding" not in answer.headers
        return
    for name in ("content-type", "inference-header-content-length"):
        assert (name in answer.headers) >= (name in expected.headers), label
    if expected.body:  # of nothing, Triton says that it is text
        assert answer.headers["content-type"] == expected.headers["content-type"], label
    if path.endswith("/infer") or "/infer?" in path:
        compare_infer(answer, expected, label)
    elif path.endswith("/stats"):
        compare_stats(answer, expected, label)
    elif path == "/v2":
        assert shape_of(answer.json) == shape_of(expected.json)
        assert set(answer.json["extensions"]) <= set(expected.json["extensions"]) | {"parameters"}
    elif path.endswith("/config"):
        ours, theirs = answer.json, expected.json
        ours.pop("parameters"), theirs.pop("parameters")  # the options of either backend
        assert ours == theirs, label
    elif path.endswith("/index"):
        ours = {m["name"]: m for m in answer.json}
        assert all(ours[m["name"]] == m for m in expected.json if m["name"] in ours) and "tiny" in ours
    elif path.endswith("/ready") or path.endswith("/live"):
        assert answer.json.get("ready", answer.json.get("live")) is True  # Triton's is empty, and kserve needs one
    else:
        assert (answer.json if answer.body else None) == expected.json, label


def replay(server, name, memory=None):
    with server.client() as client:
        for label, request, expected in steps(name):
            if memory:
                memory(label)
            client.send(request.raw)
            answer = client.read()
            assert answer, f"{label}: the connection was closed"
            compare(label, request, answer, expected)


@pytest.mark.parametrize("name", ["triton", "triton-aio"])
def test_tritonclient(recorded_server, memories, name):
    request = dict((label, request) for label, request, _ in steps(name))["infer-binary-default-outputs"]
    memories("vic_rec_in", request.tail)
    out = memories("vic_rec_out", bytes(320))
    replay(recorded_server, name)
    expected = dict((label, res) for label, _, res in steps("triton"))["infer-binary-default-outputs"]  # not packed
    same_numbers(np.frombuffer(out.read(), np.float32), np.frombuffer(expected.tail, np.float32))


def test_perf_analyzer(recorded_server, memories):
    """Its regions hold whatever it likes; what the answers say is compared, and that they were written."""
    rng = np.random.default_rng(3)
    for name in ("K_0_0", "Q_0_0", "V_0_0"):
        memories(name, rng.standard_normal(240).astype(np.float32).tobytes())
    out = memories("O", bytes(960))
    replay(recorded_server, "triton-pa")
    assert np.isfinite(np.frombuffer(out.read(), np.float32)).all() and out.read() != bytes(960)


def test_kserve(recorded_server):
    """Recorded beside a stub that answers O = Q: only what was sent is of use here."""
    with recorded_server.client() as client:
        for label, request, expected in steps("kserve"):
            client.send(request.raw)
            answer = client.read()
            assert answer.status == expected.status, (label, answer.body)
            ours, theirs = answer.json, expected.json
            if "outputs" in theirs:
                assert ours["id"] == theirs["id"] and ours["model_name"] == theirs["model_name"]
                assert ours["outputs"][0]["shape"] == theirs["outputs"][0]["shape"]
                same_numbers(ours["outputs"][0]["data"], theirs["outputs"][0]["data"])  # V is all ones, as Q is
            elif "ready" in theirs or "live" in theirs:
                assert ours == theirs
