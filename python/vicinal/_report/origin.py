# SPDX-License-Identifier: Apache-2.0
"""The benchmark report that vicinal began with, line by line, and what is measured for each.

It was of a block-sparse system on one H100: about 100,000 atoms, 80 % of the blocks empty, blocks of 128 x 128, head
size 64, float16.  Its shape here is origin:800, 800 full blocks and one head."""
from dataclasses import dataclass

from .records import Record, duration, three


@dataclass
class Line:
    what: str
    theirs: str
    ours: str
    ratio: float  # above 1: ours is better; None where it was not measured
    record: Record
    note: str = ""


def _is_origin(record):
    """800 of its blocks and one head, on a GPU."""
    return (record.get("block128.full") == 800 and record.get("heads") == 1 and record.get("head_dim") == 64 and
            record.get("batch", 1) == 1 and str(record.get("device", "")).startswith("cuda") and
            "unfused" not in str(record.get("kernel")))


def _last(records, path):
    return next((r for r in reversed(records) if r.get(path) is not None), None)


def lines(records):
    """The table; empty where no result is of the origin's shape."""
    mine = [r for r in records if _is_origin(r)]
    if not mine:
        return []
    latency = ([r for r in mine if r.kind == "latency"] or [r for r in mine if r.kind == "scaling"] or mine)
    engine = sorted((r for r in mine if r.kind == "throughput"), key=lambda r: r.get("engine.queries_per_second", 0))
    table = []

    def add(what, theirs, number, path, pool, ours, larger, note=""):
        record = _last(pool, path)
        value = record and record.get(path)
        ratio = None if record is None else value / number if larger else number / value
        table.append(Line(what, theirs, ours(value) if record else "not measured", ratio, record, note))

    add("latency of a query", "0.460 ms", 0.460e-3, "seconds.single.p50", latency, duration, False,
        "median of single launches")
    add("the same in a CUDA graph", "0.460 ms", 0.460e-3, "seconds.graph.p50", latency, duration, False)
    add("TFLOP/s, its count", "16.6", 16.6, "seconds.single.tflops_origin_effective", latency, three, True,
        "one of the two products, over the density of the blocks")
    add("TFLOP/s, both products of the blocks", "7.3", 2 * 1677721600.0 / 0.460e-3 / 1e12,
        "seconds.single.tflops_useful", latency, three, True, "theirs follows from its latency")
    add("queries a second: 1 / latency", "2,174", 2174, "lone_queries_per_second_at_most", engine,
        lambda v: f"{v:,.0f}", True)
    add("queries a second: a process each", "1.73", 1 / 1.73, "process.p50", engine, lambda v: three(1 / v), False,
        "1 / the seconds from a process's start to its answer")
    add("queries a second: a persistent server", "6,807", 6807, "engine.queries_per_second", engine,
        lambda v: f"{v:,.0f}", True, "8 workers, in one process")
    density = _last(mine, "block128.density")
    if density:
        table.append(Line("empty blocks", "80 %", f"{100 * (1 - density.get('block128.density')):.1f} %", None, density))
    return table
