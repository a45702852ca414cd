# SPDX-License-Identifier: Apache-2.0
"""Clients that send what no client should, or nothing, or go away: the server answers others all the same."""
import json
import socket
import threading
import time

import numpy as np
import pytest

from conftest import Client

GOOD = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def raw(server, data):
    """The status of the first answer to these bytes, None where the connection was closed without one; and whether the
    connection then goes on."""
    with server.client() as client:
        client.send(data)
        answer = client.read()
        if answer is None:
            return None, False
        try:
            client.send(GOOD)
            while client._more():
                if b'{"live":true}' in client.rest:
                    return answer.status, True
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer.status, False  # libmicrohttpd writes the head of some refusals twice, and closes


HEAD = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\n"
# What two programs could read in two ways: refused, and nothing behind it is read.
SMUGGLED = {
    "length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same length twice": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length in a list": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\n{}",
    "length with a sign": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "length in hexadecimal": HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "length with more": HEAD + b"Content-Length: 2x\r\n\r\n{}",
    "length of 2^63": HEAD + b"Content-Length: 9223372036854775808\r\n\r\n{}",
    "length of 2^64": HEAD + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "two encodings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another encoding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an encoding that is none": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "tab before the colon": HEAD + b"Content-Length\t: 2\r\n\r\n{}",
    "folded": HEAD + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "folded length": HEAD + b"Content-Length:\r\n 2\r\n\r\n{}",
    "folded first": b"GET /v2 HTTP/1.1\r\n folded: x\r\nHost: x\r\n\r\n",
    "NUL in a value": HEAD + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a name": HEAD + b"X\0A: b\r\nContent-Length: 2\r\n\r\n{}",
    "NUL before the end": HEAD + b"Content-Length: 2\r\n\0X: y\r\n\r\n{}",
    "bare LF": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
    "one bare LF": HEAD + b"X-A: b\nContent-Length: 2\r\n\r\n{}",
    "bare LF at the end": HEAD + b"Content-Length: 2\r\n\n{}",
    "bare LF of the first line": b"GET /v2 HTTP/1.1\nHost: x\r\n\r\n",
    "bare CR in a value": HEAD + b"X-A: a\rb\r\nContent-Length: 2\r\n\r\n{}",
    "no colon": HEAD + b"Content-Length 2\r\n\r\n{}",
    "no name": HEAD + b": 2\r\n\r\n",
    "control in a value": HEAD + b"X-A: a\x01b\r\n\r\n",
    "two content encodings": HEAD + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "two authorizations": HEAD + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 2\r\n\r\n{}",
    "two origins": HEAD + b"Origin: http://x\r\nOrigin: http://x\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts": b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two blanks": b"GET  /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in the path": b"GET /v2 x HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /v2\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /v2 HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET /v2 HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http in small letters": b"GET /v2 http/1.1\r\nHost: x\r\n\r\n",
    "a whole URL": b"GET http://x/v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(120)) + b"\r\n",
    "long headers": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * 17000 + b"\r\n\r\n",
    "very long headers": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * 400000 + b"\r\n\r\n",
    "a very long path": b"GET /" + b"y" * 400000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "huge chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "two json sizes": HEAD + b"Inference-Header-Content-Length: 2\r\nInference-Header-Content-Length: 1\r\n"
                             b"Content-Length: 2\r\n\r\n{}",
}
# Reads of libmicrohttpd 0.9.75 that its interface does not show: a name for each, so that none is added unseen.
REFUSED = {400, 408, 413, 414, 431, 501, 505, None}


@pytest.mark.parametrize("name", SMUGGLED)
def test_ambiguous_heads(tiny_server, name):
    status, goes_on = raw(tiny_server, SMUGGLED[name])
    assert status in REFUSED, (name, status)
    assert not goes_on, name
    assert tiny_server.ask("GET", "/v2/health/live").status == 200


