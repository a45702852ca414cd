# SPDX-License-Identifier: Apache-2.0
"""Biases: what is added to a pair's score."""
import ctypes as c

import numpy as np

from . import _c
from ._points import host_array, is_torch, length

KINDS = {"linear": 0, "gaussian": 1, "cosine": 2, "polynomial": 3}
POINTS = _c.CONSTANTS["VIC_BIAS_POINTS"]


class DistanceBias:
    """b_h(d) added to the score of a pair at distance d; for patterns of one structure with a cutoff, on the CPU.

    table  float32 [heads or 1, points]: value m at d^2 = cutoff^2 m / (points - 1), linear in d^2 in between; -inf is
           weight 0, and next to it e^b is linear.  NumPy, or torch, then it can be learnt: -inf stays
    cutoff  A, that the table reaches to: another one of the pattern is then an error; None = the pattern's

    Also made by linear(), gaussian(), cosine() and polynomial(), in 1,024 points; the cutoff that these take is the
    pattern's, in A, and each other argument a number or one for each head.  Biases are added with +.  How exactly a
    table meets its function: docs/howto/distance-bias.md.  With at() it has gradients by positions, too.  Raises
    ArgumentError.
    """

    _at = None  # (positions, keys, cell) of at()

    def __init__(self, table, cutoff=None):
        if not is_torch(table):
            table = np.ascontiguousarray(host_array(table, "table"), np.float32)
        if table.ndim != 2 or table.shape[1] < 2:
            raise _c.ArgumentError(f"table: expected [heads or 1, points >= 2], got shape {tuple(table.shape)}")
        self.table, self.cutoff = table, None if cutoff is None else length(cutoff, "cutoff")

    @classmethod
    def _term(cls, kind, cutoff, *parameters):
        """One row a head: parameters are numbers, or vectors with one for each head."""
        cutoff = length(cutoff, "cutoff")
        try:
            a, center, width = np.broadcast_arrays(*(np.atleast_1d(np.asarray(p, np.float64)) for p in parameters))
        except (RuntimeError, TypeError, ValueError) as error:
            raise _c.ArgumentError(f"expected numbers, or vectors with one for each head ({error})") from None
        table = np.zeros((len(a), POINTS), np.float32)
        for row, values in zip(table, zip(a, center, width)):
            _c.call("vic_bias_add", KINDS[kind], *map(float, values), cutoff, POINTS, row.ctypes.data)
        return cls(table, cutoff)

    @classmethod
    def linear(cls, a, cutoff):
        """a d, with a in 1 / A: a < 0 favours near atoms (ALiBi's slopes)."""
        return cls._term("linear", cutoff, a, 0.0, 1.0)

    @classmethod
    def gaussian(cls, a, center, width, cutoff):
        """a exp(-(d - center)^2 / (2 width^2)), with center and width in A."""
        return cls._term("gaussian", cutoff, a, center, width)

    @classmethod
    def cosine(cls, cutoff):
        """ln((1 + cos(pi d / cutoff)) / 2), so that weights fade out at the cutoff (Behler and Parrinello 2007)."""
        return cls._term("cosine", cutoff, 0.0, 0.0, 1.0)

    @classmethod
    def polynomial(cls, cutoff, p=6):
        """The envelope of DimeNet (Gasteiger 2020), as its logarithm, so that weights fade out; p >= 1."""
        return cls._term("polynomial", cutoff, p, 0.0, 1.0)

    def at(self, positions, *, keys=None, cell=None):
        """The same bias, from which torch.autograd also knows gradients by positions and cell: forces, stress.

        positions  [queries, 3] torch tensor, A: the pattern's, by value; float64 or float32, and so is its gradient
        keys       [keys, 3], of a pattern of two sets
        cell       [3, 3], A: the pattern's; its gradient is that at fixed positions, 0 along open axes

        Pairs are those of the pattern, so where points move, pattern.update_(positions) comes first, and a bias that
        falls to -inf at the cutoff (cosine, polynomial) makes energies continuous.  On the CPU by kernels, once
        differentiable; with backend="reference" any number of times.
        """
        found = DistanceBias(self.table, self.cutoff)
        found._at = positions, keys, cell
        return found

    def __add__(self, other):
        if not isinstance(other, DistanceBias):
            return NotImplemented
        if self._at is not None or other._at is not None:
            raise _c.ArgumentError("a bias that is at positions cannot be added to: add first, then .at(positions)")
        one, two = self.table, other.table
        if one.shape[1] != two.shape[1] or (one.shape[0] != two.shape[0] and 1 not in (one.shape[0], two.shape[0])):
            raise _c.ArgumentError("tables to be added: expected as many heads (or 1) and points of both, got shapes "
                                   f"{tuple(one.shape)} and {tuple(two.shape)}")
        if None not in (self.cutoff, other.cutoff) and self.cutoff != other.cutoff:
            raise _c.ArgumentError(f"tables for cutoffs of {self.cutoff:g} A and {other.cutoff:g} A cannot be added")
        if is_torch(one) != is_torch(two):
            import torch
            like = one if is_torch(one) else two
            one, two = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (one, two))
        return DistanceBias(one + two, other.cutoff if self.cutoff is None else self.cutoff)

    def __repr__(self):
        return f"<vicinal.DistanceBias, {self.table.shape[0]} heads, {self.table.shape[1]} points>"
