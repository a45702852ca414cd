# SPDX-License-Identifier: Apache-2.0
"""Starting, overload, draining, tokens, sockets, logs, metrics: what an operator sees."""
import gzip
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import numpy as np
import pytest

from command_tools import environment
from conftest import CHAIN, PATIENCE, Client, write_xyz

ARGUMENTS = ("--cutoff", "2", "--heads", "2", "--head-dim", "8")


def fails(binary, tmp_path, *arguments, code=2):
    done = subprocess.run([binary, "serve", *map(str, arguments)], capture_output=True, encoding="utf-8",
                          timeout=PATIENCE, cwd=tmp_path, env=environment())
    assert done.returncode == code, done.stderr + done.stdout
    assert "ready:" not in done.stdout and ": error: " in done.stderr
    return done.stderr


# ---- starting ----

def test_command_line(binary, tiny, tmp_path):
    assert "FILE is missing" in fails(binary, tmp_path)
    assert "--token-file" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--host", "0.0.0.0")
    assert "--token-file" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--host", "::")
    assert "--unix" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--no-tcp")
    assert "both be the model tiny" in fails(binary, tmp_path, tiny, "sub/tiny.pdb", *ARGUMENTS)
    assert "--cutoff" in fails(binary, tmp_path, tiny)
    for device in ("gpu", "cuda:", "cuda:x", "cuda:0,cpu", "cuda:0,cuda:0", ""):
        assert "--device" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--device", device)
    for option, value in (("--max-body", "10"), ("--max-body", "1Q"), ("--memory", "-1"), ("--queue", "0"),
                          ("--drain-delay", "-1"), ("--port", "65536"), ("--idle-timeout", "0"), ("--timeout", "x")):
        assert option in fails(binary, tmp_path, tiny, *ARGUMENTS, option, value)
    assert "none.xyz" in fails(binary, tmp_path, "none.xyz", *ARGUMENTS, "--port", "0", code=3)
    (tmp_path / "tiny.json").write_text('{"structure": "tiny.xyz", "cutoff": 3}')
    assert "both be the model tiny" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--models", tmp_path)
    (tmp_path / "tiny.json").rename(tmp_path / "ti ny.json")
    assert "cannot be called 'ti ny'" in fails(binary, tmp_path, "--models", tmp_path, "--port", "0", code=3)
    (tmp_path / "ti ny.json").unlink()
    (tmp_path / "bad.json").write_text('{"structure": "tiny.xyz", "cutof": 3}')
    assert "model bad: 'cutof'" in fails(binary, tmp_path, "--models", tmp_path, "--port", "0")
    (tmp_path / "bad.json").write_text('{"structure": "tiny.xyz", "cutoff": 3, "kernel": "nope"}')
    assert 'no kernel "nope"' in fails(binary, tmp_path, "--models", tmp_path, "--port", "0", code=4)
    for folder in ("none", "tiny.xyz"):
        assert f"--models {folder}: expected a folder" in fails(binary, tmp_path, "--models", folder, code=3)


@pytest.mark.parametrize("file, name", [("tiny.xyz.gz", "tiny"), ("a.b.xyz", "a.b"), ("a.b.xyz.gz", "a.b"),
                                        ("one two.xyz.gz", "one_two")])
def test_model_names(serve, tiny, tmp_path, file, name):
    """A file's name without its ending, and without that of its compression first."""
    path = tmp_path / file
    path.write_bytes(gzip.compress(tiny.read_bytes()) if file.endswith(".gz") else tiny.read_bytes())
    server = serve(path, *ARGUMENTS)
    assert [m["name"] for m in server.ask("POST", "/v2/repository/index", b"{}").json] == [name]


def test_words(serve, binary, tmp_path, tensors):
    """One of a kind is no several, and nobody is told of what a server or its clients do not have."""
    said = subprocess.run([binary, "serve", "--help"], capture_output=True, encoding="utf-8", timeout=PATIENCE).stdout
    assert "--heads" in said and "tensors given" not in " ".join(said.split())
    server = serve(write_xyz(tmp_path / "one.xyz", CHAIN[:1]), "--cutoff", "2", "--heads", "1", "--head-dim", "8")
    assert server.said.startswith("model one: 1 atom, 1 head of 8, ")
    server.wait(lambda: server.events, "it says that it is ready")
    assert server.events[0]["message"].startswith("1 model after ")
    with server.client() as client:
        moved = {"POSITIONS": CHAIN[:1], "CELL": 9 * np.eye(3)}
        answer = client.infer("one", {**tensors(n=1, heads=1), **moved})
    assert answer.status == 400 and answer.error == "cell: the pattern is periodic along no axis: give none"


