# SPDX-License-Identifier: Apache-2.0
"""What `vicinal bench all` measures: lines of `vicinal bench`, one after the other, and what counts of each."""
import math
import random
from dataclasses import dataclass

SPACING = 10.0  # cubic angstrom an atom, as in proteins and water


@dataclass
class Case:
    name: str
    words: list          # after `vicinal bench`
    quick: bool = False  # also with --quick
    needs: str = ""      # "cpu" or "cuda": only there


def write_box(path, atoms):
    """Random atoms in a periodic cube, the same everywhere: what is measured where no structure is given."""
    side = (atoms * SPACING) ** (1 / 3)
    draw = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        cell = " ".join(f"{side if i % 4 == 0 else 0.0:.4f}" for i in range(9))
        file.write(f'{atoms}\nLattice="{cell}" Properties=species:S:1:pos:R:3 pbc="T T T"\n')
        for _ in range(atoms):
            file.write("C {:.4f} {:.4f} {:.4f}\n".format(*(side * draw.random() for _ in range(3))))


def cases(file, cutoff, device, quick, has_cell):
    """The list; the first is measured again at the end, which tells the noise."""
    gpu = device == "cuda"
    half = ["--dtype", "float16"] if gpu else []
    on = ["--device", device]
    base = [file, "--cutoff", f"{cutoff:g}", *half, *on]
    structure = [file, "--cutoff", f"{cutoff:g}"]
    if gpu:
        timing = ["--launches", "200" if quick else "1000", "--sustain", "0"]
    else:
        timing = ["--launches", "7"] if quick else []
    seconds = ["--seconds", "2" if quick else "8", "--processes", "3" if quick else "5"]
    cutoffs = ",".join(f"{c:g}" for c in (0.75 * cutoff, cutoff, 1.25 * cutoff))
    dense, heads, batches = (("dense:16384", "16", "1,4,16,64") if gpu else ("dense:4096", "1", "1,2,4"))
    listed = [
        Case("attention", ["latency", *base, *timing], True),
        Case("attention, caller's order", ["latency", *base, "--order", "caller", *timing], True),
        Case("gradients", ["latency", *base, "--backward", *timing], True, "cpu"),
        Case("attention, bfloat16", ["latency", *structure, "--dtype", "bfloat16", *on, *timing]),
        Case("attention, float16", ["latency", *structure, "--dtype", "float16", *on, *timing], needs="cpu"),
        Case("attention, grouped heads", ["latency", *base, "--heads", "8", "--kv-heads", "2", *timing]),
        Case("attention, cold", ["latency", *base, "--cold", *timing], needs="cuda"),
        Case("attention, without pause", ["latency", *base, "--launches", "100", "--sustain", "8"], needs="cuda"),
        Case("dense", ["latency", dense, *half, *on, "--heads", heads, *timing], True),
        Case("pattern", ["pattern", *structure], True),
        Case("over cutoff", ["scaling", *base, "--over", "cutoff", "--values", cutoffs, *timing], True),
        Case("over heads", ["scaling", *base, "--over", "heads", "--values", "1,2,4,8", *timing]),
        Case("over head size", ["scaling", *base, "--over", "head-dim", "--values", "16,32,64,96,128", *timing]),
        Case("over batch", ["scaling", *base, "--over", "batch", "--values", batches, "--heads", "1",
                            "--head-dim", "32", *timing]),
        Case("over atoms", ["scaling", *base, "--over", "atoms", "--values", "1x1x1,2x1x1,2x2x1,2x2x2", "--heads", "1",
                            *timing]),
        Case("over threads", ["scaling", *base, "--over", "threads", *timing], needs="cpu"),
        Case("over blocks", ["scaling", "--origin", "800", "--heads", "1", *half, *on, "--over", "blocks",
                             *(["--values", "200,400,800"] if quick else []), *timing], True),
        Case("origin's query", ["latency", "--origin", "800", "--heads", "1", *half, *on, *timing], True),
        Case("queries a second, origin's", ["throughput", "--origin", "800", "--heads", "1", *half, *on, "--check",
                                            *seconds], True),
        Case("queries a second", ["throughput", *base, "--check", *seconds]),
    ]
    return [c for c in listed if (c.quick or not quick) and c.needs in ("", device) and (has_cell or c.name != "over atoms")]


@dataclass
class Figure:
    """What counts of a result: a number, and whether less is better."""
    name: str
    value: float
    unit: str
    less_is_better: bool = True


def _at(data, path):
    for key in path.split("."):
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, (int, float)) and math.isfinite(data) else None


FIGURES = {
    "latency": [("", "seconds.graph.p50|seconds.single.p50", "s", True), (" backward", "backward.seconds.graph.p50|"
                 "backward.seconds.single.p50", "s", True)],
    "scaling": [("", "seconds.graph.p50|seconds.single.p50", "s", True)],
    "pattern": [("", "seconds.total.p50", "s", True)],
    "throughput": [("", "engine.queries_per_second", "/s", False), (", a process each", "process.p50", "s", True)],
}


def figures(result):
    """Of one line of results that came from a case."""
    name = (result.get("suite") or {}).get("case", "?")
    if result.get("bench") == "scaling":
        name += f": {result.get('value')}"
    found = []
    for more, paths, unit, less in FIGURES.get(result.get("bench"), ()):
        value = next((v for v in (_at(result, path) for path in paths.split("|")) if v is not None), None)
        if value is not None:
            found.append(Figure(name + more, value, unit, less))
    return found
