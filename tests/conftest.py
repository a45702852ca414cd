# SPDX-License-Identifier: Apache-2.0
"""Where tests find our modules: the package, and what those of several folders share; the numbers that they draw."""
import os
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests/python")]
from command_tools import find_binary  # noqa: E402


@pytest.fixture(scope="session")
def binary():
    """The path of the command under test."""
    path = find_binary()
    if not path:
        pytest.fail("no vicinal binary: build the dev preset, or set VIC_BINARY to one")
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(int(os.environ.get("VIC_SEED", "1")))
