# SPDX-License-Identifier: Apache-2.0
"""Patterns of a step against masks made key by key; which sequences are packed; what is refused."""
import sys

import numpy as np
import pytest
import torch

from conftest import HERE

sys.path[:0] = [str(HERE.parent), str(HERE.parents[2] / "python")]
from vicinal_vllm import backend  # noqa: E402
from vicinal_vllm.steps import Step  # noqa: E402

BATCHES = {
    "decode": ([1, 1, 1], [33, 1, 100]),
    "prefill": ([40, 7, 64], [40, 7, 64]),
    "chunk behind decodes": ([1, 1, 48], [17, 90, 130]),
    "in any order": ([20, 1, 20, 1, 20, 1], [20, 9, 31, 64, 64, 65]),
    "rows that fill up": ([1, 5, 0, 0], [16, 5, 70000, 3]),
}


def step_of(queries, lengths, causal=True, page=16, pages=60):
    rng = np.random.default_rng(5)
    table = np.zeros((len(queries), 10), np.int32)
    order = rng.permutation(np.arange(1, pages))
    for row, n in zip(table, lengths):
        used = -(-n // page) if n < 1000 else 0
        row[:used], order = order[:used], order[used:]
    return Step(np.concatenate([[0], np.cumsum(queries)]).astype(np.int64), np.array(lengths), table, page, causal)


def mask_of(queries, lengths, step, slots, window):
    mask, row = np.zeros((sum(queries), slots), bool), 0
    for n, length, pages in zip(queries, lengths, step.table):
        for place in range(length - n, length) if n else ():
            for key in range(length):
                far = key > place if step.causal else window and key - place >= window
                if not far and not (window and place - key >= window):
                    mask[row, pages[key // step.page] * step.page + key % step.page] = True
            row += 1
    return mask


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("window", [None, 1, 20])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("group", [1, 4])
def test_a_step_sees_what_its_words_say(batch, window, causal, group):
    queries, lengths = BATCHES[batch]
    step = step_of(queries, lengths, causal)
    want, slots = mask_of(queries, lengths, step, 960, window), 960
    at = 0
    for run in step.runs(slots, group, window):
        assert run.first == at and run.share in (1, group)
        assert np.array_equal(run.pattern.to_dense(), np.repeat(want[run.first:run.end], run.share, 0))
        at = run.end
    assert at == sum(queries)
    assert step.runs(slots, group, window) is step.runs(slots, group, window) and step.patterns <= 2


def test_what_decodes_is_packed():
    def shares(batch):
        return [run.share for run in step_of(*BATCHES[batch]).runs(960, 4, None)]
    assert shares("decode") == [4] and shares("chunk behind decodes") == [4, 1] and len(shares("in any order")) == 1
    assert [run.share for run in step_of([64, 48], [64, 48]).runs(960, 4, None)] == [1]


def cache_of(blocks, page, heads, d):
    """As vLLM lays it out for us: [blocks, heads, page, 2 d] over memory [blocks, page, heads, 2 d]."""
    return torch.randn(blocks, page, heads, 2 * d).transpose(1, 2)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("window", [None, 20])
def test_layers_compute_attention(batch, window):
    """The implementation without a server: writing to the cache, and attention over it, against float64."""
    queries, lengths = BATCHES[batch]
    heads, kv_heads, d = 8, 2, 24
    step, n = step_of(queries, lengths), sum(queries)
    cache = cache_of(60, 16, kv_heads, d)
    layer = backend.VicinalImpl(heads, d, 0.3, kv_heads, None, window, "auto")
    rng = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(n + 3, h, d, generator=rng) for h in (heads, kv_heads, kv_heads))
    slots, places = [], [(length - m + i, row) for m, length, row in zip(queries, lengths, step.table) for i in range(m)]
    for place, row in places:
        slots.append(int(row[place // 16]) * 16 + place % 16)
    layer.do_kv_cache_update(None, k, v, cache, torch.tensor([*slots, -1, -1, -1]))
    keys = cache.transpose(1, 2).reshape(-1, kv_heads, 2 * d)
    assert torch.equal(keys[slots], torch.cat([k, v], -1)[:n])
    out = torch.full((n + 3, heads * d), 7.0)
    got = layer.forward(None, q, k, v, cache, backend.VicinalMetadata(step, n), out)
    mask = torch.from_numpy(mask_of(queries, lengths, step, len(keys), window))
    K, V = (x.double().repeat_interleave(4, 1) for x in keys.split(d, -1))
    scores = torch.einsum("qhd,khd->hqk", q[:n].double(), K) * 0.3
    want = torch.einsum("hqk,khd->qhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), V)
    assert (got[:n].view(n, heads, d) - want).abs().max() < 2e-6 * want.abs().max()
    assert (out[n:] == 7).all(), "rows that only fill up are not written"


@pytest.mark.parametrize("what, options", [
    ("ALiBi", {"alibi_slopes": [0.5]}), ("soft cap", {"logits_soft_cap": 30.0}), ("sinks", {"sinks": torch.zeros(8)}),
    ("shared between layers", {"kv_sharing_target_layer_name": "layers.0"}), ("fp8", {"kv_cache_dtype": "fp8_e4m3"}),
    ("head size 20", {"head_size": 20}), ("head size 136", {"head_size": 136}), ("encoder_decoder",
                                                                                {"attn_type": "encoder_decoder"}),
    ("unknown_to_us", {"unknown_to_us": object()}),
])
def test_what_it_lacks_is_refused(what, options):
    with pytest.raises(NotImplementedError, match="vicinal: .*" + what):
        backend.VicinalImpl(**{"num_heads": 8, "head_size": 32, "scale": 1.0, "num_kv_heads": 2, **options})


def test_a_cache_of_another_layout_is_refused():
    with pytest.raises(RuntimeError, match="slots have one stride"):
        backend.key_rows(torch.zeros(5, 2, 16, 64), 32)
