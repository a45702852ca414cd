#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same attention by PyTorch's means and by vicinal, in one process on one GPU.

    bench/peers_gpu.py --structure apoa1.pdb.gz --library build/cuda/libvicinal.so --results peers-gpu.jsonl

Every peer is compared with float64 (256 rows) before it is timed, and one that is wrong gets no time; one that cannot
run says why.  All are timed by the same function: single launches between two events, behind a kernel that waits, so
that no gap counts; and launches in a CUDA graph.  FlexAttention gets vicinal's order and blocks for nothing, and the
best of a few tiles.  One JSON object a line is added to the results as it comes; the table at the end takes the times
in graphs.  Positions: a file that vicinal reads, or .npy [atoms, 3] in float64.  Needs PyTorch and numpy."""
import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time

import numpy as np

import peers_host as host
import vicinal_c

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class DeviceLost(Exception):
    """After a fault nothing more runs in this process."""


def arguments(words=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--structure", help="positions of the cases apoa1-*: ApoA1, 92,224 atoms")
    p.add_argument("--box", default=",".join(map(str, host.APOA1_BOX)),
                   help="edges of its cell, A (default: %(default)s)")
    p.add_argument("--library", default=os.path.join(ROOT, "build/cuda/libvicinal.so"))
    p.add_argument("--results", default="peers-gpu.jsonl", help="lines are added to this file (default: %(default)s)")
    p.add_argument("--budget", type=float, default=480, metavar="SECONDS",
                   help="after so long nothing new starts (default: %(default)s)")
    p.add_argument("--only", default="", metavar="NAMES", help="cases, comma-separated, * allowed; --list names them")
    p.add_argument("--launches", type=int, default=50, help="timed launches of a peer (default: %(default)s)")
    p.add_argument("--own-launches", type=int, default=1000, help="of vicinal, for sigma (default: %(default)s)")
    p.add_argument("--device", default="cuda:0", help="cuda:0, or cpu for a rehearsal of all but the GPU's part")
    p.add_argument("--small", action="store_true", help="small sizes, for a rehearsal")
    p.add_argument("--list", action="store_true", help="name the cases and stop")
    return p.parse_args(words)


# ---- what the results say of the machine ---------------------------------------------------------------------------


def nvidia_smi(fields):
    try:
        out = subprocess.run(["nvidia-smi", "--query-gpu=" + fields, "--format=csv,noheader"], capture_output=True,
                             text=True, timeout=20, check=True).stdout.splitlines()[0]
        return dict(zip(fields.split(","), (value.strip() for value in out.split(","))))
    except (OSError, subprocess.SubprocessError, IndexError):
        return {}


def environment(torch, device):
    found = {"bench": "peers_gpu", "torch": torch.__version__, "cuda": torch.version.cuda,
             "python": platform.python_version(), "vicinal": vicinal_c.version(), "build": vicinal_c.build(),
             "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    for name in ("triton", "flash_attn", "flash_attn_interface"):
        try:
            found[name] = getattr(__import__(name), "__version__", "no version")
        except Exception as why:  # a package may fail in its own way when imported
            found[name] = f"none: {type(why).__name__}"
    if device.type == "cuda":
        found.update(gpu=torch.cuda.get_device_name(device), cudnn=torch.backends.cudnn.version(), **nvidia_smi(
            "driver_version,power.limit,clocks.max.sm,clocks.max.mem"))
    return found


# ---- one process, many peers ---------------------------------------------------------------------------------------


class Session:
    def __init__(self, options, torch, peers):
        self.options, self.torch, self.peers = options, torch, peers
        self.device = torch.device(options.device)
        self.deadline = time.monotonic() + options.budget
        self.lines, self.best = [], {}  # best tile by (block, head size)
        self.positions = None

    def tell(self, **line):
        self.lines.append(line)
        with open(self.options.results, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        if "peer" in line:
            time_text = "%10.4f ms" % host.time_of(line) if line["status"] == "timed" else "%13s" % line["status"]
            print(f"  {time_text}  {line['label']}" + (": " + line["reason"] if "reason" in line else ""), flush=True)

    def late(self):
        return time.monotonic() > self.deadline

    def check_device(self):
        try:
            if self.device.type == "cuda":
                self.torch.cuda.synchronize()
        except Exception as why:
            raise DeviceLost(str(why).splitlines()[0]) from why

    def attempt(self, problem, peer, label, make, exact=True, launches=None, **more):
        """One peer: made, compared, timed; its line, or None where it has no time."""
        line = {**problem.facts(), "peer": peer, "label": label, "exact": exact, **more}
        if self.late():
            return self.tell(**line, status="skipped", reason="no time left (--budget)")
        try:
            start = time.perf_counter()
            run, back, *rest = make()
            result = run()
            self.check_device()
            line["first_seconds"] = time.perf_counter() - start
            if rest:
                plan = rest[0]
                line.update(kernel=plan.info.kernel.decode(), plan_seconds=plan.seconds, plan_bytes=plan.info.bytes,
                            computed_pairs=plan.info.computed_pairs)
            error = problem.error(back(result))
            line["relative_error"] = error if math.isfinite(error) else None  # JSON has no NaN
            del result
            if exact and not error < self.peers.BOUND[problem.dtype]:
                return self.tell(**line, status="wrong", reason=f"relative error {error:.2g}")
            line.update(self.peers.measure(run, self.device, launches or self.options.launches), status="timed")
            useful = 4 * problem.info.pairs * problem.case.heads * problem.case.dim * problem.case.batch
            line["tflops_useful"] = useful / host.time_of(line) * 1e-9
        except Exception as why:
            self.tell(**line, status="failed", reason=self.peers.reason(why))
            return self.check_device()
        self.tell(**line)
        return line

    # ---- vicinal

    def vicinal(self, problem):
        orders = ("vicinal", True), ("vicinal-caller", False)
        for peer, pattern_order in orders if problem.case.has_points else orders[:1]:
            self.attempt(problem, peer, "vicinal, " + ("pattern order" if pattern_order else "caller's order"),
                         lambda: self.peers.vicinal(problem, pattern_order), launches=self.options.own_launches)

    # ---- FlexAttention

    def tiles(self, block, dim, tune):
        if tune:
            return host.TILES[block]
        best = self.best.get((block, dim), "none")
        return [best] if best != "none" else host.UNTUNED.get((block, dim), host.TILES[block][:2])

    def flex(self, problem, peer, block, what, make_mask, tiles, exact=True, more_options=None, remember=None):
        """The mask is made once; each tile is a peer of its own.  The fastest is remembered as `remember`."""
        made = []

        def make(options):
            if not made:
                made.append(make_mask())
            return self.peers.flex_peer(problem, made[0], options)
        lines = {}
        for tile in tiles:
            options = {**(host.tile_options(tile) or {}), **(more_options or {})} or None
            extra = "".join(f", {name}={value}" for name, value in (more_options or {}).items())
            lines[tile] = self.attempt(problem, peer, f"FlexAttention, {what}, {host.tile_text(tile)}{extra}",
                                       lambda: make(options), exact, block=block, options=options)
        done = [tile for tile, line in lines.items() if line]
        if remember and done:
            self.best[remember] = min(done, key=lambda tile: host.time_of(lines[tile]))

    def atom_lists(self, problem, block):
        """A handful of full blocks is not worth a kernel with a second loop."""
        return host.block_lists(*problem.pattern.blocks(), block, problem.n, least_full=0.01)

    def flex_atoms(self, problem, peer, block, tune=False, more_options=None):
        def mask():
            return self.peers.block_mask(problem, self.atom_lists(problem, block),
                                         self.peers.mask_from_coordinates(problem))
        tiles = self.tiles(block, problem.case.dim, tune)
        self.flex(problem, peer, block, f"blocks of {block}, mask from coordinates", mask,
                  tiles[:1] if more_options else tiles, more_options=more_options,
                  remember=None if more_options else (block, problem.case.dim))

    def flex_bits(self, problem):
        def mask():
            lists = self.atom_lists(problem, 64)
            return self.peers.block_mask(problem, lists, self.peers.mask_from_bits(problem, lists))
        self.flex(problem, "flex-bits", 64, "blocks of 64, mask from stored bits", mask,
                  self.tiles(64, problem.case.dim, False)[:1])

    def flex_whole(self, problem):
        for block in (128, 64):
            def mask():
                return self.peers.block_mask(problem, self.atom_lists(problem, block), None)
            self.flex(problem, "flex-whole", block, f"whole blocks of {block}", mask,
                      self.tiles(block, problem.case.dim, False)[:1], exact=False)

    def flex_blocks(self, problem, tune):
        row_ptr, column, _ = problem.pattern.blocks128()
        lists = host.csr_lists(row_ptr, column)
        key = "blocks", problem.case.dim
        tiles = [None, (128, 64, 4, 3), (64, 128, 4, 3), (64, 64, 4, 3)] if tune else list(dict.fromkeys(
            [self.best.get(key), None]))
        self.flex(problem, "flex-blocks", 128, "full blocks of 128",
                  lambda: self.peers.block_mask(problem, lists, None), tiles, remember=key)

    # ---- by name

    def peer(self, problem, name):
        peers = self.peers
        if name in ("flex64", "flex128", "tune64", "tune128"):
            block = int(name.lstrip("flextun"))
            self.flex_atoms(problem, f"flex{block}", block, name.startswith("tune"))
        elif name in ("flex64-prescale", "flex64-tma", "flex128-tma", "flex128-flash"):
            option = {"prescale": {"PRESCALE_QK": True}, "tma": {"USE_TMA": True}, "flash": {"BACKEND": "FLASH"}}
            block, what = name.removeprefix("flex").split("-")
            if what == "flash":  # tiles of its own, and it wants lists of full blocks
                self.flex(problem, name, 128, "blocks of 128, mask from coordinates", lambda: peers.block_mask(
                    problem, self.atom_lists(problem, 128), peers.mask_from_coordinates(problem), True), [None],
                    more_options=option[what])
            else:
                self.flex_atoms(problem, name, int(block), more_options=option[what])
        elif name == "flex-bits":
            self.flex_bits(problem)
        elif name == "flex-whole":
            self.flex_whole(problem)
        elif name in ("flex-blocks", "tune-blocks"):
            self.flex_blocks(problem, name == "tune-blocks")
        elif name == "flex-dense":
            self.flex(problem, name, 0, "no mask", lambda: None, [None, (128, 128, 8, 3)])
        elif name.startswith("sdpa-") and name != "sdpa-padded":
            backend = {"sdpa-cudnn": "CUDNN_ATTENTION", "sdpa-flash": "FLASH_ATTENTION"}[name]
            self.attempt(problem, name, f"scaled_dot_product_attention, {backend}",
                         lambda: peers.sdpa(problem, backend))
        else:
            label, make = {
                "sdpa-padded": ("scaled_dot_product_attention, padded, with a mask", peers.sdpa_padded),
                "fa3": ("FlashAttention-3", peers.flash_attention_3),
                "edges": ("gather, segment softmax, scatter", peers.edges),
                "unfused": ("batched GEMM, softmax, batched GEMM", lambda p: peers.unfused(
                    p, host.csr_lists(*p.pattern.blocks128()[:2]))),
            }[name]
            self.attempt(problem, name, label, lambda: make(problem), launches=min(20, self.options.launches))

    # ---- a case

    def points(self, case):
        """Positions, the molecule of each atom, offsets; None where there are none."""
        rng = np.random.default_rng(1)
        if case.kind == "structure":
            if self.positions is None:
                if not self.options.structure:
                    raise ValueError("--structure is not given")
                path = self.options.structure
                self.positions = np.load(path) if path.endswith(".npy") else vicinal_c.read_positions(path)
            return np.ascontiguousarray(self.positions, np.float64), None, None
        if case.kind == "ball":
            return host.in_ball(3000 if self.options.small else 100000, rng), None, None
        if case.kind == "molecules":
            offsets, positions = host.molecules(12 if self.options.small else 256, rng)
            return positions, np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets)), offsets
        return None, None, None

    def case(self, case):
        print(case.name, flush=True)
        if self.late():
            return self.tell(case=case.name, status="skipped", reason="no time left (--budget)")
        start = time.perf_counter()
        try:
            problem = self.peers.Problem(case, self.device, *self.points(case))
        except Exception as why:
            print("  failed:", self.peers.reason(why), flush=True)
            self.tell(case=case.name, status="failed", reason=self.peers.reason(why))
            return self.check_device()
        self.tell(**problem.facts(), status="made", pattern_seconds=problem.pattern.seconds,
                  pattern_bytes=problem.info.bytes, made_seconds=time.perf_counter() - start,
                  **nvidia_smi("clocks.sm,power.draw,temperature.gpu"))
        self.vicinal(problem)
        for name in case.peers:
            self.peer(problem, name)
        del problem
        self.peers.release()


def main():
    options = arguments()
    box = tuple(float(edge) for edge in options.box.split(","))
    try:
        wanted = host.chosen(host.cases(box, options.small), options.only)
        if len(box) != 3:
            raise ValueError(f"--box {options.box}: expected three edges, got {len(box)}")
    except ValueError as why:
        sys.exit(f"peers_gpu: {why}")
    if options.list:
        return print("\n".join(case.name for case in wanted))
    import torch

    import peers_torch
    peers_torch.prepare()
    os.environ["VIC_LIBRARY"] = options.library
    session = Session(options, torch, peers_torch)
    session.tell(**environment(torch, session.device), command=" ".join(map(os.path.basename, sys.argv[1:])))
    try:
        for case in wanted:
            session.case(case)
    except DeviceLost as why:
        session.tell(status="device lost", reason=str(why))
        print(f"peers_gpu: the device is lost ({why}); run the rest with --only in a new process", file=sys.stderr)
    print(host.table(session.lines))


if __name__ == "__main__":
    main()
