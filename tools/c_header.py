# SPDX-License-Identifier: Apache-2.0
"""The C headers as ctypes sees them: structs, constants and functions, read from include/, so that none is written twice.

    header = c_header.read()             vicinal.h, vicinal_structure.h, vicinal_dev.h
    header.structs["vic_points"]()       an instance; where the struct begins with its size, that is filled in
    header.constants["VIC_F32"]
    library = header.load(PATH...)       shared libraries; library.vic_version() and so on with their types set

It reads what these headers are written in and no more; tests/python/test_header.py holds it against a compiler.
"""
import ctypes as c
import pathlib
import re

INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"
FILES = ("vicinal.h", "vicinal_structure.h", "vicinal_dev.h")
PLAIN = {"void": None, "bool": c.c_bool, "char": c.c_char, "int": c.c_int, "size_t": c.c_size_t, "float": c.c_float,
         "double": c.c_double, "int32_t": c.c_int32, "int64_t": c.c_int64, "uint8_t": c.c_uint8,
         "uint64_t": c.c_uint64}


class Sized(c.Structure):
    def __init__(self, **members):
        super().__init__(size=c.sizeof(self), **members)


class Library:
    """The functions of several libraries."""


class Header:
    def __init__(self):
        self.structs, self.constants, self.functions, self.types = {}, {}, {}, dict(PLAIN)

    def type(self, words, stars):
        """Of `const char` and "*": a pointer is c_void_p, but a string is c_char_p."""
        base = words.replace("const", "").strip()
        if stars:
            return c.c_char_p if base == "char" and stars == "*" else c.c_void_p
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
            for stars, name, length in re.findall(r"(\**)\s*(\w+)(?:\[(\w+)\])?\s*(?:,|$)", rest):
                kind = self.type(words, stars)
                yield name, kind * self.constant(length) if length else kind

    def struct(self, name, body):
        fields = list(self.members(body))
        base = Sized if fields[0][0] == "size" else c.Structure
        self.structs[name] = self.types[name] = type(name, (base,), {"_fields_": fields})

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
                   r"typedef struct \w+ (\w+);|VIC_API\s+([\w ]+?\**)\s*\b(vic_\w+)\((.*?)\)\s*(?:VIC_CHECK_RESULT)?;")
        for match in re.finditer(pattern, text, re.S):
            enum, enumerators, anonymous, struct, body, _, result, function, arguments = match.groups()
            if enum:
                self.types[enum] = c.c_int
            if enum or anonymous:
                self.enumerators(enumerators or anonymous)
            elif struct:
                self.struct(struct, body)
            elif function:
                self.function(" ".join(result.split()), function, " ".join(arguments.split()))

    def load(self, *paths):
        """The functions of all libraries; those that a library lacks are missing."""
        library = Library()
        for handle in [c.CDLL(str(path)) for path in paths]:
            for name, (result, arguments) in self.functions.items():
                if hasattr(handle, name):
                    function = getattr(handle, name)
                    function.restype, function.argtypes = result, arguments
                    setattr(library, name, function)
        return library


def read(include=INCLUDE):
    header = Header()
    for file in FILES:
        header.parse((pathlib.Path(include) / file).read_text(encoding="utf-8"))
    return header
