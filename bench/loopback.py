#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`vicinal serve` beside what the loopback itself gives: the same requests by the same client to a server that counts
bytes and sends a fixed answer (bench/loopback.c), and to `vicinal serve` with a model that has next to nothing to do.

    bench/loopback.py [--head-dim 64 --connections 1,8 --http-threads 1 --device cpu] [-o results.jsonl]

A request brings three tensors of POINTS x HEAD_DIM x 4 bytes (1 MiB each by default), the answer is one.  The servers
are loaded in turns, `--rounds` times, by `vicinal bench serve` in a closed loop; medians are printed: answers a second,
the server's processor time an answer (and that of the threads that speak HTTP, which alone do what the other server
does), and what share of the loopback `vicinal serve` reaches by rate and by that time.  With --core N the servers and
the client all run on that processor, so that the rates are of processor time alone.  bench_loopback is taken from
beside the program `vicinal`, or compiled by cc.  Only Python's standard library is needed."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from serve import Server, free_ports

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--points", type=int, help="default: what makes tensors of 1 MiB (float32; on a GPU float16)")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--connections", default="1,8", help="numbers of connections; default 1,8")
    parser.add_argument("--http-threads", type=int, default=1, help="of either server; default 1")
    parser.add_argument("--threads", type=int, default=1, help="of the client; default 1")
    parser.add_argument("--shm", choices=["none", "system"], default="none", help="how `vicinal serve` gets tensors")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, help="the one processor for all; default: any")
    parser.add_argument("--vicinal", default=ROOT / "build/release/vicinal", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, help="lines of JSON are added to this file")
    o = parser.parse_args()
    o.dtype, o.size = ("float32", 4) if o.device == "cpu" else ("float16", 2)
    o.points = o.points or (1 << 20) // (o.head_dim * o.size)
    return o


def loopback_program(o, folder):
    beside = o.vicinal.parent / "bench_loopback"
    if beside.exists():
        return beside
    program = folder / "bench_loopback"
    subprocess.run(["cc", "-O2", "-std=c17", "-pthread", ROOT / "bench/loopback.c", "-o", program], check=True)
    return program


def on_core(o):
    return [] if o.core is None else ["taskset", "-c", str(o.core)]


class Loopback:
    """The server of bench/loopback.c, as long as the block lasts."""

    def __init__(self, o, folder):
        floats = o.points * o.size // 4  # as many bytes
        command = [*on_core(o), loopback_program(o, folder), str(floats), "1", str(o.head_dim), str(o.http_threads)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def start_serve(o, folder):
    """A model in which every point attends to itself."""
    structure = folder / "model.xyz"
    side = 1 + int(o.points ** (1 / 3))
    rows = [f"C {2 * (i % side)} {2 * (i // side % side)} {2 * (i // side ** 2)}" for i in range(o.points)]
    structure.write_text(f"{o.points}\nPoints on a grid\n" + "\n".join(rows) + "\n")
    (port,) = free_ports(1)
    command = [*on_core(o), o.vicinal, "serve", structure, "--windows", "1,1", "--heads", "1", "--head-dim",
               str(o.head_dim), "--device", o.device, "--port", str(port), "--http-threads", str(o.http_threads),
               "--dtype", o.dtype, "--allow-client-shm"]
    return Server("vicinal serve", command, port, folder / "serve.log")


def http_and_all(pid):
    """Processor time so far, in ticks, of the process's threads that speak HTTP, and of all."""
    http = everything = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        spent = sum(map(int, fields.split()[11:13]))
        everything += spent
        http += spent if name == "vicinal-http" else 0
    return http, everything


def load(o, name, server, connections, shm):
    """One run of `vicinal bench serve`."""
    command = [*on_core(o), o.vicinal, "bench", "serve", f"127.0.0.1:{server.port}", "--model", "model",
               "--connections", str(connections), "--threads", str(min(o.threads, connections)), "--seconds",
               str(o.seconds), "--warm-up", "0.5", "--shm", shm, "--pid", str(server.process.pid), "--json"]
    before = http_and_all(server.process.pid)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench/loopback.py: {name}: {(done.stderr or done.stdout).strip()}")
    r = json.loads(done.stdout)
    us = 1e6 * r["server_process"]["cpu_seconds_per_answer"]
    http, everything = (now - then for now, then in zip(http_and_all(server.process.pid), before))
    http = us if name == "loopback" else us * http / max(everything, 1)
    row = {"server": name, "connections": connections, "rate": r["answers_per_second"], "us": us, "http_us": http,
           "p50": r["latency"]["p50"]}
    if o.output:
        with open(o.output, "a", encoding="utf-8") as out:
            out.write(json.dumps({**row, "points": o.points, "head_dim": o.head_dim, "http_threads": o.http_threads,
                                  "shm": shm, "device": o.device, "core": o.core}) + "\n")
    return row


def main():
    o = arguments()
    o.vicinal = o.vicinal.resolve()
    tensor = o.points * o.head_dim * o.size
    print(f"3 x {tensor} bytes in, {tensor} out; {o.http_threads} HTTP threads; {os.cpu_count()} processors, load "
          f"{os.getloadavg()[0]:.1f}; medians of {o.rounds} runs of {o.seconds:g} s")
    print(f"{'':11}  {'loopback':^20}  {'vicinal serve':^30}  {'share of':^16}")
    print(f"{'connections':>11}  {'/s':>8} {'CPU us':>11}  {'/s':>8} {'CPU us':>10} {'HTTP us':>10}  "
          f"{'rate':>7} {'HTTP':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with Loopback(o, folder) as loopback, start_serve(o, folder) as server:
            for connections in map(int, o.connections.split(",")):
                runs = [(load(o, "loopback", loopback, connections, "none"),
                         load(o, "vicinal serve", server, connections, o.shm)) for _ in range(o.rounds)]
                floor, ours = ({key: statistics.median(run[side][key] for run in runs)
                                for key in ("rate", "us", "http_us")} for side in (0, 1))
                print(f"{connections:11}  {floor['rate']:8.0f} {floor['us']:11.0f}  {ours['rate']:8.0f} "
                      f"{ours['us']:10.0f} {ours['http_us']:10.0f}  {ours['rate'] / floor['rate']:7.0%} "
                      f"{floor['us'] / ours['http_us']:8.0%}", flush=True)


if __name__ == "__main__":
    main()
