#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The neighbour list beside vesin's, on one thread: positions to i, j, shift and distance of all ordered pairs, in turn
in one process, and the pairs compared. Both keep their memory between repetitions.

    VIC_LIBRARY=build/release/libvicinal.so bench/neighbours.py FILE.pdb[.gz] CUTOFF [a,b,c] [REPEATS]

Prints one JSON object. Needs numpy and vesin."""
import gzip
import json
import sys
import time

import numpy as np
import vesin
import vicinal_c


def read_pdb(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="ascii") as lines:
        return np.array([[float(line[k:k + 8]) for k in (30, 38, 46)]
                         for line in lines if line.startswith(("ATOM", "HETATM"))])


class Vicinal:
    def __init__(self, cutoff):
        self.cutoff, self.capacity = cutoff, 0
        vicinal_c.call("vicpy_set_threads", 1)

    def __call__(self, positions, box):
        pattern = vicinal_c.cutoff_pattern(positions, self.cutoff, box, exclude_self=True)
        n = pattern.info.pairs
        if n > self.capacity:
            self.capacity = n
            self.i, self.j = np.empty(n, np.int32), np.empty(n, np.int32)
            self.shift, self.d = np.empty((n, 3), np.int32), np.empty(n)
        pattern.neighbors(i=self.i, j=self.j, S=self.shift, d=self.d)
        return self.i[:n], self.j[:n], self.shift[:n], self.d[:n]


def main():
    path, cutoff = sys.argv[1], float(sys.argv[2])
    box = next((a for a in sys.argv[3:] if "," in a), None)
    repeats = next((int(a) for a in sys.argv[3:] if "," not in a), 7)
    positions = read_pdb(path)
    box = [float(x) for x in box.split(",")] if box else None
    cell = np.zeros((3, 3)) if box is None else np.diag(box)
    ours, theirs = Vicinal(cutoff), vesin.NeighborList(cutoff=cutoff, full_list=True)
    seconds = {"vicinal": [], "vesin": []}
    for _ in range(repeats):
        start = time.perf_counter()
        i, j, shift, d = ours(positions, box)
        seconds["vicinal"].append(time.perf_counter() - start)
        start = time.perf_counter()
        vi, vj, vd, vs = theirs.compute(points=positions, box=cell, periodic=box is not None,
                                        quantities="ijdS", copy=False)
        seconds["vesin"].append(time.perf_counter() - start)
    order = np.lexsort((vs[:, 2], vs[:, 1], vs[:, 0], vj, vi))
    same = (len(i) == len(vi) and np.array_equal(i, vi[order]) and np.array_equal(j, vj[order])
            and np.array_equal(shift, vs[order]) and np.allclose(d, vd[order], rtol=1e-12, atol=0))
    report = {"atoms": len(positions), "periodic": box is not None, "cutoff": cutoff, "pairs": len(i), "threads": 1,
              "repeats": repeats, "same_pairs": bool(same), "vesin_version": getattr(vesin, "__version__", "")}
    for name, times in seconds.items():
        report[name + "_seconds"] = {"min": round(min(times), 6), "median": round(sorted(times)[len(times) // 2], 6)}
    print(json.dumps(report))


main()
