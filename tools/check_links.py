#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every relative link of every Markdown file leads somewhere, headings included, and so does every path in backquotes
that begins with a folder of the repository.

    tools/check_links.py [ROOT]       exit code 1 when one does not
"""
import os
import pathlib
import re
import sys

SKIPPED = {"build", "demo-out", "node_modules", ".carry"}
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
CODE = re.compile(r"`([^`\n]+)`")
PLACEHOLDER = re.compile(r"[<>{}$\s=:]|\.\.\.|(?<![A-Za-z])(NAME|FILE|PRESET|X)(?![A-Za-z])")  # not one path


def anchors(text):
    """The anchors that the headings of a Markdown text get."""
    found = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", without_fences(text), re.M):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        found.add(words.strip().replace(" ", "-"))
    return found


def without_fences(text):
    """The text with fenced blocks blanked, so that line numbers stay."""
    return re.sub(r"^(```|~~~).*?^\1[^\n]*$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)


def link_error(root, file, target):
    path, _, anchor = target.partition("#")
    if re.match(r"[a-z][a-z0-9+.-]*:", path):
        return None  # elsewhere
    there = (root / path.lstrip("/") if path.startswith("/") else file.parent / path).resolve() if path else file
    if not there.exists():
        return f"link to {target}: no such file"
    if anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
        return f"link to {target}: {there.name} has no such heading"
    return None


def path_error(root, code):
    first = code.split("/")[0]
    if "/" not in code or PLACEHOLDER.search(code) or first in SKIPPED or not (root / first).is_dir():
        return None
    if not first or first in (".", "..") or any(root.glob(code.rstrip("/"))):
        return None
    return f"`{code}`: no such file"


def pages(root):
    """Folders that are skipped are not entered: in them files come and go while the tests run."""
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in SKIPPED and (name == ".ci" or not name.startswith("."))]
        yield from (pathlib.Path(folder, name) for name in names if name.endswith(".md"))


def violations(root):
    root = pathlib.Path(root).resolve()
    found = []
    for file in sorted(pages(root)):
        for number, line in enumerate(without_fences(file.read_text(encoding="utf-8")).splitlines(), 1):
            errors = [link_error(root, file, target) for target in LINK.findall(CODE.sub("", line))]
            errors += [path_error(root, code) for code in CODE.findall(line)]
            found += [f"{file.relative_to(root)}:{number}: {error}" for error in errors if error]
    return found


def main(arguments):
    root = arguments[0] if arguments else pathlib.Path(__file__).parent.parent
    found = violations(root)
    print("\n".join(found) if found else "links: all lead somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
