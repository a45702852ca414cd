# SPDX-License-Identifier: Apache-2.0
"""Where tests find our modules: the package, and what those of several folders share."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests/python")]
