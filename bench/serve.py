#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`vicinal serve` beside Triton with vicinal's backend: the same pattern, the same clients, the same machine.

    bench/serve.py STRUCTURE --cutoff 8 [--heads 4 --head-dim 64 --dtype float32 --device cpu] [-o results.jsonl]

Both servers load one pattern file, made before.  Each is loaded by `vicinal bench serve` (closed loop, for every
number of connections and every way that tensors take) and by perf_analyzer, one after the other, with nothing else
running; then in an open loop with random arrivals at half of the best rate of each way.  At last `vicinal serve` with
room for 128 queries gets twice its best rate over 512 connections: goodput, and how soon the others are refused.

Every line of the results is one run; a table of rates and of the servers' processor time an answer is printed.  What
is missing (Triton, perf_analyzer, a GPU for --shm cuda) is left out, and said.  STRUCTURE may also be what `vicinal
pattern` takes in its place, as origin:800.  Only Python's standard library is needed."""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vicinal/clients"
TYPES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
TICKS = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("structure")
    parser.add_argument("--cutoff", type=float, help="angstrom; of a structure file")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--dtype", choices=TYPES, default="float32")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--connections", default="1,8", help="numbers of connections; default 1,8")
    parser.add_argument("--shm", default="none,system", help="of none, system, cuda; default none,system")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of vicinal bench serve; default: its own")
    parser.add_argument("--vicinal", default=ROOT / "build/release/vicinal", type=pathlib.Path)
    parser.add_argument("--triton", type=pathlib.Path, help="tritonserver's program",
                        default=CACHE / "triton/pytriton/tritonserver/bin/tritonserver")
    parser.add_argument("--backends", type=pathlib.Path, help="folder with vicinal/libtriton_vicinal.so")
    parser.add_argument("--perf-analyzer", type=pathlib.Path, default=CACHE / "perf_analyzer/perf_analyzer")
    parser.add_argument("--only", choices=["serve", "triton"], help="one server alone")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="lines of JSON are added to this file")
    o = parser.parse_args()
    o.backends = o.backends or o.vicinal.parent / "triton/backends"
    return o


