# SPDX-License-Identifier: Apache-2.0
"""attn_implementation="vicinal" in small models of transformers with random weights, held against "sdpa"."""
import pathlib
import re

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")
import transformers.masking_utils as masking

import vicinal
from vicinal.integrations import transformers as integration

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
pytestmark = pytest.mark.filterwarnings("ignore:vicinal. gradients come from the reference", "ignore::FutureWarning")
SMALL = dict(vocab_size=99, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
             max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=None)
LIMITS = {torch.float32: 2e-6, torch.bfloat16: 3e-2, torch.float16: 5e-3}
integration.register()


def types(device):
    return [torch.float16, torch.bfloat16] if device == "cuda" else [torch.float32, torch.bfloat16]


def model(name, device="cpu", dtype=None, config="Config", **options):
    torch.manual_seed(0)
    config = getattr(transformers, name.partition("For")[0].removesuffix("Model") + config)(**{**SMALL, **options})
    made = getattr(transformers, name)(config).eval()
    return made.to(device, dtype or types(device)[0])


def llama(**options):
    return model("LlamaForCausalLM", **options)


def tokens(batch=3, n=23, device="cpu"):
    return torch.randint(1, 99, (batch, n), generator=torch.Generator().manual_seed(1)).to(device)


def padding(side, lengths=(23, 14, 1), n=23, device="cpu"):
    row = torch.arange(n)
    mask = torch.stack([row < m if side == "right" else row >= n - m for m in lengths])
    return mask.long().to(device)


def both(made, call):
    """What a call gives with sdpa and with vicinal."""
    answers = []
    for name in ("sdpa", "vicinal"):
        made.set_attn_implementation(name)
        answers.append(call())
    return answers


def close(got, want, limit, where=None):
    got, want = got.detach().double(), want.detach().double()
    if where is not None:
        got, want = got[where.bool()], want[where.bool()]
    assert got.shape == want.shape and float(want.norm()) > 0
    assert float((got - want).norm()) <= limit * float(want.norm())


MODELS = {
    "llama": ("LlamaForCausalLM", {}),
    "gqa": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "mqa, heads of 8": ("LlamaForCausalLM", {"num_key_value_heads": 1, "num_attention_heads": 8}),
    "heads of 128": ("LlamaForCausalLM", {"head_dim": 128, "num_key_value_heads": 2}),
    "heads of 20": ("LlamaForCausalLM", {"head_dim": 20}),
    "mistral": ("MistralForCausalLM", {"num_key_value_heads": 2, "sliding_window": 6}),
    "qwen2": ("Qwen2ForCausalLM", {"num_key_value_heads": 2, "use_sliding_window": True, "sliding_window": 5,
                                   "max_window_layers": 1}),
    "gemma": ("GemmaForCausalLM", {"num_key_value_heads": 1, "head_dim": 32}),
}


@pytest.fixture(params=MODELS)
def named(request):
    return MODELS[request.param]


# ---- Decoders ----

@pytest.mark.parametrize("device", DEVICES)
def test_decoders(named, device):
    ids = tokens(device=device)
    for dtype in types(device):
        made = model(named[0], device, dtype, **named[1])
        with torch.no_grad():
            want, got = both(made, lambda: made(ids).logits)
            close(got, want, LIMITS[dtype])
            for side in ("left", "right"):
                known = padding(side, device=device)
                want, got = both(made, lambda: made(ids, attention_mask=known).logits)
                close(got, want, LIMITS[dtype], known)


