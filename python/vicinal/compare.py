# SPDX-License-Identifier: Apache-2.0
"""`vicinal compare FILE --cutoff R`: vicinal beside what one would otherwise write, on a structure of one's own.

main(words) is the command.  Each method is compared with float64 before it is timed, and a wrong one gets no time.
docs/howto/compare.md describes the table and the JSON.
"""
import importlib
import json
import math
import os
import sys
import time

import numpy as np

from . import _c
from ._compare import measure, options, problem, report, ways

SCHEMA = 1
NEEDS_TORCH = {"flex": "FlexAttention", "sdpa": "SDPA, dense mask"}


class Comparison:
    """Reads, makes the problem, and measures one method after the other; `rows` are those of the JSON."""

    def __init__(self, given):
        self.o, self.rows, self.notes, self.stage = given, [], [], ""
        self.torch = None
        try:
            self.torch = importlib.import_module("torch")
        except ImportError:
            self.notes.append("There is no torch in this Python: with it come the same over a list of pairs in torch, "
                              "FlexAttention and SDPA, GPUs and --backward.")

    def say(self, text):
        print(f"vicinal compare: {text}", file=sys.stderr, flush=True)

    # ---- what is compared ----

    def _device_and_dtype(self):
        """And a note where a GPU that is there is not used."""
        o, torch = self.o, self.torch
        if torch is None:
            if o.device == "cuda":
                raise options.Stop(4, "--device cuda needs torch, which this Python does not have")
            if o.backward:
                raise options.Stop(2, "--backward needs torch, which this Python does not have: leave it out, or "
                                   "install torch")
            if o.dtype == "bfloat16":
                raise options.Stop(2, "--dtype bfloat16 needs torch, which this Python does not have: take float32 or "
                                   "float16")
        device = "cpu"
        if o.device != "cpu" and torch is not None:
            if torch.cuda.is_available():
                why = self._no_kernel(o.dtype or "float16")
                if why and o.device == "cuda":
                    raise options.Stop(4, f"--device cuda: {why}")
                device = "cpu" if why else "cuda"
                if why:
                    self.notes.append(f"There is a GPU, which is not used: {why}")
            elif o.device == "cuda":
                raise options.Stop(4, "--device cuda: torch sees no GPU (torch.cuda.is_available() is False); `vicinal "
                                   "env` says what vicinal sees")
        return device, o.dtype or ("float32" if device == "cpu" else "float16")

    def _no_kernel(self, dtype):
        from ._pattern import windows
        try:
            windows(64).prepare(self.o.heads, ways.padded(self.o.head_dim), dtype=dtype, device="cuda")
        except _c.DeviceError as why:
            return str(why)
        return None

    def prepare(self):
        from ._pattern import pattern
        from ._structure import read
        from ._threads import set_num_threads
        o = self.o
        threads = o.threads or measure.thread_count()
        set_num_threads(threads)
        if self.torch is not None:
            self.torch.set_num_threads(threads)
        self.device, self.dtype = self._device_and_dtype()
        load = os.getloadavg()[0]
        if self.device == "cpu" and load > 0.3 * measure.thread_count():
            self.notes.append(f"The machine was busy (load {load:.1f}): times are longer than they would be, by "
                              "factors that differ.")
        self.clock = measure.clock_of(self.device)
        self.say(f"reading {os.path.basename(o.file)}")
        structure = read("/dev/stdin" if o.file == "-" else o.file, model=o.model, altloc=o.altloc, cell=o.cell,
                         duplicates=o.duplicates, pbc=o.pbc, supercell=o.supercell, symmetry=o.symmetry,
                         hydrogen=not o.no_hydrogen, water=not o.no_water)
        if not len(structure):
            raise options.Stop(3, f"{o.file}: no atoms are left to compare anything on")
        made = pattern(structure, o.cutoff, max_bytes=max(1, measure.CpuClock().room() // 2))
        self.say(f"{len(structure):,} atoms, {made.n_pairs:,} pairs; computing some rows in float64")
        self.problem = p = problem.Problem(structure, o.cutoff, o.heads, o.head_dim, self.dtype, self.device, o.seed,
                                           self.torch, o.backward)
        p.most_pairs = made.max_pairs
        counts = made.counts()[p.rows]
        for row, ours, right in zip(p.rows, counts, p.counts):
            if ours != right:
                raise options.Stop(1, f"vicinal's pattern has {ours:,} pairs of atom {row:,}, brute force in float64 "
                                   f"{right:,}: please report this structure")
        self.facts = {
            "schema": SCHEMA, **report.machine(self.torch, self.device, threads), "file": os.path.basename(o.file),
            "atoms": p.n, "pairs": made.n_pairs, "cutoff": o.cutoff, "periodic": [bool(x) for x in made.pbc],
            "cell": None if made.cell is None else made.cell.tolist(), "heads": o.heads, "head_dim": o.head_dim,
            "dtype": self.dtype, "device": self.device, "seed": o.seed, "seconds": o.seconds, "backward": o.backward,
            "checked_rows": len(p.rows), "error_bound": p.bound, "memory_is": self.clock.memory_is}

    # ---- the methods ----

    def run(self):
        kinds = ways.WAYS
        if self.torch is not None:
            from ._compare.ways_torch import WAYS as kinds
        for name in self.o.only:
            row = {"name": name, "label": kinds[name].label if name in kinds else NEEDS_TORCH[name]}
            self.rows.append(row)
            if name not in kinds:
                row.update(status="left out", reason="this Python has no torch")
                continue
            with kinds[name].settings():
                self._method(kinds[name], row)
            self._ratio(row)
            try:
                self.clock.settle()
                self.clock.room()  # gives a GPU's memory back
            except Exception as why:  # after a fault nothing more runs on a GPU in this process
                self.notes.append(f"The GPU was lost behind {row['label']} ({report.reason(why)}): run the others with "
                                  "--only.")
                self.say(self.notes[-1])
                break
        self.facts["load_after"] = os.getloadavg()[0]

    def _method(self, kind, row):
        made = self._guarded(row, row["label"], lambda: self._forward(kind, row))
        if self.o.backward and made is not None:
            part = row["backward"] = {}
            self._guarded(part, row["label"] + " with backward", lambda: self._backward(*made, part))
            row.update({key: value for key, value in made[0].facts.items() if key.startswith("backward_")})

    def _guarded(self, row, label, call):
        """What `call` gives within --seconds; otherwise None, and the row says why."""
        self.label, self.deadline = label, time.monotonic() + self.o.seconds
        out_of_memory = (MemoryError, _c.OutOfMemory)
        if self.torch is not None:
            out_of_memory += (self.torch.cuda.OutOfMemoryError,)
        result = None
        try:
            with measure.limit(self.o.seconds):
                result = call()
        except measure.LeftOut as why:
            row.update(status="left out", reason=str(why))
        except measure.TimeUp:
            row.update(status="stopped", reason=f"{self.stage}: not done within --seconds {self.o.seconds:g}")
        except out_of_memory as why:
            row.update(status="failed", reason=f"{self.stage}: out of memory ({report.reason(why)})")
        except Exception as why:
            row.update(status="failed", reason=f"{self.stage}: {report.reason(why)}")
        if row["status"] != "timed":
            self.say(f"{label}: {row['status']}: {row['reason']}")
        return result

    def _at(self, stage):
        self.stage = stage
        self.say(f"{self.label}: {stage}")

    def _left(self):
        return self.deadline - time.monotonic()

    def _forward(self, kind, row):
        """(the method, its pairs), for _backward()."""
        way = kind(self.problem, self.clock)
        way.left = self._left
        self._at("pairs or mask, from positions")
        (prepared, first), row["pairs_peak_bytes"] = self.clock.memory(lambda: self.clock.once(way.pairs))
        times = []
        while len(times) < 5 and sum(times) + 2 * first < min(2.0, 0.1 * self.o.seconds):
            prepared = None  # before there is another
            prepared, seconds = self.clock.once(way.pairs)
            times.append(seconds)
        times = times or [first]  # the first one also loads what it needs
        row.update(pairs_seconds=float(np.median(times)), pairs_runs=len(times))
        self._at("first run, with compiling" if way.compiles else "first run")
        try:
            run, back = way.forward(prepared)
        finally:
            row.update(way.facts)
        row["how"] = way.how
        self._measure(way, prepared, run, lambda out: self.problem.error(back(out)), row)
        return way, prepared

    def _backward(self, way, prepared, row):
        self._at("first run, with compiling" if way.compiles else "first run")
        run, back = way.backward(prepared)
        self._measure(way, prepared, run, lambda grads: self.problem.gradient_error(back(grads)), row, backward=True)
        row["how"] = way.backward_how

    def _measure(self, way, prepared, run, error_of, row, backward=False):
        """Compare, then time."""
        estimate = way.estimate(prepared, backward)
        if estimate is not None:
            row["estimate_seconds"] = estimate
            if estimate > 0.9 * self._left():
                raise measure.LeftOut(f"a run takes about {report.seconds_text(estimate)}, as a part of it tells, and "
                                      f"--seconds {self.o.seconds:g} leave {self._left():.0f} s")
        (result, first), peak = self.clock.memory(lambda: self.clock.once(run))
        row.update(first_seconds=first, kept_bytes=way.kept(prepared), peak_bytes=peak)
        error = error_of(result)
        del result
        row["relative_error"] = error if math.isfinite(error) else None  # JSON has no inf
        if not error < self.problem.bound:
            row.update(status="wrong",
                       reason=f"relative error {error:.2g}, more than {self.problem.bound:g}; not timed")
            return
        if first > 0.9 * self._left():  # nothing was compiled in it: that was before
            row.update(measure.statistics([first]))
        else:
            self._at("timing")
            row.update(self.clock.time(run, first, self._left()))
        row["status"] = "timed"
        self.say(f"{self.label}: {report.seconds_text(row['seconds'])}, median of {row['runs']}")

    def _ratio(self, row):
        """How many times as long as vicinal in the caller's order."""
        first = self.rows[0]
        if first["name"] == "vicinal":
            for mine, part in ((first, row), (first.get("backward", {}), row.get("backward", {}))):
                if mine.get("status") == part.get("status") == "timed":
                    part["times_as_long"] = part["seconds"] / mine["seconds"]

    def document(self, words):
        return {**self.facts, "command": " ".join(["vicinal compare", *map(os.path.basename, words)]),
                "notes": self.notes, "methods": self.rows}


def _exit_code(error):
    for kind, code in ((_c.ArgumentError, 2), (_c.InputError, 3), (_c.FileError, 3), (_c.DeviceError, 4)):
        if isinstance(error, kind):
            return code
    return 1


def main(words):
    """The command: `words` are those behind `vicinal compare`.  Returns None; where something failed it raises
    SystemExit with an exit code (1 failed, 2 usage, 3 bad input, 4 no such device or kernel), having said on stderr
    what."""
    try:
        given = options.options(words)
        comparison = Comparison(given)
        comparison.prepare()
        comparison.run()
        document = comparison.document(words)
        if given.json:
            report.write(given.json, json.dumps(document, allow_nan=False))
        if given.json != "-":
            print(report.table(document), flush=True)
    except options.Stop as stop:
        code, text = stop.code, str(stop)
    except (_c.Error, OSError, ImportError) as error:
        code, text = _exit_code(error), str(error)
    else:
        bad = [f"{row['label']}: {row['status']}: {row['reason']}" for row in comparison.rows
               if row["name"].startswith("vicinal") and row["status"] in ("wrong", "failed")]
        if not bad:
            return
        code, text = 1, bad[0]
    print(f"vicinal compare: error: {text}", file=sys.stderr)
    raise SystemExit(code)
