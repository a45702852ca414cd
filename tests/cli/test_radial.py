# SPDX-License-Identifier: Apache-2.0
"""`run --radial` against attention in float64 by numpy, with the formulas themselves and with tables."""
import numpy as np
import pytest

import oracle
from conftest import write_xyz
from test_run import error, save, tensors


def attention(pairs, distances, b, q, k, v, scale=None):
    """As oracle.attention, with b(d) per head (a list of functions) added to the score of every pair."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    scale = 1 / np.sqrt(q.shape[2]) if scale is None else scale
    i, j = pairs[:, 0], pairs[:, 1]
    out, lse = np.zeros((len(q), q.shape[1], v.shape[2])), np.full(q.shape[:2], -np.inf)
    for h in range(q.shape[1]):
        kv = h // (q.shape[1] // k.shape[1])
        s = scale * (q[i, h] * k[j, kv]).sum(1) + b[h](distances)
        for atom in np.unique(i):
            own = i == atom
            top = s[own].max()
            if top == -np.inf:
                continue
            w = np.exp(s[own] - top)
            lse[atom, h] = top + np.log(w.sum())
            out[atom, h] = w @ v[j[own], kv] / w.sum()
    return out, lse


def table(values, cutoff):
    """What a table says at distances d: linear in d^2, or linear in e^b next to a point at -inf."""
    values = np.asarray(values, np.float64)

    def b(d):
        x = d**2 / cutoff**2 * (len(values) - 1)
        m = np.minimum(x.astype(int), len(values) - 2)
        f, low, high = x - m, values[m], values[m + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            both = np.isfinite(low) & np.isfinite(high)
            return np.where(both, (1 - f) * low + f * high, np.log((1 - f) * np.exp(low) + f * np.exp(high)))

    return b


def polynomial(x, p):
    return 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x**(p + 1) - p * (p + 1) / 2 * x**(p + 2)


FORMS = {
    "linear:-0.5": lambda d, c: -0.5 * d,
    "linear:+2e-1": lambda d, c: 0.2 * d,
    "gaussian:3,1.5": lambda d, c: np.exp(-(d - 3)**2 / (2 * 1.5**2)),
    "gaussian:3,1.5,-2+gaussian:1,0.8,4": lambda d, c: (-2 * np.exp(-(d - 3)**2 / (2 * 1.5**2)) +
                                                       4 * np.exp(-(d - 1)**2 / (2 * 0.8**2))),
    "cosine": lambda d, c: np.log((1 + np.cos(np.pi * d / c)) / 2),
    "polynomial": lambda d, c: np.log(polynomial(d / c, 6)),
    "polynomial:2": lambda d, c: np.log(polynomial(d / c, 2)),
    "linear:-0.5+cosine": lambda d, c: -0.5 * d + np.log((1 + np.cos(np.pi * d / c)) / 2),
}


def run(vicinal, tmp_path, path, cutoff, qkv, radial, *more):
    vicinal("run", path, "--cutoff", cutoff, "--heads", qkv[0].shape[1], "--kv-heads", qkv[1].shape[1], "--head-dim",
            qkv[0].shape[2], *save(tmp_path, *qkv), "--radial", radial, "--lse", "-o", tmp_path / "out.safetensors",
            *more)
    got = oracle.read_safetensors(tmp_path / "out.safetensors")
    return got["out"], got["lse"]


@pytest.mark.parametrize("form", FORMS)
def test_formulas(vicinal, tmp_path, form):
    """Distances of at least 1 A, as between atoms: there the default table meets the formulas to about 1e-4."""
    rng = np.random.default_rng(3)
    grid = np.array(list(np.ndindex(6, 6, 6))) * 2.0
    positions = np.round(grid + rng.uniform(-0.4, 0.4, grid.shape), 3)
    qkv = tensors(len(positions))
    out, lse = attention(*oracle.pairs(positions, 5.0), [lambda d: FORMS[form](d, 5.0)] * 4, *qkv)
    got, got_lse = run(vicinal, tmp_path, write_xyz(tmp_path / "grid.xyz", positions), 5, qkv, form, "--check")
    assert error(got, out) < 2e-4
    np.testing.assert_allclose(got_lse, lse, atol=1e-4)
    plain, _ = oracle.attention(oracle.pairs(positions, 5.0)[0], *qkv)
    assert error(plain, out) > 1e-2, "this term should matter"


@pytest.mark.parametrize("kernel", ["attn_fwd_ref", "attn_fwd_cpu_scalar", None])
@pytest.mark.parametrize("case", ["open", "images"])
def test_tables_per_head(vicinal, tmp_path, cloud, crystal, case, kernel):
    path, positions = cloud[:2] if case == "open" else crystal[:2]
    cutoff = 4.0 if case == "open" else 7.0
    pairs, distances = oracle.pairs(positions, cutoff, None if case == "open" else crystal[2])
    if case == "images":
        assert len(np.unique(pairs[:, :2], axis=0)) < len(pairs), "no key with several images"
    tables = np.random.default_rng(4).standard_normal((4, 33)).astype(np.float32)
    tables[0, -1] = tables[1, :2] = tables[1, 20] = tables[2, 15:] = -np.inf
    np.save(tmp_path / "b.npy", tables)
    qkv = tensors(len(positions), kv_heads=2)
    got, got_lse = run(vicinal, tmp_path, path, cutoff, qkv, tmp_path / "b.npy", "--check",
                       *(["--kernel", kernel] if kernel else []))
    out, lse = attention(pairs, distances, [table(t, cutoff) for t in tables], *qkv)
    assert error(got, out) < 2e-6
    np.testing.assert_allclose(got_lse, lse, atol=1e-5)


def test_one_table_for_all_heads(vicinal, tmp_path, cloud):
    path, positions = cloud
    values = np.linspace(1, -3, 7).astype(np.float32)
    np.save(tmp_path / "b.npy", values)
    qkv = tensors(len(positions))
    got, _ = run(vicinal, tmp_path, path, 5, qkv, tmp_path / "b.npy")
    out, _ = attention(*oracle.pairs(positions, 5.0), [table(values, 5.0)] * 4, *qkv)
    assert error(got, out) < 2e-6


def test_json_says_which(vicinal, cloud):
    path, _ = cloud
    with_term = vicinal("run", path, "--cutoff", 5, "--radial", "cosine", "--check", "--json").json
    assert with_term["radial"] == "cosine" and with_term["check"]["pass"]
    without = vicinal("run", path, "--cutoff", 5, "--json").json
    assert without["radial"] is None and without["checksum"] != with_term["checksum"]
    assert "radial term" in vicinal("run", path, "--cutoff", 5, "--radial", "cosine").out


@pytest.mark.parametrize("term, part", [
    ("cosin", "did you mean cosine?"),
    ("", "expected TERM"),
    (":", "linear:SLOPE"),
    ("linear", "expected linear:SLOPE, got 'linear'"),
    ("linear:", "expected linear:SLOPE"),
    ("linear:1,2", "expected linear:SLOPE"),
    ("linear:fast", "expected linear:SLOPE, got 'linear:fast'"),
    ("gaussian:3", "expected gaussian:CENTER,WIDTH[,HEIGHT]"),
    ("gaussian:3,0", "--radial gaussian:3,0: expected a WIDTH above 0, got 0"),
    ("cosine:2", "expected cosine"),
    ("polynomial:2.5", "--radial polynomial:2.5: expected a whole number P from 1 to 64 (usually 6), got 2.5"),
    ("polynomial:0", "expected a whole number P from 1 to 64"),
    ("polynomial:65", "expected a whole number P from 1 to 64"),
    ("cosine+liner:1", "did you mean linear?"),
    ("cosine+", "FILE.npy"),
])
def test_wrong_terms(vicinal, cloud, term, part):
    assert part in vicinal("run", cloud[0], "--cutoff", 5, "--radial", term, code=2).err


@pytest.mark.parametrize("array, part", [
    (np.zeros((3, 10), np.float32), "expected shape [points] or [4 heads, points]"),
    (np.zeros(1, np.float32), "2 to 65536 points"),
    (np.zeros((2, 4, 5), np.float32), "got [2, 4, 5]"),
    (np.zeros(10, np.float64), "a.astype(numpy.float32)"),
])
def test_wrong_files(vicinal, tmp_path, cloud, array, part):
    np.save(tmp_path / "b.npy", array)
    assert part in vicinal("run", cloud[0], "--cutoff", 5, "--radial", tmp_path / "b.npy", code=3).err


@pytest.mark.parametrize("way", [["--nearest", 4], ["--windows", "8,16"]])
@pytest.mark.parametrize("term", ["cosine", "linear:-1"])
def test_a_pattern_without_a_cutoff_has_no_radial_term(vicinal, cloud, way, term):
    assert f"--radial {term}: a radial term reaches from 0 to the cutoff, and this pattern has none" in \
        vicinal("run", cloud[0], *way, "--radial", term, code=2).err


def test_values_that_are_no_bias(vicinal, tmp_path, cloud):
    np.save(tmp_path / "b.npy", np.array([0, np.nan, 0], np.float32))
    assert "got nan at [0, 1]" in vicinal("run", cloud[0], "--cutoff", 5, "--radial", tmp_path / "b.npy", code=3).err


def test_kernels_without_it_say_so(vicinal, cloud):
    assert "distance bias" in vicinal("run", cloud[0], "--cutoff", 5, "--radial", "cosine", "--device", "cuda", "--dtype",
                                    "f16", code=4).err
