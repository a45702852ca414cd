# SPDX-License-Identifier: Apache-2.0
"""`run` against attention in float64 by numpy, and its own --check."""
import zlib

import numpy as np
import pytest

import oracle
from conftest import write_xyz
from test_pattern import CONTEXT
from test_pattern import KEYS as PATTERN_KEYS

KEYS = PATTERN_KEYS | CONTEXT | {"inputs", "device", "kernel", "threads", "heads", "kv_heads", "head_dim", "head_dim_v", "dtype", "radial",
                                 "computed_pairs", "gpairs_per_second", "tflops_computed", "tflops_useful", "checksum"}
CHECK = {"rows", "relative_frobenius", "worst_row", "worst_row_error", "lse_max_error", "count_mismatches", "pass"}
BOUND = {"float32": 2e-6, "float16": 5e-4, "bfloat16": 4e-3}


def tensors(n, heads=4, kv_heads=None, d=16, dv=None, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, h, c)).astype(np.float32)
            for h, c in ((heads, d), (kv_heads or heads, d), (kv_heads or heads, dv or d))]


def save(tmp_path, q, k, v):
    arguments = []
    for name, array in zip("qkv", (q, k, v)):
        np.save(tmp_path / f"{name}.npy", array)
        arguments += [f"--{name}", tmp_path / f"{name}.npy"]
    return arguments


