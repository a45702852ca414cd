# SPDX-License-Identifier: Apache-2.0
"""Headers and archives with one lie each, and what a refusal says about it."""
import io
import json
import struct
import zipfile

import numpy as np
import pytest

from conftest import write_xyz
from test_hostile import XYZ, zip64
from test_tensors import ENTRY, GOOD, V, five, header, run, safetensors  # noqa: F401 (fixtures)

END = struct.Struct("<IHHHHIIH")


@pytest.fixture
def pairs(vicinal, tmp_path):
    """pairs(bytes of an archive, words=None): the answer, or the words of the refusal."""
    cloud, path = tmp_path / "two.xyz", tmp_path / "pairs.npz"
    cloud.write_text(XYZ)

    def call(content, words=None):
        if content is not None:
            path.write_bytes(content)
        done = vicinal("pattern", cloud, "--pairs", path, "--json", code=3 if words else 0)
        if words:
            assert "pairs.npz" in done.err and words in done.err, done.err
        return done
    return call


def archive(save=np.savez, **arrays):
    out = io.BytesIO()
    save(out, **(arrays or {"i": np.array([0, 1]), "j": np.array([1, 0])}))
    return out.getvalue()


@pytest.mark.parametrize("text, words, more", [
    (GOOD[:GOOD.index("5,") + 1], "the header is damaged", {}),  # ends within a number
    (GOOD[:GOOD.index("5,") + 1] + " ", "the header is damaged", {}),
    (GOOD[:GOOD.index("5,")], "the header is damaged", {}),  # before its first number, within a word, within a key
    (GOOD[:GOOD.index("False") + 2], "the header is damaged", {}),
    ("{'descr", "the header is damaged", {}),
    (GOOD.replace("'shape'", "'fortran_order': False, 'shape'"), "the header is damaged", {}),
    (GOOD.replace("5, 1", "5 1"), "the header is damaged", {}),
    (GOOD.replace("(5,", "(9223372036854775808,"), "the header is damaged", {}),
    (GOOD.replace("(5,", "(9223372036854775807,"), "the header says [9223372036854775807, 1, 8] of float32", {}),
    (GOOD.replace("<f4", "<V2"), ".npy has no bfloat16: use .safetensors", {}),
    ("", "the header says it is 0 bytes long, but the file ends before", {"version": 2, "data": b"", "cut": 11}),
])
def test_npy_headers(run, tmp_path, text, words, more):  # noqa: F811
    cut = more.pop("cut", None)
    path = header(tmp_path / "v.npy", text, **more)
    path.write_bytes(path.read_bytes()[:cut])
    assert words in run(path, code=3).err


def test_a_hundred_tensors_are_not_all_named(run, tmp_path):  # noqa: F811
    path = safetensors(tmp_path / "v.safetensors", {f"tensor.{k:03}.of.many": ENTRY for k in range(100)})
    err = run(path, code=3).err
    assert "expected a tensor 'v', got only tensor.000.of.many, tensor.001" in err and "tensor.099" not in err


