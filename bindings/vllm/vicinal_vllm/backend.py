# SPDX-License-Identifier: Apache-2.0
"""The backend as vLLM sees it: 0.26 and 0.32, which differ in how a backend says what its cache looks like."""
import ctypes
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from vllm.logger import init_logger
from vllm.v1.attention.backend import (AttentionBackend, AttentionImpl, AttentionMetadata, AttentionMetadataBuilder,
                                       AttentionType, MultipleOf)

import vicinal
from vicinal import _c, _torch

from .steps import Step

try:
    from vllm.v1.kv_cache_interface import KVCacheLayout  # 0.32
except ImportError:
    KVCacheLayout = None

log = init_logger("vllm.vicinal")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
CACHE_DTYPES = ["auto", "float32", "float16", "bfloat16"]

# What this process has done: steps prepared, patterns made, calls of layers, kernels run.
counts = {"steps": 0, "patterns": 0, "layers": 0, "kernels": 0}


class VicinalBackend(AttentionBackend):
    """Exact softmax attention of causal decoders (also with a sliding window) and of encoders."""

    forward_includes_kv_cache_update: bool = False
    accept_output_buffer: bool = True
    supported_dtypes: ClassVar = DTYPES
    supported_kv_cache_dtypes: ClassVar = CACHE_DTYPES

    @staticmethod
    def get_name():
        return "CUSTOM"

    @staticmethod
    def get_impl_cls():
        return VicinalImpl

    @staticmethod
    def get_builder_cls():
        return VicinalBuilder

    # Keys and values of a slot beside each other, slot after slot, so that a cache is rows with one stride.
    if KVCacheLayout is not None:
        @classmethod
        def supported_kv_cache_layouts(cls):
            return (KVCacheLayout.LBNHC,)
    else:
        @staticmethod
        def get_kv_cache_shape(num_blocks, block_size, num_kv_heads, head_size, cache_dtype_str="auto"):
            return num_blocks, num_kv_heads, block_size, 2 * head_size

        @staticmethod
        def get_kv_cache_stride_order(include_num_layers_dimension=False):
            if include_num_layers_dimension:
                raise NotImplementedError
            return 0, 2, 1, 3

        @classmethod
        def get_required_kv_cache_layout(cls):
            return "NHD"

    @staticmethod
    def get_supported_kernel_block_sizes(kv_cache_spec=None):
        return [MultipleOf(16)]

    @classmethod
    def supports_head_size(cls, head_size):
        return head_size % 8 == 0 and 8 <= head_size <= 128

    @classmethod
    def supports_attn_type(cls, attn_type):
        return attn_type in (AttentionType.DECODER, AttentionType.ENCODER_ONLY)

    @classmethod
    def supports_sliding_window(cls):
        return True

    @classmethod
    def supports_non_causal(cls):
        return True


def _refuse(what, instead):
    raise NotImplementedError(f"vicinal: {what}: {instead}")


OTHER = "run this model with vLLM's own backend (on a CPU without VICINAL_VLLM=1)"


@dataclass
class VicinalMetadata(AttentionMetadata):
    step: Step
    tokens: int
    slot_mapping: torch.Tensor = None  # what vLLM gives do_kv_cache_update(); its tests look for it here


class VicinalBuilder(AttentionMetadataBuilder):
    reorder_batch_threshold = 1  # sequences that decode come first, so that they are one run

    def __init__(self, kv_cache_spec, layer_names, vllm_config, device):
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)
        self.page = kv_cache_spec.block_size
        parallel = vllm_config.parallel_config
        if getattr(parallel, "decode_context_parallel_size", 1) > 1:
            _refuse("decode context parallelism", "set decode_context_parallel_size=1")
        if torch.device(device).type == "cpu":
            vicinal.set_num_threads(torch.get_num_threads())
        elif vllm_config.model_config.dtype == torch.float32:
            _refuse("float32 on a GPU", "its kernels take float16 and bfloat16: set dtype='bfloat16'")

    def build(self, common_prefix_len, common_attn_metadata, fast_build=False):
        m = common_attn_metadata
        for name in ("mm_req_doc_ranges", "rswa_prefix_lens"):
            if getattr(m, name, None) is not None:
                _refuse(f"masks of a request's own ({name})", OTHER)
        causal = m.causal
        if isinstance(causal, torch.Tensor):
            causal = causal.unique().tolist()
            if len(causal) > 1:
                _refuse("a batch of causal and other requests", OTHER)
            causal = causal[0] if causal else True
        offsets = m.query_start_loc_cpu.numpy().astype(np.int64)
        counts["steps"] += 1
        step = Step(offsets, m.seq_lens.cpu().numpy().astype(np.int64), m.block_table_tensor.cpu().numpy(), self.page,
                    bool(causal))
        return VicinalMetadata(step, int(offsets[-1]), m.slot_mapping)


