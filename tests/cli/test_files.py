# SPDX-License-Identifier: Apache-2.0
"""The files that a command line names: endings, inputs that an output would overwrite, odd names, special files."""
import os
import resource
import signal
import subprocess

import numpy as np
import pytest

import oracle

# Every option of every command that writes, with its endings.
OUTPUTS = [
    ("packing", "-o", [".pdb", ".cif", ".mmcif", ".xyz", ".extxyz"]),
    ("packing", "--plot", [".svg"]),
    ("pattern", "-o", [".vnp"]),
    ("pattern", "--plot", [".svg"]),
    ("pattern", "--pairs-out", [".npz"]),
    ("run", "-o", [".npy", ".safetensors"]),
]
ENDINGS = sorted({e for _, _, endings in OUTPUTS for e in endings})


def line(command, file):
    return [command, file] + ([] if command == "packing" else ["--cutoff", "4"])


def test_every_output_option_is_in_the_list(vicinal):
    """By what --help says of each option: this fails when an option is added that writes, and not tested here."""
    found = {(command, row.split()[0]) for command in ("info", "packing", "pattern", "run", "env")
             for row in vicinal(command, "--help").out.splitlines()
             if row.startswith("  ") and row.split() and row.split()[0] in ("-o", "--plot", "--pairs-out")}
    for bench in ("latency", "pattern", "scaling"):
        assert not any(f" {o} " in vicinal("bench", bench, "--help").out for o in ("-o", "--plot", "--pairs-out"))
    assert found == {(command, option) for command, option, _ in OUTPUTS}


@pytest.mark.parametrize("command, option, endings", OUTPUTS)
def test_endings(vicinal, tmp_path, cloud, command, option, endings):
    for ending in [*ENDINGS, ".png", ".csv", ".txt", ".npz.gz", ""]:
        name = "x" + ending
        if ending in endings:
            vicinal(*line(command, cloud[0]), option, name)
            vicinal(*line(command, cloud[0]), option, "Y" + ending.upper())
            assert (tmp_path / name).read_bytes() == (tmp_path / ("Y" + ending.upper())).read_bytes()
            continue
        # Refused before anything is read: the input need not exist.
        for file in (cloud[0], "missing.xyz"):
            done = vicinal(*line(command, file), option, name, code=2)
            assert f"'{name}'" in done.err and all(e in done.err for e in endings)
        others = [o for c, o, e in OUTPUTS if c == command and ending in e]
        assert all(f"written by {o}" in done.err for o in others)
    assert not any(p.suffix in (".png", ".csv", ".txt", ".gz") for p in tmp_path.iterdir())


def test_a_name_is_more_than_an_ending(vicinal, cloud):
    assert "got '.svg'" in vicinal("packing", cloud[0], "--plot", ".svg", code=2).err


# ---- nothing is overwritten ----


def inputs(tmp_path, vicinal, path):
    """Each option that reads, with a file for it, and the rest of its line; the ending says who could write it."""
    n = 300
    rng = np.random.default_rng(0)
    for name in ("q", "k", "v"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(n, 4, 64)).astype(np.float32))
    oracle.write_safetensors(tmp_path / "q.safetensors", {"q": rng.normal(size=(n, 4, 64)).astype(np.float32)})
    np.savez(tmp_path / "pairs.npz", i=np.arange(n), j=np.arange(n))
    np.save(tmp_path / "skip.npy", np.zeros(n, np.uint8))
    np.save(tmp_path / "radial.npy", np.zeros(9, np.float32))
    vicinal("pattern", path, "--cutoff", 3, "-o", "given.vnp")
    return [
        (["packing"], None, "cloud.xyz", "-o"),
        (["pattern"], None, "given.vnp", "-o"),
        (["pattern", "cloud.xyz", "--cutoff", "4"], "--unite", "given.vnp", "-o"),
        (["pattern", "cloud.xyz"], "--pairs", "pairs.npz", "--pairs-out"),
        (["pattern", "cloud.xyz", "--cutoff", "4"], "--exclude-pairs", "pairs.npz", "--pairs-out"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--skip", "skip.npy", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--radial", "radial.npy", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--q", "q.npy", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--k", "k.npy", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--v", "v.npy", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--q", "q.safetensors", "-o"),
        (["run", "cloud.xyz", "--cutoff", "4"], "--q", "q.safetensors:q", "-o"),
    ]


