# SPDX-License-Identifier: Apache-2.0
"""`vicinal compare` with torch: every method, masks and lists beside brute force, what is left out, failures."""
import pathlib
import re

import numpy as np
import pytest
import torch
import torch._dynamo
import torch._inductor.config

from compare_tools import SKEWED, all_pairs, compare, dense_attention, rows_of, write_cloud  # noqa: F401

import vicinal
from vicinal._compare import lists, measure, ways_torch
from vicinal._compare.problem import Problem

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def problem_of(path, cutoff, heads=2, dim=8, dtype="float32", device="cpu", **more):
    p = Problem(vicinal.read(str(path), pbc=more.pop("pbc", None)), cutoff, heads, dim, dtype, device, 3, torch, **more)
    p.most_pairs = vicinal.pattern(p.structure, cutoff).max_pairs
    return p


def way_of(name, p):
    way = ways_torch.WAYS[name](p, measure.clock_of(p.device))
    way.left = lambda: 1e9
    return way


# ---- parts ----


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_tensor_is_compared_in_its_own_numbers(tmp_path, dtype):
    x = write_cloud(tmp_path / "a.xyz", 60)
    p = problem_of(tmp_path / "a.xyz", 8.0, dtype=dtype)
    assert p.q.dtype == getattr(torch, dtype)
    out, _ = dense_attention(*(t.double().numpy() for t in (p.q, p.k, p.v)), all_pairs(x, 8.0))
    assert p.error(torch.from_numpy(out)) < 1e-12
    assert p.error(torch.from_numpy(out * 1.02)) > p.bound


@pytest.mark.parametrize("cell, pbc, cutoff", [(None, "F F F", 6.0), (SKEWED, "T T T", 5.5), (SKEWED, "T F T", 6.0),
                                               (np.diag([12.0, 13.0, 14.0]), "T T T", 5.0)])
