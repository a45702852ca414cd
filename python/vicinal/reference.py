# SPDX-License-Identifier: Apache-2.0
"""Attention in a few lines over the list of pairs: an oracle, its derivatives of any order, and the gradients where there
is no kernel for them.

It takes memory for each pair, head and number of a head, so it is for small systems.  In torch it can be
differentiated, also twice; sums over pairs are index_add, which on GPUs is not deterministic.
"""
import warnings

import numpy as np

CHUNK_BYTES = 1 << 29  # of scores and gathered keys and values, while gradients are computed


def _bias_of(xp_exp, xp_log, where, low, high, f):
    """Between two values of a table: linear, or next to -inf e^b is linear."""
    low_inf, high_inf = low == -np.inf, high == -np.inf
    plain = where(low_inf | high_inf, 0.0, low) * (1 - f) + where(low_inf | high_inf, 0.0, high) * f
    mixed = xp_log(where(low_inf, 0.0, xp_exp(low)) * (1 - f) + where(high_inf, 0.0, xp_exp(high)) * f)
    return where(low_inf | high_inf, mixed, plain)


def stored_places(pattern, shape, i, j):
    """Where the pairs i, j have their numbers in a stored bias [windows, queries, keys, heads], as indices (w, r, c)."""
    queries, keys = shape[-3], shape[-2]
    w, r = i // queries, i % queries
    c = j - w * queries + (keys - queries) // 2
    if len(c) and not (0 <= int(c.min()) and int(c.max()) < keys):
        from . import _c
        raise _c.ArgumentError(f"bias: the pattern's windows are not of {queries} queries and {keys} keys, as the shape "
                               f"{tuple(shape)} says")
    return w, r, c


def stored_of_pairs(bias, pattern, i, j, some=slice(None)):
    """A stored bias as [batch or 1, pairs, heads], of some pairs; arrays or tensors."""
    batch = bias.ndim in (3, 5)
    if bias.ndim < 4:
        found = bias[:, some] if batch else bias[some]
    else:
        w, r, c = stored_places(pattern, bias.shape, i, j)
        found = bias[:, w, r, c] if batch else bias[w, r, c]
    return found if batch else found[None]


def attention_numpy(q, k, v, pattern, scale, bias, in_order, stored=None):
    """(out, lse) in float64; q [b, n, h, d] and so on, in NumPy; `stored` a bias for each pair."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    if in_order:
        q, k, v = pattern.unsort(q), pattern.unsort(k, "key"), pattern.unsort(v, "key")
    heads = q.shape[2]
    k, v = (np.repeat(x, heads // x.shape[2], axis=2) for x in (k, v))
    i, j = pattern._list("ij")
    s = np.einsum("behd,behd->beh", q[:, i], k[:, j]) * scale
    if bias is not None:
        table = np.broadcast_to(np.asarray(bias.table, np.float64), (heads, bias.table.shape[1]))
        at = pattern._list("d")[0] ** 2 * ((table.shape[1] - 1) / pattern.cutoff ** 2)
        m = np.minimum(at.astype(np.int64), table.shape[1] - 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            s = s + _bias_of(np.exp, np.log, np.where, table[:, m], table[:, m + 1], at - m).T
    if stored is not None:
        s = s + stored_of_pairs(stored.astype(np.float64), pattern, i, j)
    shape = (q.shape[0], q.shape[1], heads)
    top = np.full(shape, -np.inf)
    np.maximum.at(top, (slice(None), i), s)
    top = np.where(np.isfinite(top), top, 0.0)
    p = np.exp(s - top[:, i])
    total, out = np.zeros(shape), np.zeros((*shape, v.shape[3]))
    np.add.at(total, (slice(None), i), p)
    np.add.at(out, (slice(None), i), p[..., None] * v[:, j])
    with np.errstate(divide="ignore"):
        lse = top + np.log(total)
    out = out / np.where(total > 0, total, 1.0)[..., None]
    return (pattern.sort(out), pattern.sort(lse, dim=1)) if in_order else (out, lse)


def _pairs(pattern, device, with_distance):
    """i, j (int64), the first pair of each query [n + 1] (a list), and d or None, on a device; kept with the pattern."""
    import torch
    key = str(device)
    with pattern._lock:  # so that what an update_() makes stale is not kept
        if key not in pattern._pairs:
            i, j = pattern._list("ij")
            first = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=pattern.n_queries))]).tolist()
            pattern._pairs[key] = [torch.from_numpy(i).to(device), torch.from_numpy(j).to(device), first, None]
        found = pattern._pairs[key]
        if with_distance and found[3] is None:
            found[3] = torch.from_numpy(pattern._list("d")[0]).to(device)
        return found


def _squares(pattern, device, some, moved):
    """d^2 of some pairs, float64; with `moved`, (positions, keys, cell), as a function of them."""
    import torch
    i, j, _, d = _pairs(pattern, device, moved is None)
    if moved is None:
        return d[some] ** 2
    positions, keys, cell = (None if x is None else x.to(device, torch.float64) for x in moved)
    if keys is None:
        keys = positions if pattern.one_set else torch.from_numpy(pattern._positions("key")).to(device)
    difference = keys.index_select(0, j[some]) - positions.index_select(0, i[some])
    if any(pattern.pbc):
        if cell is None:
            cell = torch.as_tensor(np.asarray(pattern.cell), dtype=torch.float64, device=device)
        shift = torch.from_numpy(pattern._list("S")[0][some]).to(device, torch.float64)
        difference = difference + shift @ cell
    return (difference * difference).sum(-1)


def _rows(q, k, v, table, pattern, scale, begin, end, moved=None, stored=None):
    """(out, lse) of queries begin .. end - 1, in the type of q; q, k, v [b, n, h, d], all as many heads."""
    import torch
    i, j, first, _ = _pairs(pattern, q.device, False)
    some = slice(first[begin], first[end])
    i, j = i[some] - begin, j[some]
    q = q[:, begin:end]
    s = (q.index_select(1, i) * k.index_select(1, j)).sum(-1) * scale
    if table is not None:
        at = (_squares(pattern, q.device, some, moved) * ((table.shape[1] - 1) / pattern.cutoff ** 2)).to(q.dtype)
        m = at.long().clamp(max=table.shape[1] - 2)
        zero = torch.zeros((), dtype=q.dtype, device=q.device)
        table = table.to(q.dtype).expand(q.shape[2], -1)
        s = s + _bias_of(torch.exp, torch.log, lambda c, x, y: torch.where(c, zero if isinstance(x, float) else x, y),
                         table[:, m], table[:, m + 1], at - m).T
    if stored is not None:
        s = s + stored_of_pairs(stored.to(q.dtype), pattern, i + begin, j, some)
    shape = (q.shape[0], end - begin, q.shape[2])
    top = torch.full(shape, -torch.inf, dtype=q.dtype, device=q.device)
    top = top.scatter_reduce(1, i[None, :, None].expand_as(s), s.detach(), "amax")
    top = torch.where(top.isfinite(), top, 0.0)
    p = torch.exp(s - top.index_select(1, i))
    total = torch.zeros(shape, dtype=q.dtype, device=q.device).index_add(1, i, p)
    out = torch.zeros((*shape, v.shape[3]), dtype=q.dtype, device=q.device)
    out = out.index_add(1, i, p.unsqueeze(-1) * v.index_select(1, j))
    has = total > 0
    safe = torch.where(has, total, 1.0)
    return out / safe.unsqueeze(-1), torch.where(has, top + torch.log(safe), -torch.inf)


def _prepared(q, k, v, pattern, in_order):
    """In float32 or float64, in the caller's order, all with as many heads."""
    import torch
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    q, k, v = (x.to(dtype) for x in (q, k, v))
    if in_order:
        q, k, v = pattern.unsort(q), pattern.unsort(k, "key"), pattern.unsort(v, "key")
    repeats = q.shape[2] // k.shape[2]
    if repeats > 1:
        k, v = (x.repeat_interleave(repeats, dim=2) for x in (k, v))
    return q, k, v


