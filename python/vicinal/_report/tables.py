# SPDX-License-Identifier: Apache-2.0
"""Records as tables, which both forms of the report show: what is compared, and the columns of each kind."""
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field

from .records import case, commit, count, duration, structure, three


@dataclass
class Table:
    """`rows` are cells and, last, the record or None; cells are text.  `first` columns are words, the others numbers."""
    title: str
    columns: list
    rows: list = field(default_factory=list)
    note: str = ""
    words: int = 1


NOT_EXACT = "other pairs: whole blocks"


@dataclass
class Peers:
    """One case: the same input by several ways, in one process.  `ways` are (label, seconds or None, record, what is to
    be said of it: why it was not timed, or that it computes something else)."""
    title: str
    device: str
    ways: list

    @property
    def ours(self):
        return min((s for label, s, *_ in self.ways if s and label.startswith("vicinal")), default=None)

    @property
    def best_other(self):
        """(times as long as ours, label) of the fastest that is not ours, or None."""
        others = [(s, label) for label, s, _, said in self.ways
                  if s and not label.startswith("vicinal") and said != NOT_EXACT]
        if not others or not self.ours:
            return None
        seconds, label = min(others)
        return seconds / self.ours, label


def _times(record):
    """The members "single", "graph", ... of a launch's times that are there."""
    return [(key, words) for key, words in (("single", "single launches"), ("graph", "in a graph"),
                                            ("cold", "L2 flushed")) if record.get(f"seconds.{key}.p50") is not None]


def attention(records):
    table = Table("Attention, one launch", ["case", "timed", "P50", "P95", "P99", "least", "σ", "TFLOP/s computed",
                                            "useful", "GB/s", "error"], words=2)
    for r in records:
        if r.kind != "latency":
            continue
        for key, words in _times(r):
            t = r.get(f"seconds.{key}")
            table.rows.append(([case(r), words, *(duration(t[name]) for name in ("p50", "p95", "p99", "min")),
                                f"{100 * t['relative_sigma']:.1f} %", *(three(t[name]) if name in t else "" for name in
                                  ("tflops_computed", "tflops_useful", "gb_per_second")),
                                f"{r.get('check.relative_frobenius', 0):.1e}"], r))
        back = r.get("backward.seconds.single.p50")
        if back is not None:
            t = r.get("backward.seconds.single")
            table.rows.append(([case(r), "gradients", *(duration(t[name]) for name in ("p50", "p95", "p99", "min")),
                                f"{100 * t['sigma'] / t['mean']:.1f} %", "", "", "",
                                f"{r.get('backward.error', 0):.1e}"], r))
    table.note = ("TFLOP/s count 4 pairs x head size: of the pairs that the kernel executes, and of those of the pattern. "
                  "The error is relative (Frobenius), beside float64.")
    return table


def patterns(records):
    table = Table("Building patterns", ["case", "pairs", "positions to pattern", "least", "memory"])
    for r in records:
        total = r.get("seconds.total")
        if r.kind == "pattern" and isinstance(total, dict):
            table.rows.append(([f"{case(r)}, {count(r.get('atoms'), 'atom')}", f"{r.get('pairs'):,}",
                                duration(total["p50"]), duration(total["min"]), f"{r.get('bytes') / 1e6:,.1f} MB"], r))
    return table


def throughput(records):
    table = Table("Queries a second, one process", ["case", "tensors", "in flight", "queries a second", "P50", "P99",
                                                    "batch", "of a lone query"], words=2)
    for r in records:
        if r.kind == "throughput" and r.get("engine"):
            table.rows.append(([case(r), r.get("tensors") or "resident",
                                f"{r.get('workers') or 1} x {r.get('in_flight')}",
                                f"{r.get('engine.queries_per_second'):,.0f}", duration(r.get("engine.latency.p50")),
                                duration(r.get("engine.latency.p99")), three(r.get("engine.mean_batch")),
                                duration(r.get("lone.latency.p50")) if r.get("lone") else ""], r))
    table.note = "In flight: workers x queries each, asked again as soon as one is answered."
    return table


