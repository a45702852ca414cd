# SPDX-License-Identifier: Apache-2.0
"""checkpoint.py FOLDER CONFIG [OPTIONS]: a model of transformers with random weights that makes its answers vary and feel
the attention: with tiny weights (vLLM's load_format="dummy") any attention would do.  And a tokenizer of words."""
import json
import sys

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers


def main():
    folder, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    torch.manual_seed(3)
    config = getattr(transformers, name + "Config")(**options)
    kind = getattr(transformers, name + ("ForCausalLM" if name in ("Llama", "Mistral") else "Model"))
    model = kind(config)
    with torch.no_grad():
        for place, weight in model.named_parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=1.0 if "embed" in place else 1.6 / weight.shape[1] ** 0.5)
    model.save_pretrained(folder)
    words = {"<pad>": 0, "<cls>": 1, "<eos>": 2, "<unk>": 3, **{f"w{i}": i for i in range(4, config.vocab_size)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", cls_token="<cls>",
                                         eos_token="<eos>").save_pretrained(folder)
    print(json.dumps(sum(p.numel() for p in model.parameters())))


main()