def test_no_input_is_overwritten(vicinal, tmp_path, cloud):
    tested = 0
    for words, option, given, output in inputs(tmp_path, vicinal, cloud[0]):
        name = given.split(":")[0]
        source, suffix = tmp_path / name, os.path.splitext(name)[1]
        before = source.read_bytes()
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / ("soft" + suffix)).symlink_to(name)
        os.link(source, tmp_path / ("hard" + suffix))
        read = [option, given] if option else [given]
        for target in (name, "./" + name, source, "folder/../" + name, "soft" + suffix, "hard" + suffix):
            done = vicinal(*words, *read, output, target, code=2)
            assert f"{output} '{target}'" in done.err and given in done.err and "same file" in done.err
            assert (option or "the input") in done.err
            tested += 1
        # And the other way about: the input by another name.
        done = vicinal(*words, *([option] if option else []), "soft" + suffix, output, name, code=2)
        assert "same file" in done.err
        assert source.read_bytes() == before
        assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(name)) == [name]
        os.unlink(tmp_path / ("soft" + suffix))
        os.unlink(tmp_path / ("hard" + suffix))
    assert tested == 72


def test_a_missing_input_of_the_same_name(vicinal, tmp_path, cloud):
    (tmp_path / "there").symlink_to(".")
    for name in ("new.npy", "./new.npy", "there/new.npy", tmp_path / "new.npy"):
        done = vicinal("run", cloud[0], "--cutoff", 4, "--q", "new.npy", "-o", name, code=2)
        assert "--q 'new.npy'" in done.err and "same file" in done.err


def test_two_outputs_are_two_files(vicinal, tmp_path, cloud):
    """No two outputs of a command share an ending today, but links can make them one."""
    (tmp_path / "a.svg").write_text("old")
    (tmp_path / "a.vnp").symlink_to("a.svg")
    os.link(tmp_path / "a.svg", tmp_path / "a.npz")
    pairs = [("-o", "a.vnp", "--plot", "a.svg"), ("--plot", "a.svg", "--pairs-out", "a.npz"),
             ("-o", "a.vnp", "--pairs-out", "a.npz")]
    for o1, f1, o2, f2 in pairs:
        done = vicinal("pattern", cloud[0], "--cutoff", 4, o1, f1, o2, f2, code=2)
        assert all(w in done.err for w in (o1, f"'{f1}'", o2, f"'{f2}'", "same file"))
    assert (tmp_path / "a.svg").read_text() == "old"


