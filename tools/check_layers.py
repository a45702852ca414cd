#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include and who may call whom.  Reads every #include of the tree, and with a build folder also the symbols
of its objects, and reports each arrow that ARCHITECTURE.md does not have.

    tools/check_layers.py [ROOT]           exit code 1 when there is a forbidden include
    tools/check_layers.py --calls BUILD    the same of calls: what an object of src/ needs and another one defines
    tools/check_layers.py --arrows         print the rules
"""
import pathlib
import re
import subprocess
import sys

# Folder (or file) -> folders whose headers it may include, besides its own and include.  A file belongs to its
# longest prefix here.  src/kernels alone is the table of kernels; its sub-folders are layers of their own, which
# share the list of kernels in kernels.h so that a kernel is declared where it is defined, and CUDA's errors as statuses.
LAYERS = {
    "src/contract": [],
    "src/base": [],
    "src/structure": ["src/base"],
    "src/pattern": ["src/contract", "src/base"],
    "src/plan": ["src/pattern", "src/contract", "src/base"],
    "src/dist": ["src/pattern", "src/contract", "src/base"],
    "src/device": ["src/device/cuda_check.h", "src/contract", "src/base"],
    "src/device/cuda_check.h": ["src/base"],
    "src/kernels": ["src/kernels/kernels.h", "src/kernels/ref", "src/kernels/cpu", "src/kernels/cuda", "src/contract",
                    "src/base"],
    "src/kernels/kernels.h": ["src/contract"],
    "src/kernels/ref": ["src/kernels/kernels.h", "src/contract", "src/base"],
    "src/kernels/cpu": ["src/kernels/kernels.h", "src/contract", "src/base"],
    "src/kernels/cuda": ["src/kernels/kernels.h", "src/device/cuda_check.h", "src/contract", "src/base"],
    "src/context": ["src/plan", "src/device", "src/kernels", "src/kernels/kernels.h", "src/contract",
                   "src/base"],
    "src/api": ["src/context", "src/plan", "src/device", "src/kernels", "src/kernels/kernels.h",
                "src/kernels/ref", "src/kernels/cpu", "src/kernels/cuda", "src/dist", "src/pattern", "src/contract",
                "src/base"],
    "src/engine": ["src/api", "src/context", "src/plan", "src/device", "src/pattern", "src/contract", "src/base"],
    "apps/cli": [],  # what every file of the command may use, and main.c
    "apps/cli/arrays": ["apps/cli"],
    "apps/cli/plots": ["apps/cli"],
    "apps/cli/load": ["apps/cli"],
    "apps/cli/commands": ["apps/cli", "apps/cli/arrays", "apps/cli/plots", "apps/cli/load", "apps/serve"],
    "apps/serve": ["apps/cli"],  # errors, options' numbers, JSON and buffers, as every file of the command has them
    "apps/triton": [],  # the public headers, like any program
    "python/glue": [],  # libvicinal_python.so: the public headers, like any program
    "examples": [],
    "bench": ["src/kernels/cuda", "src/contract", "src/pattern", "src/base"],
    "tests/parity": ["tests", "src/kernels", "src/kernels/kernels.h", "src/kernels/ref", "src/kernels/cpu",
                     "src/kernels/cuda", "src/plan", "src/device", "src/contract", "src/base"],
    "tests/gpu": ["tests", "tests/parity", "src/kernels/cuda", "src/base"],
    "tests/fuzz": ["tests", "apps/serve", "apps/cli", "apps/cli/arrays", "apps/cli/commands", "src/pattern", "src/structure",
                   "src/contract", "src/base"],
    "tests/faults": ["tests", "apps/cli", "src/kernels/cuda", "src/contract", "src/plan"],
    "tests": [],
    "include": [],
}
# Headers from outside -> the only folders that may include them.
OUTSIDE = {
    r"gemmi/|tao/": ["src/structure"],
    r"cuda|cublas|nvrtc|driver_types": ["src/device", "src/kernels/cuda", "tests/gpu", "tests/faults"],
    r"microhttpd": ["apps/serve"],
    r"jansson": ["apps/serve", "apps/cli/commands"],
    r"cmocka": ["tests"],
}
SUFFIXES = {".c", ".h", ".cpp", ".hpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def layer_of(path):
    """The layer of a file, by its path below the root; None when it is in none."""
    parts = path.split("/")
    if parts[:2] == ["tests", "unit"] and len(parts) > 3:
        return "tests/unit/" + parts[2]
    for n in range(len(parts), 0, -1):
        if "/".join(parts[:n]) in LAYERS:
            return "/".join(parts[:n])
    return None


def mirrored_by(layer):
    name = layer.split("/")[2]
    return {"cli": "apps/cli", "serve": "apps/serve", "glue": "python/glue", "triton": "apps/triton"}.get(name, "src/" + name)


def allowed(layer):
    """Layers that `layer` may include; a unit test sees the folder it mirrors and what that folder sees, and the
    headers of the tests of these."""
    if layer.startswith("tests/unit/"):
        mirrored = mirrored_by(layer)
        below = [name for name in LAYERS if name.startswith(mirrored + "/")]
        seen = [mirrored] + below + LAYERS.get(mirrored, [])
        return ["tests"] + seen + ["tests/unit/" + name[4:] for name in seen if name.startswith("src/")]
    return LAYERS[layer]


def resolve(root, file, name):
    """Where a quoted include leads, by its path below the root; None when it is not in the tree."""
    for folder in (file.parent, root / "src", root / "include", root / "tests", root / "apps",
                   root / "apps/cli", root / "python"):
        target = (folder / name).resolve()
        if target.is_file() and root in target.parents:
            return target.relative_to(root).as_posix()
    return None


def check_include(root, file, quote, name):
    """What is wrong with one include, or None."""
    source = file.relative_to(root).as_posix()
    layer = layer_of(source)
    if layer is None:
        return f"in no layer; add its folder to {pathlib.Path(__file__).name}"
    if layer.startswith("tests/unit/") and not (root / mirrored_by(layer)).is_dir():
        return f"{layer} mirrors nothing: there is no {mirrored_by(layer)}"
    for pattern, folders in OUTSIDE.items():
        if re.match(pattern, name) and not any(source.startswith(folder + "/") for folder in folders):
            return f"{layer} -> <{name}>: only {', '.join(folders)} may include it"
    target = resolve(root, file, name)
    if target is None:
        return f'{layer} -> "{name}": no such file in the tree' if quote == '"' else None
    if target.startswith("include/"):
        return None
    to = layer_of(target)
    if to != layer and to not in allowed(layer):
        return f"{layer} -> {to}: {layer} may include {', '.join(allowed(layer) + ['include'])}"
    return None


def violations(root):
    root = pathlib.Path(root).resolve()
    found = []
    for top in ("src", "apps", "python", "include", "examples", "bench", "tests"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                wrong = match and check_include(root, file, match[1], match[2])
                if wrong:
                    found.append(f"{file.relative_to(root)}:{number}: {wrong}")
    return found


def symbols_of(build):
    """Of each object of src/ in a build folder: its source, and what it defines and needs."""
    for path in sorted(pathlib.Path(build).rglob("*.o")):
        match = re.search(r"/(src/.*)\.o$", path.as_posix())
        if not match:
            continue
        listing = subprocess.run(["nm", "-P", path], capture_output=True, text=True, check=True).stdout
        entries = [line.split()[:2] for line in listing.splitlines() if len(line.split()) > 1]
        yield (match[1], {name for name, kind in entries if kind in "TDBRCVW"},
               {name for name, kind in entries if kind == "U"})


def forbidden_calls(build):
    objects = list({source: (source, defined, needed) for source, defined, needed in symbols_of(build)}.values())
    if len(objects) < 50:
        raise SystemExit(f"{build}: only {len(objects)} objects of src/ found; build there first")
    definer = {name: source for source, defined, _ in objects for name in defined}
    for source, _, needed in objects:
        layer = layer_of(source)
        for name in sorted(needed):
            to = layer_of(definer[name]) if name in definer else layer
            # A kernel is declared in kernels.h, and defined where it lives.
            if to != layer and to not in allowed(layer) and not (layer == "src/kernels" and to.startswith(layer)):
                yield f"{source} calls {name}() of {definer[name]}: {layer} may call {', '.join(allowed(layer))}"


def main(arguments):
    if arguments[:1] == ["--calls"] and len(arguments) == 2:
        found = list(forbidden_calls(arguments[1]))
        print("\n".join(found) if found else "layers: every call follows the arrows")
        return 1 if found else 0
    if arguments == ["--arrows"]:
        for layer in LAYERS:
            print(f"{layer:18} -> {', '.join(allowed(layer) + ['include'])}")
        return 0
    root = arguments[0] if arguments else pathlib.Path(__file__).parent.parent
    found = violations(root)
    print("\n".join(found) if found else "layers: every include follows the arrows")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
