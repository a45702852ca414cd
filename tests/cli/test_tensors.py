# SPDX-License-Identifier: Apache-2.0
""".npy and .safetensors as strangers write them: what is refused, and that the refusal teaches."""
import json
import random
import struct
import subprocess

import numpy as np
import pytest

import oracle
from command_tools import environment
from conftest import PATIENCE, write_xyz

SHAPE = (5, 1, 8)


@pytest.fixture
def five(tmp_path):
    return write_xyz(tmp_path / "five.xyz", 1.5 * np.eye(5, 3))


@pytest.fixture
def run(vicinal, five, tmp_path):
    def call(file, code=0, dtype="float32", **more):
        types = {"float32": ("F32", np.float32), "bfloat16": ("BF16", np.uint16)}
        kind, stored = types.get(dtype, ("F16", np.float16))
        good = oracle.write_safetensors(tmp_path / "good.safetensors", {"q": np.zeros(SHAPE, stored)}, {"q": kind})
        return vicinal("run", five, "--cutoff", 9, "--heads", 1, "--head-dim", 8, "--dtype", dtype, "--q", good,
                       "--k", f"{good}:q", "--v", file, "-o", tmp_path / "out.safetensors", code=code, **more)
    return call


V = np.arange(40, dtype=np.float32).reshape(SHAPE) / 7


def header(path, text, version=1, data=V.tobytes(), length=None):
    raw = text if isinstance(text, bytes) else text.encode()
    size = struct.pack("<H" if version == 1 else "<I", len(raw) if length is None else length)
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + raw + data)
    return path


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 1, 8), }"


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("text", [GOOD, GOOD + "   \n", '{"shape":(5,1,8),"fortran_order":False,"descr":"<f4"}',
                                  "{ 'shape' : ( 5 , 1 , 8 , ) , 'descr' : '<f4' , 'fortran_order' : False }"])
def test_npy_headers_that_are_fine(run, tmp_path, version, text):
    run(header(tmp_path / "v.npy", text, version))