@pytest.mark.parametrize("device", DEVICES)
def test_windows_matter(device):
    """A window that is not looked at would give other logits."""
    ids = tokens(device=device)
    narrow, wide = (model("MistralForCausalLM", device, sliding_window=window, num_key_value_heads=2)
                    for window in (6, 7))
    with torch.no_grad():
        for made in (narrow, wide):
            made.set_attn_implementation("vicinal")
        a, b = narrow(ids).logits, wide(ids).logits
        close(a[:, :6], b[:, :6], LIMITS[types(device)[0]])
        assert float((a[:, 7:] - b[:, 7:]).abs().max()) > 1e-3


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("padded", [False, True])
def test_generate(named, device, cache, padded):
    made = model(named[0], device, **named[1])
    known = padding("left", device=device) if padded else torch.ones(3, 23, dtype=torch.long, device=device)
    options = dict(max_new_tokens=12, do_sample=False, return_dict_in_generate=True, output_logits=True)
    if cache == "static":
        options.update(cache_implementation="static", disable_compile=True)
    want, got = both(made, lambda: made.generate(tokens(device=device), attention_mask=known, **options))
    if device == "cpu":
        assert torch.equal(got.sequences, want.sequences)
    # Of tokens that rounding may have chosen differently later ones say nothing.
    same = (got.sequences == want.sequences)[:, 23:].all(0).int().cumprod(0)
    for step in range(int(same.sum())):
        close(got.logits[step].float(), want.logits[step].float(), LIMITS[types(device)[0]])
    assert same.sum() >= 3


@pytest.mark.parametrize("device", DEVICES)
def test_continued(named, device):
    """Several new tokens on top of a cache: fewer queries than keys."""
    made, ids = model(named[0], device, **named[1]), tokens(n=30, device=device)

    def call():
        first = made(ids[:, :17], use_cache=True)
        return made(ids[:, 17:], past_key_values=first.past_key_values, use_cache=True).logits

    with torch.no_grad():
        want, got = both(made, call)
        close(got, want, LIMITS[types(device)[0]])
        made.set_attn_implementation("vicinal")
        close(got, made(ids).logits[:, 17:], LIMITS[types(device)[0]])


@pytest.mark.parametrize("device", DEVICES)
def test_beams(device):
    made = llama(device=device, num_key_value_heads=2)
    want, got = both(made, lambda: made.generate(
        tokens(device=device), attention_mask=padding("left", device=device), max_new_tokens=6, num_beams=3,
        do_sample=False))
    assert torch.equal(got, want) or device == "cuda"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", [None, "left", "right"])
def test_gradients(named, device, side):
    made, ids = model(named[0], device, **named[1]), tokens(device=device)
    known = padding(side, (23, 14, 2), device=device) if side else None
    # A token before the first real one says nothing that counts: what attention answers a row that may attend to nothing
    # differs between the kernels of "sdpa".
    labels = ids if side is None else ids.where(known.bool() & known.bool().roll(1, 1), -100)

    def call():
        made.zero_grad()
        made(ids, attention_mask=known, labels=labels).loss.backward()
        return [p.grad.clone() for p in made.parameters()]

    made.train()
    for want, got in zip(*both(made, call)):
        close(got, want, 1e-4 if device == "cpu" else 3e-2)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(reentrant):
    made, ids, known = llama(), tokens(), padding("right")

    def call():
        made.zero_grad()
        made(ids, attention_mask=known, labels=ids.where(known.bool(), -100)).loss.backward()
        return [p.grad.clone() for p in made.parameters()]

    made.train()
    made.gradient_checkpointing_enable({"use_reentrant": reentrant})
    for want, got in zip(*both(made, call)):
        close(got, want, 1e-4)


# ---- Packed sequences ----

PACKED = [list(range(9)) + list(range(1)) + list(range(13)), list(range(23)), list(range(12)) + list(range(11))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [PACKED[:1], PACKED, PACKED[1:2] * 2])
def test_packed(named, device, rows):
    made = model(named[0], device, **named[1])
    ids, positions = tokens(len(rows), device=device), torch.tensor(rows, device=device)
    with torch.no_grad():
        want, got = both(made, lambda: made(ids, position_ids=positions, use_cache=False).logits)
        close(got, want, LIMITS[types(device)[0]])
        alone = made(ids[:1, :9], use_cache=False).logits  # the first sequence by itself
        if rows[0] is PACKED[0]:
            close(got[:1, :9], alone, LIMITS[types(device)[0]])


