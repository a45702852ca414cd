# SPDX-License-Identifier: Apache-2.0
"""q, k and v: all or none, and what their files say need not be said again."""
import itertools

import numpy as np
import pytest

import oracle
from test_run import error, save, tensors


def test_all_or_none(vicinal, tmp_path, cloud):
    given = dict(zip("qkv", zip(*[iter(save(tmp_path, *tensors(300)))] * 2)))
    for count in (1, 2):
        for names in itertools.combinations("qkv", count):
            words = [word for name in names for word in given[name]]
            err = vicinal("run", cloud[0], "--cutoff", 4, *words, code=2).err
            missing = [name for name in "qkv" if name not in names]
            assert f"without {' and '.join('--' + name for name in missing)}: " in err and "random" in err


def test_random_ones_are_said_to_be(vicinal, cloud):
    for seed in (0, 7):
        answer = vicinal("run", cloud[0], "--cutoff", 4, "--seed", seed, "--json").json
        assert answer["inputs"] == dict.fromkeys("qkv", f"random (seed {seed})")
        assert f", random (seed {seed})" in vicinal("run", cloud[0], "--cutoff", 4, "--seed", seed).out
    bench = ["bench", "latency", "dense:64", "--launches", 5, "--device", "cpu", "--heads", 1]
    assert vicinal(*bench, "--json").json["inputs"] == dict.fromkeys("qkv", "random (seed 0)")
    assert "1 head (1 of keys)" in vicinal(*bench).out and "random (seed 0)" in vicinal(*bench).out


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_files_say_heads_sizes_and_type(vicinal, tmp_path, cloud, dtype):
    path, positions = cloud
    q, k, v = [x.astype(dtype) for x in tensors(300, heads=6, kv_heads=2, d=24, dv=8)]
    files = save(tmp_path, q, k, v)
    answer = vicinal("run", path, "--cutoff", 5, *files, "-o", tmp_path / "out.npy", "--json").json
    assert [answer[key] for key in ("heads", "kv_heads", "head_dim", "head_dim_v")] == [6, 2, 24, 8]
    assert answer["dtype"] == np.dtype(dtype).name and answer["inputs"]["k"] == str(files[3])
    expected, _ = oracle.attention(oracle.pairs(positions, 5.0)[0], q, k, v)
    assert error(np.load(tmp_path / "out.npy"), expected) < (2e-6 if dtype == np.float32 else 5e-4)
    # the same, said again
    vicinal("run", path, "--cutoff", 5, *files, "--heads", 6, "--kv-heads", 2, "--head-dim", 24, "--head-dim-v", 8,
            "--dtype", np.dtype(dtype).name)


@pytest.mark.parametrize("words, expected", [
    (["--heads", 4], ["--heads 4", "q.npy", "[300, 6, 24]"]),
    (["--kv-heads", 6], ["--kv-heads 6", "k.npy", "[300, 2, 24]"]),
    (["--head-dim", 8], ["--head-dim 8", "q.npy", "[300, 6, 24]"]),
    (["--head-dim-v", 24], ["--head-dim-v 24", "v.npy", "[300, 2, 8]"]),
    (["--dtype", "float16"], ["q.npy", "float16", "float32"]),
])
def test_options_that_contradict_the_files(vicinal, tmp_path, cloud, words, expected):
    files = save(tmp_path, *tensors(300, heads=6, kv_heads=2, d=24, dv=8))
    err = vicinal("run", cloud[0], "--cutoff", 5, *files, *words, code=3).err
    for word in expected:
        assert word in err


def test_files_that_contradict_each_other(vicinal, tmp_path, cloud):
    def refused(*arrays):
        return vicinal("run", cloud[0], "--cutoff", 5, *save(tmp_path, *arrays), code=3).err

    q, k, v = tensors(300, heads=6, kv_heads=2, d=24, dv=8)
    assert "q.npy" in (err := refused(q, k[:, :, :16], v)) and "k.npy" in err and "[300, 2, 16]" in err
    assert "k.npy" in (err := refused(q, k, v[:, :1])) and "v.npy" in err and "[300, 1, 8]" in err
    assert "k.npy" in (err := refused(q, k, v[:299])) and "v.npy" in err
    assert "float16" in (err := refused(q, k, v.astype(np.float16))) and "v.npy" in err
    assert "divides" in refused(q[:, :5], k, v)
    assert "[300, 4, 16]" in (err := refused(*tensors(301))) and "[301, 4, 16]" in err
    assert "float64" in refused(q.astype(np.float64), k, v)
    for shape, word in (((300, 24), "[atoms, heads, head size]"), ((300, 0, 24), "1 to 65536 heads"),
                        ((300, 6, 20), "multiple of 8"), ((300, 6, 136), "multiple of 8")):
        assert word in refused(np.zeros(shape, np.float32), k, v)


def test_a_seed_that_is_not_used_is_said(vicinal, tmp_path, cloud):
    files = save(tmp_path, *tensors(300))
    note = "--seed was not used: q, k and v are from files."
    words = ["run", cloud[0], "--cutoff", 4]
    assert note in vicinal(*words, *files, "--seed", 5).out
    assert note in vicinal(*words, *files, "--seed", 5, "--json").json["notes"]
    assert note not in vicinal(*words, *files).out and note not in vicinal(*words, "--seed", 5).out