def serving(records):
    table = Table("Queries a second, over the network", ["server", "client", "shared memory", "connections",
                                                         "answers a second", "P50", "P99"], words=3)
    for r in records:
        if r.kind != "serve":
            continue
        inner = r.get("result") if isinstance(r.get("result"), dict) else r.data
        rate, latency = inner.get("answers_per_second", r.get("rate")), inner.get("latency") or r.data
        if rate is None:
            continue
        table.rows.append(([str(r.get("server")), str(r.get("client") or "vicinal bench serve"), str(r.get("shm")),
                            f"{r.get('connections')}", f"{rate:,.0f}", duration(latency["p50"]),
                            duration(latency["p99"])], r))
    return table


def scaling(records):
    """{(device, over, what is the same): [(value, record)]} in the order of the files; of a value the last counts."""
    found = defaultdict(dict)
    for r in records:
        if r.kind == "scaling" and r.get("seconds.single.p50") is not None:
            fixed = {"atoms": "", "blocks": ""}.get(r.get("over"), structure(r))
            words = [fixed, r.get("dtype")]
            if r.get("over") not in ("heads", "head-dim"):
                words.insert(1, f"{r.get('heads')} x {r.get('head_dim')}")
            if r.get("over") != "cutoff" and r.get("cutoff"):
                words.insert(1, f"{r.get('cutoff'):g} Å")
            if any(r.get("periodic") or []):
                words.append("periodic")
            x = scale_of(r)
            if x is not None:
                found[r.device, r.get("over"), ", ".join(filter(None, words))][x] = r
    return {key: sorted(rows.items()) for key, rows in found.items()}


def median(record):
    """Of launches in a graph where there were such, else of single ones."""
    graph = record.get("seconds.graph.p50")
    return graph if graph is not None else record.get("seconds.single.p50")


def scale_of(r):
    """What grows, as a number."""
    over, value = r.get("over"), str(r.get("value"))
    if over == "atoms":
        return r.get("atoms")
    try:
        return float(value)
    except ValueError:
        return None


def peers(records):
    """Cases of bench/peers_*.py and of `vicinal compare`."""
    found, order = {}, []

    def add(title, label, seconds, record, why):
        key = record.file, record.device, title
        if key not in found:
            found[key] = Peers(title, record.device, [])
            order.append(key)
        found[key].ways.append((label, seconds, record, why))

    for r in records:
        if r.kind == "peers" and (r.get("peer") != "vicinal-caller" or r.get("status") == "timed"):
            ms = r.get("ms_graph") or r.get("ms")
            seconds = r.get("seconds") if r.get("seconds") is not None else ms and ms / 1000
            add(case(r) + (", positions to pairs" if r.get("what") == "pairs" else ""), r.get("label") or r.get("peer"),
                seconds, r, (r.get("reason") or r.get("status")) if not seconds else
                NOT_EXACT if r.get("exact") is False else "")
        elif r.kind == "compare":
            for way in r.get("methods"):
                add(case(r), way["label"], way.get("seconds"), r, way.get("reason") or "")
                back = way.get("backward")
                if back:
                    add(case(r) + ", forward and gradients", way["label"], back.get("seconds"), r, back.get("reason") or "")
    return [found[key] for key in order]


def peers_table(group):
    table = Table(f"{group.title} ({group.device})", ["", "time", "beside vicinal's best"])
    for label, seconds, record, said in sorted(group.ways, key=lambda w: w[1] or float("inf")):
        ratio = f"{three(seconds / group.ours)} x" if seconds and group.ours else ""
        words = duration(seconds) if seconds else f"not timed: {textwrap.shorten(said or '?', 70)}"
        table.rows.append(([label + (f" ({said})" if seconds and said else ""), words, ratio], record))
    return table


def sources(records):
    """Of each file: how many results of which kinds, of which builds and machines."""
    table = Table("Files", ["file", "results", "measured on", "commit"], words=4)
    by_file = defaultdict(list)
    for r in records:
        by_file[r.file].append(r)
    for name, rows in by_file.items():
        kinds = [r.kind for r in rows]
        words = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
        devices = dict.fromkeys(r.device for r in rows if r.kind != "other")
        commits = dict.fromkeys(filter(None, (commit(r) for r in rows)))
        table.rows.append(([name, words, "; ".join(devices), ", ".join(commits)], None))
    return table
