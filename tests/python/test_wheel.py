# SPDX-License-Identifier: Apache-2.0
"""The wheel: built from the sdist as pip builds it, installed into an empty environment, and used there.  It takes
minutes and packages from PyPI, so it is left out unless VIC_TEST_WHEEL=1 or VIC_TEST_FULL=1 (./test --full)."""
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
if not os.environ.get("VIC_TEST_WHEEL") and not os.environ.get("VIC_TEST_FULL"):
    pytest.skip("the wheel takes minutes: VIC_TEST_WHEEL=1 or ./test --full tests it", allow_module_level=True)

# What any Linux with a Python has; libz because Python itself needs it.
SYSTEM = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libz.so.1", "ld-linux-x86-64.so.2",
          "ld-linux-aarch64.so.1"}
LIBRARIES = {"libvicinal.so.0.2", "libvicinal_structure.so.0.2", "libvicinal_python.so"}


def environment():
    """Nothing of the build tree."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("VIC_") and name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def run(*words, code=0, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, encoding="utf-8", env=environment(),
                          **more)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def new_environment(folder):
    try:
        run(sys.executable, "-m", "venv", folder)
    except AssertionError as error:
        pytest.skip(f"no virtual environment can be made here (Debian: python3-venv): {error}")
    return folder / "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    tools = new_environment(folder / "tools")
    try:
        run(tools / "pip", "install", "--quiet", "build")
    except AssertionError as error:
        pytest.skip(f"PyPI cannot be reached: {error}")
    run(tools / "python", "-m", "build", "--outdir", folder / "dist", "-Ccmake.define.VIC_CUDA=OFF", ROOT)
    files = sorted((folder / "dist").iterdir(), key=lambda path: path.suffix)
    assert [path.suffix for path in files] == [".gz", ".whl"]
    return files


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder bin of an environment that has the wheel, and what pip installed with it."""
    bin_ = new_environment(tmp_path_factory.mktemp("installed") / "venv")
    run(bin_ / "pip", "install", built[1])
    return bin_


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(folder)
    return folder


def test_sdist(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {"PKG-INFO", "CMakeLists.txt", "LICENSE", "include/vicinal.h"} <= names
    assert not [name for name in names if name.startswith(("build/", ".git/", "shared/"))]


def test_contents(built, unpacked):
    with zipfile.ZipFile(built[1]) as wheel:
        modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    links = [name for name, mode in modes.items() if mode & 0o170000 == 0o120000]
    info = next(name.split("/")[0] for name in modes if name.endswith(".dist-info/METADATA"))
    sources = {str(path.relative_to(ROOT / "python")) for path in (ROOT / "python/vicinal").rglob("*.py")}
    files = {name for name in modes if not name.startswith(info)}
    assert not links
    assert files == sources | {f"vicinal/lib/{name}" for name in LIBRARIES} | {"vicinal/bin/vicinal"}
    assert modes["vicinal/bin/vicinal"] & 0o111
    assert [name for name in modes if name.startswith(info + "/licenses/")] == [info + "/licenses/LICENSE"]


def test_metadata(built, unpacked):
    version = re.search(r'VIC_VERSION +"(.*)"', (ROOT / "include/vicinal.h").read_text(encoding="utf-8"))[1]
    name, tagged, python, abi, platform = built[1].stem.split("-")
    assert (name, tagged, python, abi) == ("vicinal", version, "py3", "none")
    assert re.fullmatch(r"(manylinux|linux)_\w+", platform)
    metadata = next(unpacked.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    assert f"\nVersion: {version}\n" in metadata
    required = re.findall(r"^Requires-Dist: (.*)$", metadata, re.M)
    assert [line for line in required if "extra ==" not in line] == [line for line in required
                                                                     if line.startswith("numpy")]


def test_needs_nothing_else(unpacked):
    """No libstdc++ or libgcc_s of the machine that built it, and no path of that machine."""
    for file in [*(unpacked / "vicinal/lib").iterdir(), unpacked / "vicinal/bin/vicinal"]:
        dynamic = run("readelf", "-d", file)
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
        assert needed <= SYSTEM | LIBRARIES, file
        assert set(re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic)) <= {"$ORIGIN"}
        name = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
        assert name == ([file.name] if file.parent.name == "lib" else [])


def test_import_is_light(installed, tmp_path):
    said = run(installed / "python", "-c", "import sys, vicinal; print('numpy' in sys.modules, vicinal.__file__)",
               cwd=tmp_path)
    assert said.startswith("False ") and "site-packages" in said
    names = {line.split()[0].lower() for line in run(installed / "pip", "list").splitlines()[2:]}
    assert names <= {"vicinal", "numpy", "pip", "setuptools", "wheel"}


def test_command(installed, tmp_path):
    version = run(installed / "vicinal", "--version", cwd=tmp_path)
    assert re.fullmatch(r"vicinal \d+\.\d+\.\d+\n", version)
    env = run(installed / "vicinal", "env", cwd=tmp_path)
    assert env == run(installed / "python", "-m", "vicinal", "env", cwd=tmp_path)
    assert env.startswith(version) and "attn_fwd_cpu_scalar" in env
    run(installed / "vicinal", "run", "x.pdb", "--cutof", "8", code=2, cwd=tmp_path)


def test_use(installed, tmp_path):
    """A file read, its pairs against all distances, and attention over them against the formula."""
    atoms = "".join(f"ATOM  {i:5d}  CA  ALA A{i:4d}    {1.7 * i % 9:8.3f}{2.3 * i % 7:8.3f}{0.9 * i:8.3f}  1.00  0.00"
                    f"           C\n" for i in range(1, 41))
    (tmp_path / "small.pdb").write_text(atoms + "END\n")
    run(installed / "python", "-c", """if True:
        import numpy as np
        import vicinal
        structure = vicinal.read("small.pdb")
        r = structure.positions
        assert r.shape == (40, 3) and abs(r[2] - [5.1, 6.9, 2.7]).max() < 1e-12
        near = np.linalg.norm(r[:, None] - r[None], axis=2) < 6.0
        pattern = vicinal.pattern(structure, cutoff=6.0)
        q, k, v = np.random.default_rng(1).normal(size=(3, 40, 2, 8)).astype(np.float32)
        out = vicinal.attention(q, k, v, pattern)
        s = np.einsum("ihd,jhd->hij", q, k, dtype=float) / np.sqrt(8)
        p = np.where(near, np.exp(s), 0)
        expected = np.einsum("hij,jhd->ihd", p / p.sum(2, keepdims=True), v)
        assert near.sum() == pattern.n_pairs, (near.sum(), pattern.n_pairs)
        assert abs(out - expected).max() < 1e-5
    """, cwd=tmp_path)
