# SPDX-License-Identifier: Apache-2.0
"""Tests of the Python package that need torch.  VIC_LIBRARY names libvicinal.so."""
import os

import pytest

torch = pytest.importorskip("torch")
import vicinal  # noqa: E402

torch.set_num_threads(1)  # small tensors: threads that wait for each other on a busy machine take minutes


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: needs a Hopper GPU, and a library with CUDA kernels")


def pytest_collection_modifyitems(items):
    reason = None
    if not torch.cuda.is_available():
        reason = "torch sees no GPU"
    elif torch.cuda.get_device_capability()[0] != 9:
        reason = "the GPU is no Hopper"
    for item in items:
        if reason and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(int(os.environ.get("VIC_SEED", "1")))
    vicinal.reference._warned_of = 0  # so that each test sees its warnings