def test_masks_and_lists(tmp_path, cell, pbc, cutoff):
    n = 300
    x = write_cloud(tmp_path / "a.xyz", n, cell, pbc)
    p = problem_of(tmp_path / "a.xyz", cutoff)
    right = all_pairs(x, cutoff, cell, [word == "T" for word in pbc.split()])
    dense = np.zeros((n, n), bool)
    dense[tuple(right.T)] = True
    assert dense.sum() == len(right), "the test wants one image of each pair"

    first, i, j = lists.torch_list(p)
    assert np.array_equal(torch.stack([i, j], 1).numpy(), right) and np.array_equal(
        first, np.searchsorted(i.numpy(), np.arange(n + 1)))
    assert np.array_equal(way_of("sdpa", p).pairs().numpy(), dense)

    pattern = vicinal.pattern(p.structure, cutoff)
    in_order = dense[np.ix_(pattern.order(), pattern.order())]
    near = ways_torch.mask_from_positions(p, pattern)
    rows = torch.arange(384)
    got = near(0, 0, rows[:, None], rows[None]).numpy()
    assert np.array_equal(got[:n, :n], in_order) and not got[n:].any() and not got[:, n:].any()
    for block in (64, 128):
        mask = ways_torch.with_mask_mod(pattern.to_block_mask(block), near)
        blocks = np.zeros((384 // block, 384 // block), bool)
        a, b = np.nonzero(in_order)
        blocks[a // block, b // block] = True
        assert np.array_equal(mask.to_dense()[0, 0].bool().numpy(), blocks) and mask.seq_lengths == (384, 384)


def test_few_rows_at_a_time(tmp_path, monkeypatch):
    write_cloud(tmp_path / "a.xyz", 100)
    p = problem_of(tmp_path / "a.xyz", 6.0)
    whole, mask = lists.torch_list(p), way_of("sdpa", p).pairs()
    monkeypatch.setitem(lists.PIECE_BYTES, "cpu", 24 * 100 * 7)
    assert len(lists.pieces_of_rows(p)) == 15
    assert all(np.array_equal(a, b) for a, b in zip(lists.torch_list(p), whole))
    assert torch.equal(way_of("sdpa", p).pairs(), mask)
    monkeypatch.setitem(lists.PIECE_BYTES, "cpu", 1)
    assert len(lists.pieces_of_rows(p)) == 100


def test_radius_graph_as_torch_geometric_has_it(tmp_path, monkeypatch):
    nn = pytest.importorskip("torch_geometric.nn")
    x = write_cloud(tmp_path / "a.xyz", 150)
    p = problem_of(tmp_path / "a.xyz", 6.0)

    def radius_graph(positions, r, loop=False, max_num_neighbors=32):
        near = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist") < r
        assert loop and near.sum(1).max() <= max_num_neighbors
        target, source = near.nonzero(as_tuple=True)
        order = torch.randperm(len(source))
        return torch.stack([source[order], target[order]])
    monkeypatch.setattr(nn, "radius_graph", radius_graph)
    make, words = lists.choose(p)
    assert make is lists.radius_graph_list and "radius_graph" in words
    first, i, j = make(p)
    got = torch.stack([i, j], 1).numpy()
    assert np.array_equal(got[np.lexsort(got.T[::-1])], all_pairs(x, 6.0)) and first[-1] == len(got)
    # It takes no cell.
    write_cloud(tmp_path / "b.xyz", 50, SKEWED)
    assert lists.choose(problem_of(tmp_path / "b.xyz", 5.0))[0] is not lists.radius_graph_list


@pytest.mark.parametrize("way", [way for _, way in ways_torch.writings()])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_writings_in_pieces(tmp_path, way, dtype):
    write_cloud(tmp_path / "a.xyz", 150)
    p = problem_of(tmp_path / "a.xyz", 7.0, dtype=dtype, backward=True)
    method = way_of("gather-scatter", p)
    prepared = method.pairs()
    for size in (1 << 30, 20000, 1):
        assert p.error(method._forward(prepared, p.n, way, size)()) < p.bound
    for size in (1 << 30, 20000):
        grads = method._backward(prepared, p.n, way, size)()
        assert [g.shape for g in grads] == [p.q.shape] * 3 and p.gradient_error(grads) < p.bound


def test_one_piece_only_where_it_fits(tmp_path, monkeypatch):
    write_cloud(tmp_path / "a.xyz", 150)
    p = problem_of(tmp_path / "a.xyz", 7.0, backward=True)
    monkeypatch.setitem(ways_torch.PIECE_BYTES, "cpu", 30000)
    for room, expected in ((1 << 40, True), (1000, False)):
        monkeypatch.setattr(measure.CpuClock, "room", lambda self: room)
        method = way_of("gather-scatter", p)
        prepared = method.pairs()
        method.forward(prepared)
        method.backward(prepared)
        for tried in (method.facts["tried"], method.facts["backward_tried"]):
            assert any("in one piece" in line["label"] for line in tried) is expected
            assert any("at a time" in line["label"] for line in tried)


# ---- the command ----


def named_in_docs():
    text = (ROOT / "docs/howto/compare.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([a-z_0-9.]+)`", text[text.index("## The JSON"):]))


def keys_of(value):
    if isinstance(value, dict):
        return set(value) | {k for v in value.values() for k in keys_of(v)}
    return {k for v in value for k in keys_of(v)} if isinstance(value, list) else set()


def test_all_methods(compare, tmp_path):
    """FlexAttention is compiled twice here, which takes a minute."""
    x = write_cloud(tmp_path / "cloud.xyz", 300)
    before = torch._dynamo.config.get_config_copy(), torch._inductor.config.get_config_copy()
    document, table, said = compare("cloud.xyz", "--cutoff", 6, "--heads", 2, "--backward", "--seconds", 3000)
    assert (torch._dynamo.config.get_config_copy(), torch._inductor.config.get_config_copy()) == before
    rows = rows_of(document)
    assert list(rows) == ["vicinal", "vicinal-sorted", "gather-scatter", "flex", "sdpa"]
    assert document["pairs"] == len(all_pairs(x, 6.0)) and document["torch"] == torch.__version__
    for name, row in rows.items():
        assert row["status"] == "timed" and row["relative_error"] < document["error_bound"] == 1e-5, row
        back = row["backward"]
        if name == "flex":
            assert back["status"] == "left out" and "no backward pass on a CPU" in back["reason"]
        else:
            assert back["status"] == "timed" and back["relative_error"] < 1e-5 and back["times_as_long"] > 0, back
    assert [bool(line.get("failed")) for line in rows["flex"]["tried"]] == [False, False]
    assert keys_of(document) <= named_in_docs(), keys_of(document) - named_in_docs()
    assert "FlexAttention: first run, with compiling" in said and "with backward" in table
    assert max(map(len, table.splitlines()[3:])) <= 140


def test_periodic(compare, tmp_path):
    x = write_cloud(tmp_path / "cell.xyz", 100, SKEWED)
    document, _, _ = compare("cell.xyz", "--cutoff", 5.5, "--backward", "--only", "vicinal,gather-scatter,sdpa")
    assert document["pairs"] == len(all_pairs(x, 5.5, SKEWED))
    for row in document["methods"]:
        assert row["status"] == row["backward"]["status"] == "timed", row


def test_several_images_of_a_pair(compare, tmp_path):
    x = write_cloud(tmp_path / "cell.xyz", 30, SKEWED)
    document, _, _ = compare("cell.xyz", "--cutoff", 14.5, "--backward")
    rows = rows_of(document)
    assert document["pairs"] == len(all_pairs(x, 14.5, SKEWED))
    for name in ("vicinal", "vicinal-sorted", "gather-scatter"):
        assert rows[name]["status"] == rows[name]["backward"]["status"] == "timed", rows[name]
    assert rows["flex"]["status"] == "left out" and "shifts of the cell" in rows["flex"]["reason"]
    assert rows["sdpa"]["status"] == "left out" and "several images" in rows["sdpa"]["reason"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types(compare, tmp_path, dtype):
    write_cloud(tmp_path / "cloud.xyz", 100)
    document, _, _ = compare("cloud.xyz", "--cutoff", 7, "--dtype", dtype, "--only", "vicinal,gather-scatter,sdpa")
    for row in document["methods"]:
        assert row["status"] == "timed" and 1e-5 < row["relative_error"] < document["error_bound"], row


def test_a_mask_that_does_not_fit(compare, tmp_path, monkeypatch):
    write_cloud(tmp_path / "cloud.xyz", 100)
    right = ways_torch.DenseMask.__init__

    class Small(measure.CpuClock):
        def room(self):
            return 50000
    monkeypatch.setattr(ways_torch.DenseMask, "__init__", lambda self, p, clock: right(self, p, Small()))
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "sdpa")
    row = document["methods"][0]
    assert row["status"] == "left out" and row["reason"].startswith("mask and bias of 100 x 100 take 0.0 GB")


def test_a_wrong_mask_gets_no_time(compare, tmp_path, monkeypatch):
    write_cloud(tmp_path / "cloud.xyz", 100)
    near = lists.near_rows
    monkeypatch.setattr(lists, "near_rows", lambda p, x, begin, end: near(p, 1.02 * x, begin, end))
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "vicinal,sdpa", "--backward")
    row = rows_of(document)["sdpa"]
    assert row["status"] == "wrong" and "seconds" not in row and row["backward"]["status"] == "wrong"
    assert "times_as_long" not in row


def test_wrong_gradients_get_no_time(compare, tmp_path, monkeypatch):
    write_cloud(tmp_path / "cloud.xyz", 100)
    right = ways_torch.DenseMask.backward

    def wrong(self, mask):
        run, back = right(self, mask)
        return run, lambda grads: [back(grads)[0], back(grads)[2], back(grads)[1]]
    monkeypatch.setattr(ways_torch.DenseMask, "backward", wrong)
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "sdpa", "--backward")
    row = document["methods"][0]
    assert row["status"] == "timed" and row["backward"]["status"] == "wrong" and "seconds" not in row["backward"]