def test_npy_as_numpy_writes_it(run, tmp_path):
    np.save(tmp_path / "v.npy", V)
    run(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", V.astype(np.float16))
    run(tmp_path / "v.npy", dtype="f16")


@pytest.mark.parametrize("array, dtype, words", [
    (V.astype(np.float64), "float32", ["expected float32", "got float64", "astype(numpy.float32)"]),
    (V.astype(np.float16), "float32", ["expected float32", "got float16", "--dtype float16"]),
    (V, "float16", ["expected float16", "got float32", "--dtype float32"]),
    (V.astype(">f4"), "float32", ["little-endian", "'>f4'", "astype('<f4')"]),
    (V.astype(np.int32), "float32", ["'<i4'", "astype(numpy.float32)"]),
    (V.astype(np.complex64), "float32", ["'<c8'"]),
    (np.asfortranarray(V), "float32", ["Fortran", "ascontiguousarray"]),
    (V[:, 0], "float32", ["shape [atoms, heads, head size]", "got [5, 8]"]),
    (V[:4], "float32", ["as many atoms in both", "[5, 1, 8] and [4, 1, 8]"]),
    (V[None], "float32", ["got [1, 5, 1, 8]"]),
    (np.zeros(5, [("a", "<f4")]), "float32", ["named fields"]),
    (V.view("V2"), "float32", [".safetensors"]),
])
def test_npy_of_the_wrong_kind(run, tmp_path, array, dtype, words):
    np.save(tmp_path / "v.npy", array)
    done = run(tmp_path / "v.npy", code=3, dtype=dtype)
    for word in ["v.npy", *words]:
        assert word in done.err, done.err


@pytest.mark.parametrize("text, more", [
    ("", {}), ("{}", {}), ("{", {}), ("nonsense", {}), ("{'descr': '<f4'}", {}),
    (GOOD.replace("(5, 1, 8)", "(5, -1, 8)"), {}), (GOOD.replace("(5, 1, 8)", "(5, 1, 8"), {}),
    (GOOD.replace("(5, 1, 8)", "(5, 1, 9)"), {}),
    (GOOD.replace("(5, 1, 8)", "(99999999999999999999, 1, 8)"), {}),
    (GOOD.replace("(5, 1, 8)", "(4611686018427387904, 1, 8)"), {}),
    (GOOD.replace("(5, 1, 8)", "(4294967296, 4294967296, 8)"), {}),
    (GOOD.replace("(5, 1, 8)", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), {}),
    (GOOD.replace("False", "Maybe"), {}), (GOOD.replace("'shape'", "'shape\\'"), {}),
    (GOOD[:-1] + "'shape': (5, 1, 8)}", {}), (GOOD[:-1] + "'more': 1}", {}),
    (GOOD, {"data": V.tobytes()[:-1]}), (GOOD, {"data": b""}),
    (GOOD, {"length": 60000}), (GOOD, {"length": 4000000000, "version": 2}), (GOOD, {"version": 9}),
    ("'" * 3000, {}), ("(" * 3000, {}), ("{'descr': '" + "<" * 500 + "', }", {}), (b"\xff\x00" * 50, {}),
])
def test_npy_headers_that_lie(run, tmp_path, text, more):
    done = run(header(tmp_path / "v.npy", text, **more), code=3)
    assert "v.npy" in done.err


@pytest.mark.parametrize("raw", [b"", b"\x93", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05", b"PK\x03\x04 not npy at all"])
def test_npy_that_is_none(run, tmp_path, raw):
    (tmp_path / "v.npy").write_bytes(raw)
    assert "v.npy" in run(tmp_path / "v.npy", code=3).err


def test_unknown_ending_missing_file_and_folder(run, tmp_path):
    assert "FILE.npy" in run("v.bin", code=2).err
    assert "nowhere.npy" in run("nowhere.npy", code=3).err
    (tmp_path / "folder.npy").mkdir()
    assert "folder" in run(tmp_path / "folder.npy", code=3).err


def test_safetensors_choice_of_the_tensor(run, tmp_path):
    one = oracle.write_safetensors(tmp_path / "one.safetensors", {"values": V})
    run(one)
    run(f"{one}:values")
    assert "'v'" in run(oracle.write_safetensors(tmp_path / "two.safetensors", {"a": V, "b": V}), code=3).err
    two = oracle.write_safetensors(tmp_path / "two.safetensors", {"a": V, "v": V})
    run(two)
    assert "a, v" in run(f"{two}:w", code=3).err
    odd = oracle.write_safetensors(tmp_path / "odd.safetensors", {"layer:0.wei\u00dft": V, "x": V})
    run(f"{tmp_path}/odd.safetensors:layer:0.wei\u00dft", code=2)  # the name may not hold a colon
    run(oracle.write_safetensors(odd, {"wei\u00dft \U0001f600": V}))
    run(f"{odd}:wei\u00dft \U0001f600")


@pytest.mark.parametrize("array, kind, words", [
    (V.astype(np.float64), None, ["got float64"]), (V.astype(np.float16), None, ["got float16"]),
    (oracle.bfloat16(V), "BF16", ["got bfloat16", "--dtype bfloat16"]), (V[:4], None, ["and [4, 1, 8]"]),
    (V.view(np.uint32).astype("<f4"), "I32", ["I32"]), (V[:, 0], None, ["got [5, 8]"]),
])
def test_safetensors_of_the_wrong_kind(run, tmp_path, array, kind, words):
    if kind == "I32":
        file = oracle.write_safetensors(tmp_path / "v.safetensors", {"v": array})
        file.write_bytes(file.read_bytes().replace(b'"F32"', b'"I32"'))
    else:
        file = oracle.write_safetensors(tmp_path / "v.safetensors", {"v": array}, {"v": kind} if kind else None)
    done = run(file, code=3)
    for word in ["v.safetensors", *words]:
        assert word in done.err, done.err


def safetensors(path, header_value, data=V.tobytes(), length=None):
    raw = header_value if isinstance(header_value, bytes) else json.dumps(header_value).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


ENTRY = {"dtype": "F32", "shape": [5, 1, 8], "data_offsets": [0, 160]}


@pytest.mark.parametrize("value, more", [
    (b"", {}), (b"{", {}), (b"{}", {}), (b"[]", {}), (b"null", {}), (b'{"v": 3}', {}), (b'{"v": {}}', {}),
    (b'{"v"', {}), (b'{"v\x01": {}}', {}), (b'{"\\u12": 1}', {}), (b'{"\\ud800x": 1}', {}),
    (b'{"__metadata__": ' + b"[" * 5000 + b"]" * 5000 + b"}", {}),
    ({"v": {**ENTRY, "data_offsets": [0, 161]}}, {}), ({"v": {**ENTRY, "data_offsets": [160, 0]}}, {}),
    ({"v": {**ENTRY, "data_offsets": [8, 168]}}, {}), ({"v": {**ENTRY, "data_offsets": [0]}}, {}),
    ({"v": {**ENTRY, "data_offsets": [0, 160, 320]}}, {}), ({"v": {**ENTRY, "data_offsets": [-160, 0]}}, {}),
    ({"v": {**ENTRY, "data_offsets": [2**64, 2**64 + 160]}}, {}), ({"v": {**ENTRY, "shape": [5, 1, 9]}}, {}),
    ({"v": {**ENTRY, "shape": [2**62, 4, 8]}}, {}), ({"v": {**ENTRY, "shape": [2**32, 2**32, 8]}}, {}),
    ({"v": {**ENTRY, "shape": [5.0, 1, 8]}}, {}), ({"v": {**ENTRY, "shape": "580"}}, {}),
    ({"v": {**ENTRY, "shape": [1] * 9}}, {}), ({"v": {**ENTRY, "dtype": 7}}, {}), ({"v": {**ENTRY, "extra": 7}}, {}),
    ({"v": {k: ENTRY[k] for k in ("dtype", "shape")}}, {}),
    (b'{"v": ' + json.dumps(ENTRY).encode() + b', "v": ' + json.dumps(ENTRY).encode() + b"}", {}),
    (b'{"v": {"dtype": "F32", "dtype": "F32", "dtype": "F32", "shape": [5,1,8]}}', {}),
    ({"v": ENTRY}, {"data": V.tobytes()[:-1]}), ({"v": ENTRY}, {"length": 10**18}), ({"v": ENTRY}, {"length": 2**64 - 1}),
    ({"v": ENTRY}, {"length": 5}), ({"v": ENTRY}, {"length": 3000}),
])
def test_safetensors_headers_that_lie(run, tmp_path, value, more):
    done = run(safetensors(tmp_path / "v.safetensors", value, **more), code=3)
    assert "v.safetensors" in done.err


def test_safetensors_with_metadata_and_blanks(run, tmp_path):
    text = json.dumps({"__metadata__": {"format": "pt", "n": "\u00e9\n"}, "v": ENTRY}, indent=3) + "   "
    run(safetensors(tmp_path / "v.safetensors", text.encode()))


def test_empty_files(run, tmp_path):
    for name in ("v.npy", "v.safetensors"):
        (tmp_path / name).write_bytes(b"")
        run(tmp_path / name, code=3)


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_damaged_headers_never_crash(binary, five, tmp_path, kind):
    """Random damage to the header: accepted or refused with a message, never a signal or a sanitizer's report."""
    seed = 20240607
    dice = random.Random(seed)
    file = tmp_path / f"v.{kind}"
    if kind == "npy":
        np.save(file, V)
    else:
        oracle.write_safetensors(file, {"v": V, "w": V})
    good = file.read_bytes()
    zeros = oracle.write_safetensors(tmp_path / "zeros.safetensors", {"x": np.zeros(SHAPE, np.float32)})
    for case in range(150):
        raw = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(raw) - 160 if dice.random() < 0.9 else len(raw))
            what = dice.random()
            if what < 0.5:
                raw[at] = dice.choice(b"0123456789{}[](),:'\"\\ \x00\xff")
            elif what < 0.75:
                del raw[at:at + dice.randint(1, 20)]
            else:
                raw[at:at] = raw[at:at + dice.randint(1, 20)]
        file.write_bytes(raw)
        done = subprocess.run([binary, "run", str(five), "--cutoff", "9", "--heads", "1", "--head-dim", "8", "--q",
                               zeros, "--k", zeros, "--v", str(file)], capture_output=True, env=environment(), timeout=PATIENCE)
        assert done.returncode in (0, 3), f"seed {seed}, case {case}: {bytes(raw)!r} gave {done.returncode}\n{done.stderr}"
