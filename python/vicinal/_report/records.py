# SPDX-License-Identifier: Apache-2.0
"""Result files: JSON objects, one a line (or one a file), as `vicinal bench`, `vicinal run`, `vicinal compare` and the
programs of bench/ write them.  What is known of an object decides its kind; an unknown one is listed, not dropped."""
import json
import os
from dataclasses import dataclass


class Stop(Exception):
    """Ends the command: an exit code and a text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


@dataclass
class Record:
    kind: str
    data: dict
    file: str    # without its folders
    number: int  # of its line, from 1
    about: dict  # the machine, where the line itself does not say: of the lines before it

    @property
    def source(self):
        return f"{self.file}:{self.number}"

    def get(self, path, default=None):
        """The value at "a.b.c", or the default where something on the way is not there."""
        at = self.data
        for key in path.split("."):
            if not isinstance(at, dict) or key not in at:
                return default
            at = at[key]
        return at

    def known(self, *keys):
        """The first of these that the line, or what was said before it, has."""
        return next((place[key] for key in keys for place in (self.data, self.about) if place.get(key)), None)

    @property
    def device(self):
        """What computed: the GPU's name, or the processor's."""
        if str(self.known("device") or "").startswith("cuda") or self.kind in ("compare", "peers") and self.known("gpu"):
            return self.known("gpu") or "GPU"
        processor = self.known("cpu") if isinstance(self.known("cpu"), str) else self.known("machine")
        return f"{processor or 'CPU'}, {count(self.known('threads') or 0, 'thread')}"


def _kind(data):
    bench = data.get("bench")
    if bench in ("latency", "scaling", "pattern", "throughput"):
        return bench
    if bench in ("serve", "serve.py"):
        return "serve"
    if isinstance(data.get("methods"), list):
        return "compare"
    if "peer" in data and (bench == "peers_cpu" or "case" in data):
        return "peers"
    return "other"


def _objects(path):
    """(line, object) of a file: one object a line, or one object in all."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise Stop(3, f"{path}: {reason}") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise Stop(3, f"{path}: expected results, JSON objects, got an empty file")
    try:
        return [(1, json.loads(text))]
    except ValueError:
        pass
    found = []
    for number, line in lines:
        try:
            found.append((number, json.loads(line)))
        except ValueError as error:
            raise Stop(3, f"{path}:{number}: expected a JSON object, as `vicinal bench ... --json` writes one, got "
                       f"{line.strip()[:40]!r} ({error})") from None
    return found


def read(paths):
    """The records of all files, in their order."""
    records = []
    for path in paths:
        about = {}
        for number, data in _objects(path):
            for one in data if isinstance(data, list) else [data]:
                if not isinstance(one, dict):
                    raise Stop(3, f"{path}:{number}: expected a JSON object, got {type(one).__name__}")
                kind = _kind(one)
                if kind == "other" and ("build" in one or "gpu" in one or "machine" in one):
                    about = one  # said once for the lines below it
                records.append(Record(kind, one, os.path.basename(path), number, about))
    return records


# ---- words ----


def count(n, unit):
    return f"{n:,} {unit}{'' if n == 1 else 's'}"


def duration(seconds):
    """With three digits, in the unit that suits."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s")):
        if seconds < limit:
            return f"{three(seconds * factor)} {unit}"
    return "?"


def three(x):
    """Three digits at least, and whole numbers whole."""
    x = float(x)
    if x == 0.0:
        return "0"
    decimals = 2 if abs(x) < 10 else 1 if abs(x) < 100 else 0
    return f"{x:,.{decimals}f}" if abs(x) >= 0.1 else f"{x:.3g}"


def case(record):
    """What was computed, in words, and the same for the same case of another run."""
    get = record.get
    words = [structure(record)]
    if get("text") and not words[0].startswith(get("text").replace(":", "-")):
        words.append(get("text"))
    if get("cutoff"):
        words.append(f"{get('cutoff'):g} Å")
    periodic = get("periodic")
    if periodic is True or isinstance(periodic, list) and any(periodic):
        words.append("periodic")
    if get("heads"):
        kv = get("kv_heads", get("heads"))
        words.append(f"{get('heads')} x {get('head_dim')}" + (f" ({kv} of keys)" if kv != get("heads") else ""))
    if get("dtype"):
        words.append(get("dtype"))
    if get("batch", 1) not in (1, None):
        words.append(f"batch of {get('batch')}")
    if get("row_order") == "caller":
        words.append("caller's order")
    kernel = get("kernel")
    if kernel and "unfused" in kernel:
        words.append("unfused")
    return ", ".join(words)


def structure(record):
    """The structure's name, without folders and endings."""
    name = os.path.basename(str(record.get("file") or record.get("case") or "?"))
    for ending in (".gz", ".pdb", ".cif", ".xyz", ".gro"):
        name = name[:-len(ending)] if name.endswith(ending) else name
    words = str(record.get("command") or "").split()
    if "--supercell" in words[:-1]:
        name += " " + words[words.index("--supercell") + 1]
    return name


def commit(record):
    """Of the build, where it is known."""
    build = str(record.known("build") or "")
    return build.rpartition("commit ")[2] if "commit " in build else record.known("commit") or ""
