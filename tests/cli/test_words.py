# SPDX-License-Identifier: Apache-2.0
"""Words of messages and of the command line: options by their names, switches, standard input, blanks, one and many."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import write_xyz


@pytest.mark.parametrize("words, begin, code", [
    (["--head-dim", 65], "--head-dim: ", 2),
    (["--head-dim-v", 12], "--head-dim-v: ", 2),
    (["--heads", 4, "--kv-heads", 3], "--kv-heads: ", 2),
])
def test_errors_name_the_option_as_typed(vicinal, cloud, words, begin, code):
    assert f"error: {begin}" in vicinal("run", cloud[0], "--cutoff", 4, *words, code=code).err


def test_advice_that_the_command_takes(vicinal, cloud):
    for option in ("--model", "--frame"):
        err = vicinal("info", cloud[0], option, 99, code=3).err
        assert "-1 for the last" in err and " 0 " not in err
        vicinal("info", cloud[0], option, -1)


@pytest.mark.parametrize("name, value", [("VIC_THREADS", "abc"), ("VIC_THREADS", "-3"), ("VIC_LOG", "patern"),
                                         ("VIC_READ_LIMIT_MB", "2G"), ("VIC_DISABLE_CPU", "avx1024"),
                                         ("VIC_FORCE_KERNEL", "attn_fwd_magic")])
def test_switches_that_say_nothing_are_refused(vicinal, cloud, name, value):
    for command in (["info", cloud[0]], ["pattern", cloud[0], "--cutoff", 4], ["run", cloud[0], "--cutoff", 4],
                    ["packing", cloud[0]], ["bench", "pattern", cloud[0], "--cutoff", 4]):
        err = vicinal(*command, env={name: value}, code=2).err
        assert f"error: {name}: " in err and value in err
    answer = vicinal("env", "--json", env={name: value}).json
    assert name in answer["switch_problem"] and answer["switches"][name] == value
    vicinal("run", "--help", env={name: value})


def test_choices_are_words_in_a_sentence(vicinal, cloud):
    for option, words in (("--altloc", "highest or all"), ("--duplicates", "refuse, drop or keep")):
        assert f"{option}: expected {words}, got 'x'" in vicinal("info", cloud[0], option, "x", code=2).err


def test_one_model(vicinal, cloud):
    assert "no frame 2; the file has one; ask for 1, or -1" in vicinal("info", cloud[0], "--model", 2, code=3).err


def test_a_cutoff_that_no_other_atom_is_within(vicinal, tmp_path):
    far = write_xyz(tmp_path / "far.xyz", [[0, 0, 0], [1.5, 0, 0], [4, 0, 0]])
    note = "No atom has another one within the cutoff, {} A: lengths are in angstrom here."
    for command in (["pattern", far], ["run", far], ["run", far, "--no-self"], ["packing", far]):
        assert vicinal(*command, "--cutoff", 0.8, "--json").json["notes"] == [note.format(0.8)]
        assert note.format("1.5") in vicinal(*command, "--cutoff", 1.5).out  # at the cutoff is not within
        assert vicinal(*command, "--cutoff", 1.6, "--json").json["notes"] == []
    alone = write_xyz(tmp_path / "alone.xyz", [[0, 0, 0]])
    assert vicinal("run", alone, "--cutoff", 0.8, "--json").json["notes"] == []


def test_log(binary, cloud):
    env = {**os.environ, "VIC_LOG": "pattern, plan"}
    done = subprocess.run([binary, "run", cloud[0], "--cutoff", "4"], capture_output=True, text=True, env=env)
    assert re.search(r"^vicinal pattern: cutoff of 300 queries and 300 keys: \d+ pairs, .* 1 image, \d+ bytes$", done.stderr, re.M)
    assert re.search(r"^vicinal plan: attn_fwd_", done.stderr, re.M)


def test_standard_input(binary, cloud):
    def call(*arguments, data):
        done = subprocess.run([binary, *arguments], input=data, capture_output=True)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    content = pathlib.Path(cloud[0]).read_bytes()
    code, out, _ = call("info", "-", data=content)
    assert code == 0 and re.search(r"^  atoms +300$", out, re.M)
    code, out, _ = call("run", "-", "--cutoff", "4", "--check", data=gzip.compress(content))
    assert code == 0 and "PASS" in out
    code, out, _ = call("pattern", "-", "--nearest", "5", "--json", data=content)
    assert code == 0 and '"file": "-"' in out and '"pairs": 1500' in out
    assert call("info", "-", data=b"")[0] == 3
    code, _, err = call("bench", "scaling", "-", "--cutoff", "4", "--over", "heads", data=content)
    assert code == 2 and "standard input" in err
    code, _, err = call("pattern", cloud[0], "--cutoff", "4", "--skip", "-", data=content)
    assert code == 3 and "standard input" in err


def test_blanks_in_lists(vicinal, crystal):
    path = crystal[0]
    for option, plain, wide in (("--cell", "9,8,7", " 9, 8 ,7 "), ("--supercell", "2x2x1", "2 x 2 x 1")):
        a, b = [vicinal("info", path, option, value, "--json").json for value in (plain, wide)]
        assert a == b
    for value in ("9, ,7", "9 8 7", "9,8,7,"):
        vicinal("info", path, "--cell", value, code=2)
    for value in ("2 2 1", "2 x x 1", "2x2x1x"):
        vicinal("info", path, "--supercell", value, code=2)
    a, b = [vicinal("pattern", path, "--windows", value, "--json").json for value in ("32,64", " 32 , 64 ")]
    assert a["pairs"] == b["pairs"] > 0


def test_one_and_many(vicinal, tmp_path):
    one = write_xyz(tmp_path / "one.xyz", [[0, 0, 0]])
    outputs = [vicinal(*command).out for command in (
        ["run", one, "--cutoff", 3, "--heads", 1, "--threads", 1, "--check"], ["pattern", one, "--cutoff", 3],
        ["bench", "pattern", one, "--cutoff", 3, "--repeat", 1], ["info", one],
        ["bench", "latency", "dense:1", "--launches", 1, "--threads", 1, "--heads", 1, "--device", "cpu"])]
    outputs.append(vicinal("env", env={"VIC_THREADS": "1"}).out)
    for out in outputs:
        assert not re.search(r"(?<![\d,.])1 (threads|atoms|heads|strips|rows|keys|pairs|blocks|builds)\b", out), out
    assert "1 thread" in outputs[0] and "1 head " in outputs[0] and "1 thread," in outputs[-1]


STUB = """
int cuInit(unsigned f) { (void)f; return 0; }
int cuDriverGetVersion(int *v) { *v = 12040; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { (void)d; if (n > 4) { s[0] = 'S'; s[1] = 't'; s[2] = 0; } return 0; }
int cuDeviceTotalMem_v2(unsigned long *b, int d) { (void)d; *b = 1ul << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { (void)a; (void)d; *v = 9; return 0; }
"""


def has_cuda_kernels(vicinal):
    return any(kernel["device"] == "cuda" for kernel in vicinal("env", "--json").json["kernels"])


def test_a_gpu_that_is_not_used(vicinal, cloud, tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler for a stand-in of the driver")
    (tmp_path / "stub.c").write_text(STUB)
    folder = tmp_path / "driver"
    folder.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", tmp_path / "stub.c"], check=True)
    env = {"LD_LIBRARY_PATH": str(folder)}
    run = ["run", cloud[0], "--cutoff", 4]
    answer = vicinal(*run, "--json", env=env).json
    assert answer["device"] == "cpu"
    assert len(answer["notes"]) == 1 and answer["notes"][0].startswith("GPU present, not used: ")
    if not has_cuda_kernels(vicinal):
        assert "this build has no CUDA kernels" in answer["notes"][0]
    assert answer["notes"][0] in vicinal(*run, env=env).out
    assert vicinal(*run, "--device", "cpu", "--json", env=env).json["notes"] == []  # as asked for


def test_the_reason_for_no_kernel_comes_first(vicinal, cloud):
    err = vicinal("run", cloud[0], "--cutoff", 4, "--device", "cuda", code=4).err
    if not has_cuda_kernels(vicinal):
        assert "error: this build has no CUDA kernels: build vicinal where nvcc 12.3 or newer is" in err
    else:
        assert "float32 runs on the CPU only: take dtype float16 or bfloat16" in err
