# SPDX-License-Identifier: Apache-2.0
"""A structure with random tensors, and what is right for some of its rows: by all distances, in float64, in NumPy."""
import itertools
import math

import numpy as np

ROWS, GRADIENT_ROWS = 128, 8  # compared with float64; of large structures fewer, for so many distances in all:
DISTANCES = 40_000_000
BOUND = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 1e-2}  # relative Frobenius error of those rows
# Masks from positions in float32 may decide pairs otherwise where d^2 / cutoff^2 - 1 is smaller than this.  Gradients
# depend on the pairs of all neighbours, of which some would nearly always be.
SURE, SURE_FOR_GRADIENTS = 1e-5, 1.5e-6
CHUNK = 1 << 22  # pairs


class Lattice:
    """The periodic vectors of a cell: vectors [p, 3], p = 0 to 3 axes."""

    def __init__(self, cell, pbc):
        self.vectors = np.zeros((0, 3)) if cell is None else np.asarray(cell, np.float64)[np.asarray(pbc, bool)]
        self.inverse = np.linalg.pinv(self.vectors) if len(self.vectors) else np.zeros((3, 0))  # [3, p]

    def reach(self, radius):
        """[p]: how far a radius reaches along each vector, in units of it."""
        return radius * np.linalg.norm(self.inverse, axis=0)

    def one_image(self, cutoff):
        """Whether of all images of a pair only the nearest can be within the cutoff; then it is the one that rounding
        to whole vectors gives."""
        return bool(np.all(self.reach(cutoff) < 0.5))

    def wrapped(self, x):
        """Positions moved by whole vectors into the cell."""
        return x - np.floor(x @ self.inverse) @ self.vectors

    def near(self, x, center, radius):
        """(index, place [., 3], d2) of all images of the points x that are nearer than radius to a point."""
        x = np.asarray(x, np.float64)
        fraction, reach = (x - center) @ self.inverse, self.reach(radius) + 1e-9
        low, high = np.ceil(-fraction - reach), np.floor(-fraction + reach)
        most = (high - low).max(0, initial=0).astype(int) if len(self.vectors) else []
        found = []
        for offset in itertools.product(*(range(m + 1) for m in most)):
            shift = low + np.array(offset)
            index = np.flatnonzero((shift <= high).all(1)) if len(self.vectors) else np.arange(len(x))
            place = x[index] + shift[index] @ self.vectors
            d = place - center
            d2 = d[:, 0] ** 2 + d[:, 1] ** 2 + d[:, 2] ** 2
            inside = d2 < radius ** 2
            found.append((index[inside], place[inside], d2[inside]))
        return tuple(np.concatenate(parts) for parts in zip(*found))


def _softmax(s):
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


