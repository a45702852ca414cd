# SPDX-License-Identifier: Apache-2.0
"""The models of soak.py, and what is right of their answers."""
import json
import subprocess
import threading

import numpy as np

from command_tools import environment
from conftest import reference


class Model:
    """A model of --models: its file, the geometries (positions [n, 3], box or None) that it is given in turn, and the
    inputs {Q, K, V} that it is asked."""

    def __init__(self, name, atoms, size, cutoff, heads, head_dim, dtype="float32", kv_heads=None, box=False, states=1):
        rng = np.random.default_rng(len(name) * 1000 + atoms)
        self.name, self.atoms, self.cutoff, self.heads, self.head_dim = name, atoms, cutoff, heads, head_dim
        self.dtype, self.kv_heads = np.dtype(dtype), kv_heads or heads
        self.geometries = []
        for _ in range(states):  # numbers that float32 has too
            edge = np.round(size * rng.uniform(1, 1.2, 3), 2) if box else None
            self.geometries.append((rng.uniform(0, size, (atoms, 3)).astype(np.float32).astype(np.float64), edge))
        self.inputs = {h: [self._input(rng, h) for _ in range(3)] for h in (heads, 2 * heads)}

    def _input(self, rng, heads):
        kv = self.kv_heads * heads // self.heads
        return {n: rng.standard_normal((self.atoms, heads if n == "Q" else kv, self.head_dim)).astype(self.dtype)
                for n in "QKV"}

    def options(self, heads=None):
        factor = (heads or self.heads) // self.heads
        return {"cutoff": self.cutoff, "heads": self.heads * factor, "kv_heads": self.kv_heads * factor,
                "head_dim": self.head_dim, "dtype": str(self.dtype)}

    def xyz(self, geometry):
        positions, edge = self.geometries[geometry]
        second = "" if edge is None else 'Lattice="%r 0 0 0 %r 0 0 0 %r" Properties=species:S:1:pos:R:3' % tuple(
            map(float, edge))
        return f"{self.atoms}\n{second}\n" + "".join("C %r %r %r\n" % tuple(map(float, p)) for p in positions)

    def write(self, folder):
        (folder / f"{self.name}.xyz").write_text(self.xyz(0))
        (folder / f"{self.name}.json").write_text(json.dumps({"structure": f"{self.name}.xyz", **self.options()}))


def models():
    return [Model("fixed", 40, 8, 3, 2, 8), Model("moving", 60, 9, 3, 2, 16, states=6),
            Model("ring", 48, 8, 3.5, 4, 16, kv_heads=2, box=True, states=5),
            Model("half", 90, 10, 4, 2, 32, dtype="float16"), Model("swapped", 50, 8, 3, 2, 8, states=4),
            Model("slow", 500, 16, 9, 4, 32)]


class Oracle:
    """First answers, which the later ones repeat bit for bit."""

    def __init__(self, binary, folder, run_one_in, rng):
        self.binary, self.folder, self.run_one_in, self.rng = binary, folder, run_one_in, rng
        self.lock, self.first, self.to_run, self.compared, self.runs = threading.Lock(), {}, [], 0, 0

    def wrong(self, model, geometry, heads, number, name, array):
        """Why this output is wrong, or None."""
        key, data = (model.name, geometry, heads, number, name), np.ascontiguousarray(array).tobytes()
        with self.lock:
            self.compared += 1
            known = self.first.get(key)
        if known is not None:
            return None if known == data else f"{key}: not the bits of the first answer"
        positions, box = model.geometries[geometry]
        out, lse = reference(positions, model.cutoff, *model.inputs[heads][number].values(), box=box)
        expected, tolerance = out if name == "O" else lse, 5e-6 if model.dtype == np.float32 else 5e-3
        if array.shape != expected.shape or not np.allclose(array, expected, rtol=tolerance, atol=tolerance):
            return f"{key}: not what NumPy computes"
        with self.lock:
            known = self.first.setdefault(key, data)
            if name == "O" and self.rng.randrange(self.run_one_in) == 0:
                self.to_run.append((model, geometry, heads, number))
        return None if known == data else f"{key}: not the bits of the first answer"

    def run(self):
        """Why a first answer is not what `vicinal run` writes, for those whose turn it is."""
        with self.lock:
            todo, self.to_run = self.to_run, []
        for model, geometry, heads, number in todo:
            file, out = self.folder / "run.xyz", self.folder / "run.npy"
            file.write_text(model.xyz(geometry))
            line = [self.binary, "run", file, "-o", out, "--device", "cpu"]
            for option, value in model.options(heads).items():
                line += ["--" + option.replace("_", "-"), str(value)]
            for name, array in model.inputs[heads][number].items():
                np.save(self.folder / f"{name}.npy", array)
                line += ["--" + name.lower(), self.folder / f"{name}.npy"]
            done = subprocess.run(line, capture_output=True, encoding="utf-8", env=environment())
            self.runs += 1
            key = (model.name, geometry, heads, number, "O")
            if done.returncode != 0:
                yield f"{key}: vicinal run: {done.stderr}"
            elif np.load(out).tobytes() != self.first[key]:
                yield f"{key}: not the bits of `vicinal run`"


class Versions:
    """Which geometry each version of a model's positions is. An answer may name a version before the answer to its
    update does; a client that was killed leaves one that nobody names."""

    def __init__(self, model, oracle):
        self.model, self.oracle, self.lock = model, oracle, threading.Lock()
        self.known, self.waiting = {1: 0}, {}

    def learn(self, version, geometry):
        """The answer to an update to this geometry; what is wrong."""
        with self.lock:
            if version in self.known:
                return [f"{self.model.name}: version {version} was answered to two updates"]
            self.known[version] = geometry
            waiting = self.waiting.pop(version, [])
        return [w for w in (self._wrong(geometry, *seen) for seen in waiting) if w]

    def _wrong(self, geometry, number, arrays):
        wrong = [self.oracle.wrong(self.model, geometry, self.model.heads, number, n, a) for n, a in arrays.items()]
        return next((w for w in wrong if w), None)

    def seen(self, version, number, arrays):
        with self.lock:
            if version not in self.known:
                self.waiting.setdefault(version, []).append((number, arrays))
                return []
            geometry = self.known[version]
        return [w for w in [self._wrong(geometry, number, arrays)] if w]

    def settle(self, newest, unknown):
        """When all is quiet: versions that nobody named are those of killed clients, of one geometry each, and of
        positions that were refused, whose numbers are left out: at most `unknown` together."""
        wrong = []
        for version, seen in self.waiting.items():
            fits = [g for g in range(len(self.model.geometries)) if not any(self._wrong(g, *s) for s in seen)]
            if not fits:
                wrong.append(f"{self.model.name}: version {version} is of no positions that were sent")
            else:
                self.known[version] = fits[0]
        self.waiting = {}
        if max(self.known) > newest or newest > len(self.known) + unknown:
            wrong.append(f"{self.model.name}: version {newest}, but {len(self.known)} are known, and {unknown} others "
                         "were sent")
        return wrong


class History:
    """States of `swapped`, (geometry, heads) or None, as one thread makes them: states[settled] is there at least,
    states[begun] perhaps."""

    def __init__(self):
        self.states, self.settled, self.begun = [(0, 2)], 0, 0

    def begin(self, state):
        self.states.append(state)
        self.begun += 1

    def settle(self):
        self.settled = self.begun
