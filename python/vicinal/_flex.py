# SPDX-License-Identifier: Apache-2.0
"""Patterns as FlexAttention's block masks."""
import ctypes as c

import numpy as np

from . import _c

FULL, FIRST = 1, 2  # places of the bits of blocks: 0 empty ones, FULL full ones, and partial ones from FIRST on


def block_mask(pattern, block_size, device):
    """Pattern.to_block_mask()."""
    import torch
    from torch.nn.attention.flex_attention import BlockMask
    sizes = _sizes(block_size)
    if pattern.n_queries == 0 or pattern.n_keys == 0:
        raise _c.ArgumentError(f"to_block_mask: FlexAttention takes no empty tensors, and the pattern has "
                               f"{pattern.n_queries:,} queries and {pattern.n_keys:,} keys")
    if device is None:
        device = "cpu" if pattern._like is None else pattern._like
    with pattern._lock:
        i, j = pattern._list("ij")
        _refuse_shifts(pattern, i, j)
        lists = _lists(pattern, sizes)
        base, words = _bits(pattern, i, j, lists, sizes, device)
    shape = [torch.from_numpy(array)[None, None].to(device) for array in lists]
    return BlockMask.from_kv_blocks(*shape[:2], *(shape[2:] if lists[2].any() else (None, None)), BLOCK_SIZE=sizes,
                                    mask_mod=_mask_mod(base, words, sizes),
                                    seq_lengths=(pattern.n_queries, pattern.n_keys))


def _sizes(block_size):
    """(query rows, key rows) of a block."""
    sizes = (block_size, block_size) if isinstance(block_size, (int, np.integer)) else block_size
    try:
        sizes = tuple(int(size) for size in sizes)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) != 2 or any(size < 16 or size % 16 for size in sizes):
        raise _c.ArgumentError("block_size: expected a multiple of 16, or two (query rows, key rows), got "
                               f"{block_size!r}")
    return sizes


def _refuse_shifts(pattern, i, j):
    """A pair (i, j) under several shifts stands in the list next to itself."""
    twice = np.flatnonzero((i[1:] == i[:-1]) & (j[1:] == j[:-1]))
    if len(twice):
        at = twice[0]
        shifts = np.count_nonzero((i == i[at]) & (j == j[at]))
        raise _c.ArgumentError(
            f"to_block_mask: query {i[at]:,} has key {j[at]:,} under {shifts} shifts of the cell, each with a weight "
            "of its own, and FlexAttention's mask can only say that a pair is there: use vicinal.attention(), a "
            "smaller cutoff, or a supercell, in which each image is an atom of its own")


def _lists(pattern, sizes):
    """kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, with room for all blocks of a row."""
    mask = _c.STRUCTS["vic_block_mask"](query_block=sizes[0], key_block=sizes[1])
    pattern._call("vic_pattern_block_mask", c.addressof(mask))
    mask.width = mask.columns
    arrays = {}
    for name in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices"):
        arrays[name] = np.empty((mask.rows, mask.width) if name.endswith("indices") else mask.rows, np.int32)
        setattr(mask, name, arrays[name].ctypes.data)
    pattern._call("vic_pattern_block_mask", c.addressof(mask))
    return list(arrays.values())


def _bits(pattern, i, j, lists, sizes, device):
    """(base, words): the bits of the block (I, J) begin at words[base[I, J]], some words of 32 keys for each query row.

    All empty blocks share one place, and all full ones.
    """
    import torch
    in_row = -(-sizes[1] // 32)  # words
    in_block = sizes[0] * in_row
    some = np.arange(lists[1].shape[1]) < lists[0][:, None]
    row, column = np.nonzero(some)[0], lists[1][some]
    length = (FIRST + len(row)) * in_block
    base = np.zeros(lists[1].shape, np.int32 if length < 1 << 31 else np.int64)
    base[row, column] = np.arange(FIRST, FIRST + len(row)) * in_block
    full = np.arange(lists[3].shape[1]) < lists[2][:, None]
    base[np.nonzero(full)[0], lists[3][full]] = FULL * in_block

    base = torch.from_numpy(base).to(device)
    q_row, k_row = (_rows(pattern, side).to(device) for side in ("query", "key"))
    i, j = q_row[torch.from_numpy(i).to(device)], k_row[torch.from_numpy(j).to(device)]
    place = base[i // sizes[0], j // sizes[1]].long()
    partial = place >= FIRST * in_block
    i, j, place = i[partial] % sizes[0], j[partial] % sizes[1], place[partial]
    words = torch.zeros(length, dtype=torch.int32, device=device)
    words[FULL * in_block:FIRST * in_block] = -1
    # Each bit is added once; bit 31 is the sign.
    words.index_add_(0, place + i * in_row + j // 32, torch.ones_like(j, dtype=torch.int32) << (j % 32).int())
    return base, words


def _rows(pattern, side):
    """The row of each point."""
    import torch
    order = torch.from_numpy(pattern._order(side))
    rows = torch.empty_like(order)
    rows[order] = torch.arange(len(order))
    return rows


def _mask_mod(base, words, sizes):
    in_row = -(-sizes[1] // 32)

    def is_pair(batch, head, row, key):
        within = key % sizes[1]
        at = base[row // sizes[0], key // sizes[1]] + (row % sizes[0]) * in_row + within // 32
        return ((words[at] >> (within % 32)) & 1) == 1
    return is_pair
