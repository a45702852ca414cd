# SPDX-License-Identifier: Apache-2.0
"""A server of the Open Inference Protocol for the tests of `bench serve`: its own record of what came, and answers
that a test chooses."""
import http.server
import json
import mmap
import os
import pathlib
import re
import socket
import socketserver
import threading

import numpy as np

TYPES = {"FP32": np.float32, "FP16": np.float16, "FP64": np.float64}
POINTS, HEADS, SIZE = 5, 2, 8


class Server:
    """Model `tiny`: Q, K, V [5, 2, 8] of `datatype` -> O = 2 Q and LSE [5, 2], and an optional input POSITIONS.

    decide(n, request) is called for inference n = 0, 1, ... and returns None (answer it), (status, body) or "drop".
    """

    def __init__(self, decide=None, path=None, datatype="FP32", batch=False, close=False, models=("tiny",), token=None):
        self.decide, self.datatype, self.batch, self.close, self.models = decide, datatype, batch, close, models
        self.token, self.lock = token, threading.Lock()
        self.inferences, self.connections, self.regions, self.gone, self.unauthorised = [], 0, {}, [], 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def address_string(self):
                return "?"

            def handle(self):
                with server.lock:
                    server.connections += 1
                try:
                    super().handle()
                except ConnectionError:  # the client left
                    pass

            def say(self, status, body=b"", **headers):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                head = [f"HTTP/1.1 {status} X"] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
                head += [f"Content-Length: {len(body)}"] + (["Connection: close"] if server.close else [])
                self.close_connection = self.close_connection or server.close
                self.wfile.write("\r\n".join(head + ["", ""]).encode() + body)

            def do_GET(self):
                server.get(self)

            def do_POST(self):
                server.post(self, self.rfile.read(int(self.headers["Content-Length"])))

        kind = socketserver.UnixStreamServer if path else socketserver.TCPServer
        base = type("Base", (socketserver.ThreadingMixIn, kind), {"daemon_threads": True, "request_queue_size": 128})
        self.server = base(str(path) if path else ("127.0.0.1", 0), Handler)
        if not path:
            self.server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def dims(self, *more):
        return ([-1] if self.batch else []) + [POINTS, HEADS, *more]

    def get(self, h):
        tensor = lambda name, *more: {"name": name, "datatype": self.datatype, "shape": self.dims(*more)}
        if self.token and h.headers.get("Authorization") != "Bearer " + self.token:
            with self.lock:
                self.unauthorised += 1
            return h.say(401, {"error": "who are you"})
        if h.path == "/v2":
            return h.say(200, {"name": "fake", "version": "7", "extensions": []})
        if h.path == "/v2/models/tiny":
            return h.say(200, {"name": "tiny", "versions": ["1"], "platform": "",
                               "inputs": [tensor("Q", SIZE),
                                          {"name": "POSITIONS", "datatype": "FP64", "shape": [POINTS, 3]},
                                          tensor("K", SIZE), tensor("V", SIZE)],
                               "outputs": [tensor("O", SIZE), dict(tensor("LSE"), datatype="FP32")]})
        if h.path == "/v2/models/tiny/config":
            return h.say(200, {"name": "tiny", "max_batch_size": 0, "input": [
                {"name": "Q"}, {"name": "POSITIONS", "dims": [POINTS, 3], "optional": True}, {"name": "K"},
                {"name": "V"}]})
        return h.say(404, {"error": "Not Found"})

    def post(self, h, body):
        if h.path == "/v2/repository/index":
            return h.say(200, [{"name": m, "version": "1", "state": "READY", "reason": ""} for m in self.models] +
                         [{"name": "broken", "version": "1", "state": "UNAVAILABLE", "reason": "x"}])
        if m := re.fullmatch(r"/v2/systemsharedmemory/region/([^/]+)/register", h.path):
            asked = json.loads(body)
            with open("/dev/shm" + asked["key"], "r+b") as f:
                self.regions[m[1]] = mmap.mmap(f.fileno(), asked["byte_size"])
            return h.say(200)
        if m := re.fullmatch(r"/v2/systemsharedmemory/region/([^/]+)/unregister", h.path):
            self.gone.append(m[1])
            return h.say(200)
        if h.path == "/v2/models/tiny/infer":
            return self.infer(h, body)
        return h.say(404, {"error": "Not Found"})

    def infer(self, h, body):
        size = int(h.headers["Inference-Header-Content-Length"])
        asked, at, inputs = json.loads(body[:size]), size, {}
        for i in asked["inputs"]:
            parameters, dtype = i["parameters"], np.dtype(TYPES[i["datatype"]])
            if "shared_memory_region" in parameters:
                inputs[i["name"]] = np.frombuffer(self.regions[parameters["shared_memory_region"]], dtype,
                                                  parameters["shared_memory_byte_size"] // dtype.itemsize,
                                                  parameters.get("shared_memory_offset", 0)).reshape(i["shape"]).copy()
            else:
                count = parameters["binary_data_size"]
                inputs[i["name"]] = np.frombuffer(body, dtype, count // dtype.itemsize, at).reshape(i["shape"])
                at += count
        assert at == len(body)
        with self.lock:
            n = len(self.inferences)
            self.inferences.append((asked, inputs))
        decided = self.decide(n, asked) if self.decide else None
        if decided == "drop":
            h.close_connection = True
            return h.connection.shutdown(socket.SHUT_RDWR)
        if decided:
            return h.say(decided[0], decided[1])
        results, outputs, tail = {"O": 2 * inputs["Q"], "LSE": np.zeros(inputs["Q"].shape[:-1], np.float32)}, [], b""
        for o in asked["outputs"]:
            result, parameters = results[o["name"]], o["parameters"]
            entry = {"name": o["name"], "datatype": self.datatype, "shape": list(result.shape)}
            if "shared_memory_region" in parameters:
                first = parameters.get("shared_memory_offset", 0)
                assert parameters["shared_memory_byte_size"] == result.nbytes
                self.regions[parameters["shared_memory_region"]][first:first + result.nbytes] = result.tobytes()
            else:
                entry["parameters"] = {"binary_data_size": result.nbytes}
                tail += result.tobytes()
            outputs.append(entry)
        head = json.dumps({"model_name": "tiny", "model_version": "1", "outputs": outputs}).encode()
        return h.say(200, head + tail, Inference_Header_Content_Length=len(head))


def shared_names():
    """Names in /dev/shm that `bench serve` may have left."""
    return {p.name for p in pathlib.Path("/dev/shm").glob("vicinal-bench-*")} if os.path.isdir("/dev/shm") else set()
