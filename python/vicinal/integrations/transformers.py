# SPDX-License-Identifier: Apache-2.0
"""vicinal's attention in the models of Hugging Face transformers.

    import vicinal.integrations.transformers

    vicinal.integrations.transformers.register()
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="vicinal", dtype=torch.bfloat16)

transformers makes one mask per forward pass and kind of layer, and hands it to all layers.  Here that mask is a pattern
of ranges of keys, made from the lengths alone and never as a matrix.  docs/howto/transformers.md.
"""
import functools

import numpy as np
import torch

try:
    from transformers import AttentionInterface, AttentionMaskInterface, masking_utils
except ImportError as error:
    raise ImportError(f"vicinal.integrations.transformers needs transformers 5.17 or newer ({error}): "
                      "pip install transformers") from error

import vicinal

from .. import _c

__all__ = ["register"]
KEPT = 8  # patterns, with their plans


def register(name="vicinal"):
    """Make attn_implementation=`name` known to transformers, for models that go through its attention interface."""
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)


def _refuse(what, instead):
    raise _c.ArgumentError(f'attn_implementation="vicinal": {what}: {instead}')


# ---- Masks ----

class Mask:
    """What stands for a mask between mask() and the layers: a pattern, and what it is for.  `joined`: its points are
    those of all items of the batch, one after the other.  It has a shape, [batch, 1, queries, keys], but no values."""

    ndim = 4

    def __init__(self, pattern, joined, batch, queries, keys, causal, starts):
        self.pattern, self.joined, self.batch, self.queries, self.keys = pattern, joined, batch, queries, keys
        self.causal = causal
        self.starts = starts  # first tokens of each item's sequences, where an item holds several; else None
        self.agreed = None, None  # cu_seq_lens_q and _k that say the same
        self.shape = torch.Size((batch, 1, queries, keys))

    def to(self, *_, **__):
        """The same, for any device."""
        return self

    def __getattr__(self, name):
        raise AttributeError(f'attn_implementation="vicinal": this model computes with its mask ({name}), and there is '
                             'no matrix to compute with: take attn_implementation="sdpa"')

    def __getitem__(self, _):
        return self.__getattr__("[...]")

    def __repr__(self):
        return f"<vicinal's mask {tuple(self.shape)}: {self.pattern!r}>"


def _code(name, *arguments):
    """The code of what a maker of mask functions returns; None where this transformers lacks it."""
    maker = getattr(masking_utils, name, None)
    return maker and maker(*arguments).__code__


_AND = _code("and_masks", masking_utils.causal_mask_function)
_WINDOW = _code("sliding_window_overlay", 1)
_WINDOW_BOTH = _code("sliding_window_bidirectional_overlay", 1)
_PACKED = _code("packed_sequence_mask_function", None)
_REMAP = _code("remap_positions_for_packed_sequence", None, None)


def _terms(function):
    """What a mask function is made of: {"causal": True, "left": n, "right": n, "packed": tensor}."""
    code = getattr(function, "__code__", None)
    held = dict(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()))) if code else {}
    if function is masking_utils.causal_mask_function:
        return {"causal": True}
    if function is masking_utils.bidirectional_mask_function:
        return {}
    if code is not None:
        if code is _AND:
            terms = {}
            for part in held["mask_functions"]:
                for key, value in _terms(part).items():
                    terms[key] = min(terms.get(key, value), value) if key in ("left", "right") else value
            return terms
        if code is _WINDOW:
            return {"left": held["sliding_window"] - 1}
        if code is _WINDOW_BOTH:
            return {"left": held["sliding_window"], "right": held["sliding_window"]}
        if code is _PACKED:
            return {"packed": held["packed_sequence_mask"]}
        if code is _REMAP:  # within a sequence positions rise by 1, as places do
            return _terms(held["mask_function"])
    name = getattr(function, "__qualname__", function)
    _refuse(f"this model's mask has a part for which there is no pattern, {name}",
            "full, causal and sliding-window masks are known, with padding and packed sequences; take "
            'attn_implementation="sdpa"')


