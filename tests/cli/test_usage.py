# SPDX-License-Identifier: Apache-2.0
"""Exit codes, help, and errors that teach; what goes to stdout and what to stderr."""
import json
import os
import re
import subprocess
from subprocess import PIPE

import pytest

from command_tools import environment
from conftest import PATIENCE

SUBCOMMANDS = ["info", "packing", "pattern", "run", "serve", "bench", "env"]


def test_version(vicinal):
    assert vicinal("--version").out == "vicinal 0.2.0\n"


def test_help_lists_the_subcommands_that_exist(vicinal):
    text = vicinal("--help").out
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert listed == SUBCOMMANDS[:-1] + ["compare", "report", "env"]


def test_no_arguments_is_a_usage_error(binary, tmp_path):
    done = subprocess.run([binary], capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment(),
                          timeout=PATIENCE)
    assert done.returncode == 2 and done.stdout == "" and "vicinal SUBCOMMAND" in done.stderr


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_each(vicinal, name):
    text = vicinal(name, "--help").out
    assert text.startswith(f"vicinal {name}") and ("--json" in text) == (name != "serve")
    assert max(map(len, text.splitlines())) <= 120
    # Help wins over whatever else is wrong on the line.
    assert vicinal(name, "--nonsense", "--help").out == text


@pytest.mark.parametrize("arguments, words", [
    (["pakcing"], ["'pakcing'", "did you mean packing?"]),
    (["patt"], ["did you mean pattern?"]),
    (["compare", "--help"], ["compare is in Python", "python3 -m vicinal compare"]),
    (["report", "x.jsonl"], ["report is in Python", "python3 -m vicinal report"]),
    (["bench", "all"], ["bench all is in Python", "python3 -m vicinal bench all"]),
    (["comapre"], ["did you mean compare?"]),
    (["zzzzzz"], ["subcommand 'zzzzzz'", "--help"]),
    (["--nonsense"], ["option '--nonsense'"]),
    (["run", "x.pdb", "--cutof", "8"], ["--cutof", "did you mean --cutoff?"]),
    (["run", "x.pdb", "--head_dim=8"], ["--head_dim", "did you mean --head-dim?"]),
    (["packing", "--wobble", "x.pdb"], ["unknown option --wobble", "vicinal packing --help"]),
    (["run"], ["FILE is missing"]),
    (["info", "a.pdb", "b.pdb"], ["'b.pdb' after 'a.pdb'"]),
    (["env", "a.pdb"], ["takes no file"]),
    (["run", "x.pdb"], ["--cutoff is missing"]),
    (["run", "x.pdb", "--cutoff"], ["--cutoff", "the end of the line"]),
    (["run", "x.pdb", "--cutoff", "--json"], ["--cutoff", "got --json"]),
    (["run", "x.pdb", "--json=yes", "--cutoff", "3"], ["--json takes no value", "'yes'"]),
    (["run", "x.pdb", "--cutoff", "3", "-o", "out.txt"], ["-o", ".npy", ".safetensors", "'out.txt'"]),
    (["run", "x.pdb", "--cutoff", "3", "-o", "out.npy", "--lse"], ["--lse", ".safetensors"]),
    (["run", "x.pdb", "--cutoff", "3", "--lse"], ["--lse", "-o FILE.safetensors"]),
    (["run", "x.pdb", "--cutoff", "3", "-o", "out.npy", "--dtype", "bf16"], ["bfloat16", ".safetensors"]),
    (["packing", "x.pdb", "--hydrogen", "--no-hydrogen"], ["--hydrogen", "--no-hydrogen"]),
])
def test_usage_errors(vicinal, arguments, words):
    done = vicinal(*arguments, code=2)
    for word in words:
        assert word in done.err, done.err


BAD_VALUES = [
    ("--cutoff", ["0", "-1", "nan", "inf", "8A", " 8", "1e", "", "0x8", "1e300", "8,5"]),
    ("--heads", ["0", "-4", "4.0", "four", "4 ", "99999999999999999999"]),
    ("--threads", ["0", "-1", "many", "1000000"]),
    ("--seed", ["-1", "1.5", "18446744073709551616", "x"]),
    ("--scale", ["0", "-1", "inf"]),
    ("--dtype", ["float64", "FP32", "int8", ""]),
    ("--device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cudax"]),
    ("--altloc", ["high", "", "highest|all", "ALL"]),
    ("--model", ["0", "a", "1e9"]),
    ("--frame", ["0", "-1.5"]),
    ("--pbc", ["xx", "xyzw", "abc", "", "NONE"]),
    ("--supercell", ["2", "2x2", "2x2x0", "2x2x2x", "2x2x2x2", "axbxc", "", "x2x2", "-1x1x1"]),
    ("--cell", ["10", "10,10", "10,10,10,90", "10,10,10,90,90", "0,10,10", "10,10,-1", "10,10,10,90,90,180",
                "10,10,10,", "10,,10", "10,10,10,90,90,90,90", "a,b,c", ""]),
]


@pytest.mark.parametrize("option, value", [(o, v) for o, values in BAD_VALUES for v in values])
def test_bad_values_name_option_expected_and_got(vicinal, option, value):
    done = vicinal("run", "x.pdb", "--cutoff", "3", f"{option}={value}", code=2)
    assert option in done.err and "expected" in done.err
    assert f"'{value}'" in done.err or (value == "" and "''" in done.err), done.err


def test_options_may_stand_anywhere_and_the_last_one_counts(vicinal, cloud):
    path, _ = cloud
    results = [vicinal("pattern", path, "--cutoff", "5", "--json"), vicinal("pattern", "--json", "--cutoff=5", path),
               vicinal("pattern", "--cutoff=3", "--cutoff", "5", "--json", "--", path)]
    assert len({r.json["pairs"] for r in results}) == 1


