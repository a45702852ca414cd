# SPDX-License-Identifier: Apache-2.0
"""What the tests of the package's patterns share."""
import numpy as np

SKEWED = np.array([[3.1, 0.0, 0.0], [1.9, 2.9, 0.0], [-2.2, 1.7, 3.3]])


def sorted_rows(*columns):
    """The columns as rows, sorted by all of them but the last ones, which are floats."""
    order = np.lexsort([column for c in reversed(columns) for column in np.atleast_2d(c.T)[::-1]])
    return [c[order] for c in columns]


def pairs_of(pattern):
    """{(i, j, S)}"""
    i, j, S = pattern.neighbors("ijS")
    found = set(zip(i.tolist(), j.tolist(), map(tuple, S.tolist())))
    assert len(found) == len(i) == pattern.n_pairs
    return found


def same(a, b):
    assert (a.n_queries, a.n_keys) == (b.n_queries, b.n_keys)
    assert pairs_of(a) == pairs_of(b)
