# SPDX-License-Identifier: Apache-2.0
"""`vicinal bench all`: everything that `vicinal bench` measures, in one run, into one file.

main(words) is the command.  Each case is a process of the C command, so that one that fails does not end the run, and
its line of the file has the command that repeats it.  docs/howto/bench-all.md describes the file.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from . import _c
from ._report.records import Stop, duration, three
from ._suite import cases, compare
from .report import _write

SCHEMA = 1
UNSTABLE = {"cpu": 0.10, "cuda": 0.03}  # how far the first case may be from itself at the end
LIMIT = 900                             # seconds for a case


def _options(words):
    parser = argparse.ArgumentParser(
        prog="vicinal bench all", description="Measures attention, gradients, patterns and an engine on this machine, each "
        "result compared with float64 first, and writes one JSON object a line.",
        epilog="Exit codes: 0 ok, 1 a case failed, the run was not stable, or something became slower; 2 usage, 3 bad input, 4 "
        "no such device.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a structure; default: a periodic box of random atoms")
    parser.add_argument("--cutoff", type=float, default=8.0, metavar="R", help="angstrom; default 8")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU with a kernel, else the CPU")
    parser.add_argument("--quick", action="store_true", help="the most important cases, under a minute")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the results go; default: results.jsonl")
    parser.add_argument("--report", metavar="FILE", help="also a page of them, as `vicinal report` makes it")
    parser.add_argument("--compare", metavar="OLD.jsonl", help="an earlier run: what became faster or slower, beside the noise")
    parser.add_argument("--list", action="store_true", help="the cases and their commands, and measure nothing")
    return parser.parse_args(words)


def _say(text):
    print(f"vicinal bench all: {text}", file=sys.stderr, flush=True)


def _environment(binary):
    done = subprocess.run([binary, "env", "--json"], capture_output=True, encoding="utf-8", timeout=120)
    if done.returncode != 0:
        raise Stop(1, f"{binary} env fails: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _device(wanted, env):
    usable = {k["device"] for k in env["kernels"] if k["available"]}
    if wanted == "cuda" and "cuda" not in usable:
        why = env.get("cuda_note") or next((k["reason"] for k in env["kernels"] if k["device"] == "cuda"), "") or \
            "this build has no kernels for GPUs"
        raise Stop(4, f"--device cuda: {why}")
    return "cuda" if wanted != "cpu" and "cuda" in usable else "cpu"


def _has_cell(binary, file):
    done = subprocess.run([binary, "info", file, "--json"], capture_output=True, encoding="utf-8", timeout=LIMIT)
    if done.returncode != 0:
        raise Stop(done.returncode, done.stderr.strip().partition("error: ")[2])
    return bool(json.loads(done.stdout).get("cell"))


def _earlier(path):
    """(results, the last run's closing line) of an earlier run."""
    results, end = [], {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    one = json.loads(line)
                except ValueError as error:
                    raise Stop(3, f"{path}:{number}: expected a JSON object a line, as `vicinal bench all` writes ({error})") from None
                if isinstance(one, dict) and one.get("bench") == "all":
                    end = one
                elif isinstance(one, dict) and "suite" in one:
                    results.append(one)
    except OSError as error:
        raise Stop(3, f"{path}: {error.strerror}") from None
    if not results:
        raise Stop(3, f"{path}: expected results of `vicinal bench all`, got none")
    return results, end


def _run(binary, case):
    """(results, why there are none)"""
    began = time.monotonic()
    try:
        done = subprocess.run([binary, "bench", *case.words, "--json"], capture_output=True, encoding="utf-8",
                              timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return [], f"it took more than {LIMIT} seconds"
    took = time.monotonic() - began
    results = []
    for line in done.stdout.splitlines():
        result = json.loads(line)
        result["suite"] = {"case": case.name, "seconds": took, "load": os.getloadavg()[0]}
        results.append(result)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return results, lines[-1] if lines else f"it ended with exit code {done.returncode}"
    return results, ""


def _shown(result):
    words = []
    for figure in cases.figures(result):
        value = duration(figure.value) if figure.unit == "s" else f"{figure.value:,.0f} {figure.unit}"
        name = figure.name.partition(":")[2] or ("gradients" if figure.name.endswith("backward") else "")
        words.append(f"{name.strip()} {value}".strip() if name else value)
    return ", ".join(words)


def _measure(o, binary, device, listed, env, folder):
    """All lines of the file; prints each case as it is done."""
    began, failed, lines = time.monotonic(), [], []
    about = {"schema": SCHEMA, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "version": env["version"],
             "build": env["build"], "device": device, "quick": o.quick, "cutoff": o.cutoff,
             "devices": [d["name"] for d in env["devices"]]}
    again = cases.Case("attention, again", listed[0].words)
    for number, case in enumerate([*listed, again], 1):
        results, why = _run(binary, case)
        lines += results
        if why:
            failed.append({"case": case.name, "why": why})
        text = "; ".join(filter(None, map(_shown, results)))
        _say(f"[{number}/{len(listed) + 1}] {case.name}: {text}{'; ' if text and why else ''}{why and 'failed: ' + why}")
    firsts = [cases.figures(r)[0].value for r in lines if r["suite"]["case"] in (listed[0].name, again.name)]
    noise = abs(firsts[1] / firsts[0] - 1) if len(firsts) == 2 else None
    stable = noise is not None and noise <= UNSTABLE[device]
    end = {"bench": "all", **about, "seconds": time.monotonic() - began, "noise": noise, "stable": stable,
           "noise_bound": UNSTABLE[device], "failed": failed}
    text = json.dumps([*lines, end]).replace(folder + os.sep, "")  # no path of this machine
    return json.loads(text), end


def _table(found, noise):
    width = max(len(c.name) for c in found)
    print(f"{'':{width}}  {'before':>12} {'now':>12} {'faster by':>10}    (noise {100 * noise:.1f} %)")
    for c in found:
        before, now = (duration(v) if c.unit == "s" else three(v) + c.unit for v in (c.before, c.now))
        print(f"{c.name:{width}}  {before:>12} {now:>12} {100 * c.gain:>8.1f} %   {c.mark}")


def _all(o, binary):
    env = _environment(binary)
    device = _device(o.device, env)
    before, before_end = _earlier(o.compare) if o.compare else ([], {})
    if o.cutoff <= 0 or o.cutoff != o.cutoff or o.cutoff == float("inf"):
        raise Stop(2, f"--cutoff: expected a number of angstrom above 0, got {o.cutoff:g}")
    with tempfile.TemporaryDirectory(prefix="vicinal-") as folder:
        file = os.path.abspath(o.file) if o.file else os.path.join(folder, "box.xyz")
        if not o.file:
            cases.write_box(file, (10_000 if device == "cpu" else 50_000) if o.quick else
                            (20_000 if device == "cpu" else 100_000))
        listed = cases.cases(file, o.cutoff, device, o.quick, _has_cell(binary, file))
        if o.list:
            for case in listed:
                print(f"{case.name:28} vicinal bench {' '.join(case.words)}".replace(folder + os.sep, ""))
            return 0
        _say(f"{len(listed) + 1} cases on {device}, version {env['version']}, {env['build']}")
        lines, end = _measure(o, binary, device, listed, env, os.path.dirname(file))
    output = o.output or "results.jsonl"
    _write(output, "".join(json.dumps(line) + "\n" for line in lines))
    _say(f"{output}: {len(lines)} results in {end['seconds']:.0f} s")
    code = 0
    if end["failed"]:
        _say(f"error: {len(end['failed'])} of the cases failed")
        code = 1
    if not end["stable"]:
        why = "its first case failed" if end["noise"] is None else \
            f"its first case took {100 * end['noise']:.1f} % more or less at the end, over {100 * end['noise_bound']:.0f} %"
        _say(f"error: this run is not stable: {why}: let nothing else run, and repeat it")
        code = 1
    if before:
        noise = max(end["noise"] or 0.0, before_end.get("noise") or 0.0)
        found = compare.changes(before, lines, noise)
        if not found:
            raise Stop(3, f"{o.compare}: none of its results is of the same input: give the same FILE, --cutoff and --device")
        _table(found, noise)
        code = code or int(any(c.mark == "SLOWER" for c in found))
    if o.report:
        from .report import main as report
        code = report([output, "-o", o.report]) or code
    return code


def main(words):
    """The command; returns the exit code."""
    from .__main__ import binary
    o = _options(words)
    try:
        return _all(o, binary())
    except (Stop, _c.Error, OSError) as error:
        _say(f"error: {error}")
        return getattr(error, "code", 1)
