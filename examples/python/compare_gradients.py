#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same training twice, on the CPU: with the kernels of attention and its gradients, and with backend="reference", plain
torch over the list of pairs.  Prints how far the losses differ, and what a step takes of both.

    python compare_gradients.py FILE... --test FILE... [--target burial] [--plot losses.svg]

Options are those of atom_transformer.py.  Each of the two runs in a process of its own; the peak of its memory is what comes on
top of what there was before the first step (Linux says it in /proc).
"""
import functools
import multiprocessing
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

import atom_transformer as example
import vicinal

BACKENDS = ("auto", "reference")


def resident(name):
    """MB of memory: VmRSS now, VmHWM at most."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return int(re.search(rf"{name}:\s+(\d+) kB", status.read())[1]) / 1000


def training(given, backend):
    """Losses of all steps, Pearson's r of the held-out atoms, seconds a step and those of processors, and MB at most."""
    o = example.arguments(given)
    vicinal.attention = functools.partial(vicinal.attention, backend=backend)  # for this process, whose model does not choose
    torch.manual_seed(o.seed)
    batches, tests = example.batches_of(o)
    model = example.AtomTransformer(cutoff=o.cutoff if o.bias else None)
    run = torch.compile(model) if o.compile else model
    with open("/proc/self/clear_refs", "w", encoding="utf-8") as peak:
        peak.write("5")  # from now on
    before, times = resident("VmRSS"), []

    def now(*_):
        times.append((time.perf_counter(), time.process_time()))
    now()
    losses = example.train(run, batches, o.steps, o.lr, o.half, now)
    used = resident("VmHWM") - before
    r = example.correlations(run, tests, o.half)[:, 0]
    seconds, of_processors = np.median(np.diff(times, axis=0), axis=0).tolist()
    return {"losses": losses, "r": r.tolist(), "seconds": seconds, "of_processors": of_processors, "memory": used,
            "atoms": [len(batch.numbers) for batch in batches], "pairs": [batch.pattern.n_pairs for batch in batches]}


def draw(path, found):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(found["reference"]["losses"], color="tab:orange", lw=4, alpha=0.5, label='backend="reference"')
    axes.plot(found["auto"]["losses"], color="tab:blue", lw=1, label="kernels")
    axes.set(xlabel="step", ylabel="mean square error")
    axes.legend()
    figure.savefig(path, bbox_inches="tight")


def main(given=None):
    """Trains twice, prints, and returns what training() found for each."""
    given, plot = list(sys.argv[1:] if given is None else given), None
    if "--plot" in given[:-1]:
        at = given.index("--plot")
        plot = given[at + 1]
        del given[at:at + 2]
    if example.arguments(given).device != "cpu":
        sys.exit("--device: there are kernels of gradients for the CPU only: leave it out")
    found = {}
    for backend in BACKENDS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
            found[backend] = child.submit(training, given, backend).result()
    some = found["auto"]
    print(f"{len(some['atoms'])} batches of {', '.join(f'{n:,}' for n in some['atoms'])} atoms and "
          f"{', '.join(f'{n:,}' for n in some['pairs'])} pairs, {len(some['losses'])} steps")
    print("              first loss   last loss   held out r   s a step   of processors   MB at most")
    for backend, name in zip(BACKENDS, ("kernels", "reference")):
        x = found[backend]
        print(f"{name:12}  {x['losses'][0]:10.5f}  {x['losses'][-1]:10.5f}   {np.mean(x['r']):10.3f}   {x['seconds']:8.3f}   "
              f"{x['of_processors']:13.3f}   {x['memory']:10.0f}")
    a, b = (np.array(found[backend]["losses"]) for backend in BACKENDS)
    apart = np.abs(a - b) / np.abs(b)
    print(f"losses differ by {apart[:10].max():.1e} in the first ten steps, {apart.max():.1e} in all (relative, at most)")
    if plot:
        draw(plot, found)
        print(f"written: {plot}")
    return found


if __name__ == "__main__":
    main()