def test_packed_with_cu_seqlens():
    """As DataCollatorWithFlattening gives them for flash attention."""
    made, ids, positions = llama(), tokens(1), torch.tensor(PACKED[:1])
    ends = torch.tensor([0, 9, 10, 23], dtype=torch.int32)
    made.set_attn_implementation("vicinal")
    with torch.no_grad():
        want = made(ids, position_ids=positions, use_cache=False).logits
        got = made(ids, position_ids=positions, use_cache=False, cu_seq_lens_q=ends, cu_seq_lens_k=ends,
                   max_length_q=13, max_length_k=13).logits
        assert torch.equal(got, want)
        for options in ({"cu_seq_lens_q": ends[[0, 1, 3]]}, {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends[[0, 1, 3]]}):
            with pytest.raises(vicinal.ArgumentError, match="say other sequences"):
                made(ids, position_ids=positions, use_cache=False, **options)
        with pytest.raises(vicinal.ArgumentError, match="say other sequences"):
            made(ids, use_cache=False, cu_seq_lens_q=ends)


# ---- Encoders ----

ENCODERS = {
    "bert": ("BertModel", {}),
    "modernbert": ("ModernBertModel", {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1,
                                       "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}),
    "esm": ("EsmModel", {"mask_token_id": 2, "position_embedding_type": "rotary", "token_dropout": False}),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders(name, device):
    ids = tokens(device=device)
    for dtype in types(device):
        made = model(ENCODERS[name][0], device, dtype, **ENCODERS[name][1])
        with torch.no_grad():
            want, got = both(made, lambda: made(ids).last_hidden_state)
            close(got, want, LIMITS[dtype])
            for side in ("left", "right"):
                known = padding(side, device=device)
                want, got = both(made, lambda: made(ids, attention_mask=known).last_hidden_state)
                close(got, want, LIMITS[dtype], known)


@pytest.mark.parametrize("device", DEVICES)
def test_encoder_gradients(device):
    made, ids, known = model("BertModel", device), tokens(device=device), padding("right", device=device)
    weights = torch.randn(3, 23, 64, device=device) * known[..., None]

    def call():
        made.zero_grad()
        (made(ids, attention_mask=known).last_hidden_state.float() * weights).sum().backward()
        return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}

    want, got = both(made, call)
    for name in want:  # a key's bias moves all scores of a row alike
        if not name.endswith("key.bias"):
            close(got[name], want[name], 1e-4 if device == "cpu" else 5e-2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [23, 9])
def test_encoder_and_decoder(device, n):
    """Cross-attention, also where both lengths are the same and the encoder's are padded."""
    made = model("BartForConditionalGeneration", device, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                 decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, d_model=64, eos_token_id=2,
                 decoder_start_token_id=2, forced_eos_token_id=None, dropout=0.0)
    ids, known, target = tokens(device=device), padding("right", device=device), tokens(n=n, device=device)
    with torch.no_grad():
        want, got = both(made, lambda: made(ids, attention_mask=known, decoder_input_ids=target).logits)
        close(got, want, LIMITS[types(device)[0]])
        want, got = both(made, lambda: made.generate(ids, attention_mask=known, max_new_tokens=8, do_sample=False,
                                                     num_beams=1, min_new_tokens=8))
        assert torch.equal(got, want) or device == "cuda"


def test_without_masks():
    """A model that makes no masks: of images."""
    torch.manual_seed(0)
    made = transformers.ViTModel(transformers.ViTConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=32,
        patch_size=8)).eval()
    with torch.no_grad():
        want, got = both(made, lambda: made(torch.randn(
            2, 3, 32, 32, generator=torch.Generator().manual_seed(1))).last_hidden_state)
    close(got, want, 2e-6)


# ---- Patterns ----

def pairs(attention_mask, **options):
    made = integration.mask(attention_mask=attention_mask, **options)
    return made, set(zip(*(x.tolist() for x in made.pattern.neighbors("ij"))))


def matrix_pairs(attention_mask, joined, **options):
    """Of the matrix that transformers itself makes."""
    dense = masking.sdpa_mask(attention_mask=attention_mask, allow_is_causal_skip=False, **options)
    batch, _, queries, keys = dense.shape
    dense = dense.numpy()
    if not joined:
        assert (dense == dense[:1]).all()
        return set(zip(*(x.tolist() for x in np.nonzero(dense[0, 0]))))
    item, _, i, j = np.nonzero(dense)
    return set(zip((item * queries + i).tolist(), (item * keys + j).tolist()))


@pytest.mark.parametrize("function", ["causal", "window", "both ways", "window both ways"])
@pytest.mark.parametrize("q_length, kv_length, q_offset, kv_offset", [
    (7, 7, 0, 0), (1, 9, 8, 0), (3, 9, 6, 0), (3, 6, 6, 3), (4, 12, 3, 0), (7, 12, 0, 0)])
@pytest.mark.parametrize("lengths, side", [(None, None), ((12, 12), "left"), ((9, 4), "left"), ((9, 4), "right"),
                                           ((0, 9), "right")])
def test_pairs_are_those_of_the_matrix(function, q_length, kv_length, q_offset, kv_offset, lengths, side):
    functions = {"causal": masking.causal_mask_function, "window": masking.sliding_window_causal_mask_function(4),
                 "both ways": masking.bidirectional_mask_function,
                 "window both ways": masking.sliding_window_bidirectional_mask_function(2)}
    options = dict(batch_size=2, q_length=q_length, kv_length=kv_length, q_offset=q_offset, kv_offset=kv_offset,
                   mask_function=functions[function])
    end = q_offset + q_length
    known = None
    if lengths is not None:
        n = end if function != "both ways" else kv_offset + kv_length
        known = padding(side, [min(m, n) for m in lengths], n).bool()
    if function == "window both ways" and (q_length != kv_length or known is not None and kv_offset):
        pytest.skip("windows in both directions are of encoders, which have no cache")
    made, got = pairs(known, **options)
    want = matrix_pairs(known, made.joined, **options)
    if known is not None and function != "both ways":  # the matrix has pairs of queries that are padding
        rows = known.numpy()
        want = {(i, j) for i, j in want if rows[i // q_length if made.joined else 0, q_offset + i % q_length]}
    assert got == want
    assert (made.joined, made.pattern.n_queries) == (made.joined, q_length * (2 if made.joined else 1))


def test_holes():
    """Padding in the middle: places count tokens, so causal masks are right and windows are refused."""
    known = torch.tensor([[1, 1, 0, 0, 1, 1, 0], [0, 1, 0, 1, 1, 0, 1]]).bool()
    options = dict(batch_size=2, q_length=7, kv_length=7)
    made, got = pairs(known, **options)
    rows = known.numpy()
    assert got == {(i, j) for i, j in matrix_pairs(known, True, **options) if rows[i // 7, i % 7]}
    with pytest.raises(vicinal.ArgumentError, match="padding in the middle"):
        integration.mask(attention_mask=known, mask_function=masking.sliding_window_causal_mask_function(3), **options)


def test_equal_masks_are_one_pattern():
    made = llama(num_hidden_layers=4)
    made.set_attn_implementation("vicinal")
    integration._made.cache_clear()
    with torch.no_grad():
        for _ in range(3):
            made(tokens(), attention_mask=padding("right"))
        assert integration._made.cache_info().misses == 1 and integration._made.cache_info().hits == 2
        made(tokens())
        made(tokens(5))  # no padding: the batch is free, but the Mask says it
        assert integration._made.cache_info().misses == 3
        made(tokens(), attention_mask=torch.ones(3, 23))
        assert integration._made.cache_info().misses == 3
    for n in range(2, 40):
        integration.mask(2, n, n)
    assert integration._made.cache_info().currsize == integration.KEPT


# ---- Refusals ----

def refused(match, call, error=vicinal.ArgumentError):
    with pytest.raises(error, match=match):
        call()


def test_options_are_refused():
    made, ids = llama(attention_dropout=0.1), tokens()
    made.set_attn_implementation("vicinal")
    made(ids)
    made.train()
    refused("dropout of weights", lambda: made(ids))
    made.eval()
    refused("output_attentions", lambda: made(ids, output_attentions=True))
    refused(r"tensor \[3, 1, 23, 23\] of the caller's", lambda: made(ids, attention_mask=torch.ones(3, 1, 23, 23)))
    want, got = both(made, lambda: made(ids, is_causal=False).logits)
    close(got, want, 2e-6)
    layer = made.model.layers[0].self_attn
    q = torch.randn(2, 4, 5, 16)
    refused("is_causal=False, and the mask is causal", lambda: integration.attention(
        layer, q, q, q, integration.mask(2, 5, 5), is_causal=False))
    refused("something is given, a tensor", lambda: made(ids, something=torch.ones(3)))
    refused("head size is 160", lambda: _vicinal(llama(head_dim=160))(ids))


def _vicinal(made):
    made.set_attn_implementation("vicinal")
    return made


def test_models_are_refused():
    ids = tokens()
    refused("softcap", lambda: _vicinal(model("Gemma2ForCausalLM", head_dim=16, num_key_value_heads=2))(ids))
    refused("sinks", lambda: _vicinal(model("GptOssForCausalLM", head_dim=16, num_key_value_heads=2,
                                            num_local_experts=2, num_experts_per_tok=1))(ids))
    refused("chunked_overlay", lambda: _vicinal(model(
        "Llama4ForCausalLM", config="TextConfig", attention_chunk_size=8, head_dim=16, num_key_value_heads=2,
        num_local_experts=1, intermediate_size_mlp=64, layer_types=["chunked_attention"] * 3))(ids))


def test_masks_of_ones_own_are_refused():
    refused("there is no pattern, .*anything", lambda: integration.mask(
        2, 7, 7, mask_function=masking.and_masks(masking.causal_mask_function, anything)))
    refused("or_mask", lambda: integration.mask(2, 7, 7, mask_function=masking.or_masks(
        masking.causal_mask_function, masking.sliding_window_overlay(3))))


def anything(batch, head, q, kv):
    return q >= kv - 1


def test_layers_called_by_themselves():
    layer = llama().model.layers[0].self_attn
    q, k = torch.randn(2, 4, 5, 16), torch.randn(2, 4, 7, 16)
    refused("5 queries and 7 keys, causal and without a mask", lambda: integration.attention(layer, q, k, k, None))
    refused("sliding window of 3 without", lambda: integration.attention(layer, q, q, q, None, sliding_window=3))
    refused("keys in pages", lambda: integration.attention(layer, q, q, q, None, block_table=torch.ones(2)))
    refused("the mask is for 2 x 5 queries and 5 keys", lambda: integration.attention(
        layer, q, k, k, integration.mask(2, 5, 5)))
    want = torch.nn.functional.scaled_dot_product_attention(q, k, k).transpose(1, 2)
    close(integration.attention(layer, q, k, k, None, is_causal=False)[0], want, 2e-6)
    want = torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True, scale=0.3).transpose(1, 2)
    close(integration.attention(layer, q, q, q, None, scaling=0.3)[0], want, 2e-6)
    ends = torch.tensor([0, 2, 5])
    got = integration.attention(layer, q[:1], q[:1], q[:1], None, cu_seq_lens_q=ends)[0]
    want = [torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).transpose(1, 2)
            for x in (q[:1, :, :2], q[:1, :, 2:])]
    close(got, torch.cat(want, 1), 2e-6)
    refused("say other sequences", lambda: integration.attention(
        layer, q[:1], q[:1], q[:1], None, cu_seq_lens_q=ends, cu_seq_lens_k=torch.tensor([0, 3, 5])))


def test_masks_have_no_values():
    made = integration.mask(2, 5, 5)
    assert made.shape == (2, 1, 5, 5) and made.ndim == 4 and made.to("cpu") is made and "causal" not in repr(made)
    for call in (lambda: made[:, :, :3], lambda: made.sum(), lambda: made.dtype):
        refused("computes with its mask", call, AttributeError)
    assert not hasattr(made, "cumsum")


@pytest.mark.gpu
def test_float32_on_a_gpu():
    made = llama(device="cuda", dtype=torch.float32)
    made.set_attn_implementation("vicinal")
    refused("dtype=torch.bfloat16", lambda: made(tokens(device="cuda")), vicinal.DeviceError)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        want, got = both(made, lambda: made(tokens(device="cuda")).logits)
        close(got, want, 3e-2)


def test_compiled():
    made, known = llama(num_key_value_heads=2), padding("left")
    made.set_attn_implementation("vicinal")
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(made, backend="eager")
        for mask in (known, known.flip(0)):
            close(compiled(tokens(), attention_mask=mask).logits, made(tokens(), attention_mask=mask).logits, 2e-6,
                  mask)


def test_howto():
    text = (ROOT / "docs/howto/transformers.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    space = {}
    for block in blocks:
        exec(compile(block, "docs/howto/transformers.md", "exec"), space)
