#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The neighbour list beside vesin's, on one thread: positions to i, j, shift and distance of all ordered pairs, in turn
in one process, and the pairs compared. Both keep their memory between repetitions.

    VIC_LIBRARY=build/release/libvicinal.so bench/neighbours.py FILE.pdb[.gz] CUTOFF [a,b,c] [REPEATS]

Prints one JSON object. Needs numpy and vesin."""
import ctypes as c
import gzip
import json
import os
import sys
import time

import numpy as np
import vesin


class PatternOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("cutoff", c.c_double), ("exclude_self", c.c_bool), ("threads", c.c_int)]


class PatternInfo(c.Structure):
    _fields_ = [("n_q", c.c_int64), ("n_k", c.c_int64), ("pairs", c.c_int64), ("rest", c.c_char * 256)]


def read_pdb(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="ascii") as lines:
        return np.array([[float(line[k:k + 8]) for k in (30, 38, 46)]
                         for line in lines if line.startswith(("ATOM", "HETATM"))])


class Vicinal:
    def __init__(self, cutoff):
        self.lib = c.CDLL(os.environ["VIC_LIBRARY"])
        self.lib.vic_pattern_get.restype = PatternInfo
        self.options = PatternOptions(c.sizeof(PatternOptions), cutoff, True, 1)
        self.capacity = 0

    def __call__(self, positions, cell):
        pattern, pointer = c.c_void_p(), lambda a: None if a is None else c.c_void_p(a.ctypes.data)
        assert self.lib.vic_pattern_build_points(c.c_int64(len(positions)), pointer(positions), c.c_int64(0), None,
                                                 pointer(cell), None, c.byref(self.options), c.byref(pattern), None) == 0
        n = self.lib.vic_pattern_get(pattern).pairs
        if n > self.capacity:
            self.capacity = n
            self.i, self.j = np.empty(n, np.int32), np.empty(n, np.int32)
            self.shift, self.d = np.empty((n, 3), np.int32), np.empty(n)
        assert self.lib.vic_pattern_neighbours(pattern, c.c_int64(n), 1, pointer(self.i), pointer(self.j),
                                               pointer(self.shift), pointer(self.d), None) == 0
        self.lib.vic_pattern_free(pattern)
        return self.i[:n], self.j[:n], self.shift[:n], self.d[:n]


def main():
    path, cutoff = sys.argv[1], float(sys.argv[2])
    box = next((a for a in sys.argv[3:] if "," in a), None)
    repeats = next((int(a) for a in sys.argv[3:] if "," not in a), 7)
    positions = read_pdb(path)
    cell = np.diag([float(x) for x in box.split(",")]) if box else None
    ours, theirs = Vicinal(cutoff), vesin.NeighborList(cutoff=cutoff, full_list=True)
    seconds = {"vicinal": [], "vesin": []}
    for _ in range(repeats):
        start = time.perf_counter()
        i, j, shift, d = ours(positions, cell)
        seconds["vicinal"].append(time.perf_counter() - start)
        start = time.perf_counter()
        vi, vj, vd, vs = theirs.compute(points=positions, box=np.zeros((3, 3)) if cell is None else cell,
                                        periodic=cell is not None, quantities="ijdS", copy=False)
        seconds["vesin"].append(time.perf_counter() - start)
    order = np.lexsort((vs[:, 2], vs[:, 1], vs[:, 0], vj, vi))
    same = (len(i) == len(vi) and np.array_equal(i, vi[order]) and np.array_equal(j, vj[order])
            and np.array_equal(shift, vs[order]) and np.allclose(d, vd[order], rtol=1e-12, atol=0))
    report = {"atoms": len(positions), "periodic": cell is not None, "cutoff": cutoff, "pairs": len(i), "threads": 1,
              "repeats": repeats, "same_pairs": bool(same), "vesin_version": getattr(vesin, "__version__", "")}
    for name, times in seconds.items():
        report[name + "_seconds"] = {"min": round(min(times), 6), "median": round(sorted(times)[len(times) // 2], 6)}
    print(json.dumps(report))


main()
