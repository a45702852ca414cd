# SPDX-License-Identifier: Apache-2.0
"""`vicinal compare FILE --cutoff R`: vicinal beside what one would otherwise write, on a structure of one's own.

main(words) is the command.  Each method is compared with float64 before it is timed, and a wrong one gets no time.
docs/howto/compare.md describes the table and the JSON.
"""
import argparse
import contextlib
import difflib
import importlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings

import numpy as np

from . import _c

NAMES = ("vicinal", "vicinal-sorted", "gather-scatter", "flex", "sdpa")
NEEDS_TORCH = {"flex": "FlexAttention", "sdpa": "SDPA, dense mask"}
SCHEMA = 1
WIDTH = 110

# ---- the command line ----


class Stop(Exception):
    """The command ends here, with this text and exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Stop(2, f"{message}; `vicinal compare --help` lists all options")


def _number(text, kind, good, expected):
    try:
        value = kind(text)
        if math.isfinite(value) and good(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")


def _positive(text):
    return _number(text, float, lambda x: x > 0, "a number above 0")


def _whole(low, high):
    return lambda text: _number(text, int, lambda x: low <= x <= high, f"a whole number from {low} to {high}")


def _cell(text):
    parts = [_number(part, float, lambda x: x > 0, "a,b,c or a,b,c,alpha,beta,gamma (angstrom, degrees)")
             for part in text.split(",")]
    if len(parts) not in (3, 6) or any(angle >= 180 for angle in parts[3:]):
        raise argparse.ArgumentTypeError(f"expected a,b,c or a,b,c,alpha,beta,gamma (angstrom, degrees), got '{text}'")
    return parts + [90.0] * (6 - len(parts))


def _pbc(text):
    if text == "auto":
        return None
    if text == "none":
        return [False] * 3
    if not text or set(text) - set("xyz") or len(set(text)) != len(text):
        raise argparse.ArgumentTypeError(f"expected auto, none, or axes as in xyz, xy or z, got '{text}'")
    return [axis in text for axis in "xyz"]


def _supercell(text):
    if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}x[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"expected AxBxC with whole numbers from 1, as in 2x2x1, got '{text}'")
    return [int(n) for n in text.split("x")]


def _model(text):
    return _number(text, int, lambda x: x != 0 and abs(x) < 1e9, "a number from 1 on, or from -1 (the last) down")


def _names(text):
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            raise argparse.ArgumentTypeError(
                f"no method '{name}'" + (f"; did you mean {near[0]}?" if near else "") + f" There are {', '.join(NAMES)}")
    return [name for name in NAMES if name in names]


def _parser():
    p = _Parser(prog="vicinal compare", usage="vicinal compare FILE --cutoff R [options]", allow_abbrev=False,
                description="Time, memory and error of vicinal on a structure of yours, beside what one would write "
                "otherwise.  Each method is compared with float64 first, and a wrong one gets no time.",
                epilog="Methods: vicinal; vicinal-sorted, with rows in the pattern's order; gather-scatter, over a list of "
                "pairs; flex, FlexAttention with vicinal's order and blocks for nothing; sdpa, "
                "scaled_dot_product_attention with a dense mask.  Exit codes: 0 ok, 1 failed, 2 usage, 3 bad input, 4 no "
                "such device or kernel.")
    p.add_argument("file", metavar="FILE", nargs="?", help="a structure file; - is standard input")
    group = p.add_argument_group("Attention")
    group.add_argument("--cutoff", type=_positive, metavar="R", help="attend to all atoms nearer than R angstrom")
    group.add_argument("--heads", type=_whole(1, 4096), default=4, metavar="N", help="default 4")
    group.add_argument("--head-dim", type=_whole(1, 128), default=64, metavar="D", help="1 to 128; default 64")
    group.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), metavar="TYPE",
                       help="float32 (default on a CPU), float16 (default on a GPU) or bfloat16")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", metavar="WHERE",
                       help="auto (default: a GPU for which vicinal has a kernel, else the CPU), cpu or cuda")
    group.add_argument("--seed", type=_whole(0, 2 ** 63 - 1), default=0, metavar="N",
                       help="of the normal numbers that are q, k and v; default 0")
    group.add_argument("--backward", action="store_true", help="also time forward and backward together")
    group = p.add_argument_group("Measuring")
    group.add_argument("--only", type=_names, default=list(NAMES), metavar="NAMES", help="these methods, comma-separated")
    group.add_argument("--seconds", type=_positive, default=120.0, metavar="S",
                       help="at most so long for each method, and again with --backward; default 120")
    group.add_argument("--threads", type=_whole(1, 4096), metavar="N",
                       help="of the CPU, for all methods; default: all that this process may use")
    group = p.add_argument_group("Structure")
    group.add_argument("--cell", type=_cell, metavar="A,B,C[,AL,BE,GA]",
                       help="cell in angstrom and degrees, instead of the file's")
    group.add_argument("--pbc", type=_pbc, metavar="AXES", help="auto (what the file says), none, or axes: xyz, xy, z, ...")
    group.add_argument("--symmetry", action="store_true", help="apply the space group: all atoms of the cell")
    group.add_argument("--supercell", type=_supercell, metavar="AxBxC", help="repeat the cell along a, b, c")
    group.add_argument("--model", "--frame", type=_model, default=0, metavar="N",
                       help="number of the model or frame, -1 the last; default: the first one")
    group.add_argument("--altloc", choices=("highest", "all"), default="highest", metavar="WHICH",
                       help="alternate locations: highest (by occupancy; default) or all")
    group.add_argument("--duplicates", choices=("refuse", "drop", "keep"), default="refuse", metavar="WHAT",
                       help="atoms listed twice in one place: refuse (default), drop (one stays) or keep")
    group.add_argument("--no-hydrogen", action="store_true", help="leave out hydrogen and deuterium")
    group.add_argument("--no-water", action="store_true", help="leave out water")
    group = p.add_argument_group("Output")
    group.add_argument("--json", metavar="FILE", help="write the results as one JSON object; - is standard output, which "
                       "then has nothing else")
    return p


def _options(words):
    parser = _parser()
    o, more = parser.parse_known_args(words)
    if more:
        known = [name for action in parser._actions for name in action.option_strings]
        near = difflib.get_close_matches(more[0].partition("=")[0], known, 1)
        what = "unknown option" if more[0].startswith("-") else "unexpected"
        parser.error(f"{what} {more[0]}" + (f", did you mean {near[0]}?" if near else ""))
    if o.file is None:
        parser.error("expected FILE, a structure")
    if o.cutoff is None:
        parser.error("--cutoff is missing: atoms nearer than so many angstrom attend to each other")
    if o.json and o.json != "-":
        folder = os.path.dirname(os.path.abspath(o.json))
        if os.path.isdir(o.json) or not os.access(folder, os.W_OK):
            raise Stop(2, f"--json {o.json}: expected the name of a file in a folder that can be written")
        if os.path.exists(o.json) and os.path.exists(o.file) and os.path.samefile(o.json, o.file):
            raise Stop(2, f"--json {o.json}: this is the structure that is read; give another name")
    return o


# ---- words ----


def _seconds(s):
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if s * factor >= 1.0 or unit == "us":
            return f"{s * factor:.3g} {unit}"


def _bytes(n):
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"


def _reason(why):
    return f"{type(why).__name__}: " + " ".join(str(why).split())[:300]


# ---- the machine ----


def _version(name):
    with contextlib.suppress(Exception), warnings.catch_warnings():  # a package may fail in its own way when imported
        warnings.simplefilter("ignore")
        return importlib.import_module(name).__version__
    return None


def _cpu():
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _nvidia_smi(fields):
    with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):
        out = subprocess.run(["nvidia-smi", "--query-gpu=" + fields, "--format=csv,noheader"], capture_output=True,
                             text=True, timeout=20, check=True).stdout.splitlines()[0]
        return dict(zip(fields.split(","), (value.strip() for value in out.split(","))))
    return {}


def _machine(torch, device, threads):
    from ._threads import environment
    here = environment()
    found = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "vicinal": here["version"],
             "build": here["build"], "python": platform.python_version(), "numpy": np.__version__,
             "scipy": _version("scipy"), "torch": torch and torch.__version__, "machine": platform.machine(),
             "cpu": _cpu(), "threads": threads, "load": os.getloadavg()[0]}
    if torch is not None:
        found["torch_geometric"] = _version("torch_geometric")
    if device == "cuda":
        found.update(gpu=torch.cuda.get_device_name(), cuda=torch.version.cuda, triton=_version("triton"))
        found.update(_nvidia_smi("driver_version,power.limit,clocks.max.sm"))
    return found


# ---- one structure, some methods ----


class Comparison:
    """Reads, makes the problem, and measures one method after the other; rows are those of the JSON."""

    def __init__(self, options):
        self.o, self.rows, self.notes, self.stage = options, [], [], ""
        self.torch = None
        try:
            self.torch = importlib.import_module("torch")
        except ImportError:
            self.notes.append("There is no torch in this Python: with it come the same over a list of pairs in torch, "
                              "FlexAttention and SDPA, GPUs and --backward.")

    def say(self, text):
        print(f"vicinal compare: {text}", file=sys.stderr, flush=True)

    # ---- what is compared

    def _set_device(self):
        """Device and type, and why a GPU that is there is not used."""
        o, torch = self.o, self.torch
        if torch is None:
            if o.device == "cuda":
                raise Stop(4, "--device cuda needs torch, which this Python does not have")
            if o.backward:
                raise Stop(2, "--backward needs torch, which this Python does not have: leave it out, or install torch")
            if o.dtype == "bfloat16":
                raise Stop(2, "--dtype bfloat16 needs torch, which this Python does not have: take float32 or float16")
        device = "cpu"
        if o.device != "cpu" and torch is not None:
            if torch.cuda.is_available():
                why = self._no_kernel(o.dtype or "float16")
                if why and o.device == "cuda":
                    raise Stop(4, f"--device cuda: {why}")
                device = "cpu" if why else "cuda"
                if why:
                    self.notes.append(f"There is a GPU, which is not used: {why}")
            elif o.device == "cuda":
                raise Stop(4, "--device cuda: torch sees no GPU (torch.cuda.is_available() is False); `vicinal env` says what "
                           "vicinal sees")
        return device, o.dtype or ("float32" if device == "cpu" else "float16")

    def _no_kernel(self, dtype):
        from ._compare.ways import padded
        from ._pattern import windows
        try:
            windows(64).prepare(self.o.heads, padded(self.o.head_dim), dtype=dtype, device="cuda")
        except _c.DeviceError as why:
            return str(why)
        return None

    def prepare(self):
        from ._compare import measure, problem
        from ._pattern import pattern
        from ._structure import read
        from ._threads import set_num_threads
        o = self.o
        threads = o.threads or measure.thread_count()
        set_num_threads(threads)
        if self.torch is not None:
            self.torch.set_num_threads(threads)
        self.device, self.dtype = self._set_device()
        if self.device == "cpu" and os.getloadavg()[0] > 0.3 * measure.thread_count():
            self.notes.append(f"The machine was busy (load {os.getloadavg()[0]:.1f}): times are longer than they would be, "
                              "by factors that differ.")
        self.clock = measure.clock_of(self.device)
        self.say(f"reading {os.path.basename(o.file)}")
        structure = read("/dev/stdin" if o.file == "-" else o.file, model=o.model, altloc=o.altloc, cell=o.cell,
                         duplicates=o.duplicates, pbc=o.pbc, supercell=o.supercell, symmetry=o.symmetry,
                         hydrogen=not o.no_hydrogen, water=not o.no_water)
        if not len(structure):
            raise Stop(3, f"{o.file}: no atoms are left to compare anything on")
        made = pattern(structure, o.cutoff, max_bytes=max(1, measure.CpuClock().room() // 2))
        self.say(f"{len(structure):,} atoms, {made.n_pairs:,} pairs; computing some rows in float64")
        self.problem = p = problem.Problem(structure, o.cutoff, o.heads, o.head_dim, self.dtype, self.device, o.seed,
                                           self.torch, o.backward)
        p.most_pairs = made.max_pairs
        wrong = np.flatnonzero(made.counts()[p.rows] != p.counts)
        if len(wrong):
            raise Stop(1, f"vicinal's pattern has {made.counts()[p.rows[wrong[0]]]:,} pairs of atom {p.rows[wrong[0]]:,}, "
                       f"brute force in float64 {p.counts[wrong[0]]:,}: please report this structure")
        self.facts = {
            "schema": SCHEMA, **_machine(self.torch, self.device, threads), "file": os.path.basename(o.file),
            "atoms": p.n, "pairs": made.n_pairs, "cutoff": o.cutoff, "periodic": [bool(x) for x in made.pbc],
            "cell": None if made.cell is None else made.cell.tolist(), "heads": o.heads, "head_dim": o.head_dim,
            "dtype": self.dtype, "device": self.device, "seed": o.seed, "seconds": o.seconds, "backward": o.backward,
            "checked_rows": len(p.rows), "error_bound": p.bound, "memory_is": self.clock.memory_is}

    # ---- a method

    def run(self):
        if self.torch is None:
            from ._compare.ways import WAYS
        else:
            from ._compare.ways_torch import WAYS
        for name in self.o.only:
            row = {"name": name, "label": NEEDS_TORCH[name] if name not in WAYS else WAYS[name].label}
            self.rows.append(row)
            if name in WAYS:
                way = self._guarded(row, lambda: self._forward(WAYS[name], row))
                if self.o.backward and way is not None:
                    row["backward"] = {}
                    self._guarded(row["backward"], lambda: self._backward(*way, row["backward"]), " and backward", row)
                    row.update({k: v for k, v in way[0].facts.items() if k.startswith("backward_")})
                del way
            else:
                row.update(status="left out", reason="this Python has no torch")
            self._ratio(row)
            try:
                self.clock.settle()
                self.clock.room()  # gives a GPU's memory back
            except Exception as why:  # after a fault nothing more runs on a GPU in this process
                self.notes.append(f"The GPU was lost behind {row['label']} ({_reason(why)}): run the others with --only.")
                self.say(self.notes[-1])
                break
        self.facts["load_after"] = os.getloadavg()[0]

    def _guarded(self, row, call, more="", named=None):
        """What `call` gives within --seconds; otherwise None, and the row says why."""
        from ._compare import measure
        self.label = (named or row)["label"] + more
        self.deadline = time.monotonic() + self.o.seconds
        out_of_memory = (MemoryError, _c.OutOfMemory)
        if self.torch is not None:
            out_of_memory += (self.torch.cuda.OutOfMemoryError,)
        way = None
        try:
            with measure.limit(self.o.seconds):
                way = call()
        except measure.LeftOut as why:
            row.update(status="left out", reason=str(why))
        except measure.TimeUp:
            row.update(status="stopped", reason=f"{self.stage}: not done within --seconds {self.o.seconds:g}")
        except out_of_memory as why:
            row.update(status="failed", reason=f"{self.stage}: out of memory ({_reason(why)})")
        except Exception as why:
            row.update(status="failed", reason=f"{self.stage}: {_reason(why)}")
        if row["status"] != "timed":
            self.say(f"{self.label}: {row['status']}: {row['reason']}")
        return way

    def _at(self, stage):
        self.stage = stage
        self.say(f"{self.label}: {stage}")

    def _left(self):
        return self.deadline - time.monotonic()

    def _forward(self, kind, row):
        way = kind(self.problem, self.clock)
        way.left = self._left
        self._at("pairs or mask, from positions")
        (prepared, first), row["pairs_peak_bytes"] = self.clock.memory(lambda: self.clock.once(way.pairs))
        times = [first]
        while len(times) < 6 and sum(times) + first < min(2.0, 0.1 * self.o.seconds):
            prepared = None  # before there is another
            prepared, seconds = self.clock.once(way.pairs)
            times.append(seconds)
        # The first one also loads what it needs.
        row.update(pairs_seconds=float(np.median(times[1:] or times)), pairs_runs=len(times[1:] or times))
        self._at("first run, with compiling" if way.compiles else "first run")
        try:
            run, back = way.forward(prepared)
        finally:
            row.update({k: v for k, v in way.facts.items() if not k.startswith("backward_")})
        row["how"] = way.how
        self._measure(way, prepared, run, lambda out: self.problem.error(back(out)), row)
        return way, prepared

    def _backward(self, way, prepared, row):
        way.left = self._left
        self._at("first run, with compiling" if way.compiles else "first run")
        way.facts["notes"] = []
        run, back = way.backward(prepared)
        self._measure(way, prepared, run, lambda grads: self.problem.gradient_error(back(grads)), row, backward=True)
        if way.facts["notes"]:
            row["how"] = way.facts.pop("notes")[0].removeprefix("vicinal: ")

    def _measure(self, way, prepared, run, error_of, row, backward=False):
        """Compare, then time."""
        from ._compare import measure
        estimate = way.estimate(prepared, backward)
        if estimate is not None:
            row["estimate_seconds"] = estimate
            if estimate > 0.9 * self._left():
                raise measure.LeftOut(f"a run takes about {_seconds(estimate)}, as a part of it tells, and --seconds "
                                      f"{self.o.seconds:g} leave {self._left():.0f} s")
        (result, row["first_seconds"]), peak = self.clock.memory(lambda: self.clock.once(run))
        row.update(kept_bytes=way.kept(prepared), peak_bytes=peak)
        error = error_of(result)
        del result
        row["relative_error"] = error if math.isfinite(error) else None  # JSON has no inf
        if not error < self.problem.bound:
            row.update(status="wrong", reason=f"relative error {error:.2g}, more than {self.problem.bound:g}; not timed")
            return
        if row["first_seconds"] > 0.9 * self._left():  # it had nothing to compile, or it would have run before
            row.update(measure.statistics([row["first_seconds"]]))
        else:
            self._at("timing")
            row.update(self.clock.time(run, row["first_seconds"], self._left()))
        row["status"] = "timed"
        self.say(f"{self.label}: {_seconds(row['seconds'])}, median of {row['runs']}")

    def _ratio(self, row):
        """How many times as long as vicinal in the caller's order."""
        for mine, part in ((self.rows[0], row), (self.rows[0].get("backward", {}), row.get("backward", {}))):
            if self.rows[0]["name"] == "vicinal" and mine.get("status") == part.get("status") == "timed":
                part["times_as_long"] = part["seconds"] / mine["seconds"]

    # ---- what it says

    def document(self, words):
        return {**self.facts, "command": " ".join(["vicinal compare", *map(os.path.basename, words)]), "notes": self.notes,
                "methods": self.rows}

    def table(self):
        f, back = self.facts, self.o.backward
        axes = "".join(axis for axis, on in zip("abc", f["periodic"]) if on)
        where = f.get("gpu") or f"{f['cpu']}, {f['threads']} thread{'s' if f['threads'] > 1 else ''}"
        versions = ", ".join(f"{name} {f[name]}" for name in ("vicinal", "torch", "numpy", "scipy") if f.get(name))
        lines = [
            f"{f['file']}: {f['atoms']:,} atoms, {'periodic along ' + axes if axes else 'not periodic'}; {f['pairs']:,} pairs "
            f"within {f['cutoff']:g} A, {f['pairs'] / f['atoms']:.1f} an atom",
            f"{f['heads']} heads of {f['head_dim']}, {f['dtype']}, on {where}; {versions}", ""]
        header = ["", "pairs or mask", "attention", "x as long", "memory"] + (
            ["with backward", "x as long", "memory"] if back else []) + ["error"]
        cells, texts = [header], {}
        for row in self.rows:
            line = [row["label"]]
            if row["status"] != "timed":
                texts[len(cells)] = f"{row['status']}: {row['reason']}"
                cells.append(line)
                continue
            line += [_seconds(row["pairs_seconds"]), *self._costs(row)]
            line += self._costs(row.get("backward", {})) if back else []
            cells.append([*line, f"{row['relative_error']:.1e}"])
        widths = [max(len(line[c]) for line in cells if len(line) > c) for c in range(len(header))]
        for at, line in enumerate(cells):
            text = line[0].ljust(widths[0]) + "".join("  " + x.rjust(w) for x, w in zip(line[1:], widths[1:]))
            lines += textwrap.wrap(text + "  " + texts[at], WIDTH, subsequent_indent=" " * (widths[0] + 2),
                                   drop_whitespace=True) if at in texts else [text]
        return "\n".join([*lines, "", *self._remarks()])

    @staticmethod
    def _costs(part):
        """Time, ratio, memory."""
        if part.get("status") != "timed":
            return ["-"] * 3
        ratio = part.get("times_as_long")
        return [_seconds(part["seconds"]), "-" if ratio is None else f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}",
                "-" if part["peak_bytes"] is None else _bytes(part["peak_bytes"] + part["kept_bytes"])]

    def _remarks(self):
        found = ["pairs or mask: from positions to what attention needs.  memory: that and what a run takes, with its "
                 f"result ({self.facts['memory_is']}).  error: beside float64, {self.facts['checked_rows']} atoms."]
        said = set()
        for row in self.rows:
            if row.get("how") and row["status"] == "timed":
                found.append(f"{row['label']}: {row['how']}.")
            part = row.get("backward", {})
            why = f"{part['status']}: {part['reason']}" if part.get("reason") else part.get("how")
            if why and why not in said:
                found.append(f"{row['label']}, with backward: {why}.")
                said.add(why)
        return [line for text in found + self.notes
                for line in textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")]


# ---- main ----


def _write(path, text):
    """The whole file, or none."""
    if path == "-":
        print(text)
        return
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe, a device
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        return
    path = os.path.realpath(path)
    number, name = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path))
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _exit_code(error):
    for kind, code in ((_c.ArgumentError, 2), (_c.InputError, 3), (_c.FileError, 3), (_c.DeviceError, 4)):
        if isinstance(error, kind):
            return code
    return 1


def main(words):
    """The command: `words` are those behind `vicinal compare`.  Returns None; where something failed it raises SystemExit
    with an exit code (1 failed, 2 usage, 3 bad input, 4 no such device or kernel), having said on stderr what."""
    try:
        options = _options(words)
        comparison = Comparison(options)
        comparison.prepare()
        comparison.run()
        if options.json:
            _write(options.json, json.dumps(comparison.document(words), allow_nan=False))
        if options.json != "-":
            print(comparison.table(), flush=True)
    except Stop as stop:
        code, text = stop.code, str(stop)
    except (_c.Error, OSError, ImportError) as error:
        code, text = _exit_code(error), str(error)
    else:
        mine = [row for row in comparison.rows if row["name"].startswith("vicinal") and row["status"] in ("wrong", "failed")]
        if not mine:
            return
        code, text = 1, f"{mine[0]['label']}: {mine[0]['status']}: {mine[0]['reason']}"
    print(f"vicinal compare: error: {text}", file=sys.stderr)
    raise SystemExit(code)
