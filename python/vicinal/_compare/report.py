# SPDX-License-Identifier: Apache-2.0
"""What `vicinal compare` says: of the machine, in a table, in a file."""
import contextlib
import importlib
import os
import platform
import subprocess
import tempfile
import textwrap
import time
import warnings

import numpy as np

WIDTH = 110


# ---- the machine ----


def version(name):
    """The version of a package, or None where there is none."""
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


def machine(torch, device, threads):
    """Versions, processor, GPU."""
    from .._threads import environment
    here = environment()
    found = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "vicinal": here["version"],
             "build": here["build"], "python": platform.python_version(), "numpy": np.__version__,
             "scipy": version("scipy"), "torch": torch and torch.__version__, "machine": platform.machine(),
             "cpu": _cpu(), "threads": threads, "load": os.getloadavg()[0]}
    if torch is not None:
        found["torch_geometric"] = version("torch_geometric")
    if device == "cuda":
        found.update(gpu=torch.cuda.get_device_name(), cuda=torch.version.cuda, triton=version("triton"))
        found.update(_nvidia_smi("driver_version,power.limit,clocks.max.sm"))
    return found


# ---- words ----


def seconds_text(s):
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if s * factor >= 1.0 or unit == "us":
            return f"{s * factor:.3g} {unit}"


def _bytes_text(n):
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"


def reason(why):
    """An exception in a line."""
    return f"{type(why).__name__}: " + " ".join(str(why).split())[:300]


# ---- the table ----


def _costs(part):
    """Time, ratio, memory."""
    if part.get("status") != "timed":
        return ["-"] * 3
    ratio, peak = part.get("times_as_long"), part["peak_bytes"]
    return [seconds_text(part["seconds"]),
            "-" if ratio is None else f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}",
            "-" if peak is None else _bytes_text(peak + part["kept_bytes"])]


def _remarks(document):
    found = ["pairs or mask: from positions to what attention needs.  memory: that and what a run takes, with its "
             f"result ({document['memory_is']}).  error: beside float64, {document['checked_rows']} atoms."]
    said = set()
    for row in document["methods"]:
        if row.get("how") and row["status"] == "timed":
            found.append(f"{row['label']}: {row['how']}.")
        part = row.get("backward", {})
        why = f"{part['status']}: {part['reason']}" if part.get("reason") else part.get("how")
        if why and why not in said:
            found.append(f"{row['label']}, with backward: {why}.")
            said.add(why)
    return [line for text in found + document["notes"]
            for line in textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")]


def table(d):
    """A document (docs/howto/compare.md) for people."""
    axes = "".join(axis for axis, on in zip("abc", d["periodic"]) if on)
    where = d.get("gpu") or f"{d['cpu']}, {d['threads']} thread{'s' if d['threads'] > 1 else ''}"
    versions = ", ".join(f"{name} {d[name]}" for name in ("vicinal", "torch", "numpy", "scipy") if d.get(name))
    lines = [f"{d['file']}: {d['atoms']:,} atoms, {'periodic along ' + axes if axes else 'not periodic'}; "
             f"{d['pairs']:,} pairs within {d['cutoff']:g} A, {d['pairs'] / d['atoms']:.1f} an atom",
             f"{d['heads']} heads of {d['head_dim']}, {d['dtype']}, on {where}; {versions}", ""]
    header = ["", "pairs or mask", "attention", "x as long", "memory"]
    header += ["with backward", "x as long", "memory"] if d["backward"] else []
    cells, texts = [[*header, "error"]], {}
    for row in d["methods"]:
        if row["status"] != "timed":
            texts[len(cells)] = f"  {row['status']}: {row['reason']}"
            cells.append([row["label"]])
            continue
        both = _costs(row.get("backward", {})) if d["backward"] else []
        cells.append([row["label"], seconds_text(row["pairs_seconds"]), *_costs(row), *both,
                      f"{row['relative_error']:.1e}"])
    widths = [max(len(line[c]) for line in cells if len(line) > c) for c in range(len(cells[0]))]
    for at, line in enumerate(cells):
        text = line[0].ljust(widths[0]) + "".join("  " + x.rjust(w) for x, w in zip(line[1:], widths[1:]))
        if at in texts:
            lines += textwrap.wrap(text + texts[at], WIDTH, subsequent_indent=" " * (widths[0] + 2))
        else:
            lines.append(text)
    return "\n".join([*lines, "", *_remarks(d)])


# ---- files ----


def write(path, text):
    """The whole file, or none; "-" is standard output."""
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