@torch.compiler.disable(reason="which pattern it is depends on lengths and padding")
def mask(batch_size, q_length, kv_length, q_offset=0, kv_offset=0, mask_function=masking_utils.causal_mask_function,
         attention_mask=None, **_):
    """The Mask of a forward pass, of the arguments that transformers gives for it."""
    if isinstance(attention_mask, Mask):  # made before, by generate()
        return attention_mask
    terms = _terms(mask_function)
    packed, starts, real = terms.get("packed"), None, None
    if packed is not None:  # [batch, tokens]: which sequence each token is of
        starts = tuple((0, *(np.flatnonzero(np.diff(row)) + 1).tolist()) for row in packed.cpu().numpy())
    if attention_mask is not None:
        known = attention_mask.bool().cpu().numpy()
        if not known.all() or known.shape[1] < kv_offset + kv_length:
            if (known == known[0]).all():
                known = known[:1]
            real = known.shape, known.tobytes()
    return _made(int(batch_size), int(q_length), int(kv_length), int(q_offset), int(kv_offset),
                 terms.get("causal", False), (terms.get("left"), terms.get("right")), real, starts)


def _runs(real, first, end):
    """The ranges of tokens in first .. end - 1 that are no padding."""
    here = np.flatnonzero(np.diff(np.concatenate([[False], real[first:end], [False]])))
    return [(first + int(a), first + int(b)) for a, b in here.reshape(-1, 2)]


def _groups(real, starts, q, k, causal, window):
    """(first query, end, ranges of keys) of each group of queries that has keys, of one item of a batch, in numbers of
    its tokens.  real [tokens]; starts: first tokens of its sequences; q, k: (first, end)."""
    if not causal and window == (None, None) and len(starts) == 1:
        # Queries that are padding have keys as well: of a cross-attention the mask says nothing about queries.
        yield (*q, _runs(real, *k))
        return
    if len(real) < q[1] or q[0] < k[0] or q[1] > k[1]:
        _refuse(f"queries are tokens {q[0]} .. {q[1] - 1}, keys {k[0]} .. {k[1] - 1}, and attention_mask has "
                f"{len(real)}", "each query has to be among the keys, and in the mask")
    for first, end in zip(starts, (*starts[1:], k[1])):
        for query, after in _runs(real, max(first, q[0]), min(end, q[1])):
            keys = _runs(real, max(first, k[0]), after if causal else min(end, k[1]))
            if window != (None, None) and (len(keys) > 1 or not causal and keys != [(query, after)]):
                _refuse("padding in the middle of a sequence, and a sliding window", "pad left or right")
            yield query, after, keys


@functools.lru_cache(maxsize=KEPT)
def _made(batch, queries, keys, q_offset, k_offset, causal, window, real, starts):
    """The Mask of queries q_offset .. and keys k_offset ..; real: shape and bytes of a mask of tokens, or None; starts:
    first tokens of each item's sequences, or None."""
    q, k = (q_offset, q_offset + queries), (k_offset, k_offset + keys)
    if real is None:
        rows = np.ones((1, k[1]), bool)
    else:
        rows = np.frombuffer(real[1], bool).reshape(real[0])
        # Tokens behind the mask are those that a static cache has no keys of yet.
        rows = np.pad(rows, [(0, 0), (0, max(0, k[1] - rows.shape[1]))]) if rows.shape[1] >= q[1] else rows
    items = max(len(rows), 1 if starts is None or len(set(starts)) == 1 else batch)
    offsets, counts, ranges = [0], [0], []

    def group(end, found, shift=0):
        offsets.append(end)
        ranges.extend((a + shift, b + shift) for a, b in found)
        counts.append(len(ranges))

    for item in range(items):
        shift_q, shift_k = item * queries - q[0], item * keys - k[0]
        for first, end, found in _groups(rows[item % len(rows)], (0,) if starts is None else starts[item], q, k, causal,
                                         window):
            if first + shift_q > offsets[-1]:
                group(first + shift_q, [])  # padding: in no pair
            group(end + shift_q, found, shift_k)
        if offsets[-1] < (item + 1) * queries:
            group((item + 1) * queries, [])
    pattern = vicinal.ranges(offsets, counts, np.array(ranges, np.int32).reshape(-1, 2), n_keys=items * keys,
                             causal=causal, window=window)
    return Mask(pattern, items > 1, batch, queries, keys, causal, starts)


# ---- Attention ----

# What layers may ask for beyond softmax(scaling q k) v.
REFUSED = {
    "softcap": "scores are not capped", "s_aux": "there are no attention sinks",
    "sinks": "there are no attention sinks", "head_mask": "heads cannot be masked",
    "position_bias": "there is no bias by position", "output_attentions": "weights are never all in memory",
    "block_table": "keys in pages are not known", "indices": "keys chosen by an index are not known",
    "block_indices": "keys chosen by an index are not known",
}
# Tensors that come along and that the mask has regard to, or that are not for attention.
KNOWN = {"position_ids", "cache_position", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k",
         "num_items_in_batch", "seq_idx", "token_type_ids"}