def error(got, expected):
    return np.linalg.norm(got.astype(np.float64) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("kernel", [None, "attn_fwd_ref", "attn_fwd_cpu_scalar"])
@pytest.mark.parametrize("case", ["open", "periodic", "no self"])
def test_against_numpy(vicinal, tmp_path, cloud, crystal, case, kernel):
    path, positions = cloud[:2] if case == "open" else crystal[:2]
    cutoff = 4.0 if case == "open" else 6.0
    pairs, _ = oracle.pairs(positions, cutoff, None if case == "open" else crystal[2])
    if case == "no self":
        pairs = pairs[(pairs[:, 0] != pairs[:, 1]) | (pairs[:, 2:] != 0).any(1)]
    q, k, v = tensors(len(positions))
    arguments = ["run", path, "--cutoff", cutoff, "--head-dim", 16, *save(tmp_path, q, k, v), "--lse",
                 "-o", tmp_path / "out.safetensors"]
    arguments += ["--kernel", kernel] if kernel else []
    arguments += ["--no-self"] if case == "no self" else []
    vicinal(*arguments)
    got = oracle.read_safetensors(tmp_path / "out.safetensors")
    out, lse = oracle.attention(pairs, q, k, v)
    assert set(got) == {"out", "lse"} and got["out"].dtype == got["lse"].dtype == np.float32
    assert got["out"].shape == (len(positions), 4, 16) and got["lse"].shape == (len(positions), 4)
    assert error(got["out"], out) < 2e-6
    np.testing.assert_allclose(got["lse"], lse, atol=1e-5)


def test_group_query_unequal_sizes_and_scale(vicinal, tmp_path, cloud):
    path, positions = cloud
    q, k, v = tensors(300, heads=6, kv_heads=2, d=24, dv=8)
    vicinal("run", path, "--cutoff", 5, "--heads", 6, "--kv-heads", 2, "--head-dim", 24, "--head-dim-v", 8,
            "--scale", 0.7, *save(tmp_path, q, k, v), "-o", tmp_path / "out.npy")
    got = np.load(tmp_path / "out.npy")
    out, _ = oracle.attention(oracle.pairs(positions, 5.0)[0], q, k, v, 0.7)
    assert got.shape == (300, 6, 8) and got.dtype == np.float32 and error(got, out) < 2e-6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types(vicinal, tmp_path, cloud, dtype):
    path, positions = cloud
    q, k, v = tensors(300)
    if dtype == "float16":
        stored = [x.astype(np.float16) for x in (q, k, v)]
        exact = stored
        types = None
    else:
        stored = [oracle.bfloat16(x) for x in (q, k, v)]
        exact = [oracle.from_bfloat16(x) for x in stored]
        types = dict.fromkeys("qkv", "BF16")
    file = oracle.write_safetensors(tmp_path / "in.safetensors", dict(zip("qkv", stored)), types)
    vicinal("run", path, "--cutoff", 5, "--head-dim", 16, "--dtype", dtype, "--q", file, "--k", f"{file}:k",
            "--v", f"{file}:v", "-o", tmp_path / "out.safetensors")
    got = oracle.read_safetensors(tmp_path / "out.safetensors")["out"]
    if dtype == "bfloat16":
        assert got.dtype == np.uint16
        got = oracle.from_bfloat16(got)
    else:
        assert got.dtype == np.float16
    out, _ = oracle.attention(oracle.pairs(positions, 5.0)[0], *exact)
    assert error(got, out) < BOUND[dtype]


def test_atoms_without_neighbours(vicinal, tmp_path):
    path = write_xyz(tmp_path / "far.xyz", 100.0 * np.arange(9).reshape(3, 3))
    answer = vicinal("run", path, "--cutoff", 2, "--no-self", "--check", "--json", "--lse",
                     "-o", tmp_path / "out.safetensors").json
    got = oracle.read_safetensors(tmp_path / "out.safetensors")
    assert (got["out"] == 0).all() and (got["lse"] == -np.inf).all()
    assert answer["check"]["pass"] and answer["check"]["relative_frobenius"] == 0


@pytest.mark.parametrize("dtype, names", [("float32", ["fp32", "f32"]), ("float16", ["fp16", "f16"]),
                                          ("bfloat16", ["bf16"])])
def test_json_and_check(vicinal, crystal, dtype, names):
    path, _, _ = crystal
    answer = vicinal("run", path, "--cutoff", 6, "--dtype", dtype, "--check", "--json", "--heads", 2).json
    assert set(answer) == KEYS | {"check"} and set(answer["check"]) == CHECK
    assert set(answer["seconds"]) == {"read", "order", "build", "plan", "attention"}
    assert answer["dtype"] == dtype and answer["heads"] == answer["kv_heads"] == 2 and answer["head_dim"] == 64
    assert answer["check"]["pass"] is True and answer["check"]["rows"] == 70
    assert answer["check"]["relative_frobenius"] <= BOUND[dtype]
    seconds, pairs = answer["seconds"]["attention"], answer["pairs"]
    assert answer["gpairs_per_second"] == pytest.approx(pairs * 2 / seconds / 1e9)
    assert answer["tflops_useful"] == pytest.approx(2 * pairs * 2 * 128 / seconds / 1e12)
    assert answer["tflops_computed"] == pytest.approx(2 * answer["computed_pairs"] * 2 * 128 / seconds / 1e12)
    assert answer["computed_pairs"] >= pairs
    for name in names:
        same = vicinal("run", path, "--cutoff", 6, "--dtype", name, "--json", "--heads", 2).json
        assert same["checksum"] == answer["checksum"] and "check" not in same


def test_check_samples_large_systems(vicinal, tmp_path):
    rng = np.random.default_rng(2)
    path = write_xyz(tmp_path / "large.xyz", rng.uniform(0, 40, (5000, 3)))
    arguments = ["run", path, "--cutoff", 6, "--heads", 1, "--head-dim", 8, "--check"]
    assert vicinal(*arguments, "--json").json["check"]["rows"] == 512
    assert "sampled" in vicinal(*arguments).out and "PASS" in vicinal(*arguments).out


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_check_compares_all_rows_with_the_best_kernel(vicinal, tmp_path, dtype):
    """Where another kernel ran, as on a GPU: all rows, however many."""
    rng = np.random.default_rng(4)
    path = write_xyz(tmp_path / "large.xyz", np.round(rng.uniform(0, 40, (4200, 3)), 3))
    arguments = ["run", path, "--cutoff", 5, "--heads", 2, "--head-dim", 8, "--dtype", dtype, "--check",
                 "--device", "cpu"]
    answer = vicinal(*arguments, "--kernel", "attn_fwd_ref", "--json").json
    against = answer["check_cpu"]
    assert set(against) == CHECK | {"kernel"} and answer["check"]["rows"] == 512
    assert against["kernel"].startswith("attn_fwd_cpu_") and against["rows"] == 4200 and against["pass"] is True
    assert 0 < against["relative_frobenius"] <= BOUND[dtype]
    assert "check against attn_fwd_cpu_" in vicinal(*arguments, "--kernel", "attn_fwd_ref").out
    # The best one is not compared with itself.
    assert "check_cpu" not in vicinal(*arguments, "--kernel", against["kernel"], "--json").json


def test_check_detects_and_names_the_atom(vicinal, tmp_path, cloud):
    """The kernel sees NaN as the reference does, but NaN equals nothing: the check must not pass."""
    path, positions = cloud
    q, k, v = tensors(300, heads=1, d=8)
    v[17] = np.nan
    arguments = ["run", path, "--cutoff", 3, "--heads", 1, "--head-dim", 8, *save(tmp_path, q, k, v), "--check"]
    done = vicinal(*arguments, "--json", code=1)
    assert done.json["check"]["pass"] is False
    pairs, _ = oracle.pairs(positions, 3.0)
    assert done.json["check"]["worst_row"] in pairs[pairs[:, 1] == 17, 0]
    assert "differs from the reference" in done.err
    assert "FAIL" in vicinal(*arguments, code=1).out


def test_same_bits_for_every_number_of_threads_and_repeats(vicinal, crystal):
    path, _, _ = crystal
    arguments = ["run", path, "--cutoff", 6, "--supercell", "2x2x2", "--json"]
    sums = {vicinal(*arguments, "--threads", t, "--repeat", r).json["checksum"] for t, r in ((1, 1), (2, 3), (7, 1))}
    assert len(sums) == 1
    assert vicinal(*arguments, "--seed", 1).json["checksum"] not in sums


def test_checksum_is_that_of_the_output(vicinal, tmp_path, cloud):
    path, _ = cloud
    answer = vicinal("run", path, "--cutoff", 5, "--dtype", "f16", "--json", "-o", tmp_path / "out.npy").json
    out = np.load(tmp_path / "out.npy")
    assert out.dtype == np.float16
    assert answer["checksum"] == "crc32:%08x" % zlib.crc32(out.tobytes())


def splitmix64(state):
    state = (state + 0x9e3779b97f4a7c15) & (2**64 - 1)
    z = ((state ^ state >> 30) * 0xbf58476d1ce4e5b9) & (2**64 - 1)
    z = ((z ^ z >> 27) * 0x94d049bb133111eb) & (2**64 - 1)
    return state, z ^ z >> 31


def test_generated_numbers(vicinal, tmp_path):
    """With the self pair alone the output is v itself: normal numbers, and the ones that the recipe gives."""
    n, width = 500, 256
    path = write_xyz(tmp_path / "line.xyz", np.column_stack([3.0 * np.arange(n), np.zeros(n), np.zeros(n)]))
    vicinal("run", path, "--cutoff", 1, "--seed", 42, "-o", tmp_path / "out.npy")
    v = np.load(tmp_path / "out.npy").reshape(n, width)
    assert abs(v.mean()) < 0.01 and abs(v.std() - 1) < 0.01
    assert abs((v**4).mean() - 3) < 0.1 and np.abs(v).max() > 3.9
    assert np.abs(np.corrcoef(v[:, 0], v[:, 1])[0, 1]) < 0.15 and len(np.unique(v)) > 0.98 * v.size
    _, stream = splitmix64((42 + 2 * 0xa0761d6478bd642f) & (2**64 - 1))
    for row in (0, 1, 499):
        _, state = splitmix64(stream ^ (row * 0xd1342543de82ef95 & (2**64 - 1)))
        expected = []
        while len(expected) < width:
            state, a = splitmix64(state)
            state, b = splitmix64(state)
            x, y = (2 * ((u >> 11) * 2.0**-53) - 1 for u in (a, b))
            s = x * x + y * y
            if 0 < s < 1:
                factor = np.sqrt(-2 * np.log(s) / s)
                expected += [x * factor, y * factor]
        np.testing.assert_allclose(v[row], expected, rtol=2e-7)


def test_real_protein(vicinal, real_structure):
    for dtype in BOUND:
        answer = vicinal("run", real_structure("small/4hhb.pdb"), "--cutoff", 8, "--dtype", dtype, "--symmetry",
                         "--check", "--json").json
        assert answer["atoms"] == 9558 and answer["check"]["pass"] and answer["periodic"] == [True] * 3
