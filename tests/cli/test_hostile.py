# SPDX-License-Identifier: Apache-2.0
"""Files that are broken, or mean harm: exit code 3 and one line that names the file, in bounded time and memory."""
import contextlib
import gzip
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import tempfile
import threading
import zlib

import numpy as np
import pytest

from conftest import PATIENCE, environment

MEMORY = 1 << 30  # of address space; the command itself needs 0.1 GB
SECONDS = 120     # of work, not of the clock, which goes on where others have the processors; it needs less than 1
ATOM = "ATOM  %5d  %-3s ALA A%4d    %8.3f%8.3f%8.3f%6.2f%6.2f          %2s\n"
PDB = ("CRYST1   20.000   21.000   22.000  90.00 100.00  90.00 P 1 21 1      4\n" +
       "".join(ATOM % (i + 1, n, 1, 1.5 * i, 2.0, 3.25, 1.0, 10.0, n[0]) for i, n in enumerate(["N", "CA", "C", "O"])) +
       "END\n")
CIF = ("data_x\n_cell.length_a 20\n_cell.length_b 21\n_cell.length_c 22\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
       "_cell.angle_gamma 90\nloop_\n_atom_site.type_symbol\n_atom_site.label_atom_id\n_atom_site.Cartn_x\n"
       "_atom_site.Cartn_y\n_atom_site.Cartn_z\nC CA 1.0 2.0 3.0\nO O 3.0 2.0 1.0\n")
GRO = ("title\n    2\n    1SOL     OW    1   0.126   1.624   1.679\n    1SOL    HW1    2   0.190   1.661   1.747\n"
       "   1.82060   1.82060   1.82060\n")
XYZ = "2\nwater\nO 0.0 0.0 0.0\nH 0.757 0.586 0.0\n"
EXTXYZ = ('2\nLattice="5.0 0.0 0.0 0.0 5.0 0.0 0.0 1.0 5.0" Properties=species:S:1:pos:R:3 pbc="T T F"\nSi 0.0 0.0 0.0\n'
          "O 1.5 1.0 2.0\n")
FORMATS = {"pdb": PDB, "cif": CIF, "gro": GRO, "xyz": XYZ, "extxyz": EXTXYZ}


@pytest.fixture
def hostile(binary, tmp_path):
    """hostile(arguments..., codes=(3,)): within MEMORY and SECONDS of work; a failure has one line that says `words`."""

    def call(*arguments, codes=(3,), words=(), env=None, user=None, names=None):
        def limits():
            for what, limit in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS)):
                _, most = resource.getrlimit(what)
                limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
                resource.setrlimit(what, (limit, limit))
            if user:
                os.setuid(user)

        done = subprocess.run([binary, *map(str, arguments)], capture_output=True, timeout=PATIENCE, cwd=tmp_path,
                              env=environment(VIC_THREADS="2", **(env or {})), preexec_fn=limits)
        err = done.stderr.decode()  # UTF-8, whatever the file holds
        assert done.returncode in codes, f"{arguments}: exit code {done.returncode}, expected {codes}: {err}"
        if done.returncode:
            assert done.stdout == b"" and err.count("\n") == 1 and ": error: " in err and len(err) < 1200, err
            name = names or str(arguments[1]).split("/")[-1]
            assert name in err, f"the file is not named: {err}"
            for word in words:
                assert re.search(word, err), f"no {word} in: {err}"
        return done

    return call


TENSOR_RUN = ["--cutoff", "3", "--head-dim", "8", "--heads", "1"]
COMMANDS = [["info"], ["pattern", "--cutoff", "3"], ["run", "--cutoff", "3", "--head-dim", "8"]]


def all_commands(hostile, path, **expected):
    for command in COMMANDS:
        hostile(command[0], path, *command[1:], **expected)


@pytest.mark.parametrize("name", [
    "1AKE_err.cif", "1AKE_err_a.pdb", "1AKE_err_b.pdb", "1EN2_err.cif", "1bna-errors.cif",
    "MnO.misnumbered.poscar", "empty_atom.gro", "helium_bad.xyz", "not-reals.cif",
    "truncated.gro", "unterminated-text-field.cif"])
