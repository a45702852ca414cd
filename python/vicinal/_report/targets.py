# SPDX-License-Identifier: Apache-2.0
"""Targets from a file: what some figure must reach.  A JSON list of objects

    {"name": "ApoA1 10 A", "where": {"bench": "latency", "file": "apoa1.pdb", "cutoff": 10, "dtype": "float16"},
     "value": "seconds.graph.p50", "at_most": 0.00037}

with at_most or at_least; `where` and `value` name members of a result, with dots for those inside.  Of several
results that match the last one counts."""
import json
from dataclasses import dataclass

from .records import Record, Stop

NEEDED = ("name", "where", "value")


@dataclass
class Judged:
    name: str
    target: str
    value: object  # a number, or None where nothing matches
    met: bool
    record: Record


def _check(path, place, one):
    where = f"{path}: target {place}"
    if not isinstance(one, dict):
        raise Stop(3, f"{where}: expected an object, got {type(one).__name__}")
    missing = [key for key in NEEDED if key not in one]
    if missing:
        raise Stop(3, f"{where}: it lacks {', '.join(missing)}")
    if not isinstance(one["where"], dict) or not isinstance(one["value"], str):
        raise Stop(3, f"{where}: expected an object as \"where\" and a text as \"value\"")
    bounds = [key for key in ("at_most", "at_least") if isinstance(one.get(key), (int, float))]
    if len(bounds) != 1:
        raise Stop(3, f"{where}: expected a number as either \"at_most\" or \"at_least\", got {len(bounds)}")
    unknown = set(one) - {*NEEDED, "at_most", "at_least"}
    if unknown:
        raise Stop(3, f"{where}: unknown member {sorted(unknown)[0]!r}")
    return bounds[0]


def judge(path, records):
    """One Judged for each target of the file."""
    try:
        with open(path, encoding="utf-8") as file:
            targets = json.load(file)
    except OSError as error:
        raise Stop(3, f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Stop(3, f"{path}: expected a JSON list of targets ({error})") from None
    if not isinstance(targets, list):
        raise Stop(3, f"{path}: expected a JSON list of targets, got {type(targets).__name__}")
    found = []
    for place, one in enumerate(targets, 1):
        bound = _check(path, place, one)
        matching = [r for r in records if all(r.get(key) == value for key, value in one["where"].items())]
        values = [(r.get(one["value"]), r) for r in matching]
        values = [(v, r) for v, r in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        value, record = values[-1] if values else (None, None)
        met = value is not None and (value <= one[bound] if bound == "at_most" else value >= one[bound])
        found.append(Judged(one["name"], f"{bound.replace('_', ' ')} {one[bound]:g}", value, met, record))
    return found
