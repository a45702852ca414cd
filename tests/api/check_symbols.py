# SPDX-License-Identifier: Apache-2.0
"""The shared libraries export what their headers declare and nothing else, and have their sonames; every function that
takes pointers is tried with each of them NULL (tests/unit/api/test_null_api.c).

    check_symbols.py LIBRARY SONAME HEADER... [-- LIBRARY SONAME HEADER...]
"""
import itertools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import c_header  # noqa: E402


def declared(headers):
    header = c_header.Header()
    for file in dict.fromkeys(["vicinal.h", *headers]):  # the types that the others use
        before = set(header.functions)
        header.parse((ROOT / "include" / file).read_text(encoding="utf-8"))
        if file not in headers:
            header.functions = {name: header.functions[name] for name in before}
    return header.functions


def check_library(library, soname, *headers):
    functions = set(declared(headers))
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in lines.splitlines()}
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    names = " and ".join(headers)
    yield from (f"{soname}: exported, but not in {names}: {name}" for name in sorted(exported - functions))
    yield from (f"{soname}: in {names}, but not exported: {name}" for name in sorted(functions - exported))
    if f"soname: [{soname}]" not in dynamic:
        yield f"{library}: no soname {soname}"


def check_null_table():
    """Its rows are X(name, pointers, optional)."""
    text = (ROOT / "tests/unit/api/test_null_api.c").read_text(encoding="utf-8")
    table = {name: int(pointers) for name, pointers in re.findall(r"\bX\((vic_\w+), (\d+), ", text)}
    given = {}
    for name, (_, types) in c_header.read().functions.items():
        pointers = sum(kind in ("c.c_void_p", "c.c_char_p") for kind in types)
        if pointers:
            given[name] = pointers
    for name in sorted(given.keys() | table.keys()):
        if given.get(name) != table.get(name):
            yield f"test_null_api.c: {name} takes {given.get(name)} pointers, the table has {table.get(name)}"


def main(*words):
    groups = [list(group) for split, group in itertools.groupby(words, lambda word: word == "--") if not split]
    wrong = [line for group in groups for line in check_library(*group)] + list(check_null_table())
    assert len(declared(["vicinal.h"])) > 30
    print("\n".join(wrong) or f"{len(groups)} libraries export what their headers declare")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