def test_real_malformed_files(hostile, real_structure, name):
    all_commands(hostile, real_structure(f"malformed/{name}"), words=["expected .* found |expected "])


@pytest.mark.parametrize("name", FORMATS)
def test_cut_short(hostile, tmp_path, name):
    text = FORMATS[name]
    for sixteenth in range(16):
        path = tmp_path / f"cut-{sixteenth}.{name}"
        path.write_text(text[:len(text) * sixteenth // 16])
        # PDB and CIF have no count: one that ends with a whole record is a smaller structure.  In the last sixteenth
        # a number may lose its last digits, and is one still.
        all_commands(hostile, path, codes=(0, 3) if name in ("pdb", "cif") or sixteenth == 15 else (3,))


@pytest.mark.parametrize("name", FORMATS)
def test_odd_bytes(hostile, tmp_path, name):
    text = FORMATS[name].encode()
    for at in (0, len(text) // 3, len(text) - 1):
        path = tmp_path / f"nul.{name}"
        path.write_bytes(text[:at] + b"\0" + text[at + 1:])
        all_commands(hostile, path, words=[f"NUL byte at offset {at}"])
    path = tmp_path / f"ends.{name}"
    read = []
    for end in b"\n", b"\r\n", b"\r":
        path.write_bytes(text.replace(b"\n", end))
        read.append(hostile("info", path, codes=(0,)).stdout)
    assert read[0] == read[1] == read[2]
    path.write_bytes(bytes(range(1, 256)) * 40)
    all_commands(hostile, path)
    path.write_bytes(b"\xff\xfe" + text.decode().encode("utf-16-le"))
    all_commands(hostile, path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_very_long_line(hostile, tmp_path, name):
    text, long = FORMATS[name], "x" * 10**6
    path = tmp_path / f"long.{name}"
    lines = text.splitlines(keepends=True)
    for at in range(len(lines)):
        path.write_text("".join(lines[:at] + [lines[at].rstrip("\n") + long + "\n"] + lines[at + 1:]))
        hostile("info", path, codes=(0, 3))
    path.write_text(long)
    all_commands(hostile, path)
    path.write_text(long + "\n" + text)
    hostile("info", path, codes=(0, 3))


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "NaN", "1e999", "0x10", "1,5", "--1", "1.0.0", ""])
@pytest.mark.parametrize("name, number", [("pdb", "   1.500"), ("cif", " 3.0"), ("gro", "   0.190"), ("xyz", "0.757"),
                                          ("extxyz", "1.5")])
def test_a_coordinate_that_is_no_number(hostile, tmp_path, name, number, word):
    path = tmp_path / f"bad.{name}"
    path.write_text(FORMATS[name].replace(number, word.rjust(len(number)) if name != "cif" else " " + (word or "?"), 1))
    all_commands(hostile, path, words=["line [0-9]+"])


@pytest.mark.parametrize("count", ["-1", "0", "3", "99999999", "2147483648", "9223372036854775807", "99999999999999999999",
                                   "1e9", ""])
def test_a_count_that_lies(hostile, tmp_path, count):
    for name, old, new in (("xyz", "2\n", count + "\n"), ("extxyz", "2\n", count + "\n"), ("gro", "    2\n", count + "\n")):
        path = tmp_path / f"count.{name}"
        path.write_text(FORMATS[name].replace(old, new, 1))
        all_commands(hostile, path)


def test_atoms_far_apart(hostile, tmp_path):
    path = tmp_path / "far.xyz"
    for distance in ("1e9", "1e15", "1e300"):
        path.write_text(f"3\nfar\nC 0 0 0\nC {distance} 0 0\nC 0 -{distance} 1\n")
        hostile("info", path, codes=(0, 3))
        done = hostile("pattern", path, "--cutoff", "3", "--json", codes=(0, 3), names="coordinate")
        if done.returncode == 0:
            assert json.loads(done.stdout)["pairs"] == 3, done.stdout  # each with itself


@pytest.mark.parametrize("cell", [
    "  -20.000   21.000   22.000  90.00  90.00  90.00", "   20.000    0.000   22.000  90.00  90.00  90.00",
    "   20.000   21.000   22.000   0.00  90.00  90.00", "   20.000   21.000   22.000  90.00 180.00  90.00",
    "   20.000   21.000   22.000  30.00  30.00  90.00", "   20.000   21.000   22.000 120.00 120.00 120.00",
    "   20.000   21.000   22.000 150.00 150.00 150.00", "      nan   21.000   22.000  90.00  90.00  90.00"])
def test_a_cell_that_does_not_close(hostile, tmp_path, cell):
    path = tmp_path / "cell.pdb"
    path.write_text(PDB.replace("   20.000   21.000   22.000  90.00 100.00  90.00", cell))
    all_commands(hostile, path, words=["line 1"])


@pytest.mark.parametrize("lattice", ["0 0 0 0 0 0 0 0 0", "5 0 0 5 0 0 0 1 5", "5 0 0 0 5 0", "1e-300 0 0 0 1e-300 0 0 0 1",
                                     "1e300 0 0 0 1e300 0 0 0 1e300", "nan 0 0 0 5 0 0 0 5", "5 0 0 0 5 0 5 5 1e-12"])
def test_a_lattice_without_volume(hostile, tmp_path, lattice):
    path = tmp_path / "lattice.extxyz"
    path.write_text(EXTXYZ.replace("5.0 0.0 0.0 0.0 5.0 0.0 0.0 1.0 5.0", lattice).replace("T T F", "T T T"))
    # A huge cell is a cell; what can be built in it is checked by its size.
    all_commands(hostile, path, codes=(0, 3) if lattice.startswith("1e300") else (3,))


def test_gzip_bombs(hostile, tmp_path):
    path = tmp_path / "bomb.pdb.gz"
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        for _ in range(256):
            file.write(packed.compress(b"REMARK" + b" " * ((1 << 20) - 7) + b"\n"))
        file.write(packed.flush())
    assert path.stat().st_size < 1 << 20
    all_commands(hostile, path, env={"VIC_READ_LIMIT_MB": "16"}, words=["at most 16 MiB", "VIC_READ_LIMIT_MB"])
    for cut in (1, 5, 12, 40):
        path.write_bytes(gzip.compress(PDB.encode())[:-cut])
        all_commands(hostile, path)


@contextlib.contextmanager
def written_when_read(fifo, text):
    """Writes `text` into the pipe as soon as a program reads it, and does not wait for ever for one that never does."""
    writer = threading.Thread(target=fifo.write_text, args=(text,))
    writer.start()
    try:
        yield
    finally:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        writer.join()
        os.close(reader)


def test_what_is_no_file(hostile, tmp_path):
    folder, fifo = tmp_path / "folder.pdb", tmp_path / "fifo.pdb"
    folder.mkdir()
    os.mkfifo(fifo)
    all_commands(hostile, folder, words=["director|folder"])
    # Often, as a pipe that was opened twice would lose what its writer says between the two, and wait for ever.
    for text, code in 10 * ((PDB, 0), ("nonsense\n", 3)):
        with written_when_read(fifo, text):
            hostile("info", fifo, codes=(code,))
    cloud = tmp_path / "two.xyz"
    cloud.write_text(XYZ)
    for option, name in (("--q", "q.npy"), ("--q", "q.safetensors"), ("--radial", "r.npy")):
        os.mkfifo(tmp_path / name)
        others = ["--k", tmp_path / name, "--v", tmp_path / name] if option == "--q" else []
        hostile("run", cloud, *TENSOR_RUN, option, tmp_path / name, *others, names=name)
    hostile("info", "/dev/null", words=["empty"])
    hostile("info", tmp_path / "missing.pdb", words=["No such file"])


def test_a_file_that_may_not_be_read(hostile, binary):
    folder = tempfile.mkdtemp(dir="/tmp")
    path = os.path.join(folder, "secret.pdb")
    try:
        os.chmod(folder, 0o755)
        with open(path, "w") as file:
            file.write(PDB)
        os.chmod(path, 0)
        user = 65534 if os.geteuid() == 0 else None
        try:
            for command in (["info"], ["pattern"], ["run"]):
                hostile(command[0], path, *command[1:], *(["--cutoff", "3"] if command[0] != "info" else []), user=user,
                        words=["Permission denied"])
        except subprocess.TimeoutExpired:
            raise
        except (PermissionError, subprocess.SubprocessError):  # the start was refused
            pytest.skip("the command lies where another user cannot start it, or there is no other user")
    finally:
        shutil.rmtree(folder)


# ---- tensors and patterns ----


def npy_with(header, data=b"", version=1):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def npy_lies():
    good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 8), }"
    data = bytes(64)
    yield "short", npy_with(good, data[:-1])
    yield "shape", npy_with(good.replace("2,", "9223372036854775807,"), data)
    yield "product", npy_with(good.replace("2, 1, 8", "4294967296, 4294967296, 8"), data)
    yield "negative", npy_with(good.replace("2,", "-2,"), data)
    yield "digits", npy_with(good.replace("2,", "9" * 40 + ","), data)
    yield "dimensions", npy_with(good.replace("2, 1, 8", "1, " * 20), data)
    yield "objects", npy_with(good.replace("<f4", "|O"), data)
    yield "order", npy_with(good.replace("False", "Maybe"), data)
    yield "twice", npy_with(good.replace("'shape'", "'descr'"), data)
    yield "version", npy_with(good, data, version=9)
    yield "length", b"\x93NUMPY\1\0\xff\xff" + good.encode()
    yield "length2", b"\x93NUMPY\2\0\xff\xff\xff\xff" + good.encode()
    yield "magic", b"\x93NUMPX" + npy_with(good, data)[6:]
    yield "nothing", b""


