# SPDX-License-Identifier: Apache-2.0
"""bench/peers_gpu.py: what it does without a GPU.  Block lists and cuts against numpy; with PyTorch also its masks,
its reference, and a rehearsal on the CPU."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import vicinal_ctypes

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


host = load("peers_host")
vicinal_c = load("vicinal_c")


@pytest.fixture
def library():
    vicinal_ctypes.library()  # or skip
    return vicinal_c


def cloud(n=700, side=25.0, seed=3):
    return np.random.default_rng(seed).uniform(0, side, (n, 3))


def dense_of(lists, n):
    """[n, n] of 0: no block, 1: partial, 2: full."""
    grid = np.zeros((len(lists.partial_count),) * 2, int)
    for value, count, index in ((1, lists.partial_count, lists.partial), (2, lists.full_count, lists.full)):
        for row, number in enumerate(count):
            assert list(index[row, :number]) == sorted(set(index[row, :number]))
            assert (grid[row, index[row, :number]] == 0).all()
            grid[row, index[row, :number]] = value
    return grid.repeat(lists.block, 0).repeat(lists.block, 1)[:n, :n]


# ---- cases and points


def test_cases_have_names_of_their_own():
    names = [case.name for case in host.cases(host.APOA1_BOX)]
    assert len(set(names)) == len(names) and names[0] == "apoa1-10"
    assert [c.name for c in host.cases(host.APOA1_BOX, small=True)] == names


def test_only_takes_patterns_and_refuses_what_is_not_there():
    every = host.cases(host.APOA1_BOX)
    assert [c.name for c in host.chosen(every, "dense-*,apoa1-6")] == ["apoa1-6", "dense-d64", "dense-d128"]
    assert host.chosen(every, "") == every
    with pytest.raises(ValueError, match="no such case.*apoa1-10"):
        host.chosen(every, "apoa1-10,nonsense")


def test_a_ball_has_the_density_of_water():
    x = host.in_ball(20000, np.random.default_rng(0))
    r = np.linalg.norm(x, axis=1)
    assert abs(20000 / (4 / 3 * np.pi * r.max() ** 3) / 0.1 - 1) < 0.01
    assert abs((r < r.max() / 2).mean() - 1 / 8) < 0.01 and np.abs(x.mean(0)).max() < 0.5


def test_molecules_have_20_to_100_atoms():
    offsets, x = host.molecules(300, np.random.default_rng(0))
    sizes = np.diff(offsets)
    assert offsets[0] == 0 and offsets[-1] == len(x) and sizes.min() == 20 and sizes.max() == 100


def test_cuts_hold_at_most_so_many_pairs():
    counts = np.array([3, 0, 4, 20, 1, 1, 8, 0])
    first = np.concatenate([[0], np.cumsum(counts)])
    cuts = host.chunk_ends(first, 8)
    assert cuts[0] == 0 and cuts[-1] == len(counts) and sorted(set(cuts)) == cuts
    assert all(first[b] - first[a] <= 8 or b == a + 1 for a, b in zip(cuts, cuts[1:]))
    assert cuts == [0, 3, 4, 6, 8]


# ---- blocks


@pytest.mark.parametrize("cutoff", [4.0, 9.0, 100.0])
@pytest.mark.parametrize("block", [64, 128])
@pytest.mark.parametrize("n", [640, 700])
def test_lists_say_which_blocks_have_pairs_and_which_have_all(library, n, block, cutoff):
    x = cloud(n)
    pattern = library.cutoff_pattern(x, cutoff)
    y = x[pattern.order()]
    near = ((y[:, None] - y[None]) ** 2).sum(-1) < cutoff ** 2
    side = -(-n // 128) * 128 // block
    room = np.zeros((side * block,) * 2, bool)
    room[:n, :n] = near
    parts = room.reshape(side, block, side, block)
    right = parts.any((1, 3)).astype(int) + parts.all((1, 3))
    lists = host.block_lists(*pattern.blocks(), block, n)
    assert np.array_equal(dense_of(lists, n), right.repeat(block, 0).repeat(block, 1)[:n, :n])
    assert lists.total == (right > 0).sum() and lists.full_total == (right == 2).sum()
    none_full = host.block_lists(*pattern.blocks(), block, n, least_full=1.1)
    assert none_full.full_total == 0 and none_full.total == lists.total


def test_lists_unite_images(library):
    x, box = cloud(300, 14.0), (14.0, 14.0, 14.0)
    pattern = library.cutoff_pattern(x, 5.0, box)
    y = x[pattern.order()]
    d = y[:, None] - y[None]
    near = ((d - 14 * np.round(d / 14)) ** 2).sum(-1) < 25
    assert pattern.info.pairs == near.sum()
    lists = host.block_lists(*pattern.blocks(), 64, 300)
    assert not (near & (dense_of(lists, 300) == 0)).any() and not (~near & (dense_of(lists, 300) == 2)).any()


def test_lists_of_a_generated_pattern(library):
    pattern = library.generated_pattern("blocks:5x5:n=12,seed=4")
    assert np.array_equal(pattern.order(), np.arange(640))
    row_ptr, column, full = pattern.blocks128()
    lists = host.csr_lists(row_ptr, column)
    assert full.all() and lists.full_total == lists.total == 12
    assert np.array_equal(dense_of(lists, 640), dense_of(host.block_lists(*pattern.blocks(), 128, 640), 640))
    assert (dense_of(lists, 640) == 2).sum() == pattern.info.pairs


def test_errors_come_with_the_librarys_text(library):
    with pytest.raises(vicinal_ctypes.ArgumentError, match="expected origin:800"):
        library.generated_pattern("origin:801")


# ---- results


def line(peer, ms, case="a", status="timed", exact=True, **more):
    return {"case": case, "peer": peer, "label": peer, "status": status, "exact": exact, "ms": ms, **more}


def test_the_best_peer_is_one_that_is_exact_and_was_timed():
    lines = [{"bench": "peers_gpu"}, line("vicinal", 0.5, ms_graph=0.4), line("vicinal-caller", 0.6),
             line("flex64", 2.0, ms_graph=1.0), line("flex128", 1.5), line("whole", 0.1, exact=False),
             {"case": "a", "peer": "bad", "label": "bad", "exact": True, "status": "wrong"},
             {"case": "b", "status": "skipped"}]
    a, b = host.summary(lines)
    assert (a["vicinal"], a["vicinal-caller"]) == (0.4, 0.6)
    assert (a["peer"], a["peer_ms"], a["peer_ratio"]) == ("flex64", 1.0, 2.5)
    assert (a["loose"], a["loose_ms"]) == ("whole", 0.1) and b["vicinal"] is None and b["peer"] is None
    text = host.table(lines).splitlines()
    assert len(text) == 4 and "2.50" in text[1] and "not exact" in text[2] and text[3].split()[:2] == ["b", "-"]


def test_statistics():
    s = host.statistics([3.0, 1.0, 2.0, 10.0])
    assert s["ms"] == 2.5 and s["ms_min"] == 1.0 and s["launches"] == 4
    assert s["sigma"] == pytest.approx(np.std([1, 2, 3, 10]) / 4) and s["ms_p99"] <= 10


def test_help_and_list_need_no_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('not wanted here')")
    for words, said in (("--help", "--budget"), ("--list", "apoa1-10-periodic")):
        done = subprocess.run([sys.executable, str(BENCH / "peers_gpu.py"), words], capture_output=True, encoding="utf-8",
                              timeout=vicinal_ctypes.PATIENCE, env={**os.environ, "PYTHONPATH": str(tmp_path)})
        assert done.returncode == 0 and said in done.stdout, done.stderr


# ---- with PyTorch


@pytest.fixture
def peers():
    torch = pytest.importorskip("torch")
    module = load("peers_torch")
    module.prepare()
    yield module
    torch.set_grad_enabled(True)


def problem_of(peers, **case):
    x = cloud(500, 20.0)
    case = host.Case("test", "structure", heads=2, dim=16, **case)
    return peers.Problem(case, peers.torch.device("cpu"), x)


@pytest.mark.parametrize("box", [None, (20.0, 21.0, 22.0)])
def test_masks_are_the_pattern(peers, library, box):
    p = problem_of(peers, cutoff=5.0, box=box)
    rows = peers.torch.arange(512)  # with the padding, which sees nothing and is not seen
    right = np.zeros((512, 512), bool)
    right[:500, :500] = p.neighbours(rows[:500])[0][p.order][:, p.order]
    assert right.sum() == p.info.pairs
    i, j = peers.torch.meshgrid(rows, rows, indexing="ij")
    assert np.array_equal(peers.mask_from_coordinates(p)(0, 0, i, j).numpy(), right)
    lists = host.block_lists(*p.pattern.blocks(), 64, p.n)
    stored = peers.mask_from_bits(p, lists)(0, 0, i, j).numpy()
    assert np.array_equal(stored & (dense_of(lists, 512) > 0), right)


@pytest.mark.parametrize("name", ["edges", "vicinal", "vicinal-caller"])
def test_peers_agree_with_the_reference(peers, library, name):
    p = problem_of(peers, cutoff=6.0)
    run, back, *_ = peers.edges(p) if name == "edges" else peers.vicinal(p, name == "vicinal")
    assert p.error(back(run())) < 1e-5
    assert p.right.isfinite().all()


def test_a_wrong_peer_is_seen(peers, library):
    p = problem_of(peers, cutoff=6.0)
    q, k, v = (t[:, p.order].transpose(1, 2) for t in (p.q, p.k, p.v))
    all_pairs = peers.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    out = peers.torch.empty_like(p.q)
    out[:, p.order] = all_pairs
    assert p.error(out) > 0.01


def test_rehearsal(peers, library, tmp_path):
    """Without compiling, FlexAttention looks at its mask and not at its lists: on block patterns it is wrong here."""
    results = tmp_path / "out.jsonl"

    def run(*words):
        done = subprocess.run(
            [sys.executable, str(BENCH / "peers_gpu.py"), "--device", "cpu", "--small", "--library",
             os.path.abspath(os.environ["VIC_LIBRARY"]), "--results", str(results), *words], capture_output=True,
            encoding="utf-8", timeout=vicinal_ctypes.PATIENCE, env={**os.environ, "TORCHDYNAMO_DISABLE": "1"})
        assert done.returncode == 0, done.stderr
        lines = [json.loads(text) for text in results.read_text().splitlines()]
        results.unlink()
        assert lines[0]["bench"] == "peers_gpu" and "commit" in lines[0]["build"]
        return {(at["case"], at.get("peer", "")): at for at in lines[1:]}, done.stdout
    done, said = run("--only", "apoa1-6,origin-800,molecules-256")
    assert done["apoa1-6", ""]["status"] == "failed" and "--structure" in done["apoa1-6", ""]["reason"]
    assert done["origin-800", "flex-blocks"]["status"] == "wrong" and "ms" not in done["origin-800", "flex-blocks"]
    for case, peer in (("origin-800", "vicinal"), ("origin-800", "unfused"), ("molecules-256", "vicinal"),
                       ("molecules-256", "vicinal-caller"), ("molecules-256", "flex64"),
                       ("molecules-256", "sdpa-padded")):
        at = done[case, peer]
        assert at["status"] == "timed" and at["ms"] > 0 and at["relative_error"] < 1e-5
    assert said.splitlines()[-1].split()[0] == "molecules-256"
    done, _ = run("--only", "dense-*", "--budget", "0")
    assert [at["status"] for at in done.values()] == ["skipped", "skipped"]
