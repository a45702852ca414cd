# SPDX-License-Identifier: Apache-2.0
"""An attention backend for vLLM, found by the entry point vllm.general_plugins.  docs/howto/vllm.md of vicinal."""
import os

BACKEND = "vicinal_vllm.backend.VicinalBackend"


def register():
    """Called by vLLM in each of its processes.  The backend becomes attention_backend="CUSTOM".  The CPU's platform takes its
    own backend whatever one asks for; with VICINAL_VLLM=1 that name means this one."""
    from vllm.logger import init_logger
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
    log = init_logger("vllm.vicinal")  # below vLLM's own name, so that its settings of what is logged hold
    wanted = os.environ.get("VICINAL_VLLM", "0")
    if wanted not in ("0", "1"):
        raise ValueError(f"VICINAL_VLLM: expected 1 (take the place of vLLM's attention on CPUs) or 0, got {wanted!r}")
    register_backend(AttentionBackendEnum.CUSTOM, BACKEND)
    if wanted == "1":
        register_backend(AttentionBackendEnum.CPU_ATTN, BACKEND)
        log.info("vicinal takes the place of CPU_ATTN, and is attention_backend='CUSTOM' elsewhere")
    else:
        log.info("vicinal is attention_backend='CUSTOM'; on a CPU, where vLLM has no choice, set VICINAL_VLLM=1")
