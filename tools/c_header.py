#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The C headers as ctypes sees them: structs, constants and functions, so that none is written twice.

    tools/c_header.py            writes python/vicinal/_declarations.py
    tools/c_header.py --check    fails where that file is not what the headers say

It reads what include/ and python/glue/glue.h are written in and no more; tests/python/test_header.py holds the result
against a compiler.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
WRITTEN = ROOT / "python" / "vicinal" / "_declarations.py"
GLUE = ROOT / "python" / "glue" / "glue.h"
FILES = ("vicinal.h", "vicinal_engine.h", "vicinal_dist.h", "vicinal_structure.h", "vicinal_dev.h")
PLAIN = {"void": "None", "bool": "c.c_bool", "char": "c.c_char", "int": "c.c_int", "size_t": "c.c_size_t",
         "float": "c.c_float", "double": "c.c_double", "int32_t": "c.c_int32", "int64_t": "c.c_int64",
         "uint8_t": "c.c_uint8", "uint64_t": "c.c_uint64"}


class Header:
    """Types are the text of the ctypes type."""

    def __init__(self):
        self.structs, self.constants, self.functions, self.types = {}, {}, {}, dict(PLAIN)

    def type(self, words, stars):
        """Of `const char` and "*": a pointer is c_void_p, but a string is c_char_p."""
        base = words.replace("const", "").strip()
        if stars:
            return "c.c_char_p" if base == "char" and stars == "*" else "c.c_void_p"
        return self.types[base]

    def constant(self, text):
        return eval(text, {"__builtins__": {}}, self.constants)  # numbers, names, | and <<

    def enumerators(self, body):
        for text in filter(None, (part.strip() for part in body.split(","))):
            name, value = text.split("=", 1)
            self.constants[name.strip()] = self.constant(value)

    def members(self, body):
        """(name, type) of each member of a struct."""
        body = re.sub(r"VIC_SIZE_OF\(\w+\)", "size_t size", body)
        body = re.sub(r"\w+ \*?\(\*(\w+)\)\([^)]*\)", r"void *\1", body)  # pointers to functions
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            words, rest = re.fullmatch(r"((?:const )?\w+)\s*(.*)", declaration, re.S).groups()
            for stars, name, lengths in re.findall(r"(\**)\s*(\w+)((?:\[\w+\])*)\s*(?:,|$)", rest):
                kind = self.type(words, stars)
                for length in reversed(re.findall(r"\w+", lengths)):
                    kind = f"{kind} * {self.constant(length)}"
                yield name, kind

    def struct(self, name, body):
        self.structs[name] = list(self.members(body))
        self.types[name] = name

    def function(self, result, name, arguments):
        words, stars = re.fullmatch(r"(.*?)\s*(\**)", result).groups()
        types = []
        for argument in arguments.split(","):
            argument = re.sub(r"\w+$", "", argument.strip()) if argument.strip() != "void" else ""
            if argument:
                types.append(self.type(*re.fullmatch(r"([\w ]+?)\s*(\**)\s*", argument).groups()))
        self.functions[name] = (self.type(words, stars), types)

    def parse(self, text):
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S).replace("\\\n", " ")
        text = re.sub(r"enum vic_status \{.*?\} vic_status", "enum vic_status { VIC_OK_ = 0 } vic_status", text,
                      flags=re.S)
        for name, value in re.findall(r"\bX\((\w+), (\d+), \"", text):
            self.constants["VIC_" + name] = int(value)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        pattern = (r"typedef enum (\w+) \{(.*?)\} \w+;|enum \{(.*?)\};|typedef struct (\w+) \{(.*?)\} \w+;|"
                   r"typedef struct \w+ (\w+);|VIC_API\s+([\w ]+?\**)\s*\b(vic\w+)\((.*?)\)\s*(?:VIC_CHECK_RESULT)?;")
        for match in re.finditer(pattern, text, re.S):
            enum, enumerators, anonymous, struct, body, _, result, function, arguments = match.groups()
            if enum:
                self.types[enum] = "c.c_int"
            if enum or anonymous:
                self.enumerators(enumerators or anonymous)
            elif struct:
                self.struct(struct, body)
            elif function:
                self.function(" ".join(result.split()), function, " ".join(arguments.split()))


def read(*more):
    """include/ and more files."""
    header = Header()
    for path in [INCLUDE / file for file in FILES] + [*more]:
        header.parse(path.read_text(encoding="utf-8"))
    return header


def written(header):
    """The text of _declarations.py."""
    lines = ["# SPDX-License-Identifier: Apache-2.0",
             '"""What the C headers declare, for ctypes.  Written by tools/c_header.py: change those instead."""',
             "import ctypes as c", "", "",
             "class Sized(c.Structure):", '    """Begins with its size, which is filled in."""', "",
             "    def __init__(self, **members):", "        super().__init__(size=c.sizeof(self), **members)"]
    for name, fields in header.structs.items():
        lines += ["", "", f"class {name}({'Sized' if fields[0][0] == 'size' else 'c.Structure'}):",
                  "    _fields_ = ["]
        lines += [f'        ("{member}", {kind}),' for member, kind in fields] + ["    ]"]
    lines += ["", "", "STRUCTS = {"] + [f'    "{name}": {name},' for name in header.structs] + ["}"]
    lines += ["CONSTANTS = {"] + [f'    "{name}": {value},' for name, value in header.constants.items()
                                  if not name.endswith("_")] + ["}"]
    lines += ["FUNCTIONS = {  # result, arguments"]
    lines += [f'    "{name}": ({result}, [{", ".join(arguments)}]),'
              for name, (result, arguments) in header.functions.items()]
    return "\n".join(lines + ["}", ""])


def main(words):
    text = written(read(GLUE))
    if words == ["--check"]:
        if not WRITTEN.is_file() or WRITTEN.read_text(encoding="utf-8") != text:
            sys.exit(f"{WRITTEN.relative_to(ROOT)} is not what the headers say: run tools/c_header.py")
    elif words:
        sys.exit(__doc__)
    else:
        WRITTEN.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
