# SPDX-License-Identifier: Apache-2.0
"""The shared library exports what vicinal.h declares and nothing else, and has its soname.

    check_symbols.py HEADER LIBRARY SONAME
"""
import re
import subprocess
import sys


def main(header, library, soname):
    with open(header, encoding="utf-8") as file:
        declared = set(re.findall(r"VIC_API\b[^;(]*?\b(vic_\w+)\s*\(", file.read()))
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in lines.splitlines()}
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    assert len(declared) > 30, f"only {len(declared)} functions found in {header}"
    wrong = [f"exported, but not in vicinal.h: {name}" for name in sorted(exported - declared)]
    wrong += [f"in vicinal.h, but not exported: {name}" for name in sorted(declared - exported)]
    if f"soname: [{soname}]" not in dynamic:
        wrong.append(f"no soname {soname}")
    print("\n".join(wrong) or f"{len(exported)} symbols, all in vicinal.h; soname {soname}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
