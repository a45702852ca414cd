#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend on a GPU in the real Triton, on a machine that has neither our build nor Triton's clients: Python with
NumPy is enough.  Results over HTTP, over CUDA shared memory (aligned and not), with new positions and while the model
is replaced are held against `vicinal run --device cuda`, bit by bit.

    gpu_trial.py pack DIR    on the build machine, after a CUDA build (preset cuda, or VIC_BUILD): what it takes, 50 MB
    gpu_trial.py run DIR     on the GPU machine; the last line says what came of it; exit code 1 when something failed
"""
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
N, HEADS, DIM, CUTOFF = 3000, 4, 64, 7.0
LIBRARIES = ("libtriton_vicinal.so", "libvicinal.so.0.2", "libvicinal_structure.so.0.2")


def pack(folder):
    """The server, the backend with its libraries, the command, and this script, into `folder`."""
    import triton_tools as tools

    server = tools.server_path().parents[3]
    build = pathlib.Path(os.environ.get("VIC_BUILD") or tools.ROOT / "build/cuda")
    (folder / "backends/vicinal").mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        source = build / name if (build / name).exists() else build / "triton/backends/vicinal" / name
        subprocess.run(["strip", "-g", "-o", folder / "backends/vicinal" / name, source.resolve()], check=True)
    subprocess.run(["strip", "-o", folder / "vicinal", build / "vicinal"], check=True)
    with tarfile.open(folder / "triton.tar.xz", "w:xz", preset=6) as archive:
        for name in ("pytriton/tritonserver/bin", "nvidia_pytriton.libs"):
            archive.add(server / name, name)
    for name in ("gpu_trial.py", "triton_tools.py"):
        (folder / name).write_bytes((tools.ROOT / "tests/triton" / name).read_bytes())


# ---- HTTP, without a client library ------------------------------------------------------------------------------

def post(server, path, head, body=b""):
    """The JSON and the bytes behind it that Triton answers to JSON with bytes behind it; RuntimeError with its text."""
    text = json.dumps(head).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.http}{path}", data=text + body, headers={
        "Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            length = int(answer.headers.get("Inference-Header-Content-Length") or -1)
            data = answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{path}: {error.code} {error.read().decode()[:300]}") from error
    length = len(data) if length < 0 else length
    return json.loads(data[:length] or b"{}"), data[length:]


def names_of(dtype):
    return {np.dtype(np.float32): "FP32", np.dtype(np.float64): "FP64", np.dtype(np.float16): "FP16"}[np.dtype(dtype)]


def infer(server, model, arrays, request_id="1"):
    """name -> bytes of each output, and the answer's parameters."""
    head = {"id": request_id, "parameters": {"binary_data_output": True}, "inputs": [
        {"name": name, "shape": list(x.shape), "datatype": names_of(x.dtype),
         "parameters": {"binary_data_size": x.nbytes}} for name, x in arrays.items()]}
    answer, data = post(server, f"/v2/models/{model}/infer", head, b"".join(x.tobytes() for x in arrays.values()))
    found, at = {}, 0
    for one in answer.get("outputs", []):
        size = one["parameters"]["binary_data_size"]
        found[one["name"]] = data[at:at + size]
        at += size
    return found, answer.get("parameters", {})


# ---- CUDA memory, by the driver alone ----------------------------------------------------------------------------

class Gpu:
    """Memory of GPU 0 that this process can share."""

    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        context, device = ctypes.c_void_p(), ctypes.c_int()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *arguments):
        code = getattr(self.cuda, name)(*arguments)
        if code != 0:
            raise RuntimeError(f"{name}: CUDA error {code}")

    def allocate(self, size):
        """An address, and the handle by which others open it."""
        address, handle = ctypes.c_uint64(), (ctypes.c_char * 64)()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        self.call("cuIpcGetMemHandle", handle, address)
        return address.value, bytes(handle)

    def put(self, address, data):
        self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), ctypes.c_char_p(data), ctypes.c_size_t(len(data)))

    def get(self, address, size):
        out = ctypes.create_string_buffer(size)
        self.call("cuMemcpyDtoH_v2", out, ctypes.c_uint64(address), ctypes.c_size_t(size))
        return out.raw


def over_cuda_memory(server, gpu, model, arrays, outputs, offset):
    """As infer(), with inputs and outputs in one region of the GPU that begins `offset` bytes into its allocation."""
    import base64

    sizes = [(name, x.nbytes) for name, x in arrays.items()] + list(outputs.items())
    total = offset + sum(size for _, size in sizes)
    address, handle = gpu.allocate(total)
    region = f"region{offset}"
    post(server, f"/v2/cudasharedmemory/region/{region}/register",
         {"raw_handle": {"b64": base64.b64encode(handle).decode()}, "device_id": 0, "byte_size": total})
    place, at = {}, offset
    for name, size in sizes:
        place[name] = at
        at += size
    for name, x in arrays.items():
        gpu.put(address + place[name], x.tobytes())

    def where(name, size):
        return {"shared_memory_region": region, "shared_memory_offset": place[name], "shared_memory_byte_size": size}

    post(server, f"/v2/models/{model}/infer", {
        "inputs": [{"name": name, "shape": list(x.shape), "datatype": names_of(x.dtype),
                    "parameters": where(name, x.nbytes)} for name, x in arrays.items()],
        "outputs": [{"name": name, "parameters": where(name, size)} for name, size in outputs.items()]})
    found = {name: gpu.get(address + place[name], size) for name, size in outputs.items()}
    post(server, f"/v2/cudasharedmemory/region/{region}/unregister", {})
    return found


