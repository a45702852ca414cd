# SPDX-License-Identifier: Apache-2.0
"""What the tests of `vicinal compare` share: structures, all pairs by another way, and the command."""
import itertools
import json
import re

import numpy as np
import pytest

SKEWED = np.array([[14.0, 0.0, 0.0], [4.5, 13.0, 0.0], [-3.0, 2.5, 15.0]])


def write_cloud(path, n=300, cell=None, pbc="T T T", seed=5, spread=20.0):
    """extXYZ of random points, some of them outside of the cell; returns their positions as written."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, spread, (n, 3)) if cell is None else rng.uniform(-0.6, 1.6, (n, 3)) @ cell
    x = np.round(x, 5)
    comment = "" if cell is None else 'Lattice="%s" pbc="%s" Properties=species:S:1:pos:R:3' % (
        " ".join(repr(float(a)) for a in cell.flat), pbc)
    path.write_text(f"{n}\n{comment}\n" + "".join("C %.5f %.5f %.5f\n" % tuple(p) for p in x))
    return x


def all_pairs(x, cutoff, cell=None, pbc=(True, True, True), images=4):
    """(i, j) of all pairs under all shifts up to `images`, sorted."""
    found = []
    axes = [range(-images, images + 1) if cell is not None and on else (0,) for on in pbc]
    for shift in itertools.product(*axes):
        moved = x if cell is None else x + np.array(shift) @ cell
        d2 = ((moved[None] - x[:, None]) ** 2).sum(-1)
        found.append(np.argwhere(d2 < cutoff ** 2))
    found = np.concatenate(found)
    return found[np.lexsort(found.T[::-1])]


def dense_attention(q, k, v, pairs):
    """(out, p [heads, n, n], s) in float64 over listed pairs, each as often as it is listed."""
    q, k, v = (np.asarray(x, np.float64).transpose(1, 0, 2) for x in (q, k, v))
    times = np.zeros((q.shape[1], k.shape[1]))
    np.add.at(times, tuple(pairs.T), 1.0)
    s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    p = times * np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return (p @ v).transpose(1, 0, 2), p


@pytest.fixture
def compare(tmp_path, capsys, monkeypatch):
    """compare(words..., code=0): (document, table, what was said); the document is None after an error."""
    from vicinal.compare import main
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        words = [str(word) for word in words]
        if code == 0:
            main([*words, "--json", "out.json"])
        else:
            with pytest.raises(SystemExit) as stop:
                main(words)
            assert stop.value.code == code
        out, said = capsys.readouterr()
        lines = [line for line in said.splitlines() if not re.match(r"W\d{4} |.*Warning: |  ", line)]  # but torch's
        assert all(line.startswith("vicinal compare: ") for line in lines), said
        if code:
            assert re.match("vicinal compare: error: .", lines[-1]), said
            return None, out, said
        text = (tmp_path / "out.json").read_text()
        assert text.count("\n") == 1
        return json.loads(text), out, said
    return call


def rows_of(document):
    return {row["name"]: row for row in document["methods"]}
