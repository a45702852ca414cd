# SPDX-License-Identifier: Apache-2.0
"""The command line of `vicinal compare`."""
import argparse
import difflib
import math
import os
import re

NAMES = ("vicinal", "vicinal-sorted", "gather-scatter", "flex", "sdpa")


class Stop(Exception):
    """The command ends here, with this text and exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Stop(2, f"{message}; `vicinal compare --help` lists all options")


def _number(text, kind, good, expected):
    try:
        value = kind(text)
        if math.isfinite(value) and good(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")


def _positive(text):
    return _number(text, float, lambda x: x > 0, "a number above 0")


def _whole(low, high):
    return lambda text: _number(text, int, lambda x: low <= x <= high, f"a whole number from {low} to {high}")


def _cell(text):
    parts = [_number(part, float, lambda x: x > 0, "a,b,c or a,b,c,alpha,beta,gamma (angstrom, degrees)")
             for part in text.split(",")]
    if len(parts) not in (3, 6) or any(angle >= 180 for angle in parts[3:]):
        raise argparse.ArgumentTypeError(f"expected a,b,c or a,b,c,alpha,beta,gamma (angstrom, degrees), got '{text}'")
    return parts + [90.0] * (6 - len(parts))


def _pbc(text):
    if text == "auto":
        return None
    if text == "none":
        return [False] * 3
    if not text or set(text) - set("xyz") or len(set(text)) != len(text):
        raise argparse.ArgumentTypeError(f"expected auto, none, or axes as in xyz, xy or z, got '{text}'")
    return [axis in text for axis in "xyz"]


def _supercell(text):
    if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}x[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"expected AxBxC with whole numbers from 1, as in 2x2x1, got '{text}'")
    return [int(n) for n in text.split("x")]


def _model(text):
    return _number(text, int, lambda x: x != 0 and abs(x) < 1e9, "a number from 1 on, or from -1 (the last) down")


def _names(text):
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}? There" if near else "there"
            raise argparse.ArgumentTypeError(f"no method '{name}'; {hint} are {', '.join(NAMES)}")
    return [name for name in NAMES if name in names]


def _parser():
    p = _Parser(prog="vicinal compare", usage="vicinal compare FILE --cutoff R [options]", allow_abbrev=False,
                description="Time, memory and error of vicinal on a structure of yours, beside what one would write "
                "otherwise.  Each method is compared with float64 first, and a wrong one gets no time.",
                epilog="Methods: vicinal; vicinal-sorted, with rows in the pattern's order; gather-scatter, over a "
                "list of pairs; flex, FlexAttention with vicinal's order and blocks for nothing; sdpa, "
                "scaled_dot_product_attention with a dense mask.  Exit codes: 0 ok, 1 failed, 2 usage, 3 bad input, "
                "4 no such device or kernel.")
    p.add_argument("file", metavar="FILE", nargs="?", help="a structure file; - is standard input")
    group = p.add_argument_group("Attention")
    group.add_argument("--cutoff", type=_positive, metavar="R", help="attend to all atoms nearer than R angstrom")
    group.add_argument("--heads", type=_whole(1, 4096), default=4, metavar="N", help="default 4")
    group.add_argument("--head-dim", type=_whole(1, 128), default=64, metavar="D", help="1 to 128; default 64")
    group.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), metavar="TYPE",
                       help="float32 (default on a CPU), float16 (default on a GPU) or bfloat16")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", metavar="WHERE",
                       help="auto (default: a GPU for which vicinal has a kernel, else the CPU), cpu or cuda")
    group.add_argument("--seed", type=_whole(0, 2 ** 63 - 1), default=0, metavar="N",
                       help="of the normal numbers that are q, k and v; default 0")
    group.add_argument("--backward", action="store_true", help="also time forward and backward together")
    group = p.add_argument_group("Measuring")
    group.add_argument("--only", type=_names, default=list(NAMES), metavar="NAMES",
                       help="these methods, comma-separated")
    group.add_argument("--seconds", type=_positive, default=120.0, metavar="S",
                       help="at most so long for each method, and again with --backward; default 120")
    group.add_argument("--threads", type=_whole(1, 4096), metavar="N",
                       help="of the CPU, for all methods; default: all that this process may use")
    group = p.add_argument_group("Structure")
    group.add_argument("--cell", type=_cell, metavar="A,B,C[,AL,BE,GA]",
                       help="cell in angstrom and degrees, instead of the file's")
    group.add_argument("--pbc", type=_pbc, metavar="AXES",
                       help="auto (what the file says), none, or axes: xyz, xy, z, ...")
    group.add_argument("--symmetry", action="store_true", help="apply the space group: all atoms of the cell")
    group.add_argument("--supercell", type=_supercell, metavar="AxBxC", help="repeat the cell along a, b, c")
    group.add_argument("--model", "--frame", type=_model, default=0, metavar="N",
                       help="number of the model or frame, -1 the last; default: the first one")
    group.add_argument("--altloc", choices=("highest", "all"), default="highest", metavar="WHICH",
                       help="alternate locations: highest (by occupancy; default) or all")
    group.add_argument("--duplicates", choices=("refuse", "drop", "keep"), default="refuse", metavar="WHAT",
                       help="atoms listed twice in one place: refuse (default), drop (one stays) or keep")
    group.add_argument("--no-hydrogen", action="store_true", help="leave out hydrogen and deuterium")
    group.add_argument("--no-water", action="store_true", help="leave out water")
    group = p.add_argument_group("Output")
    group.add_argument("--json", metavar="FILE", help="write the results as one JSON object; - is standard output, "
                       "which then has nothing else")
    return p


def options(words):
    parser = _parser()
    o, more = parser.parse_known_args(words)
    if more:
        known = [name for action in parser._actions for name in action.option_strings]
        near = difflib.get_close_matches(more[0].partition("=")[0], known, 1)
        what = "unknown option" if more[0].startswith("-") else "unexpected"
        parser.error(f"{what} {more[0]}" + (f", did you mean {near[0]}?" if near else ""))
    if o.file is None:
        parser.error("expected FILE, a structure")
    if o.cutoff is None:
        parser.error("--cutoff is missing: atoms nearer than so many angstrom attend to each other")
    if o.json and o.json != "-":
        folder = os.path.dirname(os.path.abspath(o.json))
        if os.path.isdir(o.json) or not os.access(folder, os.W_OK):
            raise Stop(2, f"--json {o.json}: expected the name of a file in a folder that can be written")
        if os.path.exists(o.json) and os.path.exists(o.file) and os.path.samefile(o.json, o.file):
            raise Stop(2, f"--json {o.json}: this is the structure that is read; give another name")
    return o
