# SPDX-License-Identifier: Apache-2.0
"""Encoders against transformers, also with head sizes that vLLM's own kernel for CPUs does not have (16, 24), and with
local layers (ModernBERT)."""
import json

import pytest

BERT = {"vocab_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256,
        "max_position_embeddings": 1024}
MODELS = {
    "head size 32": ("Bert", {**BERT, "hidden_size": 128}),
    "head size 16": ("Bert", {**BERT, "hidden_size": 64}),
    "head size 24": ("Bert", {**BERT, "hidden_size": 96}),
    "local layers": ("ModernBert", {**BERT, "hidden_size": 128, "num_hidden_layers": 4, "local_attention": 64,
                                    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1,
                                    "sep_token_id": 2}),
}


@pytest.fixture(scope="module")
def checkpoints(bench):
    for name, (kind, options) in MODELS.items():
        bench.run("checkpoint.py", bench.folder / name.replace(" ", "-"), kind, json.dumps(options), ours=False)
    return {name: bench.folder / name.replace(" ", "-") for name in MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_are_those_of_transformers(bench, checkpoints, model):
    got, said = bench.run("encode.py", checkpoints[model])
    assert "vicinal computes attention: an encoder" in said
    assert got["counts"]["layers"] >= MODELS[model][1]["num_hidden_layers"]
    assert got["difference"] <= 1e-5


@pytest.mark.parametrize("mutant", ["one key fewer", "shuffled"])
def test_mistakes_are_noticed(bench, checkpoints, mutant):
    got, _ = bench.run("encode.py", checkpoints["head size 16"], mutant=mutant)
    assert got["difference"] > 1e-3
