# SPDX-License-Identifier: Apache-2.0
"""The ```python blocks of the pages, as programs: those of a page, or of each section of it, one after another.  A ```text
block behind one is what it prints; "..." in it stands for anything."""
import contextlib
import doctest
import importlib.util
import io
import os
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^```(python|text)\n(.*?)^```", re.M | re.S)
SECTIONED = ("docs/howto/coming-from.md",)  # each section stands by itself


class Program:
    """Blocks, as (line of the page, code, what it prints or None)."""

    def __init__(self, page, name, text, line):
        self.page, self.name, self.blocks = page, name, []
        for match in FENCE.finditer(text):
            begin = line + text.count("\n", 0, match.start(2))
            if match[1] == "python":
                self.blocks.append([begin, match[2], None])
            elif self.blocks:
                self.blocks[-1][2] = match[2]
        code = "".join(code for _, code, _ in self.blocks)
        self.imports = set(re.findall(r"^from (\w+)", code, re.M))
        for names in re.findall(r"^import (.*)", code, re.M):
            self.imports.update(re.findall(r"(?:^|, )(\w+)", names))
        self.files = set(re.findall(r'"([^"/]+\.(?:pdb|cif|xyz)(?:\.gz)?)"', code))

    def run_in(self, folder, monkeypatch):
        """Run in a folder that gets the repository's example and the tests' small structures; skip where something is
        missing.  What a program takes as its argument is the example."""
        for name in sorted(self.imports):
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:  # a folder of that name is no package
                pytest.skip(f"no {name}")
        data = os.environ.get("VIC_TEST_DATA")
        for path in [ROOT / "examples/quartz.xyz", *(pathlib.Path(data, "small").iterdir() if data else ())]:
            (folder / path.name).symlink_to(path.absolute())
        missing = sorted(name for name in self.files if not (folder / name).exists())
        if missing and not data:
            pytest.skip(f"real structures: VIC_TEST_DATA names no folder with {', '.join(missing)}")
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["program.py", "quartz.xyz"])
        self.run()

    def run(self):
        """An error shows page and line."""
        names = {"__name__": "__main__"}
        checker = doctest.OutputChecker()
        for line, code, expected in self.blocks:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * (line - 1) + code, str(ROOT / self.page), "exec"), names)
            if expected is not None and not checker.check_output(expected, printed.getvalue(), doctest.ELLIPSIS):
                raise AssertionError(f"{self.page}:{line}: the block does not print what stands below it, but\n"
                                     + printed.getvalue())


def programs():
    """Those of all pages."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        starts = [0]
        if page in SECTIONED:
            starts += [match.start() for match in re.finditer(r"^## ", text, re.M)]
        for begin, end in zip(starts, [*starts[1:], len(text)]):
            part = text[begin:end]
            heading = re.match(r"## (.*)", part)
            program = Program(page, page + (": " + heading[1] if heading else ""), part, 1 + text.count("\n", 0, begin))
            if program.blocks:
                yield program
