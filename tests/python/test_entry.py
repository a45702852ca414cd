# SPDX-License-Identifier: Apache-2.0
"""`python -m vicinal`, which is the C command but for what is written in Python, and a build without readers."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBRARY = pathlib.Path(os.environ.get("VIC_LIBRARY") or ROOT / "build/dev/libvicinal.so")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIC_")}
    return {**kept, "PYTHONPATH": str(ROOT / "python"), "VIC_LIBRARY": str(LIBRARY), **more}


def python(*words, env=None, **more):
    return subprocess.run([sys.executable, *words], capture_output=True, encoding="utf-8", env=env or environment(),
                          **more)


@pytest.mark.parametrize("words, code", [(["--version"], 0), (["--help"], 0), (["env"], 0), ([], 2), (["pakcing"], 2),
                                         (["info", "/nowhere"], 3), (["run", "x.pdb", "--cutof", "8"], 2)])
def test_as_the_c_command(words, code):
    direct = subprocess.run([LIBRARY.parent / "vicinal", *words], capture_output=True, encoding="utf-8",
                            env=environment())
    done = python("-m", "vicinal", *words)
    assert (done.returncode, done.stdout, done.stderr) == (direct.returncode, direct.stdout, direct.stderr)
    assert done.returncode == code


def test_takes_the_place_of_the_process():
    """One process, whose signals are dealt with as when the command is started from a shell."""
    def ignored(words):
        """The program that runs once the words have been started, and the signals that it ignores."""
        with subprocess.Popen([*words, "info", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=environment()) as process:
            process.stdin.write(b"ATOM\n" * 100000)  # more than a pipe holds: it has begun to read when this returns
            process.stdin.flush()
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
            program = os.readlink(f"/proc/{process.pid}/exe")
            process.kill()
        return program, next(line for line in status if line.startswith("SigIgn"))

    binary = str(LIBRARY.parent / "vicinal")
    assert ignored([sys.executable, "-m", "vicinal"]) == ignored([binary])
    assert ignored([binary])[0] == os.path.realpath(binary)


def test_dies_of_a_closed_pipe():
    """As programs do, and not with an error: `vicinal ... | head`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "vicinal", "--help"], stdout=writer, stderr=subprocess.PIPE,
                          env=environment())
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE and done.stderr == b""


def test_imports_next_to_nothing():
    """What the entry imports beyond an empty program is the package, and no NumPy."""
    def modules(code):
        return set(python("-c", f"import sys; {code}; print(*sys.modules)").stdout.split())
    empty, entry = modules("import os, runpy, importlib"), modules("import vicinal.__main__")
    assert entry - empty == {"vicinal", "vicinal.__main__"}


@pytest.mark.parametrize("name", ["compare", "report"])
def test_what_is_called_in_python(name):
    said = python("-c", f"""if True:
        import sys, types
        sys.modules["vicinal.{name}"] = module = types.ModuleType("vicinal.{name}")
        module.main = lambda words: print(words) or 3
        import vicinal.__main__
        vicinal.{name} = module
        sys.argv = ["vicinal", "{name}", "--json", "x.pdb"]
        sys.exit(vicinal.__main__.main())
    """)
    assert (said.returncode, said.stdout) == (3, "['--json', 'x.pdb']\n"), said.stderr


def test_without_a_binary(tmp_path):
    done = python("-m", "vicinal", "env", env=environment(VIC_LIBRARY=str(tmp_path / "libvicinal.so")))
    assert done.returncode == 1 and str(tmp_path / "vicinal") in done.stderr and "pip install" in done.stderr


def test_an_editable_install(tmp_path):
    """The package then has two folders: its sources, and what was built of C."""
    built = [tmp_path / "bin/vicinal", tmp_path / "lib/libvicinal.so.0.2", tmp_path / "lib/libvicinal_python.so"]
    for file in built:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    done = python("-c", f"""if True:
        import vicinal
        vicinal.__path__.append({str(tmp_path)!r})
        import vicinal.__main__, vicinal._c
        print(vicinal.__main__.binary(), *vicinal._c._find())""", env=environment(VIC_LIBRARY=""))
    assert done.stdout.split() == [str(file) for file in built], done.stderr


def test_a_build_without_readers(tmp_path):
    for name in ("libvicinal.so", "libvicinal_python.so"):
        shutil.copy(LIBRARY.parent / name, tmp_path)
    done = python("-c", "import vicinal; vicinal.read('x.pdb')",
                  env=environment(VIC_LIBRARY=str(tmp_path / "libvicinal.so")))
    assert "Error: this build of vicinal reads no structure files (VIC_STRUCTURE_FILES=OFF" in done.stderr


def test_libraries_that_are_not_there(tmp_path):
    """Which one is missing, where, and what to do; what is no library; and a folder in place of the file."""
    def said(path):
        done = python("-c", "import vicinal; vicinal.windows(4, 2, 2)", env=environment(VIC_LIBRARY=str(path)))
        assert done.returncode == 1
        return done.stderr.splitlines()[-1]
    path = tmp_path / "libvicinal.so"
    assert f"ImportError: libvicinal.so is not in {tmp_path}: VIC_LIBRARY is '{path}'" in said(path)
    assert f"VIC_LIBRARY is '{LIBRARY.parent}', and has to name the libvicinal.so" in said(LIBRARY.parent)
    path.write_text("no library")
    assert f"ImportError: libvicinal_python.so is not in {tmp_path}" in said(path)
    shutil.copy(LIBRARY.parent / "libvicinal_python.so", tmp_path)
    assert f"ImportError: a library of vicinal cannot be loaded: {path}" in said(path)


def test_one_version():
    header = (ROOT / "include/vicinal.h").read_text(encoding="utf-8").split('VIC_VERSION ')[1].split('"')[1]
    done = python("-c", "import vicinal; print(vicinal.__version__, vicinal.environment()['version'])")
    assert done.stdout.split() == [header, header], done.stderr
