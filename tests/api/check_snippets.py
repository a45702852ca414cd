# SPDX-License-Identifier: Apache-2.0
"""Every C snippet of README.md and docs/ compiles.  One that includes nothing is taken as part of a function in which
the usual names are declared.

    check_snippets.py COMPILER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BEFORE = """
#include "vicinal_dev.h"
#include "vicinal_structure.h"
#include <stdio.h>
#include <stdlib.h>
enum { HEADS = 4, DIM = 64 };
void ok(vic_status status);
void snippet(char **argv, int64_t n, float *q, float *k, float *v, float *out, float *lse);
void snippet(char **argv, int64_t n, float *q, float *k, float *v, float *out, float *lse)
{
    vic_error err;
    double cutoff = 8.0;
    vic_context *context = NULL;
    vic_structure *structure = NULL;
    vic_points points = VIC_INIT(vic_points);
    vic_pattern *pattern = NULL;
    vic_plan_options options = VIC_INIT(vic_plan_options), shape = options;
    vic_plan *plan = NULL;
    vic_attention_args args = VIC_INIT(vic_attention_args);
    {
"""
AFTER = "\n    }\n}\n"
FLAGS = ["-std=c17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused", f"-I{ROOT / 'include'}"]


def snippets():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(?:c|C)\n(.*?)^```", text, re.M | re.S):
            yield f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}", match.group(1)


def main(compiler):
    wrong, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for count, (where, code) in enumerate(snippets(), 1):
            file = pathlib.Path(folder) / "snippet.c"
            file.write_text(code if "#include" in code else BEFORE + code + AFTER, encoding="utf-8")
            done = subprocess.run([compiler, *FLAGS, str(file)], capture_output=True, encoding="utf-8")
            if done.returncode:
                wrong.append(f"{where} does not compile:\n{done.stderr}")
    print("\n".join(wrong) or f"{count} snippets compile")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
