#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A soak of `vicinal serve` on the CPU: a mixed load from many clients at once, every answer checked, and nothing left.

    soak.py --minutes 30 [--seed 1]        or        soak.py --requests 3000

The load comes in rounds. In each, threads ask several models in every form that the protocol has, bring positions, load
and unload, share memory, ask wrongly, break off, dawdle, and ask for more than --queue lets in; a process of its own
asks too, and is killed. Between rounds all connections are closed, and the server must have given everything back:
memory of requests, regions, and, against the rounds of the warm-up, descriptors and threads to the number and resident
memory but for --allow-mib. At the end SIGTERM comes under load.

What is right: an answer of the same input and positions has the same bits as the first one, whatever form it came in
and whatever was beside it; that first one is held against attention by NumPy in float64, and one in --run-one-in of
them bit for bit against `vicinal run`. Which positions those are is said by the version that the answer names, as the
answer to the update named it. Exit code 1: anything was wrong, which the last lines say."""
import argparse
import base64
import collections
import gzip
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from conftest import PATIENCE, Client, Server, environment, find_binary, reference  # noqa: E402
from test_hostile import REFUSED, SMUGGLED  # noqa: E402

SHM = pathlib.Path("/dev/shm")
QUEUE = 8
BUSY = ("Exceeds maximum queue size",)
TYPES = {"float32": "FP32", "float64": "FP64", "float16": "FP16"}
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER of 0 s: a close is a reset


# ---- models, and what they must answer ----

class Model:
    """A model of --models: its file, the geometries (positions [n, 3], box or None) that it is given in turn, and the
    inputs {Q, K, V} that it is asked."""

    def __init__(self, name, atoms, size, cutoff, heads, head_dim, dtype="float32", kv_heads=None, box=False, states=1):
        rng = np.random.default_rng(len(name) * 1000 + atoms)
        self.name, self.atoms, self.cutoff, self.heads, self.head_dim = name, atoms, cutoff, heads, head_dim
        self.dtype, self.kv_heads = np.dtype(dtype), kv_heads or heads
        self.geometries = []
        for _ in range(states):  # numbers that float32 has too
            edge = np.round(size * rng.uniform(1, 1.2, 3), 2) if box else None
            self.geometries.append((rng.uniform(0, size, (atoms, 3)).astype(np.float32).astype(np.float64), edge))
        self.inputs = {h: [self._input(rng, h) for _ in range(3)] for h in (heads, 2 * heads)}

    def _input(self, rng, heads):
        kv = self.kv_heads * heads // self.heads
        return {n: rng.standard_normal((self.atoms, heads if n == "Q" else kv, self.head_dim)).astype(self.dtype)
                for n in "QKV"}

    def options(self, heads=None):
        factor = (heads or self.heads) // self.heads
        return {"cutoff": self.cutoff, "heads": self.heads * factor, "kv_heads": self.kv_heads * factor,
                "head_dim": self.head_dim, "dtype": str(self.dtype)}

    def xyz(self, geometry):
        positions, edge = self.geometries[geometry]
        second = "" if edge is None else 'Lattice="%r 0 0 0 %r 0 0 0 %r" Properties=species:S:1:pos:R:3' % tuple(
            map(float, edge))
        return f"{self.atoms}\n{second}\n" + "".join("C %r %r %r\n" % tuple(map(float, p)) for p in positions)

    def write(self, folder):
        (folder / f"{self.name}.xyz").write_text(self.xyz(0))
        (folder / f"{self.name}.json").write_text(json.dumps({"structure": f"{self.name}.xyz", **self.options()}))


def models():
    return [Model("fixed", 40, 8, 3, 2, 8), Model("moving", 60, 9, 3, 2, 16, states=6),
            Model("ring", 48, 8, 3.5, 4, 16, kv_heads=2, box=True, states=5),
            Model("half", 90, 10, 4, 2, 32, dtype="float16"), Model("swapped", 50, 8, 3, 2, 8, states=4),
            Model("slow", 500, 16, 9, 4, 32)]


class Oracle:
    """First answers, which the later ones repeat bit for bit."""

    def __init__(self, binary, folder, run_one_in, rng):
        self.binary, self.folder, self.run_one_in, self.rng = binary, folder, run_one_in, rng
        self.lock, self.first, self.to_run, self.compared, self.runs = threading.Lock(), {}, [], 0, 0

    def wrong(self, model, geometry, heads, number, name, array):
        """Why this output is wrong, or None."""
        key, data = (model.name, geometry, heads, number, name), np.ascontiguousarray(array).tobytes()
        with self.lock:
            self.compared += 1
            known = self.first.get(key)
        if known is not None:
            return None if known == data else f"{key}: not the bits of the first answer"
        positions, box = model.geometries[geometry]
        out, lse = reference(positions, model.cutoff, *model.inputs[heads][number].values(), box=box)
        expected, tolerance = out if name == "O" else lse, 5e-6 if model.dtype == np.float32 else 5e-3
        if array.shape != expected.shape or not np.allclose(array, expected, rtol=tolerance, atol=tolerance):
            return f"{key}: not what NumPy computes"
        with self.lock:
            known = self.first.setdefault(key, data)
            if name == "O" and self.rng.randrange(self.run_one_in) == 0:
                self.to_run.append((model, geometry, heads, number))
        return None if known == data else f"{key}: not the bits of the first answer"

    def run(self):
        """Why a first answer is not what `vicinal run` writes, for those whose turn it is."""
        with self.lock:
            todo, self.to_run = self.to_run, []
        for model, geometry, heads, number in todo:
            file, out = self.folder / "run.xyz", self.folder / "run.npy"
            file.write_text(model.xyz(geometry))
            line = [self.binary, "run", file, "-o", out, "--device", "cpu"]
            for option, value in model.options(heads).items():
                line += ["--" + option.replace("_", "-"), str(value)]
            for name, array in model.inputs[heads][number].items():
                np.save(self.folder / f"{name}.npy", array)
                line += ["--" + name.lower(), self.folder / f"{name}.npy"]
            done = subprocess.run(line, capture_output=True, encoding="utf-8", env=environment())
            self.runs += 1
            key = (model.name, geometry, heads, number, "O")
            if done.returncode != 0:
                yield f"{key}: vicinal run: {done.stderr}"
            elif np.load(out).tobytes() != self.first[key]:
                yield f"{key}: not the bits of `vicinal run`"


class Versions:
    """Which geometry each version of a model's positions is. An answer may name a version before the answer to its
    update does; a client that was killed leaves one that nobody names."""

    def __init__(self, model, oracle):
        self.model, self.oracle, self.lock = model, oracle, threading.Lock()
        self.known, self.waiting = {1: 0}, {}

    def learn(self, version, geometry):
        """The answer to an update to this geometry; what is wrong."""
        with self.lock:
            if version in self.known:
                return [f"{self.model.name}: version {version} was answered to two updates"]
            self.known[version] = geometry
            waiting = self.waiting.pop(version, [])
        return [w for w in (self._wrong(geometry, *seen) for seen in waiting) if w]

    def _wrong(self, geometry, number, arrays):
        wrong = [self.oracle.wrong(self.model, geometry, self.model.heads, number, n, a) for n, a in arrays.items()]
        return next((w for w in wrong if w), None)

    def seen(self, version, number, arrays):
        with self.lock:
            if version not in self.known:
                self.waiting.setdefault(version, []).append((number, arrays))
                return []
            geometry = self.known[version]
        return [w for w in [self._wrong(geometry, number, arrays)] if w]

    def settle(self, newest, unknown):
        """When all is quiet: versions that nobody named are those of killed clients, of one geometry each, and of
        positions that were refused, whose numbers are left out: at most `unknown` together."""
        wrong = []
        for version, seen in self.waiting.items():
            fits = [g for g in range(len(self.model.geometries)) if not any(self._wrong(g, *s) for s in seen)]
            if not fits:
                wrong.append(f"{self.model.name}: version {version} is of no positions that were sent")
            else:
                self.known[version] = fits[0]
        self.waiting = {}
        if max(self.known) > newest or newest > len(self.known) + unknown:
            wrong.append(f"{self.model.name}: version {newest}, but {len(self.known)} are known, and {unknown} others "
                         "were sent")
        return wrong


# ---- requests ----

def place(region, offset, size):
    return {"shared_memory_region": region, "shared_memory_byte_size": size, "shared_memory_offset": offset}


def build(inputs, outputs=None, how="binary", parameters=None, **members):
    """(headers, body) of an inference; `how`: binary, json or gzip; outputs {name: binary?}."""
    listed, data = [], b""
    for name, a in inputs.items():
        one = {"name": name, "shape": list(a.shape), "datatype": TYPES[str(a.dtype)]}
        if how == "json":
            one["data"] = a.tolist()
        else:
            one["parameters"] = {"binary_data_size": a.nbytes}
            data += np.ascontiguousarray(a).tobytes()
        listed.append(one)
    request = {**members, "inputs": listed, "parameters": {"binary_data_output": True, **(parameters or {})}}
    if outputs is not None:
        request["outputs"] = [{"name": n, "parameters": {"binary_data": b}} for n, b in outputs.items()]
    text = json.dumps(request).encode()
    headers = {} if how == "json" else {"Inference-Header-Content-Length": len(text)}
    if how == "gzip":
        return {**headers, "Content-Encoding": "gzip"}, gzip.compress(text + data, 1)
    return headers, text + data


def raw(path, headers, body):
    lines = [f"POST {path} HTTP/1.1", "Host: soak", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines + [f"{k}: {v}" for k, v in headers.items()] + ["", ""]).encode() + body


class Gone(Exception):
    """The server has closed the connection instead of answering."""


class Worker:
    """A thread of the load with a connection that it keeps, now and then."""

    def __init__(self, soak, kind, seed):
        self.soak, self.kind, self.rng, self.name = soak, kind, random.Random(seed), f"{kind}{seed}"
        self.client = None

    def connection(self):
        if self.client is None:
            try:
                self.client = Client(self.soak.server.address)
            except OSError as error:
                raise Gone(f"connect: {error}") from None
        return self.client

    def drop(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def answer(self, send):
        """What is answered when send(client) has sent a request."""
        client = self.connection()
        try:
            send(client)
            answer = client.read()
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        if answer is None:
            self.drop()
            raise Gone("closed without an answer")
        if answer.headers.get("connection", "").lower() == "close" or self.rng.randrange(20) == 0:
            self.drop()
        return answer

    def ask(self, method, path, body=None, headers=(), expected=(200,)):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: soak"] + [f"{k}: {v}" for k, v in dict(headers).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        answer = self.answer(lambda c: c.send("\r\n".join(lines + ["", ""]).encode() + (body or b"")))
        return self.soak.count(self.kind, f"{method} {path}", answer, expected)

    def infer(self, model, headers, body, expected=(200,)):
        return self.ask("POST", f"/v2/models/{model.name}/infer", body, headers, expected)


# ---- the kinds of load; each is one piece of it, told by a Worker ----

def outputs_of(rng, model):
    binary = model.dtype != np.float32 or rng.randrange(4) > 0
    return rng.choice([None, {"O": binary}, {"O": binary, "LSE": True}, {"LSE": rng.randrange(2) == 0, "O": binary},
                       {"LSE": True}])


def version_of(answer):
    return answer.json["parameters"]["positions_version"]


def ask_fixed(w):
    """A model whose positions stay: JSON, binary, packed, and batches, whose members have the bits of lone queries."""
    model = w.soak.model["half" if w.rng.randrange(3) == 0 else "fixed"]
    numbers = [w.rng.randrange(3) for _ in range(w.rng.choice((1, 1, 1, 2, 5)))]
    batched = len(numbers) > 1 or w.rng.randrange(8) == 0
    inputs = {n: np.stack([model.inputs[model.heads][i][n] for i in numbers]) for n in "QKV"}
    if not batched:
        inputs = {n: a[0] for n, a in inputs.items()}
    how = w.rng.choice(("binary", "binary", "gzip", "json" if model.dtype == np.float32 else "binary"))
    answer = w.infer(model, *build(inputs, outputs_of(w.rng, model), how, id=w.name))
    if answer.status == 200:
        for name, array in answer.tensors().items():
            for i, number in enumerate(numbers):
                w.soak.hold(model, 0, model.heads, number, {name: array[i] if batched else array})
        w.soak.add(f"asked {model.name}", 1)
        w.soak.add(f"members {model.name}", len(numbers))


def positions_inputs(rng, model, geometry):
    positions, box = model.geometries[geometry]
    dtype = rng.choice((np.float32, np.float64))
    inputs = {"POSITIONS": positions.astype(dtype)}
    if box is not None:
        inputs["CELL"] = np.diag(box)
    return inputs


def ask_moving(w):
    """Positions with a query, alone, or a query of whatever positions there are; refused ones change nothing."""
    model = w.soak.model[w.rng.choice(("moving", "ring"))]
    versions, number = w.soak.versions[model.name], w.rng.randrange(3)
    what = w.rng.choice(("query", "query", "query", "query", "both", "both", "alone", "bad"))
    geometry = w.rng.randrange(len(model.geometries))
    inputs = {} if what == "alone" else dict(model.inputs[model.heads][number])
    if what != "query":
        inputs.update(positions_inputs(w.rng, model, geometry))
    if what == "bad":
        inputs["POSITIONS"] = inputs["POSITIONS"].copy()
        inputs["POSITIONS"][w.rng.randrange(model.atoms), w.rng.randrange(3)] = np.nan
    how = "json" if what != "bad" and w.rng.randrange(6) == 0 else "binary"
    answer = w.infer(model, *build(inputs, None if what == "alone" else outputs_of(w.rng, model), how),
                     expected=(400,) if what == "bad" else (200,))
    if what == "bad" and answer.status == 400:
        w.soak.add(f"skipped {model.name}", 1)
    if answer.status != 200:
        return
    if what in ("both", "alone"):
        w.soak.wrong(versions.learn(version_of(answer), geometry))
    if what != "alone":
        w.soak.wrong(versions.seen(version_of(answer), number, answer.tensors()))


def ask_swapped(w):
    """A model that comes, goes and changes: what is answered was true at some time between question and answer."""
    model, history = w.soak.model["swapped"], w.soak.history
    heads, number = model.heads * w.rng.choice((1, 2)), w.rng.randrange(3)
    begin = history.settled
    answer = w.infer(model, *build(model.inputs[heads][number], outputs_of(w.rng, model)), expected=(200, 400, 404))
    held = history.states[begin:history.begun + 1]
    if answer.status == 404 and None not in held:
        w.soak.wrong([f"swapped: 404 while it was loaded: {answer.body!r}"])
    if answer.status == 400 and all(s and s[1] == heads for s in held):
        w.soak.wrong([f"swapped: 400 for its own shape: {answer.body!r}"])
    if answer.status == 200:
        found, fit = answer.tensors(), sorted({s[0] for s in held if s and s[1] == heads})
        whys = [w.soak.oracle.wrong(model, g, heads, number, n, a) for g in fit for n, a in list(found.items())[:1]]
        if None not in whys:
            w.soak.wrong([f"swapped: {held}: {whys}"])


class History:
    """States of `swapped`, (geometry, heads) or None, as one thread makes them: states[settled] is there at least,
    states[begun] perhaps."""

    def __init__(self):
        self.states, self.settled, self.begun = [(0, 2)], 0, 0

    def begin(self, state):
        self.states.append(state)
        self.begun += 1

    def settle(self):
        self.settled = self.begun


def swap(w):
    """Loads, in the same form and in another, of a file and of positions; unloads; loads that are refused."""
    model, history = w.soak.model["swapped"], w.soak.history
    path = f"/v2/repository/models/{model.name}/"
    if w.rng.randrange(4) == 0:
        w.ask("POST", path + "load", {"parameters": {"config": json.dumps({"cutof": 3})}}, expected=(400,))
        return
    if w.rng.randrange(4) == 0:
        history.begin(None)
        w.ask("POST", path + "unload", {})
        history.settle()
        return
    now = history.states[history.settled]
    geometry, heads = w.rng.randrange(4), model.heads * w.rng.choice((1, 2))
    if now and w.rng.randrange(2):
        heads = now[1]
    config, parameters = model.options(heads), {}
    if w.rng.randrange(2):
        config["positions"] = model.geometries[geometry][0].tolist()
    else:
        parameters["file:1/x.xyz"] = base64.b64encode(model.xyz(geometry).encode()).decode()
    history.begin((geometry, heads))
    w.ask("POST", path + "load", {"parameters": {**parameters, "config": json.dumps(config)}})
    history.settle()
    number = w.rng.randrange(3)
    answer = w.infer(model, *build(model.inputs[heads][number], {"O": True, "LSE": True}))
    if answer.status == 200:
        w.soak.hold(model, geometry, heads, number, answer.tensors())


def share(w):
    """System shared memory of its own: registered, asked through, shrunk before and during a query, unregistered."""
    model, number = w.soak.model["fixed"], w.rng.randrange(3)
    given = model.inputs[model.heads][number]
    one = given["Q"].nbytes
    skip = w.rng.choice((0, 1, 64, 4096))
    key = f"vic_soak_{os.getpid()}_{w.name}"
    memory, region, path = SHM / key, f"r_{w.name}", f"/v2/systemsharedmemory/region/r_{w.name}"
    data = bytes(skip) + b"".join(a.tobytes() for a in given.values())
    memory.write_bytes(data + bytes(one))
    try:
        w.ask("POST", path + "/register", {"key": "/" + key, "offset": skip, "byte_size": 4 * one})
        text = {"inputs": [{"name": n, "shape": list(a.shape), "datatype": "FP32",
                            "parameters": place(region, i * one, one)} for i, (n, a) in enumerate(given.items())],
                "outputs": [{"name": "O", "parameters": place(region, 3 * one, one)}]}
        for what in w.rng.choices(("good", "good", "shrunk", "during", "twice", "far"), k=4):
            memory.write_bytes(data + bytes(one)) if not memory.exists() else os.truncate(memory, len(data) + one)
            with memory.open("r+b") as file:
                file.write(data + bytes(one))
            if what == "twice":
                w.ask("POST", path + "/register", {"key": key, "byte_size": 1}, expected=(400,))
            elif what == "far":
                wrong = json.loads(json.dumps(text).replace(f'"shared_memory_offset": {3 * one}',
                                                            f'"shared_memory_offset": {3 * one + 1}'))
                w.infer(model, {}, json.dumps(wrong).encode(), expected=(400,))
            elif what == "shrunk":
                os.truncate(memory, skip + w.rng.randrange(3 * one))
                w.infer(model, {}, json.dumps(text).encode(), expected=(400,))
            else:
                share_good(w, model, number, memory, text, what == "during", skip + 3 * one)
        w.ask("POST", path + "/unregister", {})
        w.infer(model, {}, json.dumps(text).encode(), expected=(404,))
    finally:
        memory.unlink(missing_ok=True)


def share_good(w, model, number, memory, text, shrink, at):
    body = raw(f"/v2/models/{model.name}/infer", {}, json.dumps(text).encode())

    def send(client):
        client.send(body)
        if shrink:
            os.truncate(memory, w.rng.randrange(at))

    answer = w.soak.count(w.kind, "share", w.answer(send), (200, 400) if shrink else (200,))
    if answer.status == 200:
        w.soak.add(f"asked {model.name}", 1)
        w.soak.add(f"members {model.name}", 1)
    if answer.status == 200 and not shrink:
        q = model.inputs[model.heads][number]["Q"]
        written = np.frombuffer(memory.read_bytes()[at:at + q.nbytes], np.float32)
        w.soak.hold(model, 0, model.heads, number, {"O": written.reshape(q.shape)})


WRONG = [("GET", "/v2/nothing", None, {}, 404), ("PUT", "/v2", b"", {}, 405),
         ("POST", "/v2/models/fixed/infer", b"{", {}, 400), ("POST", "/v2/models/none/infer", b"{}", {}, 404),
         ("POST", "/v2/models/fixed/infer", b"", {}, 400), ("POST", "/v2/models/fixed/infer", b"[" * 5000, {}, 400),
         ("POST", "/v2/models/fixed/infer", b'{"inputs":[]}', {"Inference-Header-Content-Length": "99"}, 400),
         ("POST", "/v2/models/fixed/versions/2/infer", b"{}", {}, 404), ("GET", "/v2/models/none", None, {}, 404),
         ("POST", "/v2/models/fixed/infer", b"xx", {"Content-Encoding": "gzip"}, 400),
         ("POST", "/v2/models/fixed/infer", b"xx", {"Content-Encoding": "br"}, 415),
         ("POST", "/v2/repository/models/absent/load", b"{}", {}, 500), ("GET", "/v2/logging", None, {}, 501),
         ("POST", "/v2/repository/models/absent/load", b"[1]", {}, 400),
         ("POST", "/v2/systemsharedmemory/region/none/register", b'{"key":"/vic_none","byte_size":9}', {}, 400),
         ("POST", "/v2/cudasharedmemory/region/none/register", b"{}", {}, 403),
         ("GET", "/v2/health/live", None, {"Origin": "http://evil.example"}, 403)]


def ask_wrongly(w):
    """Requests that are refused, each with its code, and heads that two programs could read in two ways."""
    if w.rng.randrange(3):
        method, path, body, headers, code = w.rng.choice(WRONG)
        w.ask(method, path, body, headers, expected=(code,))
        return
    if w.rng.randrange(2):
        model, inputs = w.soak.model["fixed"], dict(w.soak.model["fixed"].inputs[2][0])
        inputs["K"] = inputs["K"][:-1]
        w.infer(model, *build(inputs), expected=(400,))
        return
    name = w.rng.choice(sorted(SMUGGLED))
    with w.soak.client() as client:
        try:
            client.send(SMUGGLED[name])
            answer = client.read()
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        status = answer.status if answer else None
        w.soak.tally(w.kind, status)
        if status not in REFUSED:
            w.soak.unexpected(f"{name}: {status}")


def break_off(w):
    """Clients that go within head, body and answer, by a close and by a reset, also with new positions."""
    name = w.rng.choice(("half", "slow", "moving", "ring"))
    model, inputs = w.soak.model[name], dict(w.soak.model[name].inputs[w.soak.model[name].heads][0])
    if name in w.soak.versions and w.rng.randrange(2):
        inputs.update(positions_inputs(w.rng, model, w.rng.randrange(len(model.geometries))))
    whole = raw(f"/v2/models/{name}/infer", *build(inputs, {"O": True, "LSE": True}))
    head = whole.index(b"\r\n\r\n") + 4
    end = len(whole)
    at = w.rng.choice((w.rng.randrange(head), w.rng.randrange(head, end), end - 1, end, end))
    if at == len(whole) and "POSITIONS" in inputs:
        w.soak.add(f"killed {name}", 1)
    with w.soak.client() as client:
        try:
            client.send(whole[:at])
            if w.rng.randrange(2):
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if at == len(whole) and w.rng.randrange(3) == 0:
                client.socket.recv(w.rng.choice((1, 100, 5000)))  # some of the answer
        except (BrokenPipeError, ConnectionResetError):
            pass
    w.soak.tally(w.kind, "gone")


def dawdle(w):
    """A client that sends in small pieces and takes its answer in small pieces."""
    model, number = w.soak.model["half"], w.rng.randrange(3)
    whole = raw(f"/v2/models/{model.name}/infer", *build(model.inputs[model.heads][number]))
    size = w.rng.choice((1, 7, 40))
    cuts = list(range(0, 20 * size, size)) + list(range(20 * size, len(whole), 3000))

    def send(client):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for at, end in zip(cuts, cuts[1:] + [len(whole)]):
            client.send(whole[at:end])
            time.sleep(0.002)

    w.drop()
    answer = w.soak.count(w.kind, "dawdle", w.answer(send), (200,))
    w.drop()
    if answer.status == 200:
        w.soak.hold(model, 0, model.heads, number, answer.tensors())


def crowd(w):
    """More at once than --queue lets in: all are answered, and 503 says when to come again."""
    model, clients = w.soak.model["slow"], []
    try:
        for _ in range(2 * QUEUE):
            number = w.rng.randrange(3)
            client = w.soak.client()
            clients.append((client, number))
            client.send(raw(f"/v2/models/{model.name}/infer", *build(model.inputs[model.heads][number])))
        for client, number in clients:
            answer = client.read()
            if answer is None:
                raise Gone("closed without an answer")
            w.soak.count(w.kind, "crowd", answer, (200,))
            if answer.status == 200:
                w.soak.hold(model, 0, model.heads, number, answer.tensors())
    finally:
        for client, _ in clients:
            client.close()


def watch(w):
    """Statistics, metrics and the page; counters do not fall."""
    for path in ("/metrics", "/v2/models/stats", "/status.json", "/v2", "/", "/v2/models/moving/stats",
                 "/v2/models/half/config", "/v2/models/ring", "/v2/health/ready", "/v2/systemsharedmemory/status"):
        answer = w.ask("GET", path, expected=(503,) if w.soak.ending and "ready" in path else (200,))
        if path not in ("/metrics", "/") and answer.status == 200:
            json.loads(answer.body)
        if path == "/metrics":
            total = float(next(line.split(" ")[1] for line in answer.body.decode().splitlines()
                               if line.startswith("vicinal_requests_total ")))
            if total < w.soak.total_seen.get(w.name, 0):
                w.soak.wrong([f"vicinal_requests_total fell to {total}"])
            w.soak.total_seen[w.name] = total
    names = {m["name"] for m in w.ask("POST", "/v2/repository/index", b"").json}
    if not set(w.soak.model) <= names:
        w.soak.wrong([f"the index lacks {set(w.soak.model) - names}"])


KINDS = [ask_fixed, ask_fixed, ask_moving, ask_moving, ask_moving, ask_swapped, swap, share, share, ask_wrongly,
         break_off, dawdle, crowd, watch]


def victim(port, path):
    """The process that is killed: it asks on eight connections at once, and never takes an answer wholly."""
    whole = pathlib.Path(path).read_bytes()
    while True:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        for i, client in enumerate(clients):
            client.sendall(whole[:len(whole) * (i + 1) // 8])
        time.sleep(0.05)
        for client in clients:
            client.close()


# ---- the soak ----

class Soak:
    def __init__(self, binary, folder, seed, run_one_in):
        self.lock, self.rng, self.folder = threading.Lock(), random.Random(seed), folder
        self.model = {m.name: m for m in models()}
        (folder / "models").mkdir()
        for model in self.model.values():
            model.write(folder / "models")
        self.server = Server(binary, ["--models", folder / "models", "--device", "cpu", "--queue", QUEUE,
                                      "--allow-client-shm", "--idle-timeout", PATIENCE], folder)
        self.oracle = Oracle(binary, folder, run_one_in, self.rng)
        self.versions = {n: Versions(self.model[n], self.oracle) for n in ("moving", "ring")}
        self.history, self.total_seen = History(), {}
        self.statuses, self.figures = collections.Counter(), collections.Counter()
        self.wrongs, self.surprises, self.done, self.ending, self.victims = [], [], 0, False, 0

    # What workers tell.

    def client(self):
        try:
            return Client(self.server.address)
        except OSError as error:
            raise Gone(f"connect: {error}") from None

    def tally(self, kind, status):
        with self.lock:
            self.statuses[status] += 1
            self.done += 1

    def add(self, name, by):
        with self.lock:
            self.figures[name] += by

    def _found(self, title, found, texts):
        with self.lock:
            for text in texts:
                found.append(text)
                if len(found) <= 10:
                    print(f"{title}: {text}", file=sys.stderr, flush=True)

    def wrong(self, texts):
        self._found("wrong", self.wrongs, texts)

    def unexpected(self, text):
        self._found("unexpected", self.surprises, [text])

    def count(self, kind, what, answer, expected):
        """An answer, held against the codes that it may have; 503 for a full queue may come to any inference."""
        self.tally(kind, answer.status)
        if answer.status == 503 and what != "GET /v2/health/ready":
            busy = answer.error in BUSY and answer.headers.get("retry-after") == "1"
            if not busy or not ("infer" in what or what in ("share", "crowd", "dawdle")):
                self.unexpected(f"{what}: {answer.status} {answer.body!r}")
        elif answer.status not in expected:
            self.unexpected(f"{what}: {answer.status} {answer.body[:300]!r}, expected {expected}")
        return answer

    def hold(self, model, geometry, heads, number, arrays):
        for name, array in arrays.items():
            why = self.oracle.wrong(model, geometry, heads, number, name, array)
            if why:
                self.wrong([why])

    # Rounds.

    def _work(self, worker, piece, goes_on):
        try:
            while goes_on():
                piece(worker)
        except Gone as error:
            if not self.ending:
                self.unexpected(f"{worker.kind}: {error}")
        except Exception:
            self.unexpected(f"{worker.kind}: {traceback.format_exc()}")
        finally:
            worker.drop()

    def start(self, goes_on, kinds):
        threads = []
        for piece in kinds:
            worker = Worker(self, piece.__name__, self.rng.randrange(10**9))
            threads.append(threading.Thread(target=self._work, args=(worker, piece, goes_on), daemon=True))
        [t.start() for t in threads]
        return threads

    def _victim(self):
        """Starts the process that is killed."""
        model = self.model["half"]
        path = self.folder / "victim"
        path.write_bytes(raw(f"/v2/models/{model.name}/infer", *build(model.inputs[model.heads][0])))
        self.victims += 1
        return subprocess.Popen([sys.executable, __file__, "--victim", str(self.server.address[1]), path],
                                stderr=subprocess.DEVNULL)

    def round(self, requests, seconds, report):
        end, most = time.monotonic() + seconds, self.done + requests
        killed = self._victim()
        try:
            threads = self.start(lambda: self.done < most and time.monotonic() < end, KINDS)
            while any(t.is_alive() for t in threads):
                report()
                for t in threads:
                    t.join(5 / len(threads))
        finally:
            killed.kill()
            killed.wait()
        self.quiet()

    def quiet(self):
        """Nobody asks: everything that requests took is given back, and the figures are those of what was asked."""
        server = self.server
        for name, least in (("vicinal_connections", 1), ("vicinal_requests_under_way", 1), ("vicinal_memory_bytes", 0),
                            ("vicinal_regions", 0)):
            server.wait(lambda: server.figure(name) <= least, f"{name} is {least}")
        for name in self.model:
            if name != "swapped" or self.history.states[-1]:
                server.wait(lambda: server.figure("vicinal_queue_depth", name) == 0, f"the queue of {name} is empty")
        self.wrong(self.oracle.run())
        for name, versions in self.versions.items():
            unknown = self.figures[f"killed {name}"] + self.figures[f"skipped {name}"]
            self.wrong(versions.settle(server.figure("vicinal_positions_version", name), unknown))
        for figure, ours in (("nv_inference_request_success", "asked fixed"), ("nv_inference_count", "members fixed")):
            theirs = server.figure(figure, "fixed")
            if theirs != self.figures[ours]:
                self.wrong([f"{figure} of fixed is {theirs}, and {self.figures[ours]} were answered"])

    def threads(self):
        return len(os.listdir(f"/proc/{self.server.pid}/task"))

    def sizes(self):
        """(KiB resident, descriptors, threads)"""
        return self.server.resident(), self.server.descriptors(), self.threads()

    def settled(self, expected=None):
        """sizes() once what has ended is gone: at least as few descriptors and threads as expected, or 60 s later."""
        end = time.monotonic() + (60 if expected else 1)
        least = self.sizes()
        while time.monotonic() < end and not (expected and least[1] <= expected[1] and least[2] <= expected[2]):
            time.sleep(0.05)
            least = tuple(map(min, least, self.sizes()))
        return least

    # The end.

    def ended(self, seconds):
        try:
            self.server.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self):
        """SIGTERM under load. Requests whose heads the server had read, as its "100 Continue" says, are answered with
        what they ask for; others with that, or a closed connection."""
        model, held = self.model["slow"], []
        for number in (0, 1, 2, 0):
            headers, body = build(model.inputs[model.heads][number])
            whole = raw(f"/v2/models/{model.name}/infer", {**headers, "Expect": "100-continue"}, body)
            at = whole.index(b"\r\n\r\n") + 4
            client = self.client()
            client.send(whole[:at])
            while b"\r\n\r\n" not in client.rest:
                assert client._more(), "closed instead of 100 Continue"
            assert client.rest == b"HTTP/1.1 100 Continue\r\n\r\n", client.rest
            client.rest = b""
            client.send(whole[at:-1000])
            held.append((client, number, whole[-1000:]))
        threads = self.start(lambda: True, [ask_fixed, ask_fixed, ask_moving, ask_swapped, swap, ask_wrongly])
        before = self.done
        self.server.wait(lambda: self.done > before + 30 or not any(t.is_alive() for t in threads), "there is load")
        self.ending = True
        self.server.process.send_signal(signal.SIGTERM)
        for client, number, rest in held:
            client.send(rest)
        for client, number, _ in held:
            answer = client.read()
            if answer is None:
                self.unexpected("SIGTERM: a request that was accepted was not answered")
                continue
            self.count("end", "infer", answer, (200,))
            if answer.status == 200:
                self.hold(model, 0, model.heads, number, answer.tensors())
            client.close()
        [t.join() for t in threads]
        code = self.server.process.wait(PATIENCE)
        if code != 0:
            self.unexpected(f"exit code {code}: {self.server.log[-2000:]}")


class Report:
    """Lines of what goes on, and of what came of it."""

    def __init__(self, soak, allow_mib):
        self.soak, self.allow, self.begin, self.last = soak, allow_mib * 1024, time.monotonic(), 0.0
        self.warm, self.after = None, []

    def line(self, what="", always=False):
        now = time.monotonic()
        if not always and now - self.last < 5:
            return
        self.last, s = now, self.soak
        resident, descriptors, threads = s.sizes()
        codes = " ".join(f"{k}:{v}" for k, v in sorted(s.statuses.items(), key=str))
        print(f"{now - self.begin:7.1f} s {s.done:8d} requests ({codes}), {s.oracle.compared} outputs compared, "
              f"{len(s.wrongs)} wrong, {len(s.surprises)} unexpected; RSS {resident / 1024:.1f} MiB, "
              f"{descriptors} descriptors, {threads} threads{what}", flush=True)

    def quiet(self, warm):
        if warm or not self.warm:
            self.warm = self.soak.settled()
        else:
            self.after.append(self.soak.settled(self.warm))
        self.line("; quiet, still warming up" if warm else "; quiet", True)

    def close(self):
        """The last lines; whether all is well."""
        s, grown = self.soak, [max((a[i] for a in self.after), default=0) - self.warm[i] for i in range(3)]
        if grown[0] > self.allow:
            s.unexpected(f"resident memory grew by {grown[0]} KiB, at most {self.allow} are allowed")
        for name, by in (("descriptors", grown[1]), ("threads", grown[2])):
            if by > 0:
                s.unexpected(f"{by} more {name} than after the warm-up")
        updates = ", ".join(f"{len(v.known)} versions of {n}" for n, v in s.versions.items())
        print(f"{s.done} requests in {time.monotonic() - self.begin:.0f} s, {s.oracle.compared} outputs compared, "
              f"{len(s.oracle.first)} first ones by NumPy and {s.oracle.runs} by vicinal run; {updates}, "
              f"{s.history.begun} loads and unloads, {s.statuses['gone']} clients broke off, {s.victims} processes "
              f"killed, {s.statuses[503]} refused as busy")
        print(f"wrong answers: {len(s.wrongs)}; unexpected: {len(s.surprises)}; RSS {self.warm[0] / 1024:.1f} MiB "
              f"{grown[0] / 1024:+.1f} at most, {(self.after or [self.warm])[-1][0] / 1024:.1f} at the end; "
              f"descriptors {self.warm[1]} {grown[1]:+d}; threads {self.warm[2]} {grown[2]:+d}", flush=True)
        return not s.wrongs and not s.surprises


def soak(binary, folder, requests=None, minutes=None, seed=1, allow_mib=16, run_one_in=4, kind=Soak):
    """Whether all was well. A fifth of the rounds (of --requests: the first two of four) are the warm-up."""
    one = kind(binary, folder, seed, run_one_in)
    report = Report(one, allow_mib)
    rounds = 4 if requests else max(5, round(2 * minutes))
    most, seconds = (requests // rounds, 1e9) if requests else (1 << 60, 60 * minutes / rounds)
    try:
        for i in range(rounds):
            one.round(most, seconds, report.line)
            report.quiet(i < max(2, rounds // 5))
        one.end()
    except Exception:
        one.unexpected(traceback.format_exc())
        report.warm = report.warm or (0, 0, 0)
        if one.ended(5):
            one.unexpected(f"the server ended with {one.server.process.returncode}: {one.server.log[-2000:]}")
    finally:
        one.server.process.kill()
        one.server.process.wait()
    for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
        if word in one.server.log:
            one.unexpected(one.server.log[-5000:])
    return report.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="how long the load lasts")
    parser.add_argument("--requests", type=int, help="about how many requests instead")
    parser.add_argument("--seed", type=int, default=1, help="of what is asked; default 1")
    parser.add_argument("--allow-mib", type=float, default=16,
                        help="by which memory may grow after the warm-up; default 16")
    parser.add_argument("--run-one-in", type=int, default=4,
                        help="of how many first answers one is computed by vicinal run too; default 4")
    parser.add_argument("--binary", default=find_binary(), help="default: $VIC_BINARY, or what the presets built")
    parser.add_argument("--victim", nargs=2, metavar=("PORT", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.victim:
        victim(int(given.victim[0]), given.victim[1])
    if (given.minutes is None) == (given.requests is None):
        parser.error("expected --minutes M or --requests N")
    if not given.binary:
        parser.error("no vicinal binary: build the dev preset, or name one by --binary")
    with tempfile.TemporaryDirectory() as folder:
        good = soak(given.binary, pathlib.Path(folder), given.requests, given.minutes, given.seed, given.allow_mib,
                    given.run_one_in)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
