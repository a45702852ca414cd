# SPDX-License-Identifier: Apache-2.0
"""Greedy tokens and log-probabilities against vLLM's own backend, float32."""
import json

import pytest

PROMPTS = [5, 17, 64, 100, 128, 200, 333, 512]
MODEL = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
         "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1024, "max_position_embeddings": 2048}
TIGHT = [90, 95, 100, 105, 110, 115, 120, 118]
# name: (model, options, own options of vLLM's backend, prompts, tokens, environment)
CASES = {
    "eager": ("Llama", {}, {}, PROMPTS, 24, {}),
    "chunked prefill, pages of 16": ("Llama", {"block_size": 16, "max_num_batched_tokens": 48},
                                     {"block_size": 32, "max_num_batched_tokens": 48}, PROMPTS, 24, {}),
    "preemption": ("Llama", {"block_size": 32, "num_gpu_blocks_override": 40}, None, TIGHT, 150, {}),
    "own process": ("Llama", {}, {}, PROMPTS, 24, {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}),
    "compiled": ("Llama", {"enforce_eager": False}, {}, PROMPTS, 24, {}),
    "sliding window": ("Mistral", {}, {}, PROMPTS, 24, {}),
}


@pytest.fixture(scope="module")
def checkpoints(bench):
    made = {}
    for name, more in (("Llama", {}), ("Mistral", {"sliding_window": 50})):
        bench.run("checkpoint.py", bench.folder / name, name, json.dumps({**MODEL, **more}), ours=False)
        made[name] = bench.folder / name
    return made


@pytest.fixture(scope="module")
def asked(bench, checkpoints):
    known = {}

    def ask(model, options, prompts, tokens, ours, mutant=None, **env):
        key = json.dumps([model, options, prompts, tokens, ours, mutant, env], sort_keys=True)
        if key not in known:
            known[key] = bench.run("generate.py", checkpoints[model], json.dumps(options), json.dumps(prompts), tokens,
                                   ours=ours, mutant=mutant, **env)
        return known[key]
    return ask


def farthest(a, b):
    """The largest difference of log-probabilities at places up to the first token that differs."""
    worst = 0.0
    for one, other, p, q in zip(a["tokens"], b["tokens"], a["logprobs"], b["logprobs"]):
        for s, t, x, y in zip(one, other, p, q):
            worst = max([worst, *(abs(x[k] - y[k]) for k in x if k in y)])
            if s != t:
                break
    return worst


@pytest.mark.parametrize("case", CASES)
def test_answers_are_those_of_vllm(asked, case):
    model, options, theirs, prompts, tokens, env = CASES[case]
    want, _ = asked(model, options if theirs is None else theirs, prompts, tokens, ours=False)
    got, said = asked(model, options, prompts, tokens, ours=True, **env)
    assert "vicinal computes attention" in said
    assert len(set(map(tuple, want["tokens"]))) == len(prompts) and len(set(want["tokens"][0])) > 5, "the model is too dull"
    assert got["tokens"] == want["tokens"]
    assert farthest(got, want) <= 1e-4
    if case != "own process":
        layers = got["counts"]["layers"]
        assert layers > 0 and layers == 2 * got["counts"]["steps"]
        assert got["counts"]["patterns"] <= 2 * got["counts"]["steps"], "layers that are alike share a pattern"
    if case == "preemption":
        assert got["preemptions"] > 0


@pytest.mark.parametrize("mutant", ["one key fewer", "shuffled"])
def test_mistakes_are_noticed(asked, mutant):
    want, _ = asked("Llama", {}, PROMPTS, 24, ours=False)
    got, _ = asked("Llama", {}, PROMPTS, 24, ours=True, mutant=mutant)
    assert farthest(got, want) > 1e-2


def test_without_the_switch_vllm_is_as_it_was(asked):
    want, said = asked("Llama", {}, PROMPTS, 24, ours=False)
    assert "vicinal computes attention" not in said and want["counts"].get("layers", 0) == 0
    assert "set VICINAL_VLLM=1" in said


def test_half_precision_differs_by_rounding_alone(asked):
    want, _ = asked("Llama", {"dtype": "bfloat16"}, PROMPTS, 4, ours=False)
    got, _ = asked("Llama", {"dtype": "bfloat16"}, PROMPTS, 4, ours=True)
    assert got["counts"]["layers"] > 0
    assert farthest(got, want) < 0.1
