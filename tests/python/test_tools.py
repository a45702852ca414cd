# SPDX-License-Identifier: Apache-2.0
"""The tools that guard the tree find what they are there to find."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from vicinal_ctypes import PATIENCE

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"


def tool(name, *arguments):
    command = [sys.executable, str(TOOLS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE)


@pytest.fixture
def tree(tmp_path):
    """write(path, text) below an empty root; .root is that root."""
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    write.root = tmp_path
    write("include/vicinal.h", "")
    write("src/base/status.h", '#include "vicinal.h"\n')
    write("src/contract/pattern.h", '#include "vicinal.h"\n')
    write("src/pattern/order.h", '#include "contract/pattern.h"\n')
    write("src/plan/plan.h", '#include "pattern/order.h"\n')
    write("src/kernels/cpu/rows.h", '#include "contract/pattern.h"\n')
    write("src/kernels/cuda/rows.h", '#include "contract/pattern.h"\n')
    write("src/kernels/table.c", '#include "kernels/cpu/rows.h"\n#include "kernels/cuda/rows.h"\n')
    write("tests/check.h", '#include "vicinal.h"\n#include <cmocka.h>\n')
    write("tests/unit/pattern/test_order.c", '#include "check.h"\n#include "pattern/order.h"\n')
    write("apps/cli/main.c", '#include <vicinal.h>\n#include <stdio.h>\n')
    return write


def test_layers_accepts_the_arrows(tree):
    done = tool("check_layers.py", tree.root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path, text, arrow", [
    ("src/base/memory.c", '\n#include "contract/pattern.h"\n', "src/base -> src/contract"),
    ("src/contract/attention.h", '\n#include "base/status.h"\n', "src/contract -> src/base"),
    ("src/pattern/bad.c", '\n#include "plan/plan.h"\n', "src/pattern -> src/plan"),
    ("src/pattern/bad.c", '\n# include "../plan/plan.h"\n', "src/pattern -> src/plan"),
    ("src/kernels/cpu/bad.c", '\n#include "kernels/cuda/rows.h"\n', "src/kernels/cpu -> src/kernels/cuda"),
    ("src/plan/bad.c", '\n#include "kernels/cpu/rows.h"\n', "src/plan -> src/kernels/cpu"),
    ("apps/cli/bad.c", '\n#include "base/status.h"\n', "apps/cli -> src/base"),
    ("apps/cli/bad.c", '\n#include "../../src/base/status.h"\n', "apps/cli -> src/base"),
    ("python/glue/bad.c", '\n#include "base/status.h"\n', "python/glue -> src/base"),
    ("tests/unit/pattern/bad.c", '\n#include "plan/plan.h"\n', "tests/unit/pattern -> src/plan"),
    ("tests/unit/nowhere/test_x.c", '\n#include "check.h"\n', "mirrors nothing"),
    ("src/pattern/bad.cpp", '\n#include <gemmi/cif.hpp>\n', "only src/structure"),
    ("src/plan/bad.c", '\n#include <cuda_runtime.h>\n', "only src/device"),
    ("src/stray.c", '\n#include "vicinal.h"\n', "in no layer"),
])
def test_layers_finds_a_forbidden_include(tree, path, text, arrow):
    tree(path, text)
    done = tool("check_layers.py", tree.root)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{path}:2: ") and arrow in lines[0], done.stdout


@pytest.mark.parametrize("caller, fails", [("src/context/a.c.o", False), ("src/pattern/a.c.o", True)])
def test_layers_finds_a_forbidden_call(tmp_path, caller, fails):
    """A call needs no include: what an object needs and who defines it say it."""
    def compiled(path, text):
        source = tmp_path / "x.c"
        source.write_text(text)
        target = tmp_path / "objects" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-c", source, "-o", target], check=True)

    compiled("src/base/filler.c.o", "int filler;")
    for i in range(60):
        shutil.copy(tmp_path / "objects/src/base/filler.c.o", tmp_path / f"objects/src/base/filler{i}.c.o")
    compiled("src/plan/b.c.o", "void plan_it(void) {}")
    compiled(caller, "void plan_it(void); void go(void) { plan_it(); }")
    done = tool("check_layers.py", "--calls", tmp_path / "objects")
    assert done.returncode == fails, done.stdout
    assert ("src/pattern/a.c calls plan_it() of src/plan/b.c" in done.stdout) == fails


def test_links_accepts_what_leads_somewhere(tree):
    tree("docs/words.md", "# Pair rule, exactly\n")
    tree("README.md", "[a](docs/words.md#pair-rule-exactly) [b](#top) `src/plan/plan.h` `src/plan/*.h` "
                      "`src/NAME/x.c` [far](https://example.org/x)\n\n# Top\n```\n[no](link.md)\n```\n")
    done = tool("check_links.py", tree.root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", ["[a](gone.md)", "[a](docs/words.md#gone)", "`src/plan/gone.h`", "`src/gone/*.c`",
                                  "[`src/plan/plan.h`](src/plan/gone.h)", "![p](gone.svg)"])
def test_links_finds_a_dead_one(tree, text):
    tree("docs/words.md", "# Words\n")
    tree("README.md", f"# T\n\n{text}\n")
    done = tool("check_links.py", tree.root)
    assert done.returncode == 1 and done.stdout.startswith("README.md:3: "), done.stdout


CMOCKA = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites>
  <testsuite name="tests" time="0.000" tests="3" failures="{failures}" errors="0" skipped="1" >
    <testcase name="a" time="0.000" ></testcase>
    <testcase name="b" time="0.000" ><skipped/></testcase>
    <testcase name="c" time="0.000" >{c}</testcase>
  </testsuite>
</testsuites>
"""


