# SPDX-License-Identifier: Apache-2.0
"""tools/c_header.py against a compiler: sizes, offsets, values of constants; and against the library: all functions."""
import ctypes as c
import shutil
import subprocess

import pytest

import vicinal_ctypes as vic

HEADER = vic.HEADER


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What a program prints of each struct and constant."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("header")
    lines = [f'printf("{name} %zu\\n", sizeof({name}));' for name in HEADER.structs]
    lines += [f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));'
              for name, struct in HEADER.structs.items() for field, _ in struct._fields_]
    lines += [f'printf("{name} %zu\\n", (size_t){name});' for name in HEADER.constants if not name.endswith("_")]
    includes = "".join(f'#include "{file}"\n' for file in ("vicinal.h", "vicinal_structure.h", "vicinal_dev.h"))
    (folder / "print.c").write_text("#include <stdio.h>\n" + includes + "int main(void)\n{\n" + "\n".join(lines) + "\n}\n")
    subprocess.run([compiler, "-std=c17", f"-I{vic.c_header.INCLUDE}", "-o", folder / "print", folder / "print.c"], check=True)
    out = subprocess.run([folder / "print"], capture_output=True, encoding="utf-8", check=True).stdout
    return dict((name, int(value)) for name, value in (line.split() for line in out.splitlines()))


def test_structs(compiled):
    assert len(HEADER.structs) > 20
    for name, struct in HEADER.structs.items():
        assert c.sizeof(struct) == compiled[name], name
        for field, _ in struct._fields_:
            assert getattr(struct, field).offset == compiled[f"{name}.{field}"], (name, field)


def test_constants(compiled):
    constants = {name: value for name, value in HEADER.constants.items() if not name.endswith("_")}
    assert len(constants) > 30 and constants["VIC_FAILED"] == 50
    assert constants == {name: compiled[name] for name in constants}


def test_functions():
    library = vic.library()
    assert len(HEADER.functions) > 50
    assert [name for name in HEADER.functions if not hasattr(library, name)] == []
    assert library.vic_dtype_name(HEADER.constants["VIC_BF16"]) == b"bfloat16"