class Problem:
    """q, k, v [atoms, heads, head size] for a structure, and for --backward the gradient `dout` of the result.

    torch     the module, or None: then the tensors are NumPy's
    rows      the atoms that are compared with float64; `error()` does so
    """

    def __init__(self, structure, cutoff, heads, dim, dtype, device, seed, torch=None, backward=False):
        self.structure, self.cutoff, self.heads, self.dim = structure, cutoff, heads, dim
        self.dtype, self.device, self.torch = dtype, device, torch
        self.positions, self.n, self.scale = structure.positions, len(structure), 1.0 / math.sqrt(dim)
        self.lattice = Lattice(structure.cell, structure.pbc)
        self.bound = BOUND[dtype]
        self.random = np.random.default_rng(seed)
        self.q, self.k, self.v = (self._tensor() for _ in range(3))
        self.dout = self._tensor() if backward else None
        self.counts = None
        self.rows, self.right = self._reference()
        self.gradient_rows, self.right_gradients = self._gradients() if backward else (None, None)

    def _tensor(self):
        x = self.random.standard_normal((self.n, self.heads, self.dim), np.float32)
        if self.torch is None:
            return x.astype(self.dtype)
        return self.torch.from_numpy(x).to(self.device, getattr(self.torch, self.dtype))

    def host(self, x, index):
        """Rows of a tensor in float64, in NumPy."""
        if self.torch is None:
            return x[index].astype(np.float64)
        return x[self.torch.from_numpy(np.asarray(index)).to(x.device)].detach().double().cpu().numpy()

    def _is_sure(self, d2, least):
        return np.abs(d2 / self.cutoff ** 2 - 1.0).min(initial=1.0) > least

    def _chosen(self, candidates, count, is_sure):
        """Of the candidates the first `count` that are sure, or else the first."""
        sure = []
        for i in candidates:
            if len(sure) == count:
                break
            if is_sure(i):
                sure.append(i)
        return np.array(sorted(sure if sure else candidates[:count]))

    def _reference(self):
        count = min(ROWS, max(16, DISTANCES // self.n), self.n)
        candidates = self.random.permutation(self.n)[:2 * count]
        near = {}

        def look(i):
            if i not in near:
                near[i] = self.lattice.near(self.positions, self.positions[i], self.cutoff)
            return near[i]
        rows = self._chosen(candidates, count, lambda i: self._is_sure(look(i)[2], SURE))
        self.counts = np.array([len(look(i)[0]) for i in rows])
        right = np.empty((len(rows), self.heads, self.dim))
        for at, i in enumerate(rows):
            j = look(i)[0]
            q, k, v = self.host(self.q, [i])[0], self.host(self.k, j), self.host(self.v, j)
            right[at] = np.einsum("hj,jhd->hd", _softmax(np.einsum("hd,jhd->hj", q, k) * self.scale), v)
        return rows, right

    def error(self, out):
        """Relative Frobenius error of [atoms, heads, head size] on the compared rows; inf where it is no number."""
        return self._relative(self.host(out, self.rows), self.right)

    def gradient_error(self, gradients):
        """The largest of those of (dq, dk, dv)."""
        return max(self._relative(self.host(x, self.gradient_rows), right)
                   for x, right in zip(gradients, self.right_gradients))

    @staticmethod
    def _relative(got, right):
        error = float(np.linalg.norm(got - right) / max(np.linalg.norm(right), 1e-300))
        return error if math.isfinite(error) else math.inf

    # ---- gradients ----

    def _around(self, center):
        """(index, place, d2, queries): all images within twice the cutoff of an atom, and which of them are within the
        cutoff: those attend to the atom, as its images see theirs, and what they attend to is there too."""
        index, place, d2 = self.lattice.near(self.positions, self.positions[center], 2.0 * self.cutoff * (1 + 1e-9))
        return index, place, d2, np.flatnonzero(d2 < self.cutoff ** 2)

    def _between(self, place, queries):
        """Some queries at a time, and [those, all] d2."""
        step = max(1, CHUNK // len(place))
        for begin in range(0, len(queries), step):
            some = queries[begin:begin + step]
            yield some, ((place[some, None] - place[None]) ** 2).sum(-1)

    def _gradients(self):
        """(rows, [dq, dk, dv]) in float64."""
        def is_sure(i):
            _, place, _, queries = self._around(i)
            return all(self._is_sure(d2, SURE_FOR_GRADIENTS) for _, d2 in self._between(place, queries))
        candidates = self.random.permutation(self.n)[:4 * GRADIENT_ROWS]
        rows = self._chosen(candidates, min(GRADIENT_ROWS, self.n), is_sure)
        answers = np.zeros((3, len(rows), self.heads, self.dim))
        for at, i in enumerate(rows):
            index, place, d2, queries = self._around(i)
            itself = int(np.flatnonzero((index == i) & (d2 == 0.0))[0])
            k, v = self.host(self.k, index), self.host(self.v, index)
            for some, between in self._between(place, queries):
                q, dout = self.host(self.q, index[some]), self.host(self.dout, index[some])
                s = np.einsum("ahd,bhd->hab", q, k) * self.scale
                p = _softmax(np.where(between < self.cutoff ** 2, s, -np.inf))
                dp = np.einsum("ahd,bhd->hab", dout, v)
                ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * self.scale
                if itself in some:
                    answers[0, at] = np.einsum("hb,bhd->hd", ds[:, np.flatnonzero(some == itself)[0]], k)
                answers[1, at] += np.einsum("ha,ahd->hd", ds[:, :, itself], q)
                answers[2, at] += np.einsum("ha,ahd->hd", p[:, :, itself], dout)
        return rows, answers
