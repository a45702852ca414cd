# SPDX-License-Identifier: Apache-2.0
"""The patterns of one step of the server.  Nothing of vLLM is needed here.

A step is a batch of sequences; of each the last tokens, its queries, attend to those before.  A pattern is made for the
first layer that asks and shared by all layers that are alike.

A kernel computes 16 queries side by side.  A sequence that decodes has one, but the heads that read one key head can stand in
for queries: with 8 heads over 2, four rows at one place (queries_per_place) and 2 heads.  Then q and the results are
copied, so only runs of sequences that gain by it are packed.
"""
from dataclasses import dataclass, field

import numpy as np

import vicinal

LANES = 16  # queries that a kernel computes side by side
MOST_RUNS = 2  # calls of a kernel per layer


@dataclass
class Run:
    """Queries first .. end - 1 and their pattern, in which `share` rows stand for the heads of a key head."""
    first: int
    end: int
    share: int
    pattern: vicinal.Pattern


@dataclass
class Step:
    """What a step's layers share."""
    offsets: np.ndarray  # [sequences + 1] int64: where the queries of each begin
    lengths: np.ndarray  # [sequences] int64: all of its tokens, the queries at the end
    table: np.ndarray  # [sequences, pages] int32
    page: int
    causal: bool
    made: dict = field(default_factory=dict)
    patterns: int = 0  # how many were made

    def __post_init__(self):
        self.lengths = np.where(np.diff(self.offsets) > 0, self.lengths, 0)  # of rows that only fill up

    def runs(self, slots, group, window):
        """For layers over a cache of so many slots, whose key heads are each read by `group` heads."""
        key = slots, group, window
        if key not in self.made:
            self.made[key] = [self._run(slots, window, *run) for run in self._cut(group)]
            self.patterns += len(self.made[key])
        return self.made[key]

    def encoder(self, window):
        """For layers whose keys are the step's own tokens: each sequence with itself."""
        key = None, 1, window
        if key not in self.made:
            ends = np.stack([self.offsets[:-1], self.offsets[1:]], 1)
            pattern = vicinal.ranges(self.offsets, np.arange(len(self.offsets)), ends, window=_reach(window, False))
            self.made[key] = [Run(0, int(self.offsets[-1]), 1, pattern)]
            self.patterns += 1
        return self.made[key]

    def _run(self, slots, window, first, end, share):
        offsets = self.offsets[first:end + 1]
        pattern = vicinal.pages(
            (offsets - offsets[0]) * share, self.lengths[first:end], self.table[first:end], self.page, n_keys=slots,
            causal=self.causal, window=_reach(window, self.causal), queries_per_place=share)
        return Run(int(offsets[0]), int(offsets[-1]), share, pattern)

    def _cut(self, group):
        """(first sequence, end, share) of runs that are all packed or not at all."""
        queries = np.diff(self.offsets)
        plain = _lanes(queries) * group * self.lengths
        packed = _lanes(queries * group) * self.lengths
        better = packed < 0.8 * plain
        better[queries == 0] = better[queries > 0][0]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(better)) + 1, [len(better)]])
        if len(starts) - 1 > MOST_RUNS:
            return [(0, len(queries), group if packed.sum() < plain.sum() else 1)]
        return [(int(a), int(b), group if better[a] else 1) for a, b in zip(starts, starts[1:])]


def _lanes(queries):
    return -(-queries // LANES) * LANES


def _reach(window, causal):
    """A sliding window of w: w keys, the query's own among them, or without `causal` as many to the other side."""
    if window is None:
        return None
    return window - 1, 0 if causal else window - 1
