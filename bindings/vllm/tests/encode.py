# SPDX-License-Identifier: Apache-2.0
"""encode.py CHECKPOINT: token embeddings by vLLM, held against transformers' eager attention: the largest difference of
embeddings of length 1."""
import json
import random
import sys

import torch


def main():
    from transformers import AutoModel
    from vllm import LLM
    from vllm.config import PoolerConfig
    checkpoint = sys.argv[1]
    rng = random.Random(3)
    tokens = [[rng.randrange(4, 512) for _ in range(n)] for n in (7, 40, 64, 129, 300, 500)]
    llm = LLM(model=checkpoint, runner="pooling", dtype="float32", enforce_eager=True, max_model_len=768, max_num_seqs=8,
              kv_cache_memory_bytes=64 << 20, seed=0, pooler_config=PoolerConfig(task="token_embed", use_activation=False))
    answers = llm.encode([{"prompt_token_ids": t} for t in tokens], pooling_task="token_embed", use_tqdm=False)
    model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    worst = 0.0
    with torch.no_grad():
        for given, answer in zip(tokens, answers):
            ids = torch.tensor([given])
            want = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            got = answer.outputs.data.float()
            assert got.shape == want.shape
            one, other = (torch.nn.functional.normalize(x, dim=-1) for x in (got, want))
            worst = max(worst, float((one - other).abs().max()))
    from vicinal_vllm.backend import counts
    sys.stdout.flush()
    print(json.dumps({"difference": worst, "counts": counts}))


if __name__ == "__main__":
    main()