def ctest(tree, *tests):
    tree("build/ctest.xml", "<testsuite>" + "".join(
        f'<testcase name="{name}" status="{status}"><system-out>said</system-out></testcase>'
        for name, status in tests) + "</testsuite>")


@pytest.mark.parametrize("files, tests, expected", [
    # The cases of a program count, not the program; further groups are appended by cmocka.
    ({"unit_a.xml": CMOCKA.format(failures=0, c="") * 2}, [("unit/a", "run")], "4 passed, 0 failed, 2 skipped"),
    ({"unit_a.xml": CMOCKA.format(failures=1, c="<failure><![CDATA[1 != 2\x1b]]></failure>")},
     [("unit/a", "fail")], "1 passed, 1 failed, 1 skipped"),
    # A crash leaves nothing; a leak found at exit leaves cases that passed; unit/a_b is not unit/a.
    ({}, [("unit/a", "fail")], "0 passed, 1 failed, 0 skipped"),
    ({}, [("unit/a", "run")], "0 passed, 1 failed, 0 skipped"),
    ({"unit_a_b.xml": CMOCKA.format(failures=0, c="")}, [("unit/a", "run"), ("unit/a_b", "run")],
     "2 passed, 1 failed, 1 skipped"),
    ({"unit_a.xml": CMOCKA.format(failures=0, c="")}, [("unit/a", "fail")], "2 passed, 1 failed, 1 skipped"),
    ({"unit_a.xml": "<testsuites><testsuite"}, [("unit/a", "fail")], "0 passed, 1 failed, 0 skipped"),
    ({}, [("api/symbols", "run"), ("api/install", "fail"), ("api/format", "notrun")],
     "1 passed, 1 failed, 1 skipped"),
    ({}, [], "0 passed, 0 failed, 0 skipped"),
])
def test_sum_counts_cases(tree, files, tests, expected):
    ctest(tree, *tests)
    for name, text in files.items():
        tree(f"build/cmocka/{name}", text)
    done = tool("sum_tests.py", "--ctest", tree.root / "build")
    assert done.stdout.splitlines()[-1] == expected, done.stdout
    assert done.returncode == (0 if " 0 failed" in expected and not expected.startswith("0 passed") else 1)


def test_sum_adds_pytest(tree):
    ctest(tree, ("api/symbols", "run"))
    tree("py.xml", '<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b">'
                   '<failure message="m">why</failure></testcase><testcase classname="t" name="c"><skipped/>'
                   '</testcase></testsuite></testsuites>')
    done = tool("sum_tests.py", "--ctest", tree.root / "build", "--pytest", tree.root / "py.xml")
    assert done.stdout.splitlines()[-1] == "2 passed, 1 failed, 1 skipped" and "FAILED t::b" in done.stdout
    assert tool("sum_tests.py", "--pytest", tree.root / "gone.xml").returncode == 1


@pytest.fixture
def counted(tmp_path):
    """count-instructions with a valgrind that finds the stored counts times `factor`."""
    stored = json.loads((TOOLS.parent / "bench/instructions.json").read_text())

    def script(name, text):
        (tmp_path / name).write_text(f"#!{sys.executable}\nimport os\nimport sys\n{text}")
        (tmp_path / name).chmod(0o755)

    def call(factor, build=stored["build"]):
        script("valgrind", f"""
out, = (a.split("=", 1)[1] for a in sys.argv if a.startswith("--callgrind-out-file="))
name = os.environ.get("VIC_FORCE_BACKWARD_KERNEL") or next((a for a in sys.argv if a.startswith("attn_")), "pattern")
open(out, "w").write("summary: %d\\n" % ({stored!r}[name] * {factor}))
""")
        script("vicinal", f"print({json.dumps(dict(build=build + ', no CUDA, commit 0'))!r})")
        return subprocess.run([sys.executable, str(TOOLS / "count-instructions"), str(tmp_path / "vicinal")],
                              capture_output=True, encoding="utf-8", timeout=PATIENCE,
                              env={**os.environ, "PATH": str(tmp_path)})

    return call