def safetensors_lies():
    def made(header, data=bytes(64), length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def tensor(**changes):
        return {"q": {**{"dtype": "F32", "shape": [2, 1, 8], "data_offsets": [0, 64]}, **changes}}

    yield "short", made(tensor(), bytes(63))
    yield "beyond", made(tensor(data_offsets=[64, 128]))
    yield "backwards", made(tensor(data_offsets=[64, 0]))
    yield "wraps", made(tensor(data_offsets=[2**64 - 64, 0]))
    yield "huge", made(tensor(shape=[2**62, 4, 8], data_offsets=[0, 64]))
    yield "negative", made(b'{"q":{"dtype":"F32","shape":[-2,1,8],"data_offsets":[0,64]}}')
    yield "type", made(tensor(dtype="F99"))
    yield "size", made(tensor(shape=[2, 1, 7]))
    yield "length", made(tensor(), length=2**63)
    yield "length2", made(tensor(), length=10**8)
    yield "length0", made(tensor(), length=0)
    yield "text", made(b'{"q":{"dtype":"F32"')
    yield "deep", made(b'{"__metadata__":' + b"[" * 100000)
    yield "nul", made(b'{"q\\u0000":{"dtype":"F32","shape":[2,1,8],"data_offsets":[0,64]}}')
    yield "nothing", b""


@pytest.mark.parametrize("kind, lies", [("npy", npy_lies), ("safetensors", safetensors_lies)])
def test_tensors_that_lie(hostile, tmp_path, kind, lies):
    cloud = tmp_path / "two.xyz"
    cloud.write_text(XYZ)
    for name, content in lies():
        path = tmp_path / f"{name}.{kind}"
        path.write_bytes(content)
        for option in ["--q"] + ["--radial"] * (kind == "npy"):
            others = ["--k", path, "--v", path] if option == "--q" else []
            hostile("run", cloud, *TENSOR_RUN, option, path, *others, names=path.name)


def test_patterns_that_lie(hostile, tmp_path):
    cloud, good = tmp_path / "two.xyz", tmp_path / "good.vnp"
    cloud.write_text(XYZ)
    hostile("pattern", cloud, "--cutoff", "3", "-o", good, codes=(0,))
    content = good.read_bytes()
    rng = np.random.default_rng(5)
    path = tmp_path / "lies.vnp"
    for at in [*range(8, 64, 4), *rng.integers(64, len(content), 60)]:
        for value in (content[at] ^ 0xff, content[at] ^ 1):
            path.write_bytes(content[:at] + bytes([value]) + content[at + 1:])
            hostile("pattern", path)
    for sixteenth in range(1, 16):
        path.write_bytes(content[:max(8, len(content) * sixteenth // 16)])
        hostile("pattern", path)
    path.write_bytes(content + b"\0")
    hostile("pattern", path)
    # Sizes that ask for far more memory than the file has bytes, behind a checksum that is right.
    for at in (40, 48, 136, 144, 152, 160, 168):
        for value in (2**31 - 65, 2**40, 2**63 - 1, 2**64 - 1):
            head_bytes = struct.unpack_from("<I", content, 12)[0]
            lie = bytearray(content)
            struct.pack_into("<Q", lie, at, value)
            struct.pack_into("<I", lie, 28, 0)
            struct.pack_into("<I", lie, 28, zlib.crc32(lie[:head_bytes]))
            path.write_bytes(lie)
            hostile("pattern", path)


def test_a_mask_without_blocks_of_a_huge_size(hostile, tmp_path):
    path = tmp_path / "mask.npz"
    side = 2**30
    np.savez(path, format=np.bytes_("bsr"), shape=np.array([side, side]), indptr=np.zeros(2, "i4"),
             indices=np.zeros(0, "i4"), data=np.zeros((0, side, side), "f4"))
    assert path.stat().st_size < 2000
    hostile("pattern", path, words=["at most 65536 atoms"])


def zip64(content):
    """A stored .npz with the sizes and offsets of its directory in the fields for more than 4 GiB."""
    end = content.rindex(b"PK\5\6")
    count, bytes_, at = struct.unpack_from("<HII", content, end + 10)
    directory, read = b"", at
    while read < at + bytes_:
        row = bytearray(content[read:read + 46])
        packed, size, name, extra, comment = struct.unpack_from("<IIHHH", row, 20)
        where, = struct.unpack_from("<I", row, 42)
        field = struct.pack("<HH2x", 9, 2) + struct.pack("<HHQQQ", 1, 24, size, packed, where)
        struct.pack_into("<IIHH", row, 20, 2**32 - 1, 2**32 - 1, name, len(field))
        struct.pack_into("<I", row, 42, 2**32 - 1)
        directory += bytes(row) + content[read + 46:read + 46 + name] + field
        read += 46 + name + extra + comment
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, len(directory), at)
    locator = struct.pack("<IIQI", 0x07064b50, 0, at + len(directory), 1)
    return content[:at] + directory + end64 + locator + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 65535, 65535, 2**32 - 1,
                                                                    2**32 - 1, 0)


def test_zip64(hostile, tmp_path):
    cloud, path = tmp_path / "two.xyz", tmp_path / "pairs.npz"
    cloud.write_text(XYZ)
    np.savez(path, i=np.array([0, 1]), j=np.array([1, 0]))
    content = zip64(path.read_bytes())
    path.write_bytes(content)
    with np.load(path) as made:
        assert made["j"].tolist() == [1, 0]
    done = hostile("pattern", cloud, "--pairs", path, "--json", codes=(0,))
    assert json.loads(done.stdout)["pairs"] == 2
    locator, end64 = content.rindex(b"PK\6\7"), content.rindex(b"PK\6\6")
    row = content.index(b"PK\1\2")
    field = row + 46 + 5 + 6  # behind the name i.npy and a field of another kind
    for at, value in [(locator, b"xx"), (locator + 8, struct.pack("<Q", 2**40)), (locator + 8, struct.pack("<Q", 3)),
                      (end64 + 32, struct.pack("<Q", 2**40)), (end64 + 40, struct.pack("<Q", 2**63)),
                      (end64 + 48, struct.pack("<Q", 2**63)), (end64 + 40, struct.pack("<Q", 20)),
                      (field, b"\7\0"), (field + 2, b"\x10\0"), (field + 2, b"\xff\xff"), (field + 4, struct.pack("<Q", 2**62)),
                      (field + 12, struct.pack("<Q", 2**62)), (field + 20, struct.pack("<Q", 2**62)), (row + 8, b"\1\0"),
                      (row + 10, b"\5\0"), (row + 16, b"abcd")]:
        path.write_bytes(content[:at] + value + content[at + len(value):])
        hostile("pattern", cloud, "--pairs", path, names=path.name)