def _check(query, dropout, options):
    for name, why in REFUSED.items():
        if options.get(name) is not None and options[name] is not False:
            _refuse(f"{name} is given, and {why}", 'take attn_implementation="eager" or "sdpa"')
    if type(options.get("cache")).__name__ == "PagedAttentionCache":
        _refuse("a paged cache is given, and keys in pages are not known", 'take attn_implementation="sdpa"')
    for name, value in options.items():
        if isinstance(value, torch.Tensor) and name not in KNOWN:
            _refuse(f"{name} is given, a tensor that it does not know", 'take attn_implementation="sdpa"')
    if dropout:
        _refuse(f"dropout of weights ({dropout:g}) in training is not there",
                "set attention_dropout (attention_probs_dropout_prob, ...) to 0 in the model's configuration")
    if query.shape[-1] > 128:
        _refuse(f"the head size is {query.shape[-1]}, and kernels go up to 128", 'take attn_implementation="sdpa"')
    if query.is_cuda and query.dtype == torch.float32 and not torch.is_autocast_enabled("cuda"):
        raise _c.DeviceError('attn_implementation="vicinal": kernels of the GPU take float16 and bfloat16, got '
                             "float32: load the model with dtype=torch.bfloat16, or call it under torch.autocast")


def _without_mask(module, query, key, is_causal, options):
    """For models that make no masks, or whose mask was not wanted."""
    batch, _, queries, _ = query.shape
    keys = key.shape[2]
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    starts, window = None, options.get("sliding_window")
    if options.get("cu_seq_lens_q") is not None:
        starts = (tuple(sorted(set(options["cu_seq_lens_q"].tolist()) - {queries})),)
        if batch != 1 or queries != keys:
            _refuse(f"cu_seq_lens_q with a batch of {batch}, {queries} queries and {keys} keys",
                    "expected sequences packed into one, with as many keys as queries")
    if causal and queries > 1 and queries != keys:
        _refuse(f"{queries} queries and {keys} keys, causal and without a mask",
                "it is not said which keys come before which query")
    if window is not None and window < keys:
        _refuse(f"a sliding window of {window} without a mask", "it is not said on which sides it lies")
    return _made(batch, queries, keys, 0, 0, bool(causal) and queries > 1, (None, None), None, starts)


def _agree(made, is_causal, options):
    """Whether what else says which pairs there are says the same."""
    if is_causal is not None and made.queries > 1 and bool(is_causal) != made.causal:
        _refuse(f"is_causal={bool(is_causal)}, and the mask is {'causal' if made.causal else 'not'}",
                "set config.is_causal, which the mask is made by")
    lengths, key_lengths = options.get("cu_seq_lens_q"), options.get("cu_seq_lens_k")
    if lengths is None or lengths is made.agreed[0] and key_lengths is made.agreed[1]:
        return
    starts = [item * made.queries + start for item in range(made.batch)
              for start in (made.starts[item] if made.starts else (0,))]
    if {*starts, made.batch * made.queries} != set(lengths.tolist()) or (
            key_lengths is not None and key_lengths.tolist() != lengths.tolist()):
        _refuse("cu_seq_lens_q and cu_seq_lens_k say other sequences than each other, position_ids or attention_mask",
                "give position_ids that begin anew with each sequence, and no attention_mask")
    made.agreed = lengths, key_lengths


@torch.compiler.disable(reason="which pattern it is depends on lengths and padding")
def attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, **options):
    """A layer's attention: query [batch, heads, queries, d], key and value [batch, kv_heads, keys, d].  Returns
    [batch, queries, heads, d] and None."""
    _check(query, dropout, options)
    if attention_mask is None:
        made = _without_mask(module, query, key, is_causal, options)
    elif isinstance(attention_mask, Mask):
        made = attention_mask
    else:
        _refuse(f"the mask is a tensor {list(attention_mask.shape)} of the caller's or the model's own, and only masks "
                "are known that transformers makes of lengths, padding and windows",
                'give attention_mask [batch, tokens] with 0 for padding, or take attn_implementation="sdpa"')
    _agree(made, is_causal, options)
    batch, queries = query.shape[0], query.shape[2]
    if (made.batch, made.queries, made.keys) != (batch, queries, key.shape[2]):
        _refuse(f"the mask is for {made.batch} x {made.queries} queries and {made.keys} keys, and the layer has "
                f"{batch} x {queries} and {key.shape[2]}", 'take attn_implementation="sdpa"')
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    if made.joined:
        query, key, value = (x.flatten(0, 1) for x in (query, key, value))
    out = vicinal.attention(query, key, value, made.pattern, scale=scaling)
    return (out.unflatten(0, (batch, queries)) if made.joined else out), None
