# SPDX-License-Identifier: Apache-2.0
"""vLLM's own tests of attention backends, from its source distribution, unmodified: causal, sliding window, encoders."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PATIENCE

SOURCE = Path(sys.prefix) / "vllm-source"
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
         "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
         "max_position_embeddings": 8192}
# Shapes under the names that the file asks for; a folder wins over the hub.  Only sizes of heads matter.
CONFIGS = {"meta-llama/Meta-Llama-3-8B": LLAMA,
           "microsoft/Phi-tiny-MoE-instruct": {**LLAMA, "sliding_window": 128, "architectures": ["MistralForCausalLM"],
                                               "model_type": "mistral"},
           "google/embeddinggemma-300m": {**LLAMA, "sliding_window": 128, "architectures": ["MistralForCausalLM"],
                                          "model_type": "mistral"}}
# Cases of an 8-bit cache are passed over by the file where a backend has none: they would pass without anything run.
# Those of FlashInfer's own are for its backend.
CASES = "correctness and not fp8 and not flashinfer"

pytestmark = pytest.mark.skipif(not (SOURCE / "tests").is_dir(), reason=f"vLLM's tests are not in {SOURCE}")


def run(bench, select, **options):
    folder = bench.folder / "suite"
    for name, config in CONFIGS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    if not (folder / "tests").exists():
        (folder / "tests").symlink_to(SOURCE / "tests")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "suite_plugin", "-p", "no:cacheprovider", "-k", select,
                           "--rootdir", folder, "-c", "/dev/null",
                           "tests/v1/attention/test_attention_backends.py"], cwd=folder, text=True, capture_output=True,
                          env=bench.environment(**options), timeout=PATIENCE)
    said = done.stdout + done.stderr
    counts = json.loads(re.search(r"^ours: (.*)$", said, re.M)[1])
    return {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|errors?)", said.splitlines()[-1] + done.stdout)}, \
        counts, said


def test_all_pass(bench):
    results, counts, said = run(bench, CASES)
    assert results == {"passed": 55}, said[-6000:]
    assert counts["layers"] >= 55


@pytest.mark.parametrize("mutant", ["one key fewer", "shuffled"])
def test_mistakes_are_noticed(bench, mutant):
    results, counts, said = run(bench, "test_causal and not fp8 and small_prefill", mutant=mutant)
    assert results.get("failed", 0) >= 3 and "passed" not in results, said[-6000:]