@pytest.mark.parametrize("factor", [1.0, 1.029, 0.971])
def test_counts_within_bounds(counted, factor):
    done = counted(factor)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("factor", [1.031, 0.969])
def test_counts_that_changed(counted, factor):
    done = counted(factor)
    assert done.returncode == 1 and "tools/count-instructions --update" in done.stdout
    assert done.stdout.count("<-- more than 3 %") == 5


def test_counts_of_another_compiler(counted):
    done = counted(2.0, "Clang 30.0, Release")
    assert done.returncode == 77 and "not compared" in done.stdout


@pytest.fixture
def machine_code(tmp_path):
    """count-machine-code of kernels given as {name: (registers, stack, instructions)}, with a cuobjdump that shows them."""
    tool = tmp_path / "tools/count-machine-code"
    tool.parent.mkdir()
    (tmp_path / "bench").mkdir()
    shutil.copy(TOOLS / "count-machine-code", tool)
    library = tmp_path / "libvicinal.so"
    library.touch()

    def script(name, text):
        (tmp_path / name).write_text(f"#!{sys.executable}\nimport sys\n{text}")
        (tmp_path / name).chmod(0o755)

    def call(kernels, *words, cuda="CUDA 13.0 (sm_90a)", tools=("cuobjdump", "c++filt")):
        usage = "".join(f" Function {name}:\n  REG:{r} STACK:{s} SHARED:0 LOCAL:0\n" for name, (r, s, _) in kernels.items())
        line = "        /*{:04x}*/                   {} ;     /* 0x0000 */\n                       /* 0x0000 */\n"
        code = "".join(f"\n\t\tFunction : {name}\n" + "".join(
            line.format(16 * i, "@!P0 HGMMA.64x64x16.F32 R24, R4" if i % 2 else "LDG.E R2, [R2]") for i in range(n)) +
            line.format(16 * n, "NOP") for name, (_, _, n) in kernels.items())
        (tmp_path / "usage").write_text(usage)
        (tmp_path / "code").write_text(code)
        script("vicinal", f"print({json.dumps(dict(build='GNU 12, RelWithDebInfo, ' + cuda + ', commit 0'))!r})")
        script("cuobjdump", f"print(open({str(tmp_path)!r} + ('/code' if '-sass' in sys.argv else '/usage')).read())")
        script("c++filt", "print(sys.stdin.read(), end='')")
        for name in {"cuobjdump", "c++filt"} - set(tools):
            (tmp_path / name).unlink()
        return subprocess.run([sys.executable, str(tool), *words, str(library)], capture_output=True, encoding="utf-8",
                              timeout=PATIENCE, env={**os.environ, "PATH": str(tmp_path), "CUDA_PATH": str(tmp_path),
                                                     "XDG_CACHE_HOME": str(tmp_path)})

    return call


@pytest.mark.parametrize("now, code, words", [
    ({"a": (96, 0, 1000), "b": (40, 64, 100)}, 0, "+0.00%"), ({"a": (96, 0, 1029), "b": (40, 64, 98)}, 0, "-2.00%"),
    ({"a": (96, 0, 1031), "b": (40, 64, 100)}, 1, "a: instructions 1,000 -> 1,031 (+3.1%)"),
    ({"a": (97, 0, 1000), "b": (40, 64, 100)}, 1, "a: registers 96 -> 97"),
    ({"a": (96, 16, 1000), "b": (40, 64, 100)}, 1, "a: stack_bytes 0 -> 16"),
    ({"a": (96, 0, 1000)}, 1, "b: is gone"), ({"a": (96, 0, 1000), "b": (40, 64, 100), "c": (1, 0, 1)}, 1, "c: is new"),
])
def test_machine_code(machine_code, now, code, words):
    done = machine_code({"a": (96, 0, 1000), "b": (40, 64, 100)}, "--update")
    assert done.returncode == 0 and '"wgmma": 500, "exp2": 0, "shared": 0, "global": 500' in done.stdout, done.stderr
    done = machine_code(now)
    assert done.returncode == code and words in done.stdout, done.stdout + done.stderr
    assert ("--update" in done.stdout) == bool(code)


def test_machine_code_that_cannot_be_compared(machine_code):
    kernels = {"a": (96, 0, 1000)}
    machine_code(kernels, "--update")
    for more, words in (({"cuda": "CUDA 12.8 (sm_90a)"}, "those of CUDA 13.0"), ({"cuda": "no CUDA"}, "without CUDA"),
                        ({"tools": ["c++filt"]}, "no cuobjdump"), ({"tools": ["cuobjdump"]}, "no c++filt")):
        done = machine_code(kernels, **more)
        assert done.returncode == 77 and words in done.stdout, done.stdout + done.stderr
