# SPDX-License-Identifier: Apache-2.0
"""Points vLLM's own test_attention_backends.py at our backend alone, without a change to the file."""
import json
import sys


def pytest_configure(config):
    from vllm.plugins import load_general_plugins
    load_general_plugins()


def pytest_collection_modifyitems(session, config, items):
    from vllm.v1.attention.backends.registry import AttentionBackendEnum
    for name, module in list(sys.modules.items()):
        if not name.endswith("test_attention_backends"):
            continue
        for backends in ("BACKENDS_TO_TEST", "SLIDING_WINDOW_BACKENDS_TO_TEST", "NON_CAUSAL_BACKENDS_TO_TEST",
                         "SLIDING_WINDOW_ENCODER_BACKENDS_TO_TEST"):
            if hasattr(module, backends):
                getattr(module, backends)[:] = [AttentionBackendEnum.CUSTOM]
        module.is_torch_equal_or_newer = lambda version: False  # or FlexAttention is added, whatever is asked for


def pytest_sessionfinish(session):
    from vicinal_vllm.backend import counts
    print("\nours: " + json.dumps(counts))