@pytest.mark.parametrize("command", [["info"], ["packing"], ["pattern", "--cutoff", "5"], ["run", "--cutoff", "5"]])
def test_bad_input_is_3(vicinal, tmp_path, command):
    broken = tmp_path / "broken.xyz"
    broken.write_text("5\nfive atoms, three rows\n" + "C 0 0 0\n" * 3)
    for extra in ([], ["--json"]):
        assert "nowhere.pdb" in vicinal(command[0], "nowhere.pdb", *command[1:], *extra, code=3).err
        assert "broken.xyz" in vicinal(command[0], broken, *command[1:], *extra, code=3).err
        vicinal(command[0], tmp_path, *command[1:], *extra, code=3)


def test_no_such_device_or_kernel_is_4(vicinal, cloud):
    path, _ = cloud
    done = vicinal("run", path, "--cutoff", "5", "--kernel", "attn_fwd_abacus", code=4)
    assert "attn_fwd_abacus" in done.err and "attn_fwd_ref" in done.err
    # No machine has a thousand GPUs.
    vicinal("run", path, "--cutoff", "5", "--device", "cuda:1000", code=4)


@pytest.mark.parametrize("command", [["info"], ["packing"], ["pattern", "--cutoff", "5"], ["run", "--cutoff", "5"]])
def test_human_output_is_plain_without_a_terminal(vicinal, cloud, command):
    path, _ = cloud
    out = vicinal(command[0], path, *command[1:]).out
    assert "\033" not in out and "300" in out
    assert all(line == line.rstrip() for line in out.splitlines()), "no trailing blanks"


def test_human_output_on_a_terminal_has_colours_unless_asked_not_to(binary, cloud, terminal):
    def on_terminal(**env):
        screen = terminal()
        with subprocess.Popen([binary, "info", str(cloud[0])], stdout=screen.follower,
                              env=environment(**{"TERM": "xterm", "NO_COLOR": "", **env})) as running:
            screen.close_follower()
            while screen.more():
                pass
        assert running.returncode == 0 and b"300" in screen.shown
        return screen.shown.decode()

    assert "\033[1m" in on_terminal()
    assert "\033" not in on_terminal(NO_COLOR="1")
    assert "\033" not in on_terminal(TERM="dumb")


def test_env(vicinal):
    answer = vicinal("env", "--json").json
    assert set(answer) == {"version", "build", "devices", "cuda_note", "kernels", "switches", "switch_problem"}
    assert answer["version"] == "0.2.0"
    assert answer["devices"][0]["kind"] == "cpu"
    assert {"name", "device", "backward", "available", "reason"} == set(answer["kernels"][0])
    names = [k["name"] for k in answer["kernels"]]
    assert "attn_fwd_ref" in names and "attn_bwd_ref" in names
    assert all(k["backward"] == k["name"].startswith("attn_bwd_") for k in answer["kernels"])
    assert all(k["available"] or k["reason"] for k in answer["kernels"])
    assert answer["switches"]["VIC_LOG"] == ""
    assert vicinal("env", "--json", env={"VIC_LOG": "plan"}).json["switches"]["VIC_LOG"] == "plan"
    text = vicinal("env").out
    for word in names + list(answer["switches"]):
        assert word in text


def test_json_of_odd_names(vicinal, tmp_path):
    """A file name with quotes, backslash, newline and bytes that are not UTF-8 still gives JSON."""
    name = bytes(tmp_path) + b'/a"b\\c\nd\xff\xc3\xa9.xyz'
    with open(name, "wb") as out:
        out.write(b"1\nx\nC 0 0 0\n")
    done = vicinal("info", os.fsdecode(name), "--json")
    assert json.loads(done.out)["file"].endswith('a"b\\c\nd\ufffd\u00e9.xyz')


def test_closed_stdout_is_a_failure(binary, cloud):
    with open("/dev/full", "w", encoding="ascii") as full:
        for arguments in (["--version"], ["info", str(cloud[0])], ["info", str(cloud[0]), "--json"], ["env"]):
            done = subprocess.run([binary, *arguments], stdout=full, stderr=PIPE, encoding="utf-8", env=environment(),
                                  timeout=PATIENCE)
            assert done.returncode == 1 and "stdout" in done.stderr


def test_progress_on_a_terminal_only_and_gone_at_the_end(binary, terminal):
    """The structure comes through a pipe, and only when the line has been seen: until then the command waits."""
    screen = terminal()
    command = [binary, "info", "/dev/stdin", "--json"]
    structure = b"1\nan atom that takes its time\nC 1 2 3\n"
    # The one without a terminal starts first, so it has waited longer when the other one shows its line.
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment()) as without, \
            subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=screen.follower, env=environment()) as running:
        screen.close_follower()
        line = re.compile(rb"\r\x1b\[Kreading the structure \.\.\. [0-9]+ s")
        while not line.search(screen.shown):
            assert screen.more(), f"ended without a line of progress, having shown {screen.shown!r}"
        out, _ = running.communicate(structure, timeout=PATIENCE)
        while screen.more():
            pass
        quiet = without.communicate(structure, timeout=PATIENCE)
    assert running.returncode == 0 and json.loads(out)["atoms"] == 1
    assert screen.shown.endswith(b"\r\x1b[K"), screen.shown
    assert line.sub(b"", screen.shown) == b"\r\x1b[K", screen.shown
    assert without.returncode == 0 and json.loads(quiet[0])["atoms"] == 1 and quiet[1] == b""
