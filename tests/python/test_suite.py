# SPDX-License-Identifier: Apache-2.0
"""`vicinal bench all`: its cases on the real command, and with one that answers as told: noise, failures, comparison."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from test_entry import LIBRARY, environment

FAKE = """
import json, os, pathlib, sys
words = sys.argv[1:]
if words[0] == "env":
    print(json.dumps({"version": "9", "build": "test", "cuda_note": "no driver", "devices": [{"name": "P"}], "kernels": [
        {"device": "cpu", "available": True, "reason": ""}]}))
elif words[0] == "info":
    print(json.dumps({"cell": None}))
else:
    state = pathlib.Path(os.environ["FAKE_STATE"])
    told = json.loads(state.read_text())
    first = words[1] == "latency" and "dense:4096" not in words and "800" not in words
    value = told["first"].pop(0) if first and told["first"] else told["rest"]
    state.write_text(json.dumps(told))
    if value is None:
        print("vicinal bench latency: error: it is broken", file=sys.stderr)
        sys.exit(1)
    result = {"bench": words[1], "command": "vicinal " + " ".join(words), "device": "cpu", "file": words[2]}
    seconds = {"p50": value, "p99": value, "min": value, "p95": value}
    if words[1] == "throughput":
        result["engine"] = {"queries_per_second": 1 / value}
    elif words[1] == "pattern":
        result["seconds"] = {"total": seconds}
    else:
        result["seconds"] = {"single": seconds}
    if words[1] == "scaling":
        result.update(over=words[words.index("--over") + 1], value="1")
    print(json.dumps(result))
