#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/python.md: the public names of the Python package with their signatures and docstrings.

    tools/python_api.py            writes docs/python.md
    tools/python_api.py --check    fails where that file is not what the sources say

The sources are read and not imported, so that nothing is needed that they need.  In a docstring a line `name  text` with two
blanks or more begins a row of a table, lines that are indented after it go on with the row, and lines that are indented after
an empty one are code.
"""
import ast
import inspect
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "vicinal"
WRITTEN = ROOT / "docs" / "python.md"
SECTIONS = (
    ("Structures", ("read", "Structure")),
    ("Patterns", ("pattern", "nearest", "windows", "blocks", "pairs", "ranges", "pages", "load", "Pattern")),
    ("Attention", ("attention", "attention_backward", "DistanceBias")),
    ("Threads and devices", ("set_num_threads", "get_num_threads", "environment")),
    ("Errors", ("Error", "ArgumentError", "InputError", "FileError", "DeviceError", "OutOfMemory")),
)
BEFORE = """\
# Python reference

Written by `tools/python_api.py` from the package's docstrings. To begin with: [tutorial](tutorial-python.md),
[coming from something else](howto/coming-from.md); the words, the rule for pairs and what results promise:
[concepts](concepts.md).

In all of it lengths are in angstrom (A), angles in degrees, B-factors in square angstrom; [atoms, 3] is the shape of an
array or tensor. Arrays are NumPy's or torch's, on the CPU or a GPU, of any strides; what comes back is of the kind that went in.
"""
ROW = re.compile(r"(\w+(?:\.\.\.)?(?:, \w+(?:\.\.\.)?)*)  +(\S.*)")


def escaped(text):
    """Plain text as Markdown; pages of the docs that are there become links."""
    text = re.sub(r"__|\*", lambda m: "".join("\\" + c for c in m[0]), text)
    return re.sub(r"\bdocs/([\w/-]+\.md)",
                  lambda m: f"[{m[1]}]({m[1]})" if (ROOT / m[0]).exists() else m[0], text)


def markdown(doc):
    """A docstring, cleaned, as Markdown."""
    lines, found, at = doc.splitlines(), [], 0
    while at < len(lines):
        line = lines[at]
        row = ROW.fullmatch(line)
        if line.startswith("    "):  # code, after an empty line
            block = []
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at]):
                block.append(lines[at][4:])
                at += 1
            found += ["```", *"\n".join(block).rstrip().splitlines(), "```", ""]
            continue
        if row:
            found += ["| | |", "|---|---|"]
            while row:
                name, text = row.groups()
                at += 1
                while at < len(lines) and lines[at].startswith("  "):
                    text += " " + lines[at].strip()
                    at += 1
                found.append(f"| `{name}` | {escaped(text).replace('|', chr(92) + '|')} |")
                row = ROW.fullmatch(lines[at]) if at < len(lines) else None
            found.append("")
            continue
        found.append(escaped(line))
        at += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(found)).strip()


class Source:
    """The names of one module."""

    def __init__(self, path):
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.names = {node.name: node for node in self.tree.body
                      if isinstance(node, (ast.FunctionDef, ast.ClassDef))}

    def constant(self, name):
        """The value of NAME = literal."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and node.targets[0].id == name:
                return ast.literal_eval(node.value)
        return None


def documentation(node, what):
    doc = ast.get_docstring(node)
    if not doc:
        raise SystemExit(f"tools/python_api.py: {what} has no docstring")
    return doc


def signature(node, method=False):
    arguments = node.args
    if method:
        arguments.args = arguments.args[1:]  # without self or cls
    return f"({ast.unparse(arguments)})"


def fence(text):
    """A signature in at most 100 columns."""
    if len(text) > 100:
        name, _, rest = text.partition("(")
        lines, line = [], name + "("
        for part in re.findall(r"(?:[^,(]|\([^)]*\))+,? ?", rest):
            if len(line) + len(part.rstrip()) > 100:
                lines.append(line.rstrip())
                line = " " * (len(name) + 1)
            line += part
        text = "\n".join([*lines, line])
    return f"```\n{text}\n```"


def of_function(name, node):
    return [f"### {name}", fence(name + signature(node)), markdown(documentation(node, name))]


def of_class(name, node):
    if node.bases and node.name.endswith("Error") or node.name == "OutOfMemory":
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return [f"### {name}", f"{markdown(documentation(node, name))} A kind of `{bases}`."]
    parts = [f"### {name}"]
    members = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
    if "__init__" in members and not any(arg.arg == "handle" for arg in members["__init__"].args.args):
        parts.append(fence(name + signature(members["__init__"], method=True)))
    parts.append(markdown(documentation(node, name)))
    for member in members.values():
        doc = ast.get_docstring(member)
        operator = {"__or__": "a | b", "__sub__": "a - b", "__add__": "a + b", "__len__": "len(x)"}.get(member.name)
        if (member.name.startswith("_") and not operator) or (operator and not doc):
            continue
        what = f"{node.name}.{member.name}"
        decorators = {ast.unparse(decorator) for decorator in member.decorator_list}
        if operator:
            parts += [f"#### {node.name}: {operator}"]
        elif "property" in decorators:
            parts += [f"#### {what}"]
        else:
            parts += [f"#### {what}", fence(what + signature(member, method=True))]
        parts.append(markdown(documentation(member, what)))
    return parts


def of_module(name, source):
    """A module of its own: its docstring, and what __all__ says is public."""
    parts = [f"### {name}", markdown(documentation(source.tree, name))]
    for public in source.constant("__all__") or ():
        node = source.names[public]
        if isinstance(node, ast.ClassDef):
            parts += of_class(f"{name}.{public}", node)
            continue
        parts += [f"#### {name}.{public}", fence(f"{name}.{public}{signature(node)}"),
                  markdown(documentation(node, public))]
    return parts


def page():
    package = Source(PACKAGE / "__init__.py")
    places, modules = package.constant("_PLACES"), package.constant("_MODULES")
    listed = [name for _, names in SECTIONS for name in names]
    if sorted(listed) != sorted(places):
        raise SystemExit(f"tools/python_api.py: SECTIONS lacks or has too many of {sorted(set(listed) ^ set(places))}")
    parts = [BEFORE.strip(), markdown(documentation(package.tree, "vicinal").partition("\n\n")[2])]
    for title, names in SECTIONS:
        parts.append(f"## {title}")
        for name in names:
            node = Source(PACKAGE / f"_{places[name].lstrip('_')}.py").names[name]
            parts += (of_class if isinstance(node, ast.ClassDef) else of_function)(f"vicinal.{name}", node)
    parts.append("## Modules")
    for name in modules:
        paths = [PACKAGE / f"{name}.py", *sorted((PACKAGE / name).glob("[!_]*.py"))]
        for path in filter(pathlib.Path.is_file, paths):
            parts += of_module(".".join(["vicinal", *path.relative_to(PACKAGE).with_suffix("").parts]), Source(path))
    return "\n\n".join(parts) + "\n"


def main(arguments):
    text = page()
    if arguments == ["--check"]:
        if not WRITTEN.exists() or WRITTEN.read_text(encoding="utf-8") != text:
            print("docs/python.md is not what the sources say: run tools/python_api.py")
            return 1
        return 0
    if arguments:
        print(inspect.cleandoc(__doc__))
        return 2
    WRITTEN.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