def free_ports(count):
    """Ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def cpu_seconds(pid):
    """Processor time of a process, user and system."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """A server that runs, with the model `model`; leaving the block ends it."""

    def __init__(self, name, command, port, log):
        self.name, self.port, self.log = name, port, log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - self.started > 120:
                self.process.kill()
                words = " ".join(map(str, command))
                sys.exit(f"bench/serve.py: {name} does not start: {words}\n{log.read_text()[-3000:]}")
            time.sleep(0.005)
        self.ready_after = time.monotonic() - self.started

    def is_ready(self):
        try:
            return self.get("/v2/models/model/ready") is not None
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.read()

    def inferences(self):
        """How many it has answered, by its own count."""
        return json.loads(self.get("/v2/models/model/stats"))["model_stats"][0]["inference_stats"]["success"]["count"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_serve(o, folder, *more):
    (port,) = free_ports(1)
    command = [o.vicinal, "serve", folder / "model.vnp", "--heads", str(o.heads), "--head-dim", str(o.head_dim),
               "--dtype", o.dtype, "--device", o.device, "--port", str(port), "--max-batch", "64", "--allow-client-shm",
               *(["--allow-cuda-shm"] if o.device != "cpu" else []), *more]
    return Server("vicinal serve", command, port, folder / "serve.log")


def start_triton(o, folder):
    def parameter(name, value):
        return f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'
    model = folder / "models/model"
    (model / "1").mkdir(parents=True)
    os.link(folder / "model.vnp", model / "1/pattern.vnp")
    instances = ""
    if o.device != "cpu":
        instances = f"instance_group [ {{ kind: KIND_GPU gpus: [ {o.device.partition(':')[2] or 0} ] }} ]\n"
    (model / "config.pbtxt").write_text(
        'backend: "vicinal"\nmax_batch_size: 64\n' + instances + parameter("heads", o.heads)
        + parameter("head_dim", o.head_dim) + parameter("dtype", o.dtype))
    http, grpc, metrics = free_ports(3)
    return Server("Triton", [o.triton, f"--model-repository={folder}/models", f"--backend-directory={o.backends}",
                             "--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1",
                             f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"],
                  http, folder / "triton.log")


def load_by_bench(o, server, connections, shm, *more):
    """One run of `vicinal bench serve`: its own JSON."""
    command = [o.vicinal, "bench", "serve", f"127.0.0.1:{server.port}", "--model", "model", "--connections",
               str(connections), "--seconds", str(o.seconds), "--shm", shm, "--pid", str(server.process.pid), "--json",
               *(["--threads", str(o.threads)] if o.threads else []), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"failed": (done.stderr or done.stdout).strip()}
    r = json.loads(done.stdout)
    return {"client": "vicinal bench serve", "rate": r["answers_per_second"], "p50": r["latency"]["p50"],
            "p99": r["latency"]["p99"], "cpu": r["server_process"]["cpu_seconds_per_answer"], "result": r}


def load_by_perf_analyzer(o, server, connections, shm):
    """One run of perf_analyzer, with inputs of zeros: it would send random bits, among them NaN."""
    command = [o.perf_analyzer, "-m", "model", "-u", f"127.0.0.1:{server.port}",
               "--concurrency-range", str(connections), "--input-data", "zero", "-p", str(int(1000 * o.seconds)),
               "-s", "999", "-r", "3", "-f", "pa.csv",
               *(["--shared-memory", shm] if shm != "none" else [])]
    before, cpu = server.inferences(), cpu_seconds(server.process.pid)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder,
                              env={**os.environ, "LD_LIBRARY_PATH": f"{o.perf_analyzer.parent}:"
                                   + os.environ.get("LD_LIBRARY_PATH", "")})
    after = server.inferences()
    found = re.findall(r"^Concurrency: \d+, throughput: ([0-9.]+) infer/sec, latency (\d+) usec", done.stdout, re.M)
    if not found:
        return {"failed": (done.stderr or done.stdout).strip()[-400:]}
    percentile = {p: int(us) * 1e-6 for p, us in re.findall(r"p(50|99) latency: (\d+) usec", done.stdout)}
    return {"client": "perf_analyzer", "rate": float(found[-1][0]), "p50": percentile.get("50"),
            "p99": percentile.get("99"), "cpu": (cpu_seconds(server.process.pid) - cpu) / max(after - before, 1),
            "result": {"command": " ".join(map(str, command)), "stdout": done.stdout, "inferences": after - before}}


def build_of(o):
    """What binary this is, and on which machine, as `vicinal env` says."""
    return json.loads(subprocess.run([o.vicinal, "env", "--json"], capture_output=True, text=True, check=True).stdout)


def add(rows, server, shm, connections, loop, found):
    """Keeps a run, and prints its line of the table."""
    row = {"server": server.name, "shm": shm, "connections": connections, "loop": loop,
           "ready_after": server.ready_after, **found}
    rows.append(row)
    if "failed" in row:
        print(f"{server.name:14} {shm:7} {connections:4} {loop:7} failed: {row['failed'][:160]}", flush=True)
        return
    p50, p99 = (f"{1e6 * row[p]:9.1f}" if row[p] is not None else f"{'-':>9}" for p in ("p50", "p99"))
    print(f"{server.name:14} {shm:7} {connections:4} {loop:7} {row['client']:20} {row['rate']:10.1f} {p50} {p99} "
          f"{1e6 * row['cpu']:9.1f}", flush=True)


def measure(o, server, rows):
    """Closed loops, and open ones at half of the best rate.  Returns the best rate of each way that tensors take."""
    clients = [load_by_bench] + ([load_by_perf_analyzer] if os.access(o.perf_analyzer, os.X_OK) else [])
    best, most = {}, max(map(int, o.connections.split(",")))
    for shm in o.shm.split(","):
        for connections in map(int, o.connections.split(",")):
            for client in clients:
                found = client(o, server, connections, shm)
                add(rows, server, shm, connections, "closed", found)
                if client is load_by_bench:
                    best[shm] = max(best.get(shm, 0), found.get("rate", 0))
        if best[shm] > 0:
            half = load_by_bench(o, server, 4 * most, shm, "--rate", f"{best[shm] / 2:.1f}", "--arrivals", "random")
            add(rows, server, shm, 4 * most, "half", half)
    return best


def overload(o, folder, best, rows):
    """Twice the best rate, on a server that refuses what finds 128 queries before it."""
    with start_serve(o, folder, "--queue", "128") as server:
        for shm, rate in best.items():
            found = {"failed": "there is no best rate"}
            if rate > 0:
                found = load_by_bench(o, server, 512, shm, "--rate", f"{2 * rate:.1f}")
            add(rows, server, shm, 512, "double", found)
            if "failed" in found:
                continue
            r, process = found["result"], found["result"]["server_process"]
            soon = "-" if r["refusals"] is None else f"{1e3 * r['refusals']['p99']:.3f} ms"
            print(f"{'':30} goodput {found['rate'] / rate:.3f} of the best; refused "
                  f"{r['status'].get('503', 0)}, P99 {soon}; unsent {r['unsent']} of {r['due']}; the server's memory "
                  f"{process['rss_before'] / 1e6:.0f} MB before, {process['rss_after'] / 1e6:.0f} after", flush=True)


def main():
    o = arguments()
    starts = {"serve": start_serve, "triton": start_triton}
    if not os.access(o.triton, os.X_OK) or not (o.backends / "vicinal/libtriton_vicinal.so").exists():
        print(f"without Triton: no {o.triton}, or no vicinal/libtriton_vicinal.so in {o.backends}")
        del starts["triton"]
    if not os.access(o.perf_analyzer, os.X_OK):
        print(f"without perf_analyzer: no {o.perf_analyzer}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([o.vicinal, "pattern", o.structure, *(["--cutoff", str(o.cutoff)] if o.cutoff else []), "-o",
                        folder / "model.vnp"], check=True, stdout=subprocess.DEVNULL)
        print(f"{'server':14} {'shm':7} {'conn':>4} {'loop':7} {'client':20} {'answers/s':>10} {'P50 us':>9} "
              f"{'P99 us':>9} {'CPU us':>9}")
        for name, start in starts.items():
            if o.only in (None, name):
                with start(o, folder) as server:
                    best = measure(o, server, rows)
                if name == "serve":
                    overload(o, folder, best, rows)
    if o.output:
        context = {"bench": "serve.py", "command": " ".join(sys.argv), "env": build_of(o),
                   "load_average": os.getloadavg()}
        with open(o.output, "a", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps({**context, **row}) + "\n")
    return 1 if not rows or any("failed" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