"""


@pytest.fixture
def suite(tmp_path, monkeypatch, capsys):
    """suite(words..., first=[...], rest=...): (exit code, stdout, stderr) with a command whose launches take so long."""
    from vicinal import suite as module
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "vicinal"
    command.write_text(f"#!{sys.executable}\n{FAKE}")
    command.chmod(0o755)
    (tmp_path / "x.xyz").write_text("1\n\nC 0 0 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIC_LIBRARY", str(folder / "libvicinal.so"))
    monkeypatch.setenv("FAKE_STATE", str(tmp_path / "state"))

    def call(*words, first=(), rest=1e-3):
        (tmp_path / "state").write_text(json.dumps({"first": list(first), "rest": rest}))
        code = module.main(["x.xyz", "--quick", *map(str, words)])
        return code, *capsys.readouterr()
    return call


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def test_results_name_case_and_command(suite):
    code, _, said = suite("-o", "a.jsonl")
    assert code == 0, said
    *results, end = lines("a.jsonl")
    assert [r["suite"]["case"] for r in results][:2] == ["attention", "attention, caller's order"]
    assert results[-1]["suite"]["case"] == "attention, again" and end["bench"] == "all" and end["stable"] is True
    assert end["schema"] == 1 and end["noise"] == 0.0 and end["failed"] == []
    assert str(pathlib.Path.cwd()) not in pathlib.Path("a.jsonl").read_text()
    assert all(r["command"].startswith("vicinal bench") for r in results)


def test_noise_is_told_and_refused(suite):
    # The first case comes first, then caller's order and gradients; the last is the first again.
    code, _, said = suite("-o", "a.jsonl", first=[1e-3, 1e-3, 1e-3], rest=1.09e-3)
    assert code == 0 and lines("a.jsonl")[-1]["noise"] == pytest.approx(0.09)
    code, _, said = suite("-o", "a.jsonl", first=[1e-3, 1e-3, 1e-3], rest=1.11e-3)
    assert code == 1 and "11.0 % more or less" in said and lines("a.jsonl")[-1]["stable"] is False


def test_a_case_that_fails_does_not_end_the_run(suite):
    code, _, said = suite("-o", "a.jsonl", first=[1e-3, None])
    assert code == 1 and "failed: vicinal bench latency: error: it is broken" in said
    end = lines("a.jsonl")[-1]
    assert [f["case"] for f in end["failed"]] == ["attention, caller's order"] and end["stable"] is True
    code, _, said = suite("-o", "a.jsonl", first=[None])
    assert code == 1 and "its first case failed" in said and lines("a.jsonl")[-1]["noise"] is None


@pytest.mark.parametrize("now, code, mark", [(1e-3, 0, None), (1.02e-3, 0, None), (1.2e-3, 1, "SLOWER"), (0.8e-3, 0, "faster")])
def test_comparison(suite, now, code, mark):
    suite("-o", "old.jsonl")
    found, out, said = suite("-o", "new.jsonl", "--compare", "old.jsonl", first=[now] * 3, rest=now)
    assert found == code, said
    rows = out.splitlines()
    assert "noise 0.0 %" in rows[0] and len(rows) >= 9
    marks = {row.split()[-1] for row in rows[1:] if row.split()[-1] in ("SLOWER", "faster")}
    assert marks == ({mark} if mark else set())
    queries, = (row for row in rows if row.startswith("queries a second, origin's"))
    assert f"{1 / now:,.0f}" in queries.replace("/s", "")


def test_noise_hides_what_is_smaller(suite):
    suite("-o", "old.jsonl")
    code, out, _ = suite("-o", "new.jsonl", "--compare", "old.jsonl", first=[1e-3, 1.1e-3, 1.1e-3], rest=1.08e-3)
    assert code == 0 and "SLOWER" not in out and "noise 8.0 %" in out


def test_comparison_with_nothing_alike(suite):
    suite("-o", "old.jsonl")
    pathlib.Path("old.jsonl").write_text(pathlib.Path("old.jsonl").read_text().replace('"cpu"', '"cuda:0"'))
    code, _, said = suite("-o", "new.jsonl", "--compare", "old.jsonl")
    assert code == 3 and "none of its results is of the same input" in said and os.path.exists("new.jsonl")


@pytest.mark.parametrize("text, words", [("", "got none"), ("{", ":1: expected a JSON object"), ("{}\n[]", "got none")])
def test_earlier_runs_that_are_none(suite, text, words):
    pathlib.Path("old.jsonl").write_text(text)
    code, _, said = suite("--compare", "old.jsonl")
    assert code == 3 and words in said and not os.path.exists("results.jsonl")


def test_words_that_cannot_be(suite):
    assert suite("--cutoff", "nan")[0] == 2 and suite("--cutoff", "-1")[0] == 2
    code, _, said = suite("--device", "cuda")
    assert code == 4 and "no driver" in said
    code, _, said = suite("-o", "no/a.jsonl")
    assert code == 1 and "no/a.jsonl: cannot be written" in said


def test_the_list_of_cases(suite):
    code, out, _ = suite("--list")
    assert code == 0 and out.splitlines()[0].split() == ["attention", "vicinal", "bench", "latency", str(pathlib.Path("x.xyz").resolve()),
                                                         "--cutoff", "8", "--device", "cpu", "--launches", "7"]


def test_the_command_itself(tmp_path):
    """All full cases are lines that the command takes; one of them is run, and a structure that is none is an error."""
    from vicinal._suite import cases
    atoms = tmp_path / "box.xyz"
    cases.write_box(atoms, 300)
    command = LIBRARY.parent / "vicinal"
    for device in ("cpu", "cuda"):
        for case in cases.cases(str(atoms), 5.0, device, False, True):
            done = subprocess.run([command, "bench", *case.words, "--json", "--no-such-option"], capture_output=True,
                                  encoding="utf-8", env=environment())
            assert done.returncode == 2 and "--no-such-option" in done.stderr, (case, done.stderr)
    case = cases.cases(str(atoms), 5.0, "cpu", True, True)[2]
    assert case.name == "gradients"
    done = subprocess.run([command, "bench", *case.words, "--json"], capture_output=True, encoding="utf-8", env=environment())
    result = {**json.loads(done.stdout), "suite": {"case": "gradients"}}
    assert [f.name for f in cases.figures(result)] == ["gradients", "gradients backward"]
    done = subprocess.run([sys.executable, "-m", "vicinal", "bench", "all", str(tmp_path / "none.pdb")], capture_output=True,
                          encoding="utf-8", env=environment(), cwd=tmp_path)
    assert done.returncode == 3 and "none.pdb" in done.stderr and "No such file" in done.stderr