def test_model_names_of_compressed_files(binary, tiny, tmp_path):
    for other in ("tiny.pdb.gz", "tiny.cif.bz2", "sub/tiny.cif.zst", "tiny.gz"):
        assert "both be the model tiny" in fails(binary, tmp_path, tiny, other, *ARGUMENTS)


def test_port_in_use(serve, binary, tiny, tmp_path):
    server = serve(tiny, *ARGUMENTS)
    assert "--port 0" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--port", server.address[1], code=1)


def test_unix_socket(serve, binary, tiny, tmp_path, tensors):
    path = tmp_path / "s"
    server = serve(tiny, *ARGUMENTS, "--unix", path, "--no-tcp", "--allow-client-shm")
    assert server.address is None and server.unix == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with server.client() as client:
        assert client.infer("tiny", tensors()).status == 200
        assert "system_shared_memory" in client.get("/v2").json["extensions"]
    assert "cannot listen" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--unix", path, "--no-tcp", code=1)
    server.terminate()
    assert not path.exists()


def test_unix_socket_left_behind(serve, tiny, tmp_path):
    path = tmp_path / "s"
    server = serve(tiny, *ARGUMENTS, "--unix", path, "--no-tcp")
    server.process.kill()
    server.process.wait()
    server.process.returncode = 0  # it was ours
    assert path.exists()
    assert serve(tiny, *ARGUMENTS, "--unix", path, "--no-tcp").ask("GET", "/v2").status == 200


def test_no_file_of_another_kind_is_removed(binary, tiny, tmp_path):
    path = tmp_path / "precious"
    path.write_text("x")
    fails(binary, tmp_path, tiny, *ARGUMENTS, "--unix", path, "--no-tcp", code=1)
    assert path.read_text() == "x"


