# SPDX-License-Identifier: Apache-2.0
"""What bench/peers_gpu.py does without a GPU: its cases, their points, block lists, statistics, the table."""
import dataclasses
import fnmatch
import math

import numpy as np

WATER = 0.1  # atoms in a cubic angstrom
APOA1_BOX = (108.8612, 108.8612, 77.758)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    kind: str  # "structure", "ball", "molecules": points and a cutoff; "blocks", "dense": a generated pattern
    heads: int = 4
    dim: int = 64
    cutoff: float = 0.0
    box: tuple = None
    text: str = ""  # of vic_pattern_generate()
    batch: int = 1
    peers: tuple = ()  # in this order

    @property
    def has_points(self):
        return self.kind in ("structure", "ball", "molecules")


# "flex64": FlexAttention, exact, on blocks of 64, with the best tile so far; "tune64" tries all that TILES lists.
ATOMS = ("flex64", "flex128")
BLOCKS = ("flex-blocks",)
DENSE = ("sdpa-cudnn", "sdpa-flash", "fa3", "flex-dense")


def cases(box, small=False):
    """All cases, the most important first.  `small`: sizes for a rehearsal."""
    def structure(name, cutoff, peers=ATOMS, **more):
        return Case(name, "structure", cutoff=cutoff, peers=peers, **more)

    def generated(name, blocks, heads=1, peers=BLOCKS, **more):
        text = {800: "blocks:5x5:n=12", 1600: "blocks:6x6:n=20", 3200: "blocks:8x8:n=30"}[blocks] if small else (
            f"origin:{blocks}")
        return Case(name, "blocks", heads=heads, text=text, peers=peers, **more)
    side = 4 if small else 128
    everything = f"blocks:{side}x{side}:n={side * side}"
    return [
        structure("apoa1-10", 10.0, ("tune64", "tune128", "flex-whole", "flex-bits", "edges")),
        structure("apoa1-6", 6.0, ("flex64", "flex128", "flex-whole", "flex-bits", "edges")),
        generated("origin-800", 800, peers=("tune-blocks", "unfused")),
        Case("dense-d64", "dense", heads=16, text=everything, peers=DENSE),
        Case("dense-d128", "dense", heads=8, dim=128, text=everything, peers=DENSE),
        structure("apoa1-8", 8.0),
        structure("apoa1-12", 12.0),
        structure("apoa1-10-periodic", 10.0, box=box),
        generated("origin-3200", 3200),
        generated("origin-800-batch8", 800, batch=8),
        generated("origin-800-heads16", 800, heads=16),
        Case("ball-35", "ball", heads=1, cutoff=10.0 if small else 35.0, peers=("flex128", "flex64")),
        Case("molecules-256", "molecules", dim=32, cutoff=5.0, peers=("flex64", "sdpa-padded")),
        structure("apoa1-10-8x128", 10.0, heads=8, dim=128),
        structure("apoa1-10-4x32", 10.0, dim=32),
        structure("apoa1-10-8x16", 10.0, ("flex64",), heads=8, dim=16),
        generated("origin-1600", 1600),
        structure("apoa1-10-more", 10.0, ("flex64-prescale", "flex64-tma", "flex128-tma", "flex128-flash")),
    ]


def chosen(all_cases, only):
    """Those whose names fit one of the comma-separated patterns; an unknown one is an error."""
    if not only:
        return all_cases
    wanted = [w.strip() for w in only.split(",") if w.strip()]
    for w in wanted:
        if not any(fnmatch.fnmatchcase(case.name, w) for case in all_cases):
            raise ValueError(f"--only {w}: no such case; there are " + ", ".join(case.name for case in all_cases))
    return [case for case in all_cases if any(fnmatch.fnmatchcase(case.name, w) for w in wanted)]


# BLOCK_M, BLOCK_N, num_warps, num_stages of FlexAttention's kernel, by size of block; None: its own choice.
TILES = {
    64: [(64, 64, 4, 3), (64, 64, 4, 2), (64, 64, 4, 4), (64, 32, 4, 3)],
    128: [None, (128, 64, 8, 3), (128, 64, 4, 3), (64, 64, 4, 3)],
}
UNTUNED = {(64, 128): [(64, 64, 4, 3), (64, 64, 4, 2)], (128, 128): [None, (128, 64, 8, 3)]}  # by (block, head size)


def tile_options(tile):
    return None if tile is None else dict(zip(("BLOCK_M", "BLOCK_N", "num_warps", "num_stages"), tile))


def tile_text(tile):
    return "default tile" if tile is None else "tile %d x %d, %d warps, %d stages" % tuple(tile)


# ---- points --------------------------------------------------------------------------------------------------------


def in_ball(count, rng):
    """`count` points, uniform in a ball at the density of water."""
    radius = (count / WATER * 3 / (4 * math.pi)) ** (1 / 3)
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (radius * rng.random((count, 1)) ** (1 / 3))


