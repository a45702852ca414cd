#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a call of vicinal.attention() from Python costs beside the work itself.

    VIC_LIBRARY=BUILD/libvicinal.so PYTHONPATH=python bench/python_calls.py [--device cuda] [--json FILE]

CPU: 16 atoms, one head of 8, one thread: microseconds of a call, the least of 400 times 200.  GPU: 200 atoms, 4 heads of
64, float16: microseconds of the host until the call returns (queue empty at first), and of a call inside a CUDA graph.
"""
import argparse
import ctypes as c
import json
import platform
import statistics
import time

import torch

import vicinal
from vicinal import _c


def least(function, times=200, rounds=400):
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(times):
            function()
        best = min(best, (time.perf_counter() - begin) / times)
    return best * 1e6


def queued(function, times=20, rounds=200):
    """On a GPU: a few calls at a time, so that the queue never fills."""
    found = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            function()
        found.append((time.perf_counter() - begin) / times)
    return statistics.median(found) * 1e6


def measure(device):
    gpu = device == "cuda"
    n, heads, d, dtype = (200, 4, 64, torch.float16) if gpu else (16, 1, 8, torch.float32)
    torch.set_num_threads(1)
    vicinal.set_num_threads(1)
    torch.manual_seed(0)
    pattern = vicinal.pattern(torch.rand(n, 3) * (n / 8) ** (1 / 3) * 3, 3.0)
    q, k, v = (torch.randn(n, heads, d, dtype=dtype, device=device) for _ in range(3))
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    from vicinal import _torch
    args = _c.STRUCTS["vic_attention_args"](**{name: _torch._tensor(x) for name, x in (
        ("q", q), ("k", k), ("v", v), ("out", out), ("lse", lse))})
    if gpu:
        args.stream = torch.cuda.current_stream().cuda_stream or 1
        workspace = torch.empty(1 << 22, dtype=torch.uint8, device=device)
        args.workspace, args.workspace_size = workspace.data_ptr(), workspace.numel()
    error = _c.STRUCTS["vic_error"]()
    call, where = _c.library().vicpy_attention, (pattern._number, c.addressof(args), False, c.addressof(error))
    raw, number, nan = torch.ops.vicinal.attn.default, pattern._number, float("nan")
    clock = queued if gpu else least
    found = {
        "the C call, through ctypes with its arguments (and workspace) made before": clock(lambda: call(*where)),
        "an empty C function through ctypes": clock(lambda: _c.library().vicpy_pattern(0)),
        "torch.empty twice, the results": clock(lambda: (torch.empty_like(q), torch.empty(n, heads, device=device))),
        "torch.ops.vicinal.attn": clock(lambda: raw(q, k, v, number, nan, False)),
        "vicinal.attention": clock(lambda: vicinal.attention(q, k, v, pattern)),
        "vicinal.attention, return_lse": clock(lambda: vicinal.attention(q, k, v, pattern, return_lse=True)),
    }
    if gpu:
        graph, calls = torch.cuda.CUDAGraph(), 100
        with torch.cuda.graph(graph):
            for _ in range(calls):
                vicinal.attention(q, k, v, pattern)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        times = []
        for _ in range(50):
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) * 1e3 / calls)
        found["a call inside a CUDA graph, on the GPU's clock"] = statistics.median(times)
        spans = (c.c_double * 300)()
        options = _c.STRUCTS["vic_time_options"](launches=300, in_graph=100)
        made = _c.STRUCTS["vic_plan_options"](heads=heads, kv_heads=heads, head_dim=d, head_dim_v=d, dtype=_c.DTYPES["float16"])
        made.device.type = _c.CUDA
        context = _c.context(_c.CUDA)
        plan = _c.make("vic_plan_create", context, _c.library().vicpy_pattern(number), c.addressof(made))
        args.stream = None
        _c.call("vic_attention_time", context, plan, c.addressof(args), c.addressof(options), spans)
        _c.library().vic_plan_free(plan)
        found["the C library's call in a graph of its own"] = statistics.median(spans) * 1e6
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json")
    o = parser.parse_args()
    found = measure(o.device)
    for name, us in found.items():
        print(f"{us:8.2f} us  {name}")
    if o.json:
        there = {"torch": torch.__version__, "python": platform.python_version(), "vicinal": vicinal.environment(),
                 "gpu": torch.cuda.get_device_name() if o.device == "cuda" else None}
        with open(o.json, "w", encoding="utf-8") as file:
            json.dump({"microseconds": found, "where": there}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