def test_systemd_is_told(serve, tiny, tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(PATIENCE)
    server = serve(tiny, *ARGUMENTS, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert listener.recv(100) == b"READY=1"
    server.terminate()
    assert listener.recv(100) == b"STOPPING=1"


# ---- who may ----

def test_token(serve, binary, tiny, tmp_path, tensors):
    file = tmp_path / "token"
    for wrong in ("short", "two words, but long enough", "a" * 20 + "\nb", "a" * 5000, ""):
        file.write_text(wrong)
        assert "--token-file" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--token-file", file, code=3)
    secret = "0123456789abcdef0123"
    file.write_text(secret + "\n")
    server = serve(tiny, *ARGUMENTS, "--token-file", file, "--host", "0.0.0.0", "--allow-client-shm")
    good = {"Authorization": "Bearer " + secret}
    for path in ("/v2", "/v2/models/tiny", "/metrics", "/status.json", "/v2/models/stats"):
        answer = server.ask("GET", path)
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        for wrong in (secret, "Bearer " + secret[:-1], "Bearer " + secret + "x", "Bearer", "Basic " + secret,
                      "Bearer " + "x" * 20, "Bearer " + secret.upper()):
            assert server.ask("GET", path, headers={"Authorization": wrong}).status == 401, wrong
        assert server.ask("GET", path, headers=good).status == 200
        assert server.ask("GET", path, headers={"authorization": "bearer " + secret}).status == 200
    for path in ("/v2/health/live", "/v2/health/ready", "/"):
        assert server.ask("GET", path).status == 200
    with server.client() as client:
        assert client.infer("tiny", tensors()).status == 401
        assert client.infer("tiny", tensors(), headers=good).status == 200
        # Not only this machine can connect: nobody's memory is shared.
        answer = client.post("/v2/systemsharedmemory/region/a/register", {"key": "/x", "byte_size": 1}, headers=good)
        assert answer.status == 403
    assert secret not in server.log


# ---- how much ----

@pytest.fixture
def slow(serve, tmp_path):
    """A model whose queries take their time, of which one runs at a time."""
    path = write_xyz(tmp_path / "slow.xyz", np.random.default_rng(1).uniform(0, 40, (6000, 3)))

    def start(*more):
        return serve(path, "--cutoff", "14", "--heads", "4", "--head-dim", "32", "--threads", "1", "--max-launch", "1",
                     *more)
    return start


def ask_slow(server, results, parameters=None):
    tensors = {n: np.zeros((6000, 4, 32), np.float32) for n in "QKV"}
    try:
        with server.client() as client:
            answer = client.infer("slow", tensors, parameters=parameters)
            results.append(answer)
    except Exception as error:  # what the test looks at
        results.append(error)


def start_slow(server, count, parameters=None):
    results = []
    threads = [threading.Thread(target=ask_slow, args=(server, results, parameters)) for _ in range(count)]
    [t.start() for t in threads]
    return threads, results


def statuses(results):
    return sorted(r.status if hasattr(r, "status") else str(r) for r in results)


def test_overload(slow):
    """What does not fit the queue is refused at once, and told when to come again; the rest is answered."""
    server = slow("--queue", "3")
    threads, results = start_slow(server, 12)
    [t.join() for t in threads]
    assert set(statuses(results)) <= {200, 503} and statuses(results).count(200) >= 3
    refused = [r for r in results if r.status == 503]
    if not refused:
        pytest.skip("the machine was too busy to ask while others were answered")
    assert all(r.error == "Exceeds maximum queue size" and r.headers["retry-after"] == "1" for r in refused)
    assert server.figure("vicinal_memory_bytes") == 0


def test_a_full_queue_refuses_by_the_head(serve, tiny, tensors):
    """Before the JSON is looked at and memory is taken; the connection goes on, whatever the length of the body."""
    server = serve(tiny, *ARGUMENTS, "--queue", "1", "--max-delay", "86400")
    with server.client() as full, server.client() as client:
        body = b"no JSON".ljust(300_000, b"x")
        head = (f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: 7\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        client.send(head + body)
        assert client.read().status == 400
        full.read = lambda head: None
        full.infer("tiny", tensors())  # waits for another to share its launch
        server.wait(lambda: server.figure("vicinal_queue_depth") == 1, "it waits")
        held = server.figure("vicinal_memory_bytes")
        failures = server.figure("nv_inference_request_failure")
        for count in range(1, 4):
            client.send(head + body[:1000])
            time.sleep(0.02)
            assert server.figure("vicinal_memory_bytes") == held
            client.send(body[1000:])
            answer = client.read()
            assert answer.status == 503 and answer.error == "Exceeds maximum queue size"
            assert answer.headers["retry-after"] == "1" and answer.headers.get("connection") != "close"
            assert server.figure("nv_inference_request_failure") == failures + count
        assert client.infer("tiny", tensors()).status == 503
        with server.client() as asks:  # is told without sending its body
            asks.send(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            answer = asks.read()
            assert answer.status == 503 and answer.headers["connection"] == "close"
        assert client.get("/v2/health/ready").status == 200
        full.close()

        def has_room():
            client.send(head + body)
            return client.read().status == 400

        server.wait(has_room, "there is room again")


def test_an_answer_is_not_of_the_queue(serve, tiny, tensors):
    """Whose client does not take it keeps nobody out."""
    server = serve(tiny, *ARGUMENTS, "--queue", "1")
    with server.client() as idle, server.client() as client:
        idle.read = lambda head: None
        idle.infer("tiny", tensors(batch=65536))  # whose answer is 21 MB
        server.wait(lambda: server.figure("nv_inference_count") == 65536, "it is answered")
        assert server.figure("vicinal_memory_bytes") > 20_000_000
        assert client.infer("tiny", tensors()).status == 200


def test_timeouts(slow):
    server = slow()
    threads, results = start_slow(server, 6, {"timeout": 1})
    [t.join() for t in threads]
    late = [r for r in results if r.status == 503]
    assert set(statuses(results)) <= {200, 503} and late
    assert all(r.error == "Request timeout expired" for r in late)


def test_memory_at_most(serve, binary, tiny, tmp_path, tensors):
    assert "--memory" in fails(binary, tmp_path, tiny, *ARGUMENTS, "--max-body", "1M", "--memory", "1M")
    server = serve(tiny, *ARGUMENTS, "--max-body", "512K", "--memory", "1M")
    head = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 450000\r\n\r\n{"
    held = [server.client(), server.client()]
    for client in held:
        client.send(head)
    server.wait(lambda: server.figure("vicinal_memory_bytes") > 900000, "the bodies have their memory")
    with server.client() as client:
        client.send(head + b" " * 449_999)  # which is read, and thrown away
        answer = client.read()
        assert answer.status == 503 and "--memory" in answer.error and answer.headers["retry-after"] == "1"
        assert client.infer("tiny", tensors()).status == 200  # what is small has room
        [c.close() for c in held]
        server.wait(lambda: server.figure("vicinal_memory_bytes") == 0, "it is given back")
        assert client.infer("tiny", tensors(batch=150)).status == 200


def test_gone_while_it_waits(slow):
    """Queries of clients that have gone are not computed."""
    server = slow()
    threads, results = start_slow(server, 1)
    server.wait(lambda: server.figure("vicinal_requests_under_way") >= 2, "one runs")
    text = json.dumps({"inputs": [{"name": n, "shape": [6000, 4, 32], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 3072000}} for n in "QKV"],
                       "parameters": {"binary_data_output": True}}).encode()
    gone = []
    for _ in range(5):
        client = server.client()
        client.send((f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: {len(text)}"
                     f"\r\nContent-Length: {len(text) + 9216000}\r\n\r\n").encode() + text + bytes(9216000))
        gone.append(client)
    [c.close() for c in gone]
    time.sleep(0.1)
    in_time = threads[0].is_alive()
    [t.join() for t in threads]
    server.wait(lambda: server.figure("vicinal_connections") == 1, "all are gone")
    assert statuses(results) == [200]
    assert server.figure("vicinal_memory_bytes") == 0
    if not in_time:
        pytest.skip("the machine was too busy to send the others while the first ran")
    model, = server.ask("GET", "/v2/models/slow/stats").json["model_stats"]
    assert model["inference_stats"]["success"]["count"] == 1


# ---- the end ----

def test_drain(slow):
    """After SIGTERM: not ready first, still open for --drain-delay, then closed; what was accepted is answered."""
    server = slow("--drain-delay", "2")
    threads, results = start_slow(server, 4)
    server.wait(lambda: server.figure("vicinal_requests_under_way") >= 3, "they run")
    with server.client() as idle:
        assert idle.get("/v2/health/ready").status == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait(lambda: server.ask("GET", "/v2/health/ready").status == 503, "not ready")
        assert server.ask("GET", "/v2/health/live").status == 200
        more, late = start_slow(server, 1)  # still accepted
        [t.join() for t in threads + more]
        assert server.process.wait(PATIENCE) == 0, server.log
    assert statuses(results) == [200] * 4
    assert statuses(late) == [200]
    with pytest.raises(OSError):
        server.client()
    assert [e["event"] for e in server.events if e["event"] != "request"] == ["ready", "drain", "end"]


def test_drain_of_those_in_front_of_the_door(serve, tiny):
    """Whose connection the system has taken when SIGTERM comes is answered, though the server had not looked yet."""
    for _ in range(10):  # which of them the server sees first is chance
        server = serve(tiny, *ARGUMENTS)
        server.process.send_signal(signal.SIGSTOP)
        clients = [server.client() for _ in range(20)]
        [client.send(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n") for client in clients]
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        answers = [client.read() for client in clients]
        [client.close() for client in clients]
        assert [a.status if a else None for a in answers] == [200] * 20
        assert server.process.wait(PATIENCE) == 0


INCOMPLETE = {
    "body": b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{  ",
    "chunks": b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{  \r\n",
    "refused body": b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{  ",
    "head": b"GET /v2 HTTP/1.1\r\nHost: x\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", INCOMPLETE)
@pytest.mark.parametrize("timeout", [2, 60])
def test_drain_with_incomplete_requests(serve, tiny, name, timeout):
    """They are not accepted yet: cut off after 2 s, or well within a shorter --drain-timeout, and nothing is lost."""
    server = serve(tiny, *ARGUMENTS, "--drain-timeout", str(timeout))
    with server.client() as client:
        client.send(INCOMPLETE[name])
        server.wait(lambda: server.figure("vicinal_connections") == 2, "it is connected")
        begin = time.monotonic()
        server.terminate()
        assert time.monotonic() - begin < 6, "2 s, and as many again for a busy machine"
        assert client.read() is None


def test_drain_lets_requests_be_completed(serve, tiny):
    server = serve(tiny, *ARGUMENTS)
    with server.client() as client:
        client.send(INCOMPLETE["body"])
        server.wait(lambda: server.figure("vicinal_connections") == 2, "it is connected")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        client.send(b" " * 996 + b"}")
        assert client.read().status == 200
    assert server.process.wait(PATIENCE) == 0, server.log


def test_drain_without_work(tiny_server):
    begin = time.monotonic()
    with tiny_server.client() as idle:
        assert idle.get("/v2/health/live").status == 200
        tiny_server.terminate()
        assert idle.read() is None
    assert time.monotonic() - begin < PATIENCE


def test_drain_timeout(slow):
    server = slow("--drain-timeout", "0")
    threads, _ = start_slow(server, 3)
    server.wait(lambda: server.figure("vicinal_requests_under_way") >= 2, "they run")
    server.terminate(code=1)
    [t.join() for t in threads]
    assert "--drain-timeout" in server.log
    server.process.returncode = 0  # as this test wants it


def test_second_signal(slow):
    server = slow("--drain-delay", "600")
    server.process.send_signal(signal.SIGTERM)
    server.wait(lambda: server.ask("GET", "/v2/health/ready").status == 503, "not ready")
    server.terminate(code=1)
    server.process.returncode = 0


def test_hangup(serve, tiny):
    """A terminal that is closed ends it as SIGTERM does; under nohup it goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        ends = serve(tiny, *ARGUMENTS)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stays = serve(tiny, *ARGUMENTS)
    finally:
        signal.signal(signal.SIGHUP, before)
    stays.process.send_signal(signal.SIGHUP)
    ends.process.send_signal(signal.SIGHUP)
    assert ends.process.wait(PATIENCE) == 0 and ends.events[-1]["event"] == "end"
    assert stays.ask("GET", "/v2/health/ready").status == 200


def test_interrupt(tiny_server):
    tiny_server.process.send_signal(signal.SIGINT)
    assert tiny_server.process.wait(PATIENCE) == 0


def test_last_requests_close(slow):
    """While it drains, answers say that the connection ends."""
    server = slow()
    threads, results = start_slow(server, 2)
    server.wait(lambda: server.figure("vicinal_requests_under_way") >= 2, "they run")
    server.process.send_signal(signal.SIGTERM)
    [t.join() for t in threads]
    assert server.process.wait(PATIENCE) == 0
    assert statuses(results) == [200, 200]
    assert any(r.headers.get("connection", "").lower() == "close" for r in results)


# ---- what is told ----

def test_log(serve, tiny, tensors):
    server = serve(tiny, *ARGUMENTS, "--log-requests")
    with server.client() as client:
        answer = client.infer("tiny", tensors(), headers={"X-Request-Id": "abc-1.2_3"})
        assert answer.headers["x-request-id"] == "abc-1.2_3"
        answer = client.get("/v2/none", headers={"X-Request-Id": "with blank"})
        assert "x-request-id" not in answer.headers
    for line in server.log.splitlines():
        event = json.loads(line)
        assert {"time", "level", "event"} <= set(event)
    first, second = [e for e in server.events if e["event"] == "request"]
    assert first["request_id"] == "abc-1.2_3" and first["status"] == 200 and first["name"] == "tiny"
    assert first["route"] == "/v2/models/{model}/infer" and first["microseconds"] >= 0
    assert second["status"] == 404 and second["level"] == "warning" and second["why"] == "Not Found"


def test_log_is_bounded(tiny_server):
    with tiny_server.client() as client:
        for _ in range(3000):
            assert client.get("/none").status == 404
    begin, end = (e["time"] for e in (tiny_server.events[0], tiny_server.events[-1]))
    assert len(tiny_server.events) < 3000, (begin, end)


def test_log_that_nobody_reads(binary, tiny, tmp_path):
    """The reader of the log goes away, and the server stays."""
    process = subprocess.Popen([binary, "serve", tiny, *ARGUMENTS, "--port", "0", "--log-requests"], bufsize=0,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment())
    try:
        line = b""
        while not line.startswith(b"ready: "):
            line = process.stdout.readline()
            assert line
        process.stderr.close()
        process.stdout.close()
        for _ in range(5):
            with Client(("127.0.0.1", int(line.rsplit(b":", 1)[1]))) as client:
                assert client.get("/none").status == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def test_metrics_are_prometheus(tiny_server, tensors):
    """Every sample belongs to a family that was announced; histograms rise and end in their count."""
    with tiny_server.client() as client:
        assert client.infer("tiny", tensors()).status == 200
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    kinds, seen, buckets = {}, [], {}
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds, "a family is in one piece"
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            name = line.split("{")[0].split(" ")[0]
            family = name if name in kinds else name.rsplit("_", 1)[0]
            assert family in kinds and family == list(kinds)[-1], line
            float(line.rsplit(" ", 1)[1])
            seen.append(name)
            if name.endswith("_bucket"):
                key = line.split(',le="')[0]
                buckets.setdefault(key, []).append(float(line.rsplit(" ", 1)[1]))
    assert buckets and all(b == sorted(b) for b in buckets.values())
    for name in ("nv_inference_request_success", "nv_inference_pending_request_count", "vicinal_queue_depth",
                 "vicinal_batch_size_bucket", "vicinal_stage_seconds_bucket"):
        assert name in seen