def molecules(count, rng, smallest=20, largest=100):
    """Offsets [count + 1] and the positions of all, each molecule around the same place."""
    offsets = np.concatenate([[0], np.cumsum(rng.integers(smallest, largest + 1, count))]).astype(np.int64)
    return offsets, np.concatenate([in_ball(int(n), rng) for n in np.diff(offsets)])


# ---- blocks --------------------------------------------------------------------------------------------------------


def padded_rows(rows):
    return -(-rows // 128) * 128


@dataclasses.dataclass
class BlockLists:
    """For each row of blocks how many there are and their columns [rows, columns], partial and full ones apart."""
    block: int
    partial_count: np.ndarray
    partial: np.ndarray
    full_count: np.ndarray
    full: np.ndarray

    @property
    def total(self):
        return int(self.partial_count.sum() + self.full_count.sum())

    @property
    def full_total(self):
        return int(self.full_count.sum())


def listed(row, column, side):
    """Counts [side] and columns [side, side] of (row, column) sorted by row, then column."""
    count = np.bincount(row, minlength=side).astype(np.int32)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    index = np.zeros((side, side), np.int32)
    index[row, place] = column
    return count, index


def block_lists(strip, cluster, pairs, block, rows, least_full=0.0):
    """64 x 16 blocks united to `block` x `block`, for rows padded to a multiple of 128.  A block is full when all of
    block x block pairs are there, so what overlaps the padding never is; a pair must not come twice (two images).
    Where a smaller share than `least_full` is full, all count as partial."""
    side = padded_rows(rows) // block
    key = (strip.astype(np.int64) * 64 // block) * side + cluster.astype(np.int64) * 16 // block
    united, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse.reshape(-1), weights=pairs, minlength=len(united))
    row, column, full = united // side, united % side, total >= block * block
    full &= full.sum() >= least_full * len(full)
    return BlockLists(block, *listed(row[~full], column[~full], side), *listed(row[full], column[full], side))


def csr_lists(row_ptr, column, block=128):
    """Lists of full blocks."""
    side = len(row_ptr) - 1
    row = np.repeat(np.arange(side), np.diff(row_ptr))
    nothing = np.zeros(0, np.int64)
    return BlockLists(block, *listed(nothing, nothing, side), *listed(row, column, side))


def chunk_ends(first, most):
    """Cuts of the queries so that those between two cuts have at most `most` pairs, or are a single one.  `first`
    [queries + 1] counts the pairs before each."""
    cuts = [0]
    while cuts[-1] < len(first) - 1:
        reach = int(np.searchsorted(first, first[cuts[-1]] + most, "right")) - 1
        cuts.append(max(cuts[-1] + 1, reach))
    return cuts


# ---- results -------------------------------------------------------------------------------------------------------


def statistics(ms):
    ms = np.sort(np.asarray(ms, float))
    return {"ms": float(np.median(ms)), "ms_min": float(ms[0]), "ms_p95": float(np.quantile(ms, 0.95)),
            "ms_p99": float(np.quantile(ms, 0.99)), "sigma": float(ms.std() / ms.mean()), "launches": len(ms)}


def time_of(line):
    """In a graph where it ran in one, otherwise of single launches."""
    return line.get("ms_graph") or line["ms"]


def timed(lines, case, ours, exact=True):
    return [line for line in lines if line.get("case") == case and line.get("status") == "timed"
            and line["peer"].startswith("vicinal") == ours and line["exact"] == exact]


def summary(lines):
    """One row a case: our two orders, the fastest peer that is exact and that is not, and their ratios to ours."""
    rows = []
    for case in dict.fromkeys(line["case"] for line in lines if "case" in line):
        mine = {line["peer"]: line for line in timed(lines, case, True)}
        exact, loose = (min(timed(lines, case, False, e), key=time_of, default=None) for e in (True, False))
        best = mine.get("vicinal", mine.get("vicinal-caller"))
        rows.append({
            "case": case,
            **{name: time_of(mine[name]) if name in mine else None for name in ("vicinal", "vicinal-caller")},
            **{name + part: value for name, line in (("peer", exact), ("loose", loose)) for part, value in (
                ("", line and line["label"]), ("_ms", line and time_of(line)),
                ("_ratio", line and best and time_of(line) / time_of(best)))}})
    return rows


def table(lines):
    def number(value, form):
        return "-" if value is None else form % value
    text = ["%-20s %10s %10s %10s %7s  %s" % ("ms in a graph", "vicinal", "caller's", "best peer", "ratio", "which")]
    for row in summary(lines):
        for peer, note in (("peer", ""), ("loose", " (not exact)")):
            if peer == "loose" and row["loose"] is None:
                continue
            first = peer == "peer"
            text.append("%-20s %10s %10s %10s %7s  %s" % (
                row["case"] if first else "", number(row["vicinal"], "%.4f") if first else "",
                number(row["vicinal-caller"], "%.4f") if first else "", number(row[peer + "_ms"], "%.4f"),
                number(row[peer + "_ratio"], "%.2f"), (row[peer] or "-") + note))
    return "\n".join(text)
