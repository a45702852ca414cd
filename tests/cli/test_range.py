# SPDX-License-Identifier: Apache-2.0
"""Finite tensors whose scores leave float32: `run` against known answers, and what its --check says of them."""
import numpy as np
import pytest

import oracle
from conftest import write_xyz

KERNELS = ["attn_fwd_cpu_scalar", "attn_fwd_cpu_avx2", "attn_fwd_cpu_avx512", "attn_fwd_ref"]
LARGEST = np.finfo(np.float32).max


def rounded(array, dtype):
    """As the type holds it, in float64."""
    if dtype == "bfloat16":
        return oracle.from_bfloat16(oracle.bfloat16(array)).astype(np.float64)
    return np.asarray(array).astype(dtype).astype(np.float64)


def run(vicinal, tmp_path, positions, q, k, v, dtype="float32", kernel=None, code=0):
    path = write_xyz(tmp_path / "atoms.xyz", positions)
    arguments = ["run", path, "--cutoff", 9, "--heads", q.shape[1], "--head-dim", q.shape[2], "--dtype", dtype, "--lse",
                 "--check", "--json", "-o", tmp_path / "out.safetensors"]
    for name, array in zip("qkv", (q, k, v)):
        array = oracle.bfloat16(array) if dtype == "bfloat16" else np.asarray(array).astype(dtype)
        kind = {name: "BF16"} if dtype == "bfloat16" else None
        arguments += [f"--{name}", oracle.write_safetensors(tmp_path / f"{name}.safetensors", {name: array}, kind)]
    if kernel:
        rows = {row["name"]: row for row in vicinal("env", "--json").json["kernels"]}
        if not rows[kernel]["available"]:
            pytest.skip(f"{kernel}: {rows[kernel]['reason']}")
    done = vicinal(*arguments, env={"VIC_FORCE_KERNEL": kernel} if kernel else None, code=code)
    check = done.json["check"]
    assert check["pass"] is (code == 0)
    if code:
        return None, None, check
    assert kernel is None or done.json["kernel"] == kernel
    # JSON has no infinities: what it says of the error is a number.
    assert np.isfinite(check["lse_max_error"]) and np.isfinite(check["worst_row_error"])
    got = oracle.read_safetensors(tmp_path / "out.safetensors")
    out = oracle.from_bfloat16(got["out"]) if dtype == "bfloat16" else got["out"]
    return out.astype(np.float64), got["lse"].astype(np.float64), check


def near(n=9, seed=3):
    return np.random.default_rng(seed).uniform(0, 3, (n, 3))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("q, k", [(1e19, -1e19), (1e19, 1e19), (3e38, -3e38), (3e38, 3e38)])
def test_equal_scores_give_the_mean(vicinal, tmp_path, kernel, dtype, q, k):
    v = np.random.default_rng(1).standard_normal((9, 1, 8)).astype(np.float32)
    ones = np.ones((9, 1, 8))
    out, lse, _ = run(vicinal, tmp_path, near(), q * ones, k * ones, v, dtype, kernel)
    assert np.abs(out - rounded(v, dtype).mean(0)).max() < (1e-6 if dtype == "float32" else 2e-2)
    exact = ((rounded(q * ones, dtype) * rounded(k * ones, dtype)).sum(2) / np.sqrt(8)).clip(-LARGEST, LARGEST)
    assert np.abs(lse / exact - 1).max() < 1e-6


@pytest.mark.parametrize("kernel", KERNELS)
def test_large_values(vicinal, tmp_path, kernel):
    """Their sum is infinite in float32, their mean is not."""
    rng = np.random.default_rng(2)
    q, k = (rng.standard_normal((9, 1, 8)) for _ in "qk")
    v = rng.uniform(0.5, 1, (9, 1, 8)) * LARGEST
    positions = near()
    out, _, check = run(vicinal, tmp_path, positions, q, k, v, kernel=kernel)
    pairs, _ = oracle.pairs(positions, 9.0)
    expected, _ = oracle.attention(pairs, *(x.astype(np.float32) for x in (q, k, v)))
    assert np.isfinite(out).all() and np.abs(out / expected - 1).max() < 2e-6
    assert check["relative_frobenius"] < 2e-6


@pytest.mark.parametrize("dtype, size", [("float32", 1e-40), ("float32", 1e-44), ("bfloat16", 1e-39), ("float16", 1e-6)])
def test_small_values(vicinal, tmp_path, dtype, size):
    """Where a type has few digits left, rounding to it is no fault."""
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal((9, 1, 8)) for _ in "qkv")
    out, _, check = run(vicinal, tmp_path, near(), q, k, size * v, dtype)
    assert 0 < np.abs(out).max() < 3 * size and check["worst_row_error"] < 8e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("size", [1e3, 6e4, 1e10, 1e18, 1e25])
def test_check_of_large_scores(vicinal, tmp_path, dtype, size):
    """The neighbour with the largest score has all the weight: by a wide margin, and whatever the type can hold."""
    if dtype == "float16" and size > 6.5e4:
        pytest.skip("float16 holds no such number")
    n, rng = 12, np.random.default_rng(5)
    q = size * np.ones((n, 1, 8))
    k = size * np.repeat(np.linspace(-1, 1, n)[:, None, None], 8, axis=2)
    v = rng.integers(-8, 9, (n, 1, 8)).astype(np.float64)
    out, lse, _ = run(vicinal, tmp_path, near(n), q, k, v, dtype)
    assert (out == v[-1]).all()
    exact = min((rounded(q, dtype) * rounded(k, dtype)).sum(2).max() / np.sqrt(8), LARGEST)
    assert np.abs(lse / exact - 1).max() < 1e-6


def test_one_overflowing_row_among_others(vicinal, tmp_path):
    """The others have the bits that they had without it."""
    rng = np.random.default_rng(6)
    q, k, v = (rng.standard_normal((9, 2, 8)) for _ in "qkv")
    before, lse_before, _ = run(vicinal, tmp_path, near(), q, k, v)
    q[4, 1] = 3e38 * np.where(np.arange(8) % 2, -1, 1)
    out, lse, _ = run(vicinal, tmp_path, near(), q, k, v)
    kept = np.ones((9, 2), bool)
    kept[4, 1] = False
    assert (out[kept] == before[kept]).all() and (lse[kept] == lse_before[kept]).all()
    score = (q[4, 1].astype(np.float32).astype(np.float64) * k[:, 1].astype(np.float32)).sum(1)
    assert (out[4, 1] == v[score.argmax(), 1].astype(np.float32)).all()


def test_check_still_fails(vicinal, tmp_path):
    """A bound that grows with the scores must not let everything pass."""
    ones = np.ones((9, 1, 8))
    v = ones.copy()
    v[3] = np.nan
    run(vicinal, tmp_path, near(), 1e19 * ones, -1e19 * ones, v, code=1)