GOOD_HEADS = {
    "plain": b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no blank behind the colon": b"GET /v2 HTTP/1.1\r\nHost:x\r\n\r\n",
    "empty value": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: y\r\nAccept:*/*\r\n\r\n",
    "Latin-1": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: caf\xe9\r\n\r\n",
    "a hundred headers": b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(99)) + b"\r\n",
    "16 kB": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * 16000 + b"\r\n\r\n",
    "16 kB in a hundred": b"GET /v2 HTTP/1.1\r\nHost: x\r\n"
                          + b"".join(b"X-%02d: %s\r\n" % (i, b"y" * 155) for i in range(99)) + b"\r\n",
    "16 kB before a body": HEAD + b"X-A: " + b"y" * 16000 + b"\r\nContent-Length: 60000\r\n\r\n" + b"{}" + b" " * 59998,
    "cookie": b"GET /v2 HTTP/1.1\r\nHost: x\r\nCookie: a=b; c=d\r\nX-A: y\r\n\r\n",
    "query": b"GET /v2?a=b&c=%20d HTTP/1.1\r\nHost: x\r\n\r\n",
    "a small body": HEAD + b"Content-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", GOOD_HEADS)
def test_good_heads(tiny_server, name):
    """What is refused above is not refused for something else."""
    assert raw(tiny_server, GOOD_HEADS[name]) == (200, True)
    for size in (1, 3):  # in pieces
        with tiny_server.client() as client:
            data = GOOD_HEADS[name][:3000]
            for at in range(0, len(data), size):
                client.send(data[at:at + size])
            if data == GOOD_HEADS[name]:
                assert client.read().status == 200


def test_expect_continue(tiny_server, tensors):
    """A client that asks first is told to go on, or why not."""
    with tiny_server.client() as client:
        client.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        while b"\r\n\r\n" not in client.rest:
            assert client._more()
        assert client.rest == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.rest = b""
        client.send(b"{}")
        assert client.read().status == 200
    with tiny_server.client() as client:
        client.send(HEAD + b"Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n")
        assert client.read().status == 413


def test_http_1_0(tiny_server):
    status, goes_on = raw(tiny_server, b"GET /v2 HTTP/1.0\r\n\r\n")
    assert status == 200 and not goes_on


def test_pipelined(tiny_server, tensors):
    """Requests behind each other in one piece are answered in their order."""
    with tiny_server.client() as client:
        client.send(GOOD * 50 + b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(client.read().json == {"live": True} for _ in range(50))
        assert client.read().json["name"] == "vicinal"


def test_head_that_never_ends(serve, tiny):
    """A byte now and then does not keep a connection."""
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--idle-timeout", "1")
    with server.client() as client:
        closed = False
        client.send(b"GET /v2 HTTP/1.1\r\nX-A: ")
        end = time.monotonic() + 120
        while not closed and time.monotonic() < end:
            time.sleep(0.05)
            try:
                client.send(b"y")
                client.socket.setblocking(False)
                closed = client.socket.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                closed = True
            client.socket.setblocking(True)
        assert closed
    server.wait(lambda: server.figure("vicinal_connections") == 1, "the connection is gone")


def test_body_that_never_comes(serve, tiny):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--idle-timeout", "1")
    with server.client() as client:
        client.send(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{")
        assert client.read() is None
    with server.client() as idle:
        assert idle.read() is None
    server.wait(lambda: server.figure("vicinal_memory_bytes") == 0, "its memory is given back")


def test_slow_chunks(serve, tiny):
    """A body in chunks has a second more for each 64 KiB that have come, as one of a known length has."""
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--idle-timeout", "1")
    with server.client() as client:
        client.send(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"400000\r\n" + b" " * 0x400000 + b"\r\n")
        time.sleep(3)  # longer than the idle timeout, and than the server takes to look
        client.send(b"2\r\n{}\r\n0\r\n\r\n")
        answer = client.read()
        assert answer is not None and answer.status == 400 and "expected 'inputs'" in answer.error


def test_answers_that_nobody_reads(serve, tmp_path):
    """An answer to a client that does not take it is thrown away in the end."""
    import numpy as np
    from conftest import write_xyz
    path = write_xyz(tmp_path / "many.xyz", np.random.default_rng(1).uniform(0, 30, (200, 3)))
    server = serve(path, "--cutoff", "3", "--heads", "8", "--head-dim", "64", "--idle-timeout", "1")
    tensors = {n: np.zeros((200, 8, 64), np.float32) for n in "QKV"}
    with server.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        text = json.dumps({"inputs": [{"name": n, "shape": [200, 8, 64], "datatype": "FP32",
                                       "parameters": {"binary_data_size": a.nbytes}} for n, a in tensors.items()],
                           "parameters": {"binary_data_output": True}}).encode()
        client.send((f"POST /v2/models/many/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: {len(text)}"
                     f"\r\nContent-Length: {len(text) + 3 * 409600}\r\n\r\n").encode() + text)
        for a in tensors.values():
            client.send(a.tobytes())
        server.wait(lambda: server.figure("vicinal_connections") == 1, "the reader is cut off")
        assert server.figure("vicinal_memory_bytes") == 0


def test_clients_that_go_away(tiny_server, tensors):
    """At every point of a request, by a close and by a reset."""
    given = tensors(batch=50)
    text = json.dumps({"inputs": [{"name": n, "shape": list(a.shape), "datatype": "FP32",
                                   "parameters": {"binary_data_size": a.nbytes}} for n, a in given.items()],
                       "parameters": {"binary_data_output": True}}).encode()
    body = text + b"".join(a.tobytes() for a in given.values())
    whole = (f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: {len(text)}\r\n"
             f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    before = tiny_server.descriptors()
    for at in sorted({0, 1, 5, 30, 100, 200, len(whole) // 2, len(whole) - 1, len(whole)}):
        for reset in (False, True):
            for _ in range(5):
                client = tiny_server.client()
                client.send(whole[:at])
                if reset:
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
    tiny_server.wait(lambda: tiny_server.figure("vicinal_connections") == 1, "all are gone")
    tiny_server.wait(lambda: tiny_server.descriptors() <= before, "their descriptors are closed")
    assert tiny_server.figure("vicinal_memory_bytes") == 0
    with tiny_server.client() as client:
        assert client.infer("tiny", given).status == 200


def test_half_closed(tiny_server):
    """Who sends all and closes that side only is answered."""
    with tiny_server.client() as client:
        client.send(GOOD)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read().status == 200
        assert client.read() is None


def test_connections_at_most(serve, tiny):
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--connections", "4")
    held = [server.client() for _ in range(4)]
    for client in held:
        assert client.get("/v2/health/live").status == 200
    more = server.client()
    more.send(GOOD)
    more.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):  # it waits in front of the door
        more.socket.recv(1)
    held.pop().close()
    more.socket.settimeout(120)
    assert more.read().status == 200
    for client in held + [more]:
        client.close()


def test_thousands_of_requests_leave_nothing(tiny_server, tensors):
    """Memory and descriptors are flat: good requests, refused ones, and clients that go."""
    given = tensors()

    def work():
        for i in range(60):
            with tiny_server.client() as client:
                for _ in range(10):
                    assert client.infer("tiny", given).status == 200
                assert client.post("/v2/models/tiny/infer", b"{").status == 400
                assert client.get("/v2/models/none").status == 404
                client.send(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")

    def round_of(count):
        threads = [threading.Thread(target=work) for _ in range(count)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        tiny_server.wait(lambda: tiny_server.figure("vicinal_connections") == 1, "all are gone")

    round_of(4)  # warm
    memory, descriptors = tiny_server.resident(), tiny_server.descriptors()
    round_of(4)
    round_of(4)
    tiny_server.wait(lambda: tiny_server.descriptors() <= descriptors, "their descriptors are closed")
    assert tiny_server.resident() < memory + 8192, "KiB"


def test_same_page_elsewhere(tiny_server):
    """A browser's page may ask its own server, and no other."""
    host = "%s:%d" % tiny_server.address
    with tiny_server.client() as client:
        client.send(f"GET /status.json HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n".encode())
        assert client.read().status == 200
        for origin in ("http://evil.example", "null", f"http://{host}.evil.example", "x"):
            client.send(f"POST /v2/repository/models/tiny/unload HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n"
                        "Content-Length: 2\r\n\r\n{}".encode())
            assert client.read().status == 403
        # A name that leads here: the page is of the same origin, then.
        for name in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""):
            for more in (f"Origin: http://{name}", "Sec-Fetch-Site: same-origin"):
                client.send(f"GET /status.json HTTP/1.1\r\nHost: {name}\r\n{more}\r\n\r\n".encode())
                assert client.read().status == 403, (name, more)
        for name in ("localhost", "LOCALHOST:1", "127.0.0.1", "10.1.2.3:80", "[::1]:8000"):
            client.send(f"GET /status.json HTTP/1.1\r\nHost: {name}\r\nSec-Fetch-Site: none\r\n\r\n".encode())
            assert client.read().status == 200, name
        assert client.get("/v2/models/tiny/ready").status == 200
