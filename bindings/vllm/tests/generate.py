# SPDX-License-Identifier: Apache-2.0
"""generate.py CHECKPOINT OPTIONS PROMPTS TOKENS: greedy tokens and the log-probabilities of the best five of each, as JSON.
PROMPTS are their lengths; OPTIONS go to vllm.LLM."""
import json
import os
import random
import sys


def main():
    from vllm import LLM, SamplingParams
    checkpoint, options, lengths, tokens = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
    options = {"dtype": "float32", "max_model_len": 1024, "enforce_eager": True, "kv_cache_memory_bytes": 64 << 20,
               "max_num_seqs": 16, "seed": 1, "max_logprobs": 20, **options}
    llm = LLM(model=checkpoint, skip_tokenizer_init=True, disable_log_stats=False, **options)
    rng = random.Random(7)
    prompts = [{"prompt_token_ids": [rng.randrange(3, 1024) for _ in range(n)]} for n in lengths]
    sampling = SamplingParams(temperature=0, max_tokens=tokens, logprobs=5, ignore_eos=True, detokenize=False)
    answers = llm.generate(prompts, sampling, use_tqdm=False)
    preemptions = next((m.value for m in llm.get_metrics() if m.name == "vllm:num_preemptions"), 0)
    try:
        from vicinal_vllm.backend import counts
    except ImportError:
        counts = {}
    sys.stdout.flush()
    print(json.dumps({
        "tokens": [list(a.outputs[0].token_ids) for a in answers], "preemptions": preemptions, "counts": counts,
        "logprobs": [[{k: v.logprob for k, v in place.items()} for place in a.outputs[0].logprobs] for a in answers]}))


if __name__ == "__main__":  # engines of their own process import this again
    main()
    sys.stdout.flush()
    os._exit(0)  # vLLM's own threads may outlive it
