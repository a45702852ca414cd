#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A soak of `vicinal serve` on the CPU: a mixed load from many clients at once, every answer checked, and nothing left.

    soak.py --minutes 30 [--seed 1]        or        soak.py --requests 3000

The load comes in rounds. In each, threads ask several models in every form that the protocol has, bring positions, load
and unload, share memory, ask wrongly, break off, dawdle, and ask for more than --queue lets in; a process of its own
asks too, and is killed. Between rounds all connections are closed, and the server must have given everything back:
memory of requests, regions, and, against the rounds of the warm-up, descriptors and threads to the number and resident
memory but for --allow-mib. At the end SIGTERM comes under load.

What is right: an answer of the same input and positions has the same bits as the first one, whatever form it came in
and whatever was beside it; that first one is held against attention by NumPy in float64, and one in --run-one-in of
them bit for bit against `vicinal run`. Which positions those are is said by the version that the answer names, as the
answer to the update named it. Exit code 1: anything was wrong, which the last lines say."""
import argparse
import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]
from command_tools import find_binary  # noqa: E402
from conftest import PATIENCE, Client, Server  # noqa: E402
from soak_load import (KINDS, QUEUE, Gone, Worker, ask_fixed, ask_moving, ask_swapped, ask_wrongly,  # noqa: E402
                       build, raw, swap, victim)
from soak_truth import History, Oracle, Versions, models  # noqa: E402

BUSY = ("Exceeds maximum queue size",)


class Soak:
    def __init__(self, binary, folder, seed, run_one_in):
        self.lock, self.rng, self.folder = threading.Lock(), random.Random(seed), folder
        self.model = {m.name: m for m in models()}
        (folder / "models").mkdir()
        for model in self.model.values():
            model.write(folder / "models")
        self.server = Server(binary, ["--models", folder / "models", "--device", "cpu", "--queue", QUEUE,
                                      "--allow-client-shm", "--idle-timeout", PATIENCE], folder)
        self.oracle = Oracle(binary, folder, run_one_in, self.rng)
        self.versions = {n: Versions(self.model[n], self.oracle) for n in ("moving", "ring")}
        self.history, self.total_seen = History(), {}
        self.statuses, self.figures = collections.Counter(), collections.Counter()
        self.wrongs, self.surprises, self.done, self.ending, self.victims = [], [], 0, False, 0

    # What workers tell.

    def client(self):
        try:
            return Client(self.server.address)
        except OSError as error:
            raise Gone(f"connect: {error}") from None

    def tally(self, kind, status):
        with self.lock:
            self.statuses[status] += 1
            self.done += 1

    def add(self, name, by):
        with self.lock:
            self.figures[name] += by

    def _found(self, title, found, texts):
        with self.lock:
            for text in texts:
                found.append(text)
                if len(found) <= 10:
                    print(f"{title}: {text}", file=sys.stderr, flush=True)

    def wrong(self, texts):
        self._found("wrong", self.wrongs, texts)

    def unexpected(self, text):
        self._found("unexpected", self.surprises, [text])

    def count(self, kind, what, answer, expected):
        """An answer, held against the codes that it may have; 503 for a full queue may come to any inference."""
        self.tally(kind, answer.status)
        if answer.status == 503 and what != "GET /v2/health/ready":
            busy = answer.error in BUSY and answer.headers.get("retry-after") == "1"
            if not busy or not ("infer" in what or what in ("share", "crowd", "dawdle")):
                self.unexpected(f"{what}: {answer.status} {answer.body!r}")
        elif answer.status not in expected:
            self.unexpected(f"{what}: {answer.status} {answer.body[:300]!r}, expected {expected}")
        return answer

    def hold(self, model, geometry, heads, number, arrays):
        for name, array in arrays.items():
            why = self.oracle.wrong(model, geometry, heads, number, name, array)
            if why:
                self.wrong([why])

    # Rounds.

    def _work(self, worker, piece, goes_on):
        try:
            while goes_on():
                piece(worker)
        except Gone as error:
            if not self.ending:
                self.unexpected(f"{worker.kind}: {error}")
        except Exception:
            self.unexpected(f"{worker.kind}: {traceback.format_exc()}")
        finally:
            worker.drop()

    def start(self, goes_on, kinds):
        threads = []
        for piece in kinds:
            worker = Worker(self, piece.__name__, self.rng.randrange(10**9))
            threads.append(threading.Thread(target=self._work, args=(worker, piece, goes_on), daemon=True))
        [t.start() for t in threads]
        return threads

    def _victim(self):
        """Starts the process that is killed."""
        model = self.model["half"]
        path = self.folder / "victim"
        path.write_bytes(raw(f"/v2/models/{model.name}/infer", *build(model.inputs[model.heads][0])))
        self.victims += 1
        return subprocess.Popen([sys.executable, __file__, "--victim", str(self.server.address[1]), path],
                                stderr=subprocess.DEVNULL)

    def round(self, requests, seconds, report):
        end, most = time.monotonic() + seconds, self.done + requests
        killed = self._victim()
        try:
            threads = self.start(lambda: self.done < most and time.monotonic() < end, KINDS)
            while any(t.is_alive() for t in threads):
                report()
                for t in threads:
                    t.join(5 / len(threads))
        finally:
            killed.kill()
            killed.wait()
        self.quiet()

    def quiet(self):
        """Nobody asks: everything that requests took is given back, and the figures are those of what was asked."""
        server = self.server
        for name, least in (("vicinal_connections", 1), ("vicinal_requests_under_way", 1), ("vicinal_memory_bytes", 0),
                            ("vicinal_regions", 0)):
            server.wait(lambda: server.figure(name) <= least, f"{name} is {least}")
        for name in self.model:
            if name != "swapped" or self.history.states[-1]:
                server.wait(lambda: server.figure("vicinal_queue_depth", name) == 0, f"the queue of {name} is empty")
        self.wrong(self.oracle.run())
        for name, versions in self.versions.items():
            unknown = self.figures[f"killed {name}"] + self.figures[f"skipped {name}"]
            self.wrong(versions.settle(server.figure("vicinal_positions_version", name), unknown))
        for figure, ours in (("nv_inference_request_success", "asked fixed"), ("nv_inference_count", "members fixed")):
            theirs = server.figure(figure, "fixed")
            if theirs != self.figures[ours]:
                self.wrong([f"{figure} of fixed is {theirs}, and {self.figures[ours]} were answered"])

    def threads(self):
        return len(os.listdir(f"/proc/{self.server.pid}/task"))

    def sizes(self):
        """(KiB resident, descriptors, threads)"""
        return self.server.resident(), self.server.descriptors(), self.threads()

    def settled(self, expected=None):
        """sizes() once what has ended is gone: at least as few descriptors and threads as expected, or 60 s later."""
        end = time.monotonic() + (60 if expected else 1)
        least = self.sizes()
        while time.monotonic() < end and not (expected and least[1] <= expected[1] and least[2] <= expected[2]):
            time.sleep(0.05)
            least = tuple(map(min, least, self.sizes()))
        return least

    # The end.

    def ended(self, seconds):
        try:
            self.server.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self):
        """SIGTERM under load. Requests whose heads the server had read, as its "100 Continue" says, are answered with
        what they ask for; others with that, or a closed connection."""
        model, held = self.model["slow"], []
        for number in (0, 1, 2, 0):
            headers, body = build(model.inputs[model.heads][number])
            whole = raw(f"/v2/models/{model.name}/infer", {**headers, "Expect": "100-continue"}, body)
            at = whole.index(b"\r\n\r\n") + 4
            client = self.client()
            client.send(whole[:at])
            while b"\r\n\r\n" not in client.rest:
                assert client._more(), "closed instead of 100 Continue"
            assert client.rest == b"HTTP/1.1 100 Continue\r\n\r\n", client.rest
            client.rest = b""
            client.send(whole[at:-1000])
            held.append((client, number, whole[-1000:]))
        threads = self.start(lambda: True, [ask_fixed, ask_fixed, ask_moving, ask_swapped, swap, ask_wrongly])
        before = self.done
        self.server.wait(lambda: self.done > before + 30 or not any(t.is_alive() for t in threads), "there is load")
        self.ending = True
        self.server.process.send_signal(signal.SIGTERM)
        for client, number, rest in held:
            client.send(rest)
        for client, number, _ in held:
            answer = client.read()
            if answer is None:
                self.unexpected("SIGTERM: a request that was accepted was not answered")
                continue
            self.count("end", "infer", answer, (200,))
            if answer.status == 200:
                self.hold(model, 0, model.heads, number, answer.tensors())
            client.close()
        [t.join() for t in threads]
        code = self.server.process.wait(PATIENCE)
        if code != 0:
            self.unexpected(f"exit code {code}: {self.server.log[-2000:]}")


class Report:
    """Lines of what goes on, and of what came of it."""

    def __init__(self, soak, allow_mib):
        self.soak, self.allow, self.begin, self.last = soak, allow_mib * 1024, time.monotonic(), 0.0
        self.warm, self.after = None, []

    def line(self, what="", always=False):
        now = time.monotonic()
        if not always and now - self.last < 5:
            return
        self.last, s = now, self.soak
        resident, descriptors, threads = s.sizes()
        codes = " ".join(f"{k}:{v}" for k, v in sorted(s.statuses.items(), key=str))
        print(f"{now - self.begin:7.1f} s {s.done:8d} requests ({codes}), {s.oracle.compared} outputs compared, "
              f"{len(s.wrongs)} wrong, {len(s.surprises)} unexpected; RSS {resident / 1024:.1f} MiB, "
              f"{descriptors} descriptors, {threads} threads{what}", flush=True)

    def quiet(self, warm):
        if warm or not self.warm:
            self.warm = self.soak.settled()
        else:
            self.after.append(self.soak.settled(self.warm))
        self.line("; quiet, still warming up" if warm else "; quiet", True)

    def close(self):
        """The last lines; whether all is well."""
        s, grown = self.soak, [max((a[i] for a in self.after), default=0) - self.warm[i] for i in range(3)]
        if grown[0] > self.allow:
            s.unexpected(f"resident memory grew by {grown[0]} KiB, at most {self.allow} are allowed")
        for name, by in (("descriptors", grown[1]), ("threads", grown[2])):
            if by > 0:
                s.unexpected(f"{by} more {name} than after the warm-up")
        updates = ", ".join(f"{len(v.known)} versions of {n}" for n, v in s.versions.items())
        print(f"{s.done} requests in {time.monotonic() - self.begin:.0f} s, {s.oracle.compared} outputs compared, "
              f"{len(s.oracle.first)} first ones by NumPy and {s.oracle.runs} by vicinal run; {updates}, "
              f"{s.history.begun} loads and unloads, {s.statuses['gone']} clients broke off, {s.victims} processes "
              f"killed, {s.statuses[503]} refused as busy")
        print(f"wrong answers: {len(s.wrongs)}; unexpected: {len(s.surprises)}; RSS {self.warm[0] / 1024:.1f} MiB "
              f"{grown[0] / 1024:+.1f} at most, {(self.after or [self.warm])[-1][0] / 1024:.1f} at the end; "
              f"descriptors {self.warm[1]} {grown[1]:+d}; threads {self.warm[2]} {grown[2]:+d}", flush=True)
        return not s.wrongs and not s.surprises


def soak(binary, folder, requests=None, minutes=None, seed=1, allow_mib=16, run_one_in=4, kind=Soak):
    """Whether all was well. A fifth of the rounds (of --requests: the first two of four) are the warm-up."""
    one = kind(binary, folder, seed, run_one_in)
    report = Report(one, allow_mib)
    rounds = 4 if requests else max(5, round(2 * minutes))
    most, seconds = (requests // rounds, 1e9) if requests else (1 << 60, 60 * minutes / rounds)
    try:
        for i in range(rounds):
            one.round(most, seconds, report.line)
            report.quiet(i < max(2, rounds // 5))
        one.end()
    except Exception:
        one.unexpected(traceback.format_exc())
        report.warm = report.warm or (0, 0, 0)
        if one.ended(5):
            one.unexpected(f"the server ended with {one.server.process.returncode}: {one.server.log[-2000:]}")
    finally:
        one.server.process.kill()
        one.server.process.wait()
    for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
        if word in one.server.log:
            one.unexpected(one.server.log[-5000:])
    return report.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="how long the load lasts")
    parser.add_argument("--requests", type=int, help="about how many requests instead")
    parser.add_argument("--seed", type=int, default=1, help="of what is asked; default 1")
    parser.add_argument("--allow-mib", type=float, default=16,
                        help="by which memory may grow after the warm-up; default 16")
    parser.add_argument("--run-one-in", type=int, default=4,
                        help="of how many first answers one is computed by vicinal run too; default 4")
    parser.add_argument("--binary", default=find_binary(), help="default: $VIC_BINARY, or what the presets built")
    parser.add_argument("--victim", nargs=2, metavar=("PORT", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.victim:
        victim(int(given.victim[0]), given.victim[1])
    if (given.minutes is None) == (given.requests is None):
        parser.error("expected --minutes M or --requests N")
    if not given.binary:
        parser.error("no vicinal binary: build the dev preset, or name one by --binary")
    with tempfile.TemporaryDirectory() as folder:
        good = soak(given.binary, pathlib.Path(folder), given.requests, given.minutes, given.seed, given.allow_mib,
                    given.run_one_in)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
