# SPDX-License-Identifier: Apache-2.0
"""Pairs and attention by brute force in numpy, and safetensors by hand: nothing in common with what is tested."""
import itertools
import json
import struct

import numpy as np


def pairs(positions, cutoff, cell=None, periodic=(True, True, True), reach=4):
    """All (i, j, n1, n2, n3) with |r_j + n . cell - r_i| < cutoff, sorted, and their distances."""
    ranges = [range(-reach, reach + 1) if cell is not None and p else (0,) for p in periodic]
    found, distances = [], []
    for n in itertools.product(*ranges):
        shift = np.zeros(3) if cell is None else np.asarray(n, float) @ cell
        d = np.linalg.norm(positions[None, :] + shift - positions[:, None], axis=2)
        i, j = np.nonzero(d < cutoff)
        found.append(np.column_stack([i, j, np.tile(n, (len(i), 1))]))
        distances.append(d[i, j])
        assert len(i) == 0 or max(map(abs, n)) < reach or reach == 0, "the oracle's images do not reach far enough"
    found, distances = np.concatenate(found), np.concatenate(distances)
    order = np.lexsort(found.T[::-1])
    return found[order], distances[order]


def attention(pair_list, q, k, v, scale=None):
    """float64 out [n, heads, d_v] and lse [n, heads] over the pairs; zeros and -inf for rows without any."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    n, heads = q.shape[:2]
    group = heads // k.shape[1]
    scale = 1 / np.sqrt(q.shape[2]) if scale is None else scale
    out, lse = np.zeros((n, heads, v.shape[2])), np.full((n, heads), -np.inf)
    for i in range(n):
        j = pair_list[pair_list[:, 0] == i, 1]
        if len(j) == 0:
            continue
        for h in range(heads):
            s = scale * k[j, h // group] @ q[i, h]
            top = s.max()
            w = np.exp(s - top)
            lse[i, h] = top + np.log(w.sum())
            out[i, h] = w @ v[j, h // group] / w.sum()
    return out, lse


TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "F64": np.dtype("<f8"), "BF16": np.dtype("<u2")}


def bfloat16(x):
    """float32 rounded to nearest even bfloat16, as its bits."""
    u = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((u + 0x7fff + (u >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_safetensors(path, tensors, types=None):
    """tensors: {name: array}; types: {name: "BF16"} for arrays that hold bits."""
    header, blobs, at = {}, [], 0
    for name, array in tensors.items():
        kind = (types or {}).get(name) or next(k for k, t in TYPES.items() if t == array.dtype)
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return path


def read_safetensors(path):
    raw = path.read_bytes()
    size, = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    data = raw[8 + size:]
    assert (8 + size) % 8 == 0
    out, end = {}, 0
    for name, entry in header.items():
        if name == "__metadata__":
            assert all(isinstance(x, str) for pair in entry.items() for x in pair)
            continue
        first, last = entry["data_offsets"]
        assert first == end, "tensors must follow each other without gaps"
        end = last
        out[name] = np.frombuffer(data[first:last], TYPES[entry["dtype"]]).reshape(entry["shape"])
    assert end == len(data)
    return out