class Tiles:
    """Stands in for compiled FlexAttention: what each choice gives, in turn."""

    def __init__(self, *answers):
        self.answers, self.given = list(answers), []

    def __call__(self, q, k, v, block_mask, kernel_options):
        if not any(block_mask is mask for mask, _ in self.given):
            self.given.append((block_mask, self.answers.pop(0)))
        answer = next(answer for mask, answer in self.given if mask is block_mask)
        if isinstance(answer, Exception):
            raise answer
        rows = torch.arange(q.shape[2])
        seen = block_mask.mask_mod(torch.tensor(0), torch.tensor(0), rows[:, None] % block_mask.seq_lengths[0],
                                   rows[None] % block_mask.seq_lengths[1])
        return answer * torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)


@pytest.mark.parametrize("answers, status, chosen, failed", [
    ((1.0, 1.0), "timed", None, [None, None]),
    ((1.1, 1.0), "timed", 1, ["wrong", None]),
    ((1.0, ValueError("bad tile")), "timed", 0, [None, "ValueError: bad tile"]),
    ((ValueError("bad tile"), 1.1), "wrong", 1, ["ValueError: bad tile", "wrong"]),
    ((ValueError("a"), ValueError("b")), "failed", None, ["ValueError: a", "ValueError: b"]),
])
def test_choices_of_flex_attention(compare, tmp_path, monkeypatch, answers, status, chosen, failed):
    write_cloud(tmp_path / "cloud.xyz", 100)
    monkeypatch.setattr(ways_torch.Flex, "_compiled", Tiles(*answers))
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "flex")
    row = document["methods"][0]
    assert row["status"] == status and [line.get("failed") for line in row["tried"]] == failed, row
    if chosen is not None:
        assert row["tried"][chosen]["label"] in row["how"]