def test_the_end_of_an_archive(pairs, tmp_path):
    good = archive()
    start = good.rindex(b"PK\5\6")
    wide = END.pack(0x06054b50, 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    pairs(b"PK\3\4" + wide, "it has no zip64 record")  # nothing before it that could be one
    pairs(good[:start] + wide, "it has no zip64 record")
    pairs(good[:start] + END.pack(0x06054b50, 0, 0, 65535, 65535, 20, 40, 0), "it has no zip64 record")
    pairs(good[:start], "it has no end record")
    pairs(b"PK\3\4" + bytes(10), "it is too short")
    far = zip64(good)
    locator = far.rindex(b"PK\6\7")
    for where in (len(far) - 55, len(far) + 1):
        pairs(far[:locator + 8] + struct.pack("<Q", where) + far[locator + 16:], "its zip64 record lies outside")
    pairs(far[:locator + 8] + struct.pack("<Q", 3) + far[locator + 16:], "its zip64 record is no such record")
    for count, size, at in ((2, 10, len(good)), (4097, 10, 0), (2, 10, len(good) + 1)):
        pairs(good[:start] + END.pack(0x06054b50, 0, 0, count, count, size, at, 0), "its directory lies outside")
    with open(tmp_path / "pairs.npz", "wb") as file:  # a directory larger than any, in a file of holes
        file.write(b"PK\3\4")
        file.seek(300 << 20)
        file.write(END.pack(0x06054b50, 0, 0, 1, 1, (256 << 20) + 1, 4, 0))
    pairs(None, "its directory lies outside")


def test_a_member_of_which_the_offset_alone_is_wide(pairs):
    good = archive()
    start = good.rindex(b"PK\5\6")
    at, = struct.unpack_from("<I", good, start + 16)
    directory, read = b"", at
    while read < start:
        row = bytearray(good[read:read + 46])
        name, = struct.unpack_from("<H", row, 28)
        where, = struct.unpack_from("<I", row, 42)
        struct.pack_into("<H", row, 30, 12)
        struct.pack_into("<I", row, 42, 2**32 - 1)
        directory += bytes(row) + good[read + 46:read + 46 + name] + struct.pack("<HHQ", 1, 8, where)
        read += 46 + name
    end = END.pack(0x06054b50, 0, 0, 2, 2, len(directory), at, 0)
    content = good[:at] + directory + end
    assert json.loads(pairs(content).out)["pairs"] == 2
    short = content.replace(struct.pack("<HH", 1, 8), struct.pack("<HH", 1, 7), 1)
    pairs(short, "its sizes are missing")


def test_where_members_lie(pairs):
    good = archive()
    row = good.index(b"PK\1\2")
    for where in (len(good) - 29, len(good) + 1, 1):  # too near the end, behind it, no member there
        pairs(good[:row + 42] + struct.pack("<I", where) + good[row + 46:], "a member lies outside")
    pairs(good[:row + 20] + struct.pack("<II", 2**31, 2**31) + good[row + 28:], "a member lies outside")
    pairs(good[:row + 20] + struct.pack("<I", 100) + good[row + 24:], "a member's sizes do not go together")
    pairs(good[:row + 10] + b"\5" + good[row + 11:], "expected members stored or deflated, found method 5")
    packed = archive(np.savez_compressed)
    row = packed.index(b"PK\1\2")
    pairs(packed[:row + 24] + struct.pack("<I", 2**31) + packed[row + 28:], "a member's sizes do not go together")
    begin = packed.index(b"i.npy") + 5 + struct.unpack_from("<H", packed, 28)[0]
    pairs(packed[:begin] + b"\xff" * 20 + packed[begin + 20:], "a member cannot be inflated")
    pairs(packed[:row + 16] + b"abcd" + packed[row + 20:], "a member's checksum is wrong")


def zipped(**members):
    with zipfile.ZipFile(out := io.BytesIO(), "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return out.getvalue()


def npy(descr, shape, data=b""):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


def test_arrays_that_lie_within_an_archive(pairs, vicinal, tmp_path):
    pairs(zipped(i=npy("<i8", "(4611686018427387904, 4)")),
          "the header says [4611686018427387904, 4] of type <i8, but only 0 bytes follow")
    pairs(zipped(i=npy("<i8", "(2,)", bytes(15))), "the header says [2] of type <i8, but only 15 bytes follow")
    pairs(zipped(i=npy("<u8", "(2,)", bytes(8) + b"\xff" * 8)), "element 1: expected a number below 2^63")
    pairs(zipped(i=b"nonsense of some length"), "not a .npy file")
    (tmp_path / "mask.npz").write_bytes(zipped(format=b"nonsense of some length"))
    assert "mask.npz: not a .npy file" in vicinal("pattern", tmp_path / "mask.npz", code=3).err


def test_a_list_of_pairs_that_is_not_there(pairs):
    pairs(None, "pairs.npz: No such file")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_of_several_pieces(vicinal, tmp_path, save):
    """Inflated MiB by MiB: more than one of each side."""
    cloud = write_xyz(tmp_path / "cloud.xyz", np.arange(3000).reshape(1000, 3) * 10.0)
    order = np.random.default_rng(3).permutation(1000 * 1000)
    save(tmp_path / "all.npz", i=order // 1000, j=order % 1000)
    assert (tmp_path / "all.npz").stat().st_size > 2 << 20
    assert vicinal("pattern", cloud, "--pairs", tmp_path / "all.npz", "--json").json["pairs"] == 1000 * 1000


def test_flags_that_are_not_there(vicinal, tmp_path):
    cloud = write_xyz(tmp_path / "cloud.xyz", np.eye(3))
    err = vicinal("pattern", cloud, "--cutoff", 3, "--skip", tmp_path / "missing.npy", code=3).err
    assert "missing.npy: No such file" in err
