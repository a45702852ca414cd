# SPDX-License-Identifier: Apache-2.0
"""The Python blocks of the docs that need no torch run, and those that show an example's code show it as it is."""
import ast

import docs_blocks
import pytest

PROGRAMS = list(docs_blocks.programs())


@pytest.mark.parametrize("program", [p for p in PROGRAMS if "torch" not in p.imports], ids=lambda p: p.name)
def test_program(program, tmp_path, monkeypatch):
    program.run_in(tmp_path, monkeypatch)


def test_tutorial_is_the_example():
    """Classes of the tutorial are those of the example."""
    tutorial = next(p for p in PROGRAMS if p.page == "docs/tutorial-python.md")
    shown = ast.parse("".join(code for _, code, _ in tutorial.blocks))
    example = ast.parse((docs_blocks.ROOT / "examples/python/atom_transformer.py").read_text(encoding="utf-8"))
    there = {node.name: ast.dump(node) for node in example.body if isinstance(node, ast.ClassDef)}
    names = [node.name for node in shown.body if isinstance(node, ast.ClassDef)]
    assert names == ["Attention", "Block", "AtomTransformer"]
    for node in shown.body:
        if isinstance(node, ast.ClassDef):
            assert ast.dump(node) == there[node.name], f"{node.name} is another in the example"


def test_what_a_block_prints_is_checked(tmp_path):
    """A page that shows what is not printed fails, and says where."""
    page = "# Page\n\n```python\nx = 2\nprint(x, 3)\n```\n\n```text\n2 {}\n```\n"
    docs_blocks.Program("page.md", "page.md", page.format("..."), 1).run()
    with pytest.raises(AssertionError, match="page.md:4: .*\n2 3"):
        docs_blocks.Program("page.md", "page.md", page.format("4"), 1).run()
    with pytest.raises(ZeroDivisionError) as raised:
        docs_blocks.Program("page.md", "page.md", page.replace("x, 3", "x / 0"), 1).run()
    assert raised.traceback[-1].lineno == 4  # the fifth line of the page
