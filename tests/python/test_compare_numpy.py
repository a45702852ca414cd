# SPDX-License-Identifier: Apache-2.0
"""`vicinal compare` without torch: what is right by other formulas, wrong methods, limits, words, files."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from compare_tools import SKEWED, all_pairs, compare, dense_attention, rows_of, write_cloud  # noqa: F401

pytestmark = pytest.mark.skipif(not os.path.isfile(os.environ.get("VIC_LIBRARY", "")),
                                reason="VIC_LIBRARY does not name libvicinal.so")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
THREE = ["vicinal", "vicinal-sorted", "gather-scatter"]


@pytest.fixture
def no_torch(monkeypatch):
    """As in a Python that has no torch, whether this one does or not."""
    from vicinal import _attention
    monkeypatch.setattr(_attention, "_torch_attention", None)
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)


def problem_of(path, cutoff, heads=2, dim=8, **more):
    import vicinal
    from vicinal._compare.problem import Problem
    return Problem(vicinal.read(str(path), pbc=more.pop("pbc", None)), cutoff, heads, dim, "float32", "cpu", 3, **more)


# ---- what is right ----


@pytest.mark.parametrize("pbc", ["F F F", "T F F", "T T F", "F T T", "T T T"])
@pytest.mark.parametrize("cutoff", [5.0, 9.0])  # less and more than half of the cell's height
def test_rows_are_right_with_all_images(tmp_path, pbc, cutoff):
    x = write_cloud(tmp_path / "a.xyz", 60, SKEWED, pbc)
    p = problem_of(tmp_path / "a.xyz", cutoff)
    pairs = all_pairs(x, cutoff, SKEWED, [word == "T" for word in pbc.split()])
    out, _ = dense_attention(p.q, p.k, p.v, pairs)
    assert np.array_equal(p.counts, np.bincount(pairs[:, 0], minlength=60)[p.rows])
    assert np.allclose(p.right, out[p.rows], rtol=0, atol=1e-12)
    assert p.error(out) < 1e-12
    worse = out.copy()
    worse[p.rows[0]] += 1.0
    assert p.error(worse) > p.bound
    worse[:] = np.nan
    assert p.error(worse) == np.inf


@pytest.mark.parametrize("cell, cutoff", [(None, 6.0), (SKEWED, 5.0), (SKEWED, 9.0)])
@pytest.mark.parametrize("chunk", [1 << 22, 50])
def test_gradients_are_right(tmp_path, cell, cutoff, chunk, monkeypatch):
    from vicinal._compare import problem
    monkeypatch.setattr(problem, "CHUNK", chunk)
    x = write_cloud(tmp_path / "a.xyz", 60, cell, spread=12.0)
    p = problem_of(tmp_path / "a.xyz", cutoff, backward=True)
    out, weights = dense_attention(p.q, p.k, p.v, all_pairs(x, cutoff, cell))
    q, k, v, dout = (np.asarray(t, np.float64).transpose(1, 0, 2) for t in (p.q, p.k, p.v, p.dout))
    dp = dout @ v.transpose(0, 2, 1)
    ds = weights * (dp - (weights * dp).sum(-1, keepdims=True)) / np.sqrt(8)
    right = [t.transpose(1, 0, 2) for t in (ds @ k, ds.transpose(0, 2, 1) @ q, weights.transpose(0, 2, 1) @ dout)]
    assert p.gradient_error(right) < 1e-12
    for which in range(3):
        wrong = [t.copy() for t in right]
        wrong[which][p.gradient_rows[0]] *= 1.1
        assert p.gradient_error(wrong) > 1e-3


def test_rows_near_the_limit_are_not_compared(tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([[[0.0, 0.0, 0.0], [5.0 - 1e-6, 0.0, 0.0]], rng.uniform(20, 30, (50, 3))])
    (tmp_path / "a.xyz").write_text("52\n\n" + "".join("C %.6f %.6f %.6f\n" % tuple(row) for row in x))
    assert not {0, 1} & set(problem_of(tmp_path / "a.xyz", 5.0).rows)
    assert {0, 1} < set(problem_of(tmp_path / "a.xyz", 5.1).rows)
    # A lattice has such pairs everywhere; then they are compared all the same.
    x = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    (tmp_path / "b.xyz").write_text("64\n\n" + "".join("C %.6f %.6f %.6f\n" % tuple(row) for row in x))
    assert len(problem_of(tmp_path / "b.xyz", 2.0).rows) == 64


@pytest.mark.parametrize("cell, pbc, cutoff", [(None, "F F F", 6.0), (SKEWED, "T T T", 5.0), (SKEWED, "T T T", 16.0),
                                               (SKEWED, "T F T", 7.0)])
def test_lists(tmp_path, cell, pbc, cutoff):
    pytest.importorskip("scipy")
    from vicinal._compare import lists
    x = write_cloud(tmp_path / "a.xyz", 70, cell, pbc)
    p = problem_of(tmp_path / "a.xyz", cutoff)
    right = all_pairs(x, cutoff, cell, [word == "T" for word in pbc.split()])
    for make in (lists.scipy_list, lists.own_list):
        first, i, j = make(p)
        assert np.all(np.diff(i) >= 0) and np.array_equal(first, np.searchsorted(i, np.arange(71)))
        got = np.stack([i, j], 1)
        assert np.array_equal(got[np.lexsort(got.T[::-1])], right)


def test_pieces_make_no_difference(tmp_path, no_torch):
    from vicinal._compare import measure, ways
    write_cloud(tmp_path / "a.xyz", 200)
    p = problem_of(tmp_path / "a.xyz", 6.0)
    outs = []
    for size in (1, 5000, 1 << 30):
        way = ways.GatherScatter(p, measure.CpuClock())
        way.piece_bytes = size
        run, back = way.forward(way.pairs())
        outs.append(back(run()))
        assert p.error(outs[-1]) < 1e-6
    way.sparse = None
    assert np.allclose(way._run(way.pairs(), 200), outs[0], atol=1e-5)
    assert ways.cuts(np.array([0, 5, 6, 7, 30]), 0, 4, 7) == [0, 3, 4]
    assert ways.cuts(np.array([0, 5, 6, 7, 30]), 0, 4, 1) == [0, 1, 2, 3, 4]


# ---- the command ----


def test_table_and_document(compare, no_torch, tmp_path):
    x = write_cloud(tmp_path / "cloud.xyz")
    document, table, said = compare("cloud.xyz", "--cutoff", 6, "--heads", 2, "--head-dim", 20)
    rows = rows_of(document)
    assert document["atoms"] == 300 and document["pairs"] == len(all_pairs(x, 6.0)) and document["torch"] is None
    assert document["command"] == "vicinal compare cloud.xyz --cutoff 6 --heads 2 --head-dim 20 --json out.json"
    assert list(rows) == [*THREE, "flex", "sdpa"]
    for name in THREE:
        row = rows[name]
        assert row["status"] == "timed" and row["relative_error"] < 1e-5, row
        assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_p95"] and row["pairs_seconds"] > 0
        assert row["times_as_long"] == row["seconds"] / rows["vicinal"]["seconds"]
        line = next(line for line in table.splitlines() if line.startswith(row["label"]))
        assert f"{row['relative_error']:.1e}" in line
    for name in ("flex", "sdpa"):
        assert rows[name]["status"] == "left out" and "torch" in rows[name]["reason"]
    assert "There is no torch in this Python" in table and "--backward" in document["notes"][0]
    assert "reading cloud.xyz" in said and "gather, softmax, scatter: timing" in said


def test_periodic_with_many_images(compare, no_torch, tmp_path):
    x = write_cloud(tmp_path / "cell.xyz", 40, SKEWED)
    document, table, _ = compare("cell.xyz", "--cutoff", 14.5, "--only", "gather-scatter,vicinal")
    assert document["pairs"] == len(all_pairs(x, 14.5, SKEWED)) and "periodic along abc" in table
    assert [row["status"] for row in document["methods"]] == ["timed"] * 2
    assert document["periodic"] == [True] * 3 and np.allclose(document["cell"], SKEWED)
    document, _, _ = compare("cell.xyz", "--cutoff", 14.5, "--only", "vicinal", "--pbc", "none")
    assert document["pairs"] == len(all_pairs(x, 14.5)) and document["cell"] is None
    document, _, _ = compare("cell.xyz", "--cutoff", 5, "--only", "vicinal", "--supercell", "2x1x1")
    assert document["atoms"] == 80


def test_a_wrong_peer_gets_no_time(compare, no_torch, tmp_path, monkeypatch):
    from vicinal._compare import lists
    write_cloud(tmp_path / "cloud.xyz")

    def short(p):
        p.cutoff -= 0.5
        try:
            return right(p)
        finally:
            p.cutoff += 0.5
    right = lists.choose(problem_of(tmp_path / "cloud.xyz", 6.0))[0]
    monkeypatch.setattr(lists, "choose", lambda p: (short, "too few"))
    document, table, _ = compare("cloud.xyz", "--cutoff", 6)
    row = rows_of(document)["gather-scatter"]
    assert row["status"] == "wrong" and "seconds" not in row and row["relative_error"] > 1e-3
    assert "wrong: relative error" in table and rows_of(document)["vicinal"]["status"] == "timed"


def test_vicinal_wrong_is_an_error(compare, no_torch, tmp_path, monkeypatch):
    import vicinal
    write_cloud(tmp_path / "cloud.xyz")
    attention = vicinal.attention
    monkeypatch.setattr(vicinal, "attention", lambda *a, **k: attention(*a, **k) * np.float32(1.0001))
    _, table, said = compare("cloud.xyz", "--cutoff", 6, code=1)
    assert "error: vicinal: wrong: relative error 0.0001" in said and "gather" in table


def test_limits(compare, no_torch, tmp_path, monkeypatch):
    from vicinal._compare import measure, ways
    write_cloud(tmp_path / "cloud.xyz")
    with monkeypatch.context() as m:
        m.setattr(ways.GatherScatter, "estimate", lambda *_: 1e4)
        document, _, _ = compare("cloud.xyz", "--cutoff", 6)
        row = rows_of(document)["gather-scatter"]
        assert row["status"] == "left out" and "about 1e+04 s" in row["reason"] and row["estimate_seconds"] == 1e4

    def for_ever(self):
        while True:
            time.sleep(0.01)
    monkeypatch.setattr(ways.GatherScatter, "pairs", for_ever)
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--seconds", 2)
    row = rows_of(document)["gather-scatter"]
    assert row["status"] == "stopped" and row["reason"] == "pairs or mask, from positions: not done within --seconds 2"
    # Afterwards the signal is as it was.
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(measure.TimeUp), measure.limit(0.01):
        for_ever(None)
    assert signal.getsignal(signal.SIGALRM) == before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_method_that_fails_is_a_row(compare, no_torch, tmp_path, monkeypatch):
    from vicinal._compare import ways
    write_cloud(tmp_path / "cloud.xyz")

    def fail(self):
        raise self.error
    monkeypatch.setattr(ways.GatherScatter, "pairs", fail)
    for error, words in ((MemoryError("no room"), "out of memory (MemoryError: no room)"),
                         (KeyError("x"), "KeyError: 'x'")):
        monkeypatch.setattr(ways.GatherScatter, "error", error, raising=False)
        document, table, _ = compare("cloud.xyz", "--cutoff", 6)
        row = rows_of(document)["gather-scatter"]
        assert row["status"] == "failed" and words in row["reason"] and "failed: pairs or mask" in table


@pytest.mark.parametrize("words, code, text", [
    ([], 2, "expected FILE"),
    (["cloud.xyz"], 2, "--cutoff is missing"),
    (["cloud.xyz", "--cutoff", "0"], 2, "argument --cutoff: expected a number above 0, got '0'"),
    (["cloud.xyz", "--cutoff", "nan"], 2, "above 0, got 'nan'"),
    (["cloud.xyz", "--cutof", "6"], 2, "unknown option --cutof, did you mean --cutoff?"),
    (["cloud.xyz", "more.xyz", "--cutoff", "6"], 2, "unexpected more.xyz"),
    (["cloud.xyz", "--cutoff", "6", "--heads", "0"], 2, "--heads: expected a whole number from 1 to 4096, got '0'"),
    (["cloud.xyz", "--cutoff", "6", "--head-dim", "129"], 2, "from 1 to 128"),
    (["cloud.xyz", "--cutoff", "6", "--dtype", "float64"], 2, "--dtype"),
    (["cloud.xyz", "--cutoff", "6", "--only", "flx"], 2, "no method 'flx'; did you mean flex?"),
    (["cloud.xyz", "--cutoff", "6", "--only", ","], 2, "there are vicinal, vicinal-sorted, gather-scatter, flex, sdpa"),
    (["cloud.xyz", "--cutoff", "6", "--cell", "5,5"], 2, "a,b,c or a,b,c,alpha,beta,gamma"),
    (["cloud.xyz", "--cutoff", "6", "--cell", "5,5,5,90,90,190"], 2, "got '5,5,5,90,90,190'"),
    (["cloud.xyz", "--cutoff", "6", "--pbc", "xx"], 2, "expected auto, none, or axes"),
    (["cloud.xyz", "--cutoff", "6", "--supercell", "2x0x1"], 2, "expected AxBxC"),
    (["cloud.xyz", "--cutoff", "6", "--model", "0"], 2, "a number from 1 on"),
    (["cloud.xyz", "--cutoff", "6", "--json", "."], 2, "--json .: expected the name of a file"),
    (["cloud.xyz", "--cutoff", "6", "--json", "nowhere/x.json"], 2, "in a folder that can be written"),
    (["cloud.xyz", "--cutoff", "6", "--json", "cloud.xyz"], 2, "this is the structure that is read"),
    (["cloud.xyz", "--cutoff", "6", "--backward"], 2, "--backward needs torch"),
    (["cloud.xyz", "--cutoff", "6", "--dtype", "bfloat16"], 2, "needs torch"),
    (["cloud.xyz", "--cutoff", "6", "--device", "cuda"], 4, "needs torch"),
    (["nowhere.xyz", "--cutoff", "6"], 3, "nowhere.xyz"),
    (["broken.xyz", "--cutoff", "6"], 3, "broken.xyz line 3"),
    (["cloud.xyz", "--cutoff", "6", "--model", "7"], 3, "7"),
])
def test_errors_teach(compare, no_torch, tmp_path, words, code, text):
    write_cloud(tmp_path / "cloud.xyz", 20)
    before = (tmp_path / "cloud.xyz").read_bytes()
    (tmp_path / "broken.xyz").write_text("1\n\nC 0 zero 0\n")
    _, out, said = compare(*words, code=code)
    assert out == "" and text in said.splitlines()[-1], said
    assert (tmp_path / "cloud.xyz").read_bytes() == before and len(os.listdir(tmp_path)) == 2


def test_json_on_standard_output(no_torch, tmp_path, capsys):
    from vicinal.compare import main
    write_cloud(tmp_path / "cloud.xyz", 50)
    main([str(tmp_path / "cloud.xyz"), "--cutoff", "6", "--only", "vicinal", "--json", "-"])
    document = json.loads(capsys.readouterr().out)
    assert document["file"] == "cloud.xyz" and str(tmp_path) not in json.dumps(document)


# ---- clocks and memory ----


def test_statistics():
    from vicinal._compare.measure import statistics
    found = statistics([3.0, 1.0, 2.0, 10.0])
    assert (found["seconds"], found["seconds_min"], found["runs"]) == (2.5, 1.0, 4)
    assert found["sigma"] == pytest.approx(np.std([1, 2, 3, 10]) / 4)


@pytest.mark.parametrize("first, once, left, calls, runs", [
    (1e-3, 1e-3, 100.0, 31, 30),  # one to warm up
    (1.0, 1.0, 100.0, 11, 10),
    (8.0, 8.0, 100.0, 4, 3),
    (15.0, 15.0, 30.0, 1, 1),  # no time to warm up
    (50.0, 50.0, 100.0, 1, 1),
])
def test_number_of_runs(first, once, left, calls, runs):
    from vicinal._compare.measure import CpuClock

    class Clock(CpuClock):
        def once(self, call):
            return call(), once
    done = []
    assert Clock().time(lambda: done.append(1), first, left)["runs"] == runs and len(done) == calls


def test_memory_is_that_of_the_call():
    from vicinal._compare.measure import CpuClock
    kept, grown = CpuClock().memory(lambda: (np.ones(1 << 24), np.ones(1 << 23))[0])  # 128 MB, and 64 that go
    if grown is None:
        pytest.skip("this system does not say how large a process was at its largest")
    assert kept.nbytes == 1 << 27 and 0.98 * 3 * (1 << 26) < grown < 1.2 * 3 * (1 << 26)
    assert CpuClock().memory(lambda: kept.sum())[1] < 1 << 22
    assert CpuClock().room() > 1 << 20


def test_by_the_command(tmp_path):
    """`python -m vicinal compare` is main(), with its exit codes."""
    def call(*words):
        path = os.pathsep.join(filter(None, [str(ROOT / "python"), os.environ.get("PYTHONPATH")]))
        return subprocess.run([sys.executable, "-m", "vicinal", "compare", *words], capture_output=True, text=True,
                              cwd=tmp_path, env={**os.environ, "PYTHONPATH": path,
                                                 "VIC_LIBRARY": os.path.abspath(os.environ["VIC_LIBRARY"])})
    write_cloud(tmp_path / "cloud.xyz", 30)
    done = call("cloud.xyz", "--cutoff", "6", "--only", "vicinal")
    assert done.returncode == 0 and "30 atoms" in done.stdout, done.stderr
    assert call("nowhere.xyz", "--cutoff", "6").returncode == 3
    assert call("cloud.xyz").returncode == 2
    done = call("--help")
    assert done.returncode == 0 and "--backward" in done.stdout and done.stderr == ""