def attention_torch(q, k, v, table, pattern, scale, in_order, moved=None, stored=None):
    """(out, lse) of q [b, n, h, d] and so on; out in their type, lse float32 (float64 where they are).  `moved`: (positions,
    keys or None, cell or None) of the bias, by which it can be differentiated, too."""
    dtype = q.dtype
    q, k, v = _prepared(q, k, v, pattern, in_order)
    out, lse = _rows(q, k, v, table, pattern, scale, 0, pattern.n_queries, moved, stored)
    if in_order:
        out, lse = pattern.sort(out), pattern.sort(lse, dim=1)
    return out.to(dtype), lse


_warned_of = 0  # pairs


def warn(pattern, library, device, bytes_a_pair, listed_bytes):
    """Once, and again for twice as many pairs: that gradients are slow, and what they take."""
    global _warned_of
    if pattern.n_pairs < 2 * _warned_of:
        return
    _warned_of = max(1, pattern.n_pairs)
    memory = min(CHUNK_BYTES, bytes_a_pair * pattern.n_pairs)
    warnings.warn(f"vicinal: gradients come from the reference in plain {library}, over {pattern.n_pairs:,} pairs in "
                  f"pieces of about {memory / 1e6:,.0f} MB (and {listed_bytes * pattern.n_pairs / 1e6:,.0f} MB for the "
                  f"list of pairs): right, but slow, and on a GPU not deterministic; this version has no kernel of gradients "
                  f"for {device}", stacklevel=3)


def gradients(q, k, v, table, pattern, scale, in_order, dout, dlse):
    """Gradients of attention_torch() with respect to q, k, v and the table (None without one), some queries at a time.

    Sums are float32 (float64 where the tensors are).  The answers cannot be differentiated again: for second derivatives
    attention_torch() is differentiated itself.
    """
    import torch
    with torch.enable_grad():
        leaves = [None if x is None else x.detach().requires_grad_() for x in (q, k, v, table)]
        prepared = _prepared(*leaves[:3], pattern, in_order)
        inner = [x.detach().requires_grad_() for x in prepared]
        table = leaves[3]
        if in_order:
            dout, dlse = pattern.unsort(dout), pattern.unsort(dlse, dim=1)
        b, n, heads, d = inner[0].shape
        bytes_a_pair = 4 * inner[0].element_size() * b * heads * (d + v.shape[3])
        warn(pattern, "torch", q.device.type, bytes_a_pair, 16)
        first = _pairs(pattern, q.device, False)[2]
        sums = [torch.zeros_like(x) for x in inner] + [None if table is None else torch.zeros_like(table)]
        begin = 0
        while begin < n:
            end = begin + 1
            while end < n and (first[end + 1] - first[begin]) * bytes_a_pair <= CHUNK_BYTES:
                end += 1
            out, lse = _rows(*inner, table, pattern, scale, begin, end)
            wanted = inner + ([table] if table is not None else [])
            # Rows without pairs have lse -inf, which has no gradient.
            down = torch.where(lse.isfinite(), dlse[:, begin:end].to(lse.dtype), 0.0)
            if out.requires_grad:
                for total, part in zip(sums, torch.autograd.grad(
                        (out, lse), wanted, (dout[:, begin:end].to(out.dtype), down), allow_unused=True)):
                    if part is not None:
                        total += part
            begin = end
        answers = torch.autograd.grad(prepared, leaves[:3], sums[:3])
    return [*answers, sums[3]]
