# SPDX-License-Identifier: Apache-2.0
"""docs/python.md is what the package says: by the tool that writes it, and by Python's own look at the package."""
import inspect
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import vicinal

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")


def check(root):
    return subprocess.run([sys.executable, str(root / "tools/python_api.py"), "--check"], capture_output=True, text=True)


def test_page_is_written_from_the_sources():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_docstring_is_noticed(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/python_api.py", tmp_path / "tools")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("pictures"))
    shutil.copytree(ROOT / "python/vicinal", tmp_path / "python/vicinal", ignore=shutil.ignore_patterns("lib", "__pycache__"))
    assert check(tmp_path).returncode == 0
    path = tmp_path / "python/vicinal/_threads.py"
    path.write_text(path.read_text().replace("def get_num_threads():", "def get_num_threads(device=0):"))
    done = check(tmp_path)
    assert done.returncode == 1 and "run tools/python_api.py" in done.stdout


def shown(name):
    """The signature below a heading, or None."""
    found = re.search(rf"^###+ (?:vicinal\.)?{re.escape(name)}\n\n```\n(.*?)\n```", PAGE, re.M | re.S)
    return found and re.sub(r"\s+", " ", found[1])


@pytest.mark.parametrize("name", vicinal.__all__)
def test_signatures_are_those_that_python_sees(name):
    thing = getattr(vicinal, name)
    assert f"\n### vicinal.{name}\n" in PAGE
    if inspect.isfunction(thing):
        assert shown(name) == re.sub(r"\s+", " ", f"vicinal.{name}{inspect.signature(thing)}")
        return
    for member, value in vars(thing).items():
        if member.startswith("_") or isinstance(value, str):
            continue
        assert f"\n#### {name}.{member}\n" in PAGE
        if inspect.isfunction(value) or isinstance(value, classmethod):
            expected = inspect.signature(getattr(thing, member))
            parameters = [p for p in expected.parameters.values() if p.name != "self"]
            assert shown(f"{name}.{member}") == f"{name}.{member}{expected.replace(parameters=parameters)}"


@pytest.mark.parametrize("name", [name for name in vicinal.__all__ if inspect.isfunction(getattr(vicinal, name))
                                  and len(inspect.signature(getattr(vicinal, name)).parameters) > 1])
def test_every_parameter_is_told_of(name):
    """By its name, in the docstring or in that of the function that it refers to."""
    doc = inspect.getdoc(getattr(vicinal, name))
    for other in re.findall(r"as in vicinal\.(\w+)\(\)", doc):
        doc += inspect.getdoc(getattr(vicinal, other))
    for parameter in inspect.signature(getattr(vicinal, name)).parameters:
        known = re.search(rf"\b{parameter}\b", doc) or (parameter.startswith("key_") and "key_..." in doc)
        assert known, f"vicinal.{name}: {parameter}"
