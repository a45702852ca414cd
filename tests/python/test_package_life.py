# SPDX-License-Identifier: Apache-2.0
"""The life of the package's patterns: files, copies, threads, processes, memory, pictures."""
import copy
import gc
import itertools
import os
import pickle
import re
import select
import signal
import threading
import weakref

import numpy as np
import pytest

import vicinal
from package_tools import SKEWED, same
from vicinal import _pattern

pytestmark = pytest.mark.skipif(not os.path.isfile(os.environ.get("VIC_LIBRARY", "")),
                                reason="VIC_LIBRARY does not name libvicinal.so")


# ---- Files, copies, memory ----


def patterns_of_all_kinds(rng):
    x = rng.uniform(0, 9, (60, 3))
    cell = SKEWED * 3
    yield vicinal.pattern(x, 4.0, cell=cell, pbc=[1, 0, 1], mask=rng.random(60) < 0.9)
    yield vicinal.pattern(x, 4.0, keys=x[:9], ids=np.arange(60), key_ids=np.arange(9), exclude_self=True)
    yield vicinal.pattern(x, 4.0, batch=np.repeat([0, 2, 3], 20), cell=[cell] * 4)
    yield vicinal.nearest(x, 6, cell=cell)
    yield vicinal.windows(60, 8, 16)
    yield vicinal.blocks(rng.random((4, 5)) < 0.5, 16)
    yield vicinal.pairs([0, 3, 3], [2, 1, 1], [[0, 0, 0], [0, 1, 0], [0, 0, 0]], positions=x, cell=cell)
    yield vicinal.ranges([0, 5, 60], [0, 1, 3], [[0, 5], [5, 30], [40, 60]], causal=True, window=(3, 3))
    yield vicinal.pattern(x, 4.0) | vicinal.windows(60, 8, 16)


def test_copies_and_files(rng, tmp_path):
    for number, pattern in enumerate(patterns_of_all_kinds(rng)):
        path = tmp_path / f"{number}.vnp"
        pattern.save(path)
        for other in (vicinal.load(path), vicinal.load(str(path)), pickle.loads(pickle.dumps(pattern)),
                      copy.copy(pattern), copy.deepcopy({"of": [pattern]})["of"][0]):
            same(other, pattern)
            assert other is not pattern and other._number != pattern._number
            assert repr(other).split(",")[:-1] == repr(pattern).split(",")[:-1]
            for side in ("query", "key"):
                assert np.array_equal(other.order(side), pattern.order(side))
            if pattern.kind in ("cutoff", "nearest") and pattern.one_set:
                same(other.update_(pattern.positions[::-1]), copy.copy(pattern).update_(pattern.positions[::-1]))
    descriptors = os.listdir("/proc/self/fd")
    for _ in range(20):
        pickle.loads(pickle.dumps(pattern))
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow(rng):
    """10,000 patterns made and dropped, some of them with plans."""
    x, q = rng.uniform(0, 8, (64, 3)), rng.standard_normal((64, 2, 8)).astype(np.float32)

    def some(count):
        for number in range(count):
            pattern = vicinal.pattern(x, 3.0)
            if number % 5 == 0:
                vicinal.attention(q, q, q, pattern)
        gc.collect()
        return resident(), len(_pattern.by_number)
    before, kept = some(1000)
    after, still = some(10000)
    assert still == kept
    assert after - before < 2 << 20, "a pattern is more than 20 KB"  # of 10,000 that is 200 MB


def test_freed_when_dropped(rng):
    x = rng.uniform(0, 8, (64, 3))
    before = len(_pattern.by_number)
    a = vicinal.pattern(x, 3.0)
    others = [a | a, a - a, a.transpose(), a.exclude([0], [0]), copy.copy(a), a.update_(x)]
    assert len(_pattern.by_number) == before + 6  # update_() gives the pattern itself
    seen = weakref.ref(a)
    number = a._number
    del a
    assert seen() is not None
    del others
    assert seen() is None and len(_pattern.by_number) == before
    assert not vicinal._c.library().vicpy_pattern(number)
    with pytest.raises(vicinal.ArgumentError):
        vicinal.pattern(x, -1)
    assert len(_pattern.by_number) == before


# ---- Threads and processes ----


