# SPDX-License-Identifier: Apache-2.0
"""Two runs of the suite side by side: what became faster or slower by more than the noise."""
from dataclasses import dataclass

from .cases import figures

LEAST = 0.03  # a change below this is never marked


@dataclass
class Change:
    name: str
    unit: str
    before: float
    now: float
    gain: float   # 0.1: a tenth faster; -0.1: takes a tenth more
    mark: str     # "", "faster" or "SLOWER"


def _same_input(a, b):
    """Whether two results are of the same input and the same work."""
    keys = ("bench", "file", "kind", "cutoff", "atoms", "pairs", "heads", "kv_heads", "head_dim", "dtype", "batch",
            "row_order", "over", "value")
    return all(a.get(key) == b.get(key) for key in keys) and str(a.get("device"))[:4] == str(b.get("device"))[:4]


def changes(before, now, noise):
    """A Change for each figure that both runs have of the same input; `noise` is the larger of both runs'."""
    bound = max(LEAST, 2 * noise)
    found = []
    for result in now:
        old = next((r for r in before if (r.get("suite") or {}).get("case") == (result.get("suite") or {}).get("case")
                    and _same_input(r, result)), None)
        if old is None:
            continue
        earlier = {f.name: f for f in figures(old)}
        for figure in figures(result):
            if figure.name not in earlier:
                continue
            a, b = earlier[figure.name].value, figure.value
            gain = a / b - 1 if figure.less_is_better else b / a - 1
            mark = "faster" if gain > bound else "SLOWER" if gain < -bound else ""
            found.append(Change(figure.name, figure.unit, a, b, gain, mark))
    return found