def key_rows(kv_cache, head_size):
    """K and V as rows by slot, [slots, heads, d], in the memory of the cache [blocks, heads, page, 2 d]."""
    blocks, heads, page, width = kv_cache.shape
    block, head, slot, one = kv_cache.stride()
    if width != 2 * head_size or one != 1 or (block != page * slot and blocks > 1):
        raise RuntimeError(f"vicinal: expected a cache [blocks, heads, page, {2 * head_size}] whose slots have one stride, got "
                           f"shape {tuple(kv_cache.shape)} with strides {kv_cache.stride()}")
    at, shape, stride = kv_cache.storage_offset(), (blocks * page, heads, head_size), (slot, head, 1)
    return kv_cache.as_strided(shape, stride, at), kv_cache.as_strided(shape, stride, at + head_size)


class VicinalImpl(AttentionImpl):
    def __init__(self, num_heads, head_size, scale, num_kv_heads=None, alibi_slopes=None, sliding_window=None,
                 kv_cache_dtype="auto", logits_soft_cap=None, attn_type=AttentionType.DECODER,
                 kv_sharing_target_layer_name=None, sinks=None, **others):
        for name, given in (("ALiBi", alibi_slopes), ("a soft cap of scores", logits_soft_cap), ("attention sinks", sinks),
                            ("a cache shared between layers", kv_sharing_target_layer_name),
                            *((f"{name}={given!r}", given) for name, given in others.items())):
            if given is not None and not (isinstance(given, (int, float)) and given == 0):
                _refuse(name, OTHER)
        if not VicinalBackend.supports_attn_type(attn_type):
            _refuse(f"attention of kind {attn_type}", "it has decoders and encoders without a decoder; " + OTHER)
        if kv_cache_dtype not in CACHE_DTYPES:
            _refuse(f"a cache of {kv_cache_dtype}", "set kv_cache_dtype='auto'")
        if not VicinalBackend.supports_head_size(head_size):
            _refuse(f"head size {head_size}", "it has multiples of 8 from 8 to 128; " + OTHER)
        self.num_heads, self.head_size, self.scale = num_heads, head_size, float(scale)
        self.num_kv_heads, self.kv_cache_dtype = num_kv_heads or num_heads, kv_cache_dtype
        self.window, self.encodes = sliding_window, attn_type == AttentionType.ENCODER_ONLY
        self.attn_type = attn_type

    def do_kv_cache_update(self, layer, key, value, kv_cache, slot_mapping):
        if self.encodes or kv_cache.numel() == 0:
            return
        # Tokens that only fill up have slot -1; slot 0 is in the block that vLLM gives to nobody.
        slots = slot_mapping[:len(key)].clamp(min=0)
        for rows, new in zip(key_rows(kv_cache, self.head_size), (key, value)):
            rows.index_copy_(0, slots, new[:len(slots)])

    def forward(self, layer, query, key, value, kv_cache, attn_metadata, output, output_scale=None,
                output_block_scale=None):
        if output_scale is not None or output_block_scale is not None:
            _refuse("quantised results", OTHER)
        if attn_metadata is None or attn_metadata.tokens == 0:  # vLLM measures memory
            return output.zero_()
        step, n = attn_metadata.step, attn_metadata.tokens
        before = step.patterns
        q, out = query[:n].view(n, self.num_heads, self.head_size), output[:n].view(n, self.num_heads, self.head_size)
        if self.encodes:
            k, v = (x[:n].view(n, self.num_kv_heads, self.head_size) for x in (key, value))
            runs = step.encoder(self.window)
        else:
            k, v = key_rows(kv_cache, self.head_size)
            runs = step.runs(len(k), self.num_heads // self.num_kv_heads, self.window)
        for run in runs:
            self.attend(q[run.first:run.end], k, v, out[run.first:run.end], run)
        if counts["layers"] == 0:
            log.info("vicinal computes attention: %s, %d heads over %d of %d, %s on %s", "an encoder" if self.encodes
                     else "pages of %d" % step.page, self.num_heads, self.num_kv_heads, self.head_size, query.dtype,
                     query.device)
        counts["layers"] += 1
        counts["kernels"] += len(runs)
        counts["patterns"] += step.patterns - before
        return output

    def attend(self, q, k, v, out, run):
        if run.share == 1:
            return _attention(q, k, v, out, run.pattern, self.scale)
        shape = len(q), self.num_kv_heads, run.share, self.head_size
        rows = q.view(shape).transpose(1, 2).reshape(len(q) * run.share, self.num_kv_heads, self.head_size)
        result = torch.empty_like(rows)
        _attention(rows, k, v, result, run.pattern, self.scale)
        out.view(shape).copy_(result.view(shape[0], shape[2], shape[1], shape[3]).transpose(1, 2))


def _attention(q, k, v, out, pattern, scale):
    """vicinal.attention() into memory that is there; rows are in the pattern's order, as it has no positions."""
    args, _used = _torch._arguments("vic_attention_args", scale, q=q, k=k, v=v, out=out)
    _c.call("vicpy_attention", pattern._number, ctypes.addressof(args), True)
