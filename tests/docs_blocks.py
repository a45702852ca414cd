# SPDX-License-Identifier: Apache-2.0
"""The ```python blocks of the pages, as programs: those of a page, or of each section of it, one after another."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
SECTIONED = ("docs/howto/coming-from.md",)  # each section stands by itself


class Program:
    """Code that keeps the line numbers of its page."""

    def __init__(self, page, name, text, line):
        self.page, self.name, self.code, self.line = page, name, "", line
        for match in BLOCK.finditer(text):
            begin = line + text.count("\n", 0, match.start(1))
            self.code += "\n" * (begin - 1 - self.code.count("\n")) + match[1]
        self.needs_torch = bool(re.search(r"^(import|from) torch\b", self.code, re.M))

    def run(self, names=None):
        """The names that it leaves; an error shows page and line."""
        names = {"__name__": "__main__", **(names or {})}
        exec(compile(self.code, str(ROOT / self.page), "exec"), names)
        return names


def programs():
    """Those of all pages."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        starts = [0]
        if page in SECTIONED:
            starts += [match.start() for match in re.finditer(r"^## ", text, re.M)]
        for begin, end in zip(starts, [*starts[1:], len(text)]):
            part = text[begin:end]
            if BLOCK.search(part):
                heading = re.match(r"## (.*)", part)
                yield Program(page, page + (": " + heading[1] if heading else ""), part, 1 + text.count("\n", 0, begin))