# ---- The trial ---------------------------------------------------------------------------------------------------

def run(folder):
    if not (folder / "pytriton").exists():
        with tarfile.open(folder / "triton.tar.xz") as archive:
            archive.extractall(folder)
    os.environ["VIC_TRITON_SERVER"] = str(folder / "pytriton/tritonserver/bin/tritonserver")
    os.environ["VIC_BINARY"] = str(folder / "vicinal")
    os.environ["LD_LIBRARY_PATH"] = f"{folder / 'backends/vicinal'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    kind = os.environ.get("VIC_TRIAL_KIND", "GPU")  # CPU: a rehearsal where there is none
    import triton_tools as tools

    tools.BACKENDS, device = folder / "backends", "cuda" if kind == "GPU" else "cpu"
    rng, side = np.random.default_rng(1), 32.0
    positions = rng.uniform(0, side, (N, 3))
    group = f"instance_group {{ kind: KIND_{kind} count: 2 }}"
    common = {"structure": "s.xyz", "cutoff": CUTOFF, "heads": HEADS, "head_dim": DIM, "dtype": "FP16"}  # as GPUs take
    wanted = {"plain": tools.config(0, group, **common), "half": tools.config(8, group + "\ndynamic_batching { }",
              **common), "moving": tools.config(0, group, positions="FP64", **common),
              "host": tools.config(0, "instance_group { kind: KIND_CPU }", **common)}
    models = folder / "models"
    for name, text in wanted.items():
        (models / name / "1").mkdir(parents=True, exist_ok=True)
        (models / name / "config.pbtxt").write_text(text)
        tools.write_xyz(models / name / "1/s.xyz", positions)
    structure, failed, done = models / "plain/1/s.xyz", [], []

    def command(path, arrays, where=device):
        dtype = names_of(arrays["Q"].dtype)
        return tools.run_command(folder, path, ["--cutoff", str(CUTOFF)], *(arrays[x] for x in "QKV"), dtype, where)

    def step(name, good):
        (done if good else failed).append(name)
        print("ok    " if good else "FAILED", name, flush=True)

    started = time.monotonic()
    server = tools.Server(models)
    try:
        print(f"server ready after {time.monotonic() - started:.1f} s")
        print("\n".join(line for line in server.log.read_text().splitlines() if "vicinal" in line and "kernel" in line))
        given = {name: rng.standard_normal((N, HEADS, DIM)).astype(np.float16) for name in "QKV"}
        want = command(structure, given)
        for length in range(1, 6):
            got, _ = infer(server, "plain", given, "x" * length)
            step(f"HTTP, id of {length}", got["O"] == want["out"] and got["LSE"] == want["lse"])
        step("an instance on the CPU", infer(server, "host", given)[0]["O"] == command(structure, given, "cpu")["out"])
        got, _ = infer(server, "half", {name: np.stack([x, x]) for name, x in given.items()})
        step("a batch of 2", got["O"] == 2 * want["out"])
        outputs = {"O": given["Q"].nbytes, "LSE": 4 * N * HEADS}
        if kind == "GPU":
            gpu = Gpu()
            for offset in (0, 4, 6):
                got = over_cuda_memory(server, gpu, "plain", given, outputs, offset)
                step(f"CUDA shared memory from byte {offset}", got["O"] == want["out"] and got["LSE"] == want["lse"])
            got = over_cuda_memory(server, gpu, "host", given, outputs, 0)
            step("CUDA shared memory, an instance on the CPU", got["O"] == command(structure, given, "cpu")["out"])
        for turn in range(3):
            moved = positions + rng.uniform(-1, 1, (N, 3))
            tools.write_xyz(folder / "moved.xyz", moved)
            got, parameters = infer(server, "moving", {**given, "POSITIONS": moved})
            after, _ = infer(server, "moving", given)
            expected = command(folder / "moved.xyz", given)["out"]
            step(f"positions, turn {turn}", got["O"] == after["O"] == expected
                 and parameters["positions_version"] == turn + 2)

        stop, wrong, count = threading.Event(), [], [0] * 4

        def work(i):
            while not stop.is_set():
                try:
                    got, _ = infer(server, "plain", given)
                    count[i] += 1
                    if got["O"] != want["out"]:
                        wrong.append("another result")
                except (RuntimeError, OSError) as error:
                    wrong.append(str(error))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        times = []
        for turn in range(20):
            values = {**common, "revision": turn}
            full = {"backend": "vicinal", "instance_group": [{"kind": f"KIND_{kind}", "count": 2}],
                    "parameters": {key: {"string_value": str(value)} for key, value in values.items()}}
            before = time.monotonic()
            post(server, "/v2/repository/models/plain/load", {"parameters": {"config": json.dumps(full)}})
            times.append(time.monotonic() - before)
        stop.set()
        for thread in threads:
            thread.join()
        print(f"20 reloads, median {1e3 * sorted(times)[10]:.1f} ms, under {sum(count)} requests; wrong: {wrong[:3]}")
        step("20 reloads under load", not wrong and sum(count) > 0)
    except Exception:
        print(server.log.read_text()[-3000:])
        raise
    finally:
        code = server.stop()
    step("the server ends with 0", code == 0)
    print(f"{len(done)} passed, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("pack", "run"):
        sys.exit(__doc__)
    sys.exit((pack if sys.argv[1] == "pack" else run)(pathlib.Path(sys.argv[2]).resolve()))
