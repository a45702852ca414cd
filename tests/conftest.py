# SPDX-License-Identifier: Apache-2.0
"""Where tests find our modules: the package, and what those of several folders share; the numbers that they draw."""
import os
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests/python")]


@pytest.fixture
def rng():
    return np.random.default_rng(int(os.environ.get("VIC_SEED", "1")))
