# SPDX-License-Identifier: Apache-2.0
"""An attention backend for vLLM, found by the entry point vllm.general_plugins.  docs/howto/vllm.md of vicinal."""
import os

BACKEND = "vicinal_vllm.backend.VicinalBackend"


def register():
    """Called by vLLM in each of its processes.  The backend becomes attention_backend="CUSTOM".  The CPU's platform takes its
    own backend whatever one asks for; with VICINAL_VLLM=1 that name means this one.  The first layer that is computed says so in
    vLLM's log: nothing logged here would be seen, as vLLM sets up its log later."""
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
    wanted = os.environ.get("VICINAL_VLLM", "0")
    if wanted not in ("0", "1"):
        raise ValueError(f"VICINAL_VLLM: expected 1 (take the place of vLLM's attention on CPUs) or 0, got {wanted!r}")
    register_backend(AttentionBackendEnum.CUSTOM, BACKEND)
    if wanted == "1":
        register_backend(AttentionBackendEnum.CPU_ATTN, BACKEND)