class Crowd:
    """Threads that do something over and over while the block runs."""

    def __init__(self, *jobs):
        self.ended, self.errors = False, []
        self.rounds = [0] * len(jobs)
        self.threads = [threading.Thread(target=self.work, args=(k, job)) for k, job in enumerate(jobs)]

    def work(self, k, job):
        try:
            while not self.ended:
                job()
                self.rounds[k] += 1
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def crowd(rng):
    """(threads that use one pattern at once, what a child process checks of it)"""
    x, q = rng.uniform(0, 14, (400, 3)), rng.standard_normal((400, 2, 16)).astype(np.float32)
    pattern = vicinal.pattern(x, 4.0)
    want, pairs = vicinal.attention(q, q, q, pattern), pattern.neighbors("ijSdD")
    sizes = itertools.cycle([(heads, d) for heads in range(1, 9) for d in range(8, 129, 8)])

    def attend():
        assert np.array_equal(vicinal.attention(q, q, q, pattern), want)

    def list_pairs():
        assert all(map(np.array_equal, pattern.neighbors("ijSdD"), pairs))

    def read():
        assert pattern.counts().sum() == pattern.n_pairs == len(pairs[0])
        assert pattern.edge_index().shape == (2, len(pairs[0]))

    def plan():
        pattern.prepare(*next(sizes))

    def make():
        other = vicinal.pattern(x[:200], 4.0)
        vicinal.attention(q[:200], q[:200], q[:200], other)
        pickle.loads(pickle.dumps(pattern))

    def all_of_it():
        attend()
        list_pairs()
        make()
        assert vicinal.pattern(x, 4.0).n_pairs == pattern.n_pairs
    return Crowd(attend, attend, list_pairs, read, plan, make), all_of_it


def test_threads_share_a_pattern(crowd):
    threads, check = crowd
    with threads:
        for _ in range(20):
            check()
    assert min(threads.rounds) > 0


def test_children_use_what_the_parent_made(crowd):
    """fork() while threads are in the midst of calls: locks and the library's threads are not left as they were."""
    threads, check = crowd
    with threads:
        for _ in range(12):
            read_end, write_end = os.pipe()
            child = os.fork()
            if child == 0:
                said = b"well"
                try:
                    check()
                except BaseException as error:
                    said = repr(error).encode()
                os.write(write_end, said)
                os._exit(0)
            os.close(write_end)
            answered = select.select([read_end], [], [], 60)[0]
            if not answered:
                os.kill(child, signal.SIGKILL)
            said = os.read(read_end, 1000) if answered else b"the child hangs"
            os.close(read_end)
            os.waitpid(child, 0)
            assert said == b"well"


# ---- Pictures ----


def test_shares_of_a_picture(rng):
    """What is drawn holds every pair, in its place."""
    from vicinal import _plot
    for pattern in (vicinal.pattern(rng.uniform(0, 25, (1000, 3)), 5.0), vicinal.windows(333),
                    vicinal.pattern(rng.uniform(0, 9, (70, 3)), 3.0, keys=rng.uniform(0, 9, (500, 3)))):
        mask = pattern.to_dense()[pattern.order()][:, pattern.order("key")]
        for pixels in (1, 3, 10, 1000):
            share, (down, across) = _plot.shares(pattern, pixels)
            assert max(share.shape) <= pixels and down % 64 == 0 and across % 16 == 0
            for (r, c), got in np.ndenumerate(share):
                assert np.isclose(got, mask[r * down:(r + 1) * down, c * across:(c + 1) * across].mean(), atol=1e-12)


def test_plot(rng, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pattern = vicinal.pattern(rng.uniform(0, 25, (1000, 3)), 5.0)
    ax = pattern.plot()
    assert ax.get_xlim() == (0, 1000) and ax.get_ylim() == (1000, 0)
    assert ax.get_xlabel().startswith("keys") and ax.get_ylabel().startswith("queries")
    assert f"{pattern.n_pairs:,} pairs" in ax.get_title()
    ax.figure.canvas.draw()
    _, given = pyplot.subplots()
    assert vicinal.windows(300).plot(given, colorbar=False, pixels=5) is given
    assert given.images[0].get_array().shape == (5, 5) and given.get_title() == ""
    vicinal.pattern(np.zeros((0, 3)), 3.0).plot().figure.canvas.draw()
    pyplot.close("all")
    with pytest.raises(vicinal.ArgumentError, match="pixels"):
        pattern.plot(given, pixels=0)
    for name in [name for name in __import__("sys").modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(__import__("sys").modules, name)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=re.escape("pip install vicinal[plot]")):
        pattern.plot()


def test_threads_of_the_cpu():
    """Numbers of threads are kept apart, and one that was there before starts no thread anew."""
    def running():
        return len(os.listdir("/proc/self/task"))
    before = vicinal.get_num_threads()
    for n in (1, 3, 2):
        vicinal.set_num_threads(n)
        assert vicinal.get_num_threads() == n
    many = running()
    for n in (3, 1, 2) * 5:
        vicinal.set_num_threads(n)
    assert running() == many
    for wrong in (-1, 1025, (1 << 32) + 1, 1.5, "2"):
        with pytest.raises(vicinal.ArgumentError, match="n: expected a whole number from 0"):
            vicinal.set_num_threads(wrong)
    assert vicinal.get_num_threads() == 2
    vicinal.set_num_threads(0)
    assert vicinal.get_num_threads() >= 1
    vicinal.set_num_threads(before)