def test_the_standard_output_is_an_output(binary, tmp_path, cloud):
    with open(tmp_path / "p.vnp", "w") as out:
        done = subprocess.run([binary, "pattern", cloud[0], "--cutoff", "4", "-o", "p.vnp"], stdout=out,
                              stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "the standard output" in done.stderr
    # Another folder's file of that name is another file.
    (tmp_path / "other").mkdir()
    with open(tmp_path / "other" / "p.vnp", "w") as out:
        subprocess.run([binary, "pattern", cloud[0], "--cutoff", "4", "-o", "p.vnp"], stdout=out, check=True, cwd=tmp_path)


def test_what_differs_is_let_through(vicinal, tmp_path, cloud):
    """Older files are replaced; the same name in another folder, and names that only look alike, are other files."""
    (tmp_path / "folder").mkdir()
    before = cloud[0].read_bytes()
    for _ in range(2):
        vicinal("packing", "cloud.xyz", "-o", "folder/cloud.xyz")
        vicinal("packing", "cloud.xyz", "-o", "cloud.xyz.xyz")
        vicinal("packing", "cloud.xyz", "-o", "Cloud.xyz")
    assert cloud[0].read_bytes() == before
    vicinal("pattern", "atoms:9", "--windows", "2,4", "-o", "atoms:9.vnp")


# ---- names and special files ----


@pytest.mark.parametrize("name", ["two words", "\u00e9\u00df\u4e2d\U0001f600", "-dash", "a'b\"c", "x" * 249, "\u00e9" * 124 + "a",
                                  "new\nline", ".hidden", "%s%n", "a:b"])
def test_odd_names(vicinal, tmp_path, cloud, name):
    for command, option, endings in OUTPUTS:
        target = name + endings[0]
        if len(target.encode()) > 255:
            assert "name too long" in vicinal(*line(command, cloud[0]), option, target, code=1).err
            continue
        vicinal(*line(command, cloud[0]), f"{option}={target}")
        assert (tmp_path / target).stat().st_size > 100
        (tmp_path / target).unlink()
        if option == "--plot":  # takes longest
            continue
        vicinal(*line(command, cloud[0]), option, tmp_path / target)
        (tmp_path / target).unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.xyz"]


def test_folders_without_permission(vicinal, tmp_path, cloud):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "closed").mkdir(mode=0o555)
    for command, option, endings in OUTPUTS:
        done = vicinal(*line(command, cloud[0]), option, "closed/x" + endings[0], code=1)
        assert "Permission denied" in done.err


@pytest.mark.parametrize("command, option, endings", OUTPUTS)
def test_pipes_and_devices(binary, vicinal, tmp_path, cloud, command, option, endings):
    """The same bytes as in a file.  A special file needs an ending only where there is a choice of formats."""
    name = "x" + endings[0]
    vicinal(*line(command, cloud[0]), option, name)
    os.mkfifo(tmp_path / ("pipe" + endings[0]))
    (tmp_path / ("null" + endings[0])).symlink_to("/dev/null")
    vicinal(*line(command, cloud[0]), option, "null" + endings[0])
    assert (tmp_path / ("null" + endings[0])).is_symlink()
    writer = subprocess.Popen([binary, *map(str, line(command, cloud[0])), option, "pipe" + endings[0]], cwd=tmp_path,
                              stdout=subprocess.DEVNULL)
    assert (tmp_path / ("pipe" + endings[0])).read_bytes() == (tmp_path / name).read_bytes()
    assert writer.wait() == 0
    code = 2 if len(endings) > 1 else 0
    for special in ("/dev/null", "/dev/stderr"):
        done = subprocess.run([binary, *map(str, line(command, cloud[0])), option, special], cwd=tmp_path,
                              capture_output=True)
        assert done.returncode == code
    if code == 0:
        assert done.stderr == (tmp_path / name).read_bytes()


def test_a_full_disk_leaves_nothing(vicinal, tmp_path, cloud):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    for command, option, endings in OUTPUTS:
        for ending in endings:
            done = vicinal(*line(command, cloud[0]), option, "x" + ending, code=1, preexec=small_files)
            assert "x" + ending in done.err
            (tmp_path / ("full" + ending)).symlink_to("/dev/full")
            assert "No space left" in vicinal(*line(command, cloud[0]), option, "full" + ending, code=1).err
            (tmp_path / ("full" + ending)).unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.xyz"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_as_ever(binary, tmp_path, cloud, number):
    """While it waits to write 2.5 MB to a pipe that nobody reads, after another output was written."""
    os.mkfifo(tmp_path / "pairs.npz")
    child = subprocess.Popen([binary, "pattern", cloud[0], "--cutoff", "40", "-o", "p.vnp", "--pairs-out", "pairs.npz"],
                             cwd=tmp_path, stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)])
    reader = os.open(tmp_path / "pairs.npz", os.O_RDONLY)  # waits until the command is there
    child.send_signal(number)
    assert child.wait() == -number
    os.close(reader)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cloud.xyz", "p.vnp", "pairs.npz"]
