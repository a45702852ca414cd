# SPDX-License-Identifier: Apache-2.0
"""The package's declarations against a compiler: sizes, offsets, values of constants; against the libraries: all
functions; and tools/c_header.py, which writes them."""
import ctypes as c
import pathlib
import shutil
import subprocess
import sys

import pytest

import vicinal_ctypes as vic
from vicinal._c import CONSTANTS, FUNCTIONS, STRUCTS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What a program prints of each struct and constant."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("header")
    lines = [f'printf("{name} %zu\\n", sizeof({name}));' for name in STRUCTS]
    lines += [f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));'
              for name, struct in STRUCTS.items() for field, _ in struct._fields_]
    lines += [f'printf("{name} %zu\\n", (size_t){name});' for name in CONSTANTS]
    includes = "".join(f'#include "{file}"\n' for file in ("vicinal.h", "vicinal_engine.h", "vicinal_dist.h", "vicinal_structure.h", "vicinal_dev.h"))
    text = "#include <stdio.h>\n" + includes + "int main(void)\n{\n" + "\n".join(lines) + "\n}\n"
    (folder / "print.c").write_text(text)
    subprocess.run([compiler, "-std=c17", f"-I{ROOT}/include", "-o", folder / "print", folder / "print.c"], check=True)
    out = subprocess.run([folder / "print"], capture_output=True, encoding="utf-8", check=True).stdout
    return dict((name, int(value)) for name, value in (line.split() for line in out.splitlines()))


def test_structs(compiled):
    assert len(STRUCTS) > 20
    for name, struct in STRUCTS.items():
        assert c.sizeof(struct) == compiled[name], name
        for field, _ in struct._fields_:
            assert getattr(struct, field).offset == compiled[f"{name}.{field}"], (name, field)


def test_constants(compiled):
    assert len(CONSTANTS) > 30 and CONSTANTS["VIC_FAILED"] == 50
    assert CONSTANTS == {name: compiled[name] for name in CONSTANTS}


def test_functions():
    library = vic.library()
    assert len(FUNCTIONS) > 50 and "vicpy_attention" in FUNCTIONS
    assert [name for name in FUNCTIONS if not hasattr(library, name)] == []
    assert library.vic_dtype_name(CONSTANTS["VIC_BF16"]) == b"bfloat16"


def test_what_is_written_is_what_the_headers_say(tmp_path):
    """In the tree; and in a copy where a header grows."""
    def c_header(root, *words):
        return subprocess.run([sys.executable, root / "tools/c_header.py", *words], capture_output=True,
                              encoding="utf-8", timeout=vic.PATIENCE)
    assert c_header(ROOT, "--check").returncode == 0
    for path in ("tools", "include", "python/vicinal", "python/glue"):
        shutil.copytree(ROOT / path, tmp_path / path)
    header = tmp_path / "include/vicinal.h"
    header.write_text(header.read_text() + "VIC_API vic_status vic_grown(int32_t number, vic_error *err);\n")
    old = c_header(tmp_path, "--check")
    assert old.returncode == 1 and "_declarations.py is not what the headers say" in old.stderr
    assert c_header(tmp_path).returncode == 0 and c_header(tmp_path, "--check").returncode == 0
    here, there = ((root / "python/vicinal/_declarations.py").read_text().splitlines() for root in (ROOT, tmp_path))
    assert set(there) - set(here) == {'    "vic_grown": (c.c_int, [c.c_int32, c.c_void_p]),'}
