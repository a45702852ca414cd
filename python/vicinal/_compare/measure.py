# SPDX-License-Identifier: Apache-2.0
"""Clocks, memory and limits of time."""
import contextlib
import ctypes
import gc
import os
import signal
import threading
import time

import numpy as np


class LeftOut(Exception):
    """Why a method is not measured."""


class TimeUp(BaseException):
    """The limit of time is over.  Not an Exception, so that no handler on the way takes it for a failure."""


@contextlib.contextmanager
def limit(seconds):
    """Raise TimeUp in here after so long; in the main thread alone, elsewhere there is no limit.  One operation of a
    library in C is not interrupted: it ends first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise TimeUp
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: a destructor swallows what is raised in it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def statistics(seconds):
    """The figures of some runs; sigma is relative to the mean."""
    s = np.sort(np.asarray(seconds, float))
    return {"seconds": float(np.median(s)), "seconds_min": float(s[0]), "seconds_p95": float(np.quantile(s, 0.95)),
            "sigma": float(s.std() / s.mean()), "runs": len(s)}


def _number_in(path):
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _status(field):
    """A line of /proc/self/status or /proc/meminfo, in bytes; None where there is none."""
    path = "/proc/meminfo" if field.startswith("Mem") else "/proc/self/status"
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(field + ":"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return None


class CpuClock:
    """The CPU: wall time, and growth of resident memory."""

    memory_is = ("growth of the process's resident memory at its highest; memory that it had from before and used "
                 "again is not seen")
    warm_seconds, share, most_runs = 0.0, 10.0, 30

    def settle(self):
        """Wait until all that was begun is done."""

    def room(self):
        """Bytes that can be had: what the machine and the control group leave."""
        rooms = [_status("MemAvailable")]
        for most, used in (("memory.max", "memory.current"),
                           ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
            top, now = (_number_in("/sys/fs/cgroup/" + name) for name in (most, used))
            if top is not None and now is not None:
                rooms.append(top - now)
        return max(0, min(room for room in rooms if room is not None)) if any(rooms) else 1 << 62

    def once(self, call):
        """(what the call gives, seconds)"""
        self.settle()
        start = time.perf_counter()
        result = call()
        self.settle()
        return result, time.perf_counter() - start

    def memory(self, call):
        """(what the call gives, bytes at the highest beside what was there; None where it cannot be known)"""
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # so that memory freed before is not used again unseen
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the highest resident memory starts anew
        except OSError:
            return call(), None
        before = _status("VmRSS")
        result = call()
        highest = _status("VmHWM")
        return result, None if before is None or highest is None else max(0, highest - before)

    def series(self, call, count, issue):
        """Seconds of each of so many runs; issue: of starting one."""
        return [self.once(call)[1] for _ in range(count)]

    def time(self, call, first, left):
        """Statistics of as many runs as fit.  first: seconds of a run before; left: of the limit."""
        _, once = self.once(call) if first < 0.2 * left else (None, first)  # warm
        start = time.perf_counter()
        while time.perf_counter() - start < min(self.warm_seconds, 0.1 * left):
            call()
        self.settle()
        count = int(max(1, min(self.most_runs, 0.7 * left / once, max(3, self.share / once))))
        seconds = []
        while len(seconds) < count:
            seconds += self.series(call, min(50, count - len(seconds)), once)
        return statistics(seconds)


class CudaClock(CpuClock):
    """A GPU: time between events, and torch's count of its memory."""

    memory_is = "torch's count of the GPU's memory at its highest; plans, which torch does not count, are added"
    warm_seconds, share, most_runs = 0.05, 1.5, 200

    def __init__(self, torch):
        self.torch, self.cuda = torch, torch.cuda

    def settle(self):
        self.cuda.synchronize()

    def room(self):
        gc.collect()
        self.cuda.empty_cache()
        return self.cuda.mem_get_info()[0]

    def memory(self, call):
        gc.collect()
        self.settle()
        before = self.cuda.memory_allocated()
        self.cuda.reset_peak_memory_stats()
        result = call()
        self.settle()
        return result, self.cuda.max_memory_allocated() - before

    def series(self, call, count, issue):
        """Each launch between two events, behind a kernel that waits, so that the CPU is ahead and no gap counts."""
        events = [[self.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        if hasattr(self.cuda, "_sleep"):
            self.cuda._sleep(int(2e9 * min(0.2, 1e-3 + 1.5 * min(issue, 1e-3) * count)))
        for a, b in events:
            a.record()
            call()
            b.record()
        self.settle()
        return [1e-3 * a.elapsed_time(b) for a, b in events]


def clock_of(device):
    if device == "cpu":
        return CpuClock()
    import torch
    return CudaClock(torch)


def thread_count():
    """Threads that this process may use."""
    return len(os.sched_getaffinity(0))
