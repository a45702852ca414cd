# SPDX-License-Identifier: Apache-2.0
"""Mistakes that the tests must notice, put in as a plugin of vLLM so that every process has them."""
import os
from types import SimpleNamespace

import numpy as np


def apply():
    import vicinal
    from vicinal_vllm import steps
    kind = os.environ.get("MUTANT", "")
    if not kind:
        return

    def pages(offsets, lengths, table, page, **rest):
        lengths, table = np.array(lengths), np.array(table)
        if kind == "one key fewer":
            lengths = np.maximum(lengths - 1, np.minimum(lengths, 1))
        else:
            for row, length in zip(table, lengths):
                used = -(-length // page)
                row[:used] = row[:used][::-1].copy()
        return vicinal.pages(offsets, lengths, table, page, **rest)

    def ranges(offsets, first, keys, **rest):
        keys = np.array(keys)
        if kind == "one key fewer":
            keys[-1, 1] -= 1
        else:
            keys[[0, -1]] = keys[[-1, 0]]
        return vicinal.ranges(offsets, first, keys, n_keys=int(offsets[-1]), **rest)

    assert kind in ("one key fewer", "shuffled"), kind
    steps.vicinal = SimpleNamespace(pages=pages, ranges=ranges)
