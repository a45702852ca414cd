# SPDX-License-Identifier: Apache-2.0
"""What all methods have, and those in NumPy."""
import contextlib

import numpy as np

from . import lists

SAMPLE = 50  # one of so many queries is run to find out how long all take


class Way:
    """A method for a Problem, which may say LeftOut at any time.

        prepared = pairs()              from positions to what attention needs: pattern and plan, list, mask
        run, back = forward(prepared)   run() computes; back(what it gave) is [atoms, heads, head size], in file order
        run, back = backward(prepared)  the same of forward and backward; back gives (dq, dk, dv)
        kept(prepared)                  bytes that are held as long as the pairs are
        estimate(prepared, backward)    seconds of a run, from a part of it; None: it is not known before
    """

    compiles = False  # in its first call

    def __init__(self, problem, clock):
        self.p, self.clock = problem, clock
        self.how = self.backward_how = ""  # in words, for people
        self.facts = {}  # for JSON; what begins with backward_ is of both passes
        self.left = None  # set by who runs it: seconds that it still has

    def estimate(self, prepared, backward):
        return None

    @staticmethod
    def settings():
        """Within this all is run."""
        return contextlib.nullcontext()


def cuts(first, begin, end, most):
    """Cuts of the queries begin .. end - 1, so that between two are at most `most` pairs, or one query."""
    found = [begin]
    while found[-1] < end:
        reach = int(np.searchsorted(first, first[found[-1]] + most, "right")) - 1
        found.append(min(end, max(found[-1] + 1, reach)))
    return found


def padded(dim):
    """The head size that kernels have for this one; vicinal.attention() fills up with zeros."""
    return -(-dim // 8) * 8


class Vicinal(Way):
    label = "vicinal"
    in_order = False

    def pairs(self):
        import vicinal
        pattern = vicinal.pattern(self.p.structure, self.p.cutoff)
        self.plan = pattern.prepare(self.p.heads, padded(self.p.dim), dtype=self.p.dtype, device=self.p.device,
                                    sorted=self.in_order)
        self.facts["kernel"] = self.plan["kernel"]
        return pattern

    def kept(self, pattern):
        return self.plan["bytes"] + (pattern.nbytes if self.p.device == "cpu" else 0)  # of the device's memory

    def forward(self, pattern):
        import vicinal
        given = [pattern.sort(x) if self.in_order else x for x in (self.p.q, self.p.k, self.p.v)]
        self.how = (f"{self.plan['kernel']}; pairs: vicinal.pattern() and its plan" if not self.in_order else
                    "tensors are in the pattern's order, as they go in and come out")
        return (lambda: vicinal.attention(*given, pattern, sorted=self.in_order),
                pattern.unsort if self.in_order else lambda out: out)


class VicinalInOrder(Vicinal):
    label = "vicinal, sorted=True"
    in_order = True


class GatherScatter(Way):
    """In NumPy: gathered products, softmax over each query's pairs by reduceat, sums by a sparse matrix of SciPy."""

    label = "gather, softmax, scatter"
    piece_bytes = 1 << 26  # of one gathered tensor

    def __init__(self, problem, clock):
        super().__init__(problem, clock)
        self.make, self.words = lists.choose(problem)

    def pairs(self):
        return self.make(self.p)

    def kept(self, prepared):
        return sum(x.nbytes for x in prepared)

    def _piece(self, prepared, a, b, out):
        (first, i, j), p = prepared, self.p
        some = slice(first[a], first[b])
        row, key, starts = i[some] - a, j[some], first[a:b] - first[a]
        q, k = (x.astype(np.float32, copy=False) for x in (p.q[a:b][row], p.k[key]))
        s = np.einsum("ehd,ehd->eh", q, k) * np.float32(p.scale)
        w = np.exp(s - np.maximum.reduceat(s, starts)[row])
        w /= np.add.reduceat(w, starts)[row]
        if self.sparse is None:
            out[a:b] = np.add.reduceat(w[..., None] * p.v[key], starts)
            return
        for h in range(p.heads):
            weights = self.sparse((np.ascontiguousarray(w[:, h]), key, np.append(starts, len(key))), shape=(b - a, p.n))
            out[a:b, h] = weights @ self.values[h]

    def _run(self, prepared, end):
        out = np.empty(self.p.v.shape, np.float32)
        most = max(1, self.piece_bytes // (4 * self.p.heads * self.p.dim))
        cut = cuts(prepared[0], 0, end, most)
        for a, b in zip(cut, cut[1:]):
            self._piece(prepared, a, b, out)
        return out

    def forward(self, prepared):
        try:
            from scipy.sparse import csr_matrix as self_sparse
        except ImportError:
            self_sparse = None
        self.sparse = self_sparse
        self.values = [np.ascontiguousarray(self.p.v[:, h], np.float32) for h in range(self.p.heads)]
        self.how = (f"NumPy {np.__version__}, {self.piece_bytes >> 20} MB at a time"
                    f"{'' if self.sparse is None else ', sums by sparse matrices of SciPy'}; pairs: {self.words}")
        return lambda: self._run(prepared, self.p.n), lambda out: out

    def estimate(self, prepared, backward):
        end = max(min(self.p.n, 256), self.p.n // SAMPLE)
        seconds = self.clock.once(lambda: self._run(prepared, end))[1]
        return seconds * prepared[0][-1] / prepared[0][end]


WAYS = {"vicinal": Vicinal, "vicinal-sorted": VicinalInOrder, "gather-scatter": GatherScatter}
