# SPDX-License-Identifier: Apache-2.0
"""Install into a folder, move it, and use it as a stranger would: through pkg-config and through find_package, with
examples/c_minimal, whose numbers are held against a count made here.

    check_install.py BUILD
"""
import itertools
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CRYSTAL = ROOT / "examples" / "quartz.xyz"
CUTOFF = 8.0


def run(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def neighbourhoods():
    """Of each atom of the crystal: number of (atom, image) within the cutoff, itself included, and their mean atomic
    number."""
    lines = CRYSTAL.read_text(encoding="utf-8").splitlines()
    cell = [float(x) for x in lines[1].split('Lattice="')[1].split('"')[0].split()]
    atoms = [([float(x) for x in line.split()[1:4]], {"Si": 14, "O": 8}[line.split()[0]]) for line in lines[2:]]
    images = [[n[0] * cell[c] + n[1] * cell[3 + c] + n[2] * cell[6 + c] for c in range(3)]
              for n in itertools.product(range(-4, 5), repeat=3)]
    found = []
    for r, _ in atoms:
        near = [z for s, z in atoms for image in images
                if math.dist(r, [x + m for x, m in zip(s, image)]) < CUTOFF]
        found.append((len(near), sum(near) / len(near)))
    return found


def check_program(program, library):
    output = run([program, CRYSTAL, CUTOFF], env={**os.environ, "LD_LIBRARY_PATH": str(library)})
    atoms = neighbourhoods()
    expected = [f"{len(atoms)} atoms, {sum(count for count, _ in atoms)} pairs"]
    expected += [f"atom {i}: {count} neighbours, mean atomic number {mean:.3f}"
                 for i, (count, mean) in enumerate(atoms[:3])]
    for text in expected:
        if text not in output:
            sys.exit(f'{program} should say "{text}", says\n{output}')


def check_backend(library):
    """Triton's backend: it finds the libraries from its own place, exports what Triton calls, and leaves to Triton what
    is Triton's."""
    backend = library / "vicinal/triton/backends/vicinal/libtriton_vicinal.so"
    needs = run(["ldd", backend], env={"PATH": os.environ["PATH"]})
    found = re.search(r"libvicinal\.so\S* => (\S+)", needs)
    if not found or pathlib.Path(found[1]).resolve().parent != library.resolve():
        sys.exit(f"{backend} does not find libvicinal in {library}:\n{needs}")
    symbols = [line.split()[-2:] for line in run(["nm", "-D", backend]).splitlines()]
    exported = {name for kind, name in symbols if kind in "TDBR"}
    if not exported or not all(name.startswith("TRITONBACKEND_") for name in exported):
        sys.exit(f"{backend} exports {sorted(exported)}")
    left = {name.split("@")[0] for kind, name in symbols if kind == "U"}
    if not any(name.startswith("TRITONSERVER_") for name in left):
        sys.exit(f"{backend} leaves nothing to Triton: {sorted(left)}")


def check_subdirectory(folder):
    """As a part of another project: the targets are there, and BUILD_SHARED_LIBS is minded.  Configured, not built."""
    for shared, kind in (("ON", "SHARED_LIBRARY"), ("OFF", "STATIC_LIBRARY")):
        project = folder / f"subdirectory_{shared}"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.25)
project(outer C CXX)
add_subdirectory({ROOT} inner)
foreach(target vicinal::vicinal vicinal::structure)
  get_target_property(type ${{target}} TYPE)
  if(NOT type STREQUAL {kind})
    message(FATAL_ERROR "${{target}} is a ${{type}}, not a {kind}")
  endif()
endforeach()
""", encoding="utf-8")
        run(["cmake", "-S", project, "-B", project / "build", f"-DBUILD_SHARED_LIBS={shared}", "-DVIC_CUDA=OFF"])


def check_engine_page(folder, configs):
    """The program of docs/howto/engine.md, built against the installed tree: 100 queries, new positions among them."""
    page = (ROOT / "docs/howto/engine.md").read_text(encoding="utf-8")
    (folder / "engine.c").write_text(page.split("```c\n")[1].split("```")[0], encoding="utf-8")
    run(["sh", "-c", "cc -std=c17 -Wall -Wextra -Wpedantic -Werror engine.c -o engine "
         "$(pkg-config --cflags --libs vicinal_structure) -Wl,-rpath,$(pkg-config --variable=libdir vicinal)"],
        cwd=folder, env={**os.environ, "PKG_CONFIG_PATH": str(configs)})
    said = subprocess.run([folder / "engine", CRYSTAL], capture_output=True, encoding="utf-8", check=True)
    if not said.stdout.startswith("100 answered in ") or "version 2" not in said.stdout or said.stderr:
        sys.exit(f"the program of docs/howto/engine.md says {said.stdout!r}, {said.stderr!r}")


def main(build):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run(["cmake", "--install", build, "--prefix", folder / "first"])
        prefix = (folder / "first").rename(folder / "moved")
        configs = sorted(prefix.glob("lib*/**/vicinal*.pc"))
        headers = [f"include/{path.name}" for path in (ROOT / "include").glob("*.h")]
        for path in ("bin/vicinal", *headers, "share/doc/vicinal/LICENSE", "share/doc/vicinal/README.md"):
            if not (prefix / path).is_file():
                sys.exit(f"not installed: {path}")
        if [path.name for path in configs] != ["vicinal.pc", "vicinal_structure.pc"]:
            sys.exit(f"expected vicinal.pc and vicinal_structure.pc, found {configs}")
        library = configs[0].parent.parent
        version = configs[0].read_text(encoding="utf-8").split("Version: ")[1].split()[0]
        for name in ("libvicinal.so", "libvicinal_structure.so"):
            soname = library / f"{name}.{version.rpartition('.')[0]}"  # docs/abi.md
            if not soname.is_symlink() or os.readlink(soname) != f"{name}.{version}":
                sys.exit(f"{soname} does not lead to {name}.{version}")
        run([prefix / "bin/vicinal", "env"])
        check_backend(library)

        example = shutil.copytree(ROOT / "examples" / "c_minimal", folder / "by_pkg_config")
        run(["make", "-C", example], env={**os.environ, "PKG_CONFIG_PATH": str(configs[0].parent)})
        check_program(example / "c_minimal", library)

        example = shutil.copytree(ROOT / "examples" / "c_minimal", folder / "by_find_package")
        run(["cmake", "-S", example, "-B", example / "build", f"-DCMAKE_PREFIX_PATH={prefix}"])
        run(["cmake", "--build", example / "build"])
        check_program(example / "build" / "c_minimal", library)
        check_engine_page(folder, configs[0].parent)
        check_subdirectory(folder)
    print("installed, moved, and used through pkg-config, find_package and add_subdirectory")


if __name__ == "__main__":
    main(sys.argv[1])