def test_stopped_and_out_of_memory(compare, tmp_path, monkeypatch):
    write_cloud(tmp_path / "cloud.xyz", 100)

    def for_ever(*_, **__):
        while True:
            torch.ones(1000).sum()
    with monkeypatch.context() as m:
        m.setattr(torch.nn.functional, "scaled_dot_product_attention", for_ever)
        document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "sdpa", "--seconds", 1)
        row = document["methods"][0]
        assert row["status"] == "stopped" and row["reason"], row  # on a slow machine already while the mask is made

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", full)
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "sdpa,vicinal")
    assert [row["status"] for row in document["methods"]] == ["timed", "failed"]
    assert "out of memory" in document["methods"][1]["reason"]


def test_no_gpu(compare, tmp_path, monkeypatch):
    write_cloud(tmp_path / "cloud.xyz", 20)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _, _, said = compare("cloud.xyz", "--cutoff", 6, "--device", "cuda", code=4)
    assert "torch sees no GPU" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")
def test_a_gpu_without_a_kernel_of_ours(compare, tmp_path, monkeypatch):
    """torch is made to see one; vicinal sees none."""
    write_cloud(tmp_path / "cloud.xyz", 20)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _, _, said = compare("cloud.xyz", "--cutoff", 6, "--device", "cuda", code=4)
    assert "--device cuda: " in said
    document, table, _ = compare("cloud.xyz", "--cutoff", 6, "--only", "vicinal")
    assert document["device"] == "cpu" and document["dtype"] == "float32"
    assert "There is a GPU, which is not used: " in document["notes"][0] and "There is a GPU" in table


# ---- on a GPU ----


@pytest.mark.gpu
def test_all_methods_on_a_gpu(compare, tmp_path):
    x = write_cloud(tmp_path / "cloud.xyz", 1000, spread=30.0)
    document, _, _ = compare("cloud.xyz", "--cutoff", 6, "--backward", "--seconds", 3000)
    assert document["device"] == "cuda" and document["dtype"] == "float16"
    assert document["gpu"] and document["driver_version"]
    assert document["pairs"] == len(all_pairs(x, 6.0))
    for row in document["methods"]:
        for part in (row, row["backward"]):
            assert part["status"] == "timed" and part["relative_error"] < 1e-3 and part["kept_bytes"] > 0, row
        assert row["peak_bytes"] >= 1000 * 4 * 64 * 2  # the result
    assert keys_of(document) <= named_in_docs(), keys_of(document) - named_in_docs()


@pytest.mark.gpu
def test_periodic_on_a_gpu(compare, tmp_path):
    x = write_cloud(tmp_path / "cell.xyz", 500, 2 * SKEWED)
    document, _, _ = compare("cell.xyz", "--cutoff", 6, "--seconds", 3000)
    assert document["device"] == "cuda" and document["pairs"] == len(all_pairs(x, 6.0, 2 * SKEWED))
    assert [row["status"] for row in document["methods"]] == ["timed"] * 5, document["methods"]


@pytest.mark.gpu
def test_the_clock_of_a_gpu():
    clock = measure.clock_of("cuda")
    a = torch.ones(1 << 26, device="cuda")
    kept, grown = clock.memory(lambda: (a + 1, a + 2)[0])
    assert grown == 2 * a.numel() * 4 and kept.shape == a.shape
    # An event's time is what a clock beside many runs says, and no gap counts.
    found = clock.time(lambda: a.add_(1), 1e-3, 100.0)
    _, wall = clock.once(lambda: [a.add_(1) for _ in range(200)])
    assert found["runs"] >= 3 and 0 < found["seconds"] <= 1.5 * wall / 200
