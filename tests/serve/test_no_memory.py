# SPDX-License-Identifier: Apache-2.0
"""Each allocation of a server failing, one a run: it answers with an error or ends with one, does not crash or hang, and
answers the next request. A sample of them; all with VIC_TEST_FULL=1."""
import base64
import os
import pathlib
import shutil
import signal
import subprocess

import numpy as np
import pytest

from conftest import CHAIN, PATIENCE, Server

RUNS = 200
STRUCTURE = base64.b64encode(b"3\n\nC 0 0 0\nC 1 0 0\nC 2 0 0\n").decode()


@pytest.fixture
def preloaded(binary, tmp_path):
    """The library that makes one fail, and where it says how many there were."""
    program = pathlib.Path(binary).read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        pytest.skip("a sanitizer has allocations of its own")
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    library = tmp_path / "fail_one.so"
    subprocess.run([compiler, "-std=c17", "-O1", "-shared", "-fPIC", "-o", library,
                    pathlib.Path(__file__).with_name("fail_one.c")], check=True, timeout=PATIENCE)
    return library, tmp_path / "count"


def scenario(server, tensors):
    """Something of everything; answers may be errors, or not come."""
    given = tensors()
    as_json = {"inputs": [{"name": n, "shape": [5, 2, 8], "datatype": "FP32", "data": a.tolist()} for n, a in
                          given.items()], "outputs": [{"name": "O"}, {"name": "LSE"}]}
    steps = [lambda c: c.get("/v2/health/ready"), lambda c: c.get("/v2"), lambda c: c.infer("tiny", given),
             lambda c: c.infer("tiny", given), lambda c: c.post("/v2/models/tiny/infer", as_json),
             lambda c: c.post("/v2/models/tiny/infer", b"{"), lambda c: c.get("/v2/models/none"),
             lambda c: c.infer("tiny", {**given, "POSITIONS": CHAIN + 0.1}),
             lambda c: c.post("/v2/repository/models/new/load", {"parameters": {"file:x": STRUCTURE}}),
             lambda c: c.infer("new", tensors(3)), lambda c: c.post("/v2/repository/models/new/unload"),
             lambda c: c.post("/v2/systemsharedmemory/region/r/register", {"key": "/vic_none", "byte_size": 5}),
             lambda c: c.get("/v2/models/tiny/config"), lambda c: c.get("/v2/models/stats"),
             lambda c: c.get("/metrics"), lambda c: c.get("/status.json"), lambda c: c.get("/")]
    seen = []
    for step in steps:
        try:
            with server.client() as client:
                answer = step(client)
                seen.append(answer.status if answer else None)
        except ConnectionError:
            seen.append(None)
    return seen


def run(binary, tmp_path, preloaded, tensors, number):
    """With that allocation failing: what was answered, or None where the server did not start, having said why."""
    library, count = preloaded
    env = {"LD_PRELOAD": str(library), "VIC_FAIL_AT": str(number), "VIC_FAIL_COUNT": str(count)}
    arguments = ["tiny.xyz", "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--allow-client-shm"]
    try:
        server = Server(binary, arguments, tmp_path, env)
    except AssertionError as error:
        text = str(error)
        assert "exit code -" not in text, text
        return None
    try:
        seen = scenario(server, tensors)
        for _ in range(3):  # and goes on as if nothing had been; the first may be the one that is hit
            try:
                with server.client() as client:
                    answer = client.infer("tiny", tensors())
            except ConnectionError:
                continue
            if answer and answer.status == 200:
                break
        assert answer and answer.status == 200, (number, answer.body, seen)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0, (number, server.log)
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()
        server.log_file.close()
    return seen


def test_each_allocation_failing(binary, tmp_path, tiny, preloaded, tensors):
    good = run(binary, tmp_path, preloaded, tensors, 0)
    count = int(preloaded[1].read_text())
    assert good.count(200) == 14 and None not in good, good
    step = 1 if os.environ.get("VIC_TEST_FULL") else max(1, count // RUNS)
    results = [run(binary, tmp_path, preloaded, tensors, number) for number in range(1, count + 1, step)]
    started = [r for r in results if r is not None]
    hurt = [r for r in started if r != good]
    print(f"{len(results)} of {count} allocations failed one by one: {len(results) - len(started)} times no start, "
          f"{len(hurt)} times another answer")
    assert started and len(started) < len(results)
    for seen in started:
        assert sum(a != b for a, b in zip(seen, good)) <= 3, seen  # one, and what needed it
