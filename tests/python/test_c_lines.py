# SPDX-License-Identifier: Apache-2.0
"""The C lines of the docs are those of the example that the tests build and run."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def test_c_lines_are_the_example():
    page = (ROOT / "docs/howto/use-the-library.md").read_text(encoding="utf-8")
    shown = re.search(r"^```c\n(.*?)^```", page, re.M | re.S)[1].splitlines()
    example = (ROOT / "examples" / "c_minimal" / "main.c").read_text(encoding="utf-8").splitlines()
    assert 10 <= len(shown) <= 14
    place = -1
    for line in shown:
        assert line in example[place + 1:], f"not in the example, or not after the line before it: {line}"
        place = example.index(line, place + 1)
