# SPDX-License-Identifier: Apache-2.0
"""Each header alone as C17 and as C++17 without a warning; no struct that begins with its size has a hole, in which a
newer member would meet what an older program left there; all of these structs are in header_use.c.

    check_headers.py C_COMPILER CXX_COMPILER
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import c_header  # noqa: E402

USE = HERE / "header_use.c"
ALONE = {"vicinal.h": "ALONE", "vicinal_engine.h": "ALONE_ENGINE", "vicinal_dist.h": "ALONE_DIST",
         "vicinal_structure.h": "ALONE_STRUCTURE", "vicinal_dev.h": "ALONE_DEV",
         "vicinal_dlpack.h": "ALONE_DLPACK"}
PEDANTIC = ["-pedantic-errors", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror", "-fsyntax-only",
            f"-I{ROOT / 'include'}"]
C = ["-x", "c", "-std=c17", "-Wvla", "-Wstrict-prototypes"]
CXX = ["-x", "c++", "-std=c++17", "-Wold-style-cast", "-Wzero-as-null-pointer-constant"]


def said(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, encoding="utf-8").stderr


def alone(compiler, cxx_compiler):
    for header, macro in ALONE.items():
        for command in ([compiler, *C], [cxx_compiler, *CXX]):
            text = said(*command, *PEDANTIC, f"-D{macro}", USE)
            if "dlpack/dlpack.h" in text and "No such file" in text:
                print("skipped: vicinal_dlpack.h, as there is no dlpack/dlpack.h (Debian: libdlpack-dev)")
            elif text:
                yield f"{header}: {' '.join(command)}\n{text}"


def holes(compiler, header):
    """Of gcc's warnings about padding, those inside or at the end of a struct that begins with its size."""
    sized = {name for name, fields in header.structs.items() if fields[0][0] == "size"}
    for file in c_header.FILES:
        path = ROOT / "include" / file
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in said(compiler, "-std=c17", "-Wpadded", "-fsyntax-only", "-x", "c", path).splitlines():
            found = re.match(rf".*{file}:(\d+):\d+: warning: padding struct", line)
            if not found:
                continue
            number = int(found.group(1)) - 1
            name = next(match for match in (re.match(r"\} (\w+);", text) for text in lines[number:]) if match).group(1)
            if name in sized:
                yield f"{file}:{number + 1}: a hole in {name}, which begins with its size: {line.split('warning: ')[1]}"


def unused(header):
    text = USE.read_text(encoding="utf-8")
    return [f"{USE.name} does not use {name}" for name, fields in header.structs.items()
            if fields[0][0] == "size" and f"USE({name})" not in text]


def main(compiler, cxx_compiler):
    header = c_header.read()
    wrong = [*alone(compiler, cxx_compiler), *holes(compiler, header), *unused(header)]
    print("\n".join(wrong) or f"{len(header.structs)} structs in {len(ALONE)} headers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
