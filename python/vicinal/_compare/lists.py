# SPDX-License-Identifier: Apache-2.0
"""Pairs by other programs than vicinal, as (first, i, j): query and key of each pair, i rising, and the number of the
first pair of each query [atoms + 1].  Which program it is depends on what is installed."""
import itertools
import warnings

import numpy as np

PIECE_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}  # of one tensor of distances


def first_of(i, n):
    """[n + 1]: the first pair of each query in a sorted i."""
    return np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n))])


# ---- SciPy ----

def scipy_list(p):
    """By a k-d tree of the atoms and, in a cell, of those images that the cutoff can reach."""
    from scipy.sparse import coo_matrix
    from scipy.spatial import cKDTree
    x, owner = _with_images(p)
    pairs = cKDTree(x).query_pairs(np.nextafter(p.cutoff, 0.0), output_type="ndarray")  # i < j, at most the cutoff
    a, b = pairs[pairs[:, 0] < p.n].T
    both, itself = b < p.n, np.arange(p.n)
    i, j = np.concatenate([a, b[both], itself]), np.concatenate([b, a[both], itself])
    rows = coo_matrix((np.ones(len(i), np.int8), (i, j)), shape=(p.n, len(x))).tocsr()  # a sort by counting
    return rows.indptr.astype(np.int64), np.repeat(itself, np.diff(rows.indptr)), owner[rows.indices]


def _with_images(p):
    """(positions, atom of each): first the atoms, wrapped into the cell, then images around it."""
    lattice, x = p.lattice, p.lattice.wrapped(p.positions)
    reach = lattice.reach(p.cutoff)
    fraction, atoms = x @ lattice.inverse, np.arange(p.n)
    places, owners = [x], [atoms]
    for shift in itertools.product(*(range(-m, m + 1) for m in np.ceil(reach + 1e-9).astype(int))):
        if any(shift):
            moved = fraction + np.array(shift)
            kept = np.flatnonzero(((moved > -reach - 1e-9) & (moved < 1 + reach + 1e-9)).all(1))
            places.append(x[kept] + np.array(shift) @ lattice.vectors)
            owners.append(atoms[kept])
    return np.concatenate(places), np.concatenate(owners)


# ---- torch ----

def near_rows(p, x, begin, end):
    """[end - begin, atoms] bool on the device: whether the nearest image is within the cutoff; x float64 on it."""
    d = x - x[begin:end, None]
    if len(p.lattice.vectors):
        inverse, vectors = (p.torch.from_numpy(a).to(x.device) for a in (p.lattice.inverse, p.lattice.vectors))
        d -= (d @ inverse).round() @ vectors
    return d.square_().sum(-1) < p.cutoff ** 2


def pieces_of_rows(p):
    rows = max(1, min(p.n, PIECE_BYTES[p.device] // (24 * p.n)))
    return [(begin, min(p.n, begin + rows)) for begin in range(0, p.n, rows)]


def on_device(p):
    return p.torch.from_numpy(p.positions).to(p.device)


def torch_list(p):
    """All distances, some rows at a time."""
    x, i, j = on_device(p), [], []
    for begin, end in pieces_of_rows(p):
        row, column = near_rows(p, x, begin, end).nonzero(as_tuple=True)
        i.append(row + begin)
        j.append(column)
    i, j = p.torch.cat(i), p.torch.cat(j)
    return _first(p, i), i, j


def _first(p, i):
    counts = p.torch.bincount(i, minlength=p.n)
    return np.concatenate([[0], counts.cumsum(0).cpu().numpy()])


def radius_graph_list(p):
    """torch_geometric's radius_graph, which needs torch_cluster or pyg-lib."""
    from torch_geometric.nn import radius_graph
    # By default it drops what is beyond 32 neighbours.
    j, i = radius_graph(on_device(p), p.cutoff, loop=True, max_num_neighbors=p.most_pairs)
    i, order = p.torch.sort(i, stable=True)
    return _first(p, i), i, j[order]


def _radius_graph_works(p):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from torch_geometric.nn import radius_graph
            edges = radius_graph(on_device(p)[:2], p.cutoff, loop=True)
            return edges.shape[0] == 2
        except Exception:  # what it needs is missing, in one way or another
            return False


# ---- vicinal's own, where there is nothing else ----

def own_list(p):
    import vicinal
    i, j = vicinal.pattern(p.structure, p.cutoff).neighbors("ij")
    return first_of(i, p.n), i, j


def choose(p):
    """(make, in words): what there is for this problem; make(p) gives (first, i, j)."""
    open_axes = len(p.lattice.vectors) == 0
    if p.torch is not None and open_axes and _radius_graph_works(p):
        import torch_geometric
        return radius_graph_list, f"torch_geometric {torch_geometric.__version__}'s radius_graph"
    if p.device == "cuda" and p.lattice.one_image(p.cutoff):
        return torch_list, "all distances on the GPU, some rows at a time"
    try:
        import scipy
        import scipy.sparse
        import scipy.spatial
    except ImportError:
        return own_list, "vicinal's own pairs, as there is no SciPy"
    images = "" if open_axes else ", with the images around the cell"
    return scipy_list, f"SciPy {scipy.__version__}'s k-d tree{images} (one thread, each pair once)"
