# SPDX-License-Identifier: Apache-2.0
"""Headers as they might have been and as they may become, made from those of include/: for programs built against
another version than the library that they run with.

    other_headers.py OUT    OUT/old: every struct with a size lacks its last member and all that is reserved behind it;
                            OUT/new: every one has two more behind its reserve
"""
import pathlib
import re
import sys

INCLUDE = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "include"
RESERVE = re.compile(r"\n    uint64_t reserved\[\d+\];")


def older(body):
    """Without the reserve and the last member; a bool that came in the place of reserved ones is one of these again."""
    body, count = RESERVE.subn("", body)
    assert count == 1, body
    took_place = re.search(r"(\n    bool) \w+;([^\n]*(?:\n[ ]+\*[^\n]*)*\n    bool reserved_1\[)(\d+)\];[^\n]*$", body)
    if took_place:
        return body[:took_place.start()] + f"\n    bool reserved_1[{int(took_place.group(3)) + 1}];"
    listed = re.search(r",( \*)?\w+;(?![^;]*;)", body)  # the last of several in one declaration
    last = body.rstrip().rfind(";", 0, body.rstrip().rfind(";"))
    if listed and listed.start() > last:
        return body[:listed.start()] + ";"
    return body[:last + 1]


def newer(body):
    assert RESERVE.search(body), body
    return RESERVE.sub(lambda found: found.group() + "\n    double added_number;\n    const void *added_pointer;", body)


def convert(text, change):
    """`change` on the body of every struct that begins with its size, whose comments are left out."""
    text = re.sub(r"[ ]*/\*.*?\*/", "", text, flags=re.S)
    text, count = re.subn(r"(typedef struct (\w+) \{\n    VIC_SIZE_OF\(\2\);)(.*?)\s*(\n\} \2;)",
                          lambda m: m.group(1) + change(re.sub(r"\n\s*(?=\n)", "", m.group(3))) + m.group(4), text,
                          flags=re.S)
    return text, count


def main(out):
    total = 0
    for name, change in (("old", older), ("new", newer)):
        folder = pathlib.Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        for header in INCLUDE.glob("*.h"):
            text, count = convert(header.read_text(encoding="utf-8"), change)
            total += count
            (folder / header.name).write_text(text, encoding="utf-8")
    assert total >= 40, f"only {total} structs found"


if __name__ == "__main__":
    main(sys.argv[1])
