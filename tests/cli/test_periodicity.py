# SPDX-License-Identifier: Apache-2.0
"""One default of periodicity for all commands, and what they say of it and of the space group: text, JSON, pictures."""
import xml.etree.ElementTree

import numpy as np
import pytest

import oracle
from conftest import STRUCTURE, write_pdb, write_xyz

CELL = np.diag([24.0, 27.0, 31.0])
PARAMETERS = (24, 27, 31, 90, 90, 90)
CUTOFF = 6.0

# P 21 21 21: x,y,z; 1/2-x,-y,1/2+z; -x,1/2+y,1/2-z; 1/2+x,1/2-y,-z
OPERATIONS = [((1, 1, 1), (0, 0, 0)), ((-1, -1, 1), (.5, 0, .5)), ((-1, 1, -1), (0, .5, .5)),
              ((1, -1, -1), (.5, .5, 0))]

COMMANDS = [["pattern", "--cutoff", CUTOFF], ["run", "--cutoff", CUTOFF, "--heads", 1, "--head-dim", 8],
            ["packing", "--cutoff", CUTOFF], ["bench", "pattern", "--cutoff", CUTOFF, "--repeat", 1],
            ["bench", "latency", "--cutoff", CUTOFF, "--device", "cpu", "--launches", 1, "--heads", 1, "--head-dim", 8],
            ["bench", "scaling", "--cutoff", CUTOFF, "--device", "cpu", "--launches", 1, "--head-dim", 8, "--over",
             "heads", "--values", 1]]
NAMES = [" ".join(w for w in map(str, c) if w.isalpha()).split(" cutoff")[0] for c in COMMANDS]
WITH_INFO = COMMANDS + [["info"]]


@pytest.fixture
def molecule(tmp_path):
    rng = np.random.default_rng(21)
    positions = np.round(rng.uniform(0, 1, (90, 3)) * 20, 3)
    path = write_pdb(tmp_path / "m.pdb", positions, rng.uniform(5, 50, 90).round(2), cell=PARAMETERS, group="P 21 21 21")
    return path, positions


def whole_crystal(positions):
    return np.concatenate([(positions @ np.linalg.inv(CELL) * sign + shift) @ CELL for sign, shift in OPERATIONS])


def pairs_of(answer):
    """Pairs; `packing` gives their mean."""
    return answer["pairs"] if "pairs" in answer else round(answer["count"]["mean"] * answer["atoms"])


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_pairs_of_an_asymmetric_unit(vicinal, molecule, command):
    path, positions = molecule
    crystal = whole_crystal(positions)
    alone = len(oracle.pairs(positions, CUTOFF)[0])
    lattice = len(oracle.pairs(positions, CUTOFF, CELL, reach=3)[0])
    full = len(oracle.pairs(crystal, CUTOFF, CELL, reach=3)[0])
    assert alone < lattice < full / 4
    for options, atoms, pairs, symmetry in ((["--pbc", "none"], 90, alone, "not applied"), ([], 90, alone, "not applied"),
                                            (["--pbc", "auto"], 90, alone, "not applied"),
                                            (["--pbc", "xyz"], 90, lattice, "not applied"),
                                            (["--cell", "24,27,31"], 90, lattice, "not applied"),
                                            (["--symmetry"], 360, full, "applied"),
                                            (["--symmetry", "--pbc", "none"], 360, len(oracle.pairs(crystal, CUTOFF)[0]),
                                             "applied")):
        answer = vicinal(*command, path, *options, "--json").json
        assert STRUCTURE <= set(answer), options
        assert (answer["atoms"], pairs_of(answer), answer["symmetry"]) == (atoms, pairs, symmetry), options
        assert answer["periodic"] == [pairs in (lattice, full)] * 3 and answer["space_group"] == "P 21 21 21"


def test_real_crystal(vicinal, real_structure):
    """4HHB at 8 A: the molecule, its repetition by translations alone, and the crystal."""
    path = real_structure("small/4hhb.pdb")
    for options, copies, pairs in (([], 1, 414305), (["--pbc", "none"], 1, 414305), (["--pbc", "xyz"], 1, 424427),
                                   (["--symmetry"], 2, 2 * 432559)):
        answer = vicinal("pattern", path, "--cutoff", 8, "--json", *options).json
        assert (answer["atoms"], answer["pairs"]) == (copies * 4779, pairs), options
        packed = vicinal("packing", path, "--hydrogen", "--cutoff", 8, "--json", *options).json
        assert packed["count"]["mean"] * packed["atoms"] == pytest.approx(pairs, rel=1e-12)


CIF = ("data_x\n_cell_length_a 12\n_cell_length_b 12\n_cell_length_c 12\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
       "_cell_angle_gamma 90\n%sloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
       "C1 0.1 0.2 0.3\nO1 0.2 0.2 0.3\n")
LIST = "loop_\n_symmetry_equiv_pos_as_xyz\n"

# what the file says, options -> symmetry, applied, not applied, periodic along, words of the text
SAID = {
    "P 1": ("_symmetry_space_group_name_H-M 'P 1'\n", [], "nothing to apply", 1, 0, "abc",
            ["P 1, nothing to apply: the identity is its only operation", "along a, b and c"]),
    "P 1, applied": ("_symmetry_space_group_name_H-M 'P 1'\n", ["--symmetry"], "applied", 1, 0, "abc",
                     ["P 1, applied: 1 operation, the identity"]),
    "P 1, open": ("_symmetry_space_group_name_H-M 'P 1'\n", ["--pbc", "none"], "nothing to apply", 1, 0, "", []),
    "P -1": ("_symmetry_space_group_name_H-M 'P -1'\n", [], "not applied", 1, 1, "",
             ["P -1, 1 operation not applied: the atoms are the asymmetric unit (--symmetry applies it)",
              "no: the space group is not applied"]),
    "P -1, applied": ("_symmetry_space_group_name_H-M 'P -1'\n", ["--symmetry"], "applied", 2, 0, "abc",
                      ["P -1, applied: 2 operations"]),
    "P -1, a slab": ("_symmetry_space_group_name_H-M 'P -1'\n", ["--pbc", "xz"], "not applied", 1, 1, "ac",
                     ["along a and c", "not applied"]),
    "a list without a name": (LIST + "x,y,z\n-x,-y,-z\nx+1/2,y+1/2,z\n-x+1/2,-y+1/2,-z\n", [], "not applied", 1, 3, "",
                              ["without a name, 3 operations not applied: the atoms are", "(--symmetry applies them)"]),
    "the list of one": (LIST + "x,y,z\n", [], "none", 1, 0, "abc", []),
    "nothing said": ("", [], "none", 1, 0, "abc", []),
    "an unknown group": ("_symmetry_space_group_name_H-M 'Q 17'\n", [], "unknown", 1, None, "",
                         ["Q 17, not applied: which operations it has is not known"]),
    "a cell by hand": ("_symmetry_space_group_name_H-M 'P -1'\n", ["--cell", "13,13,13"], "not applied", 1, 0, "abc",
                       ["it belongs to the file's cell, and another is given"]),
    "a list that is not the group's": ("_symmetry_space_group_name_H-M 'F m -3 m'\n" + LIST + "x,y,z\n", [],
                                       "nothing to apply", 1, 0, "abc", ["note", "The file lists 1 symmetry operation"]),
}


@pytest.mark.parametrize("case", SAID)
def test_what_is_said(vicinal, tmp_path, case):
    head, options, symmetry, applied, left, axes, words = SAID[case]
    path = tmp_path / "x.cif"
    path.write_text(CIF % head)
    answers = [vicinal(*command, path, *options, "--json").json for command in WITH_INFO]
    for answer in answers:
        assert {k: answer[k] for k in STRUCTURE} == {k: answers[0][k] for k in STRUCTURE}, "all commands say the same"
    answer = answers[0]
    assert (answer["symmetry"], answer["symmetry_operations"], answer["unapplied_operations"]) == (symmetry, applied, left)
    assert answer["periodic"] == [c in axes for c in "abc"]
    assert len(answer["notes"]) == words.count("note") and all(n.endswith(".") for n in answer["notes"])
    for command in WITH_INFO:
        text = vicinal(*command, path, *options).out
        assert "periodic" in text and ("space group" in text) == (symmetry != "none")
        for word in words:
            assert word in text, (command, word)


def test_no_cell(vicinal, tmp_path):
    path = write_xyz(tmp_path / "x.xyz", np.arange(9.0).reshape(3, 3))
    for command in WITH_INFO:
        text = vicinal(*command, path).out
        assert "no, there is no cell" in text and "space group" not in text, command


# ---- pictures ----

SVG = "{http://www.w3.org/2000/svg}"


# Advance widths of DejaVu Sans in thousandths of its size, from the space to the tilde: the widest of the fonts that the
# pictures name.  What is not there counts as 1000.
REGULAR = ("318 401 460 838 636 950 780 275 390 390 500 838 318 361 318 337 636 636 636 636 636 636 636 636 636 "
           "636 337 337 838 838 838 531 1000 684 686 698 770 632 575 775 752 295 295 656 557 863 748 787 603 787 "
           "695 635 611 732 684 989 685 611 685 390 337 390 838 500 500 613 635 550 635 615 352 635 634 278 278 "
           "579 278 974 634 612 635 635 411 521 392 634 592 818 592 592 525 636 337 636 838")
BOLD = ("348 456 521 838 696 1002 872 306 457 457 523 838 380 415 380 365 696 696 696 696 696 696 696 696 696 "
        "696 400 400 838 838 838 580 1000 774 762 734 830 683 683 821 837 372 372 775 637 995 837 850 733 850 "
        "770 720 682 812 774 1103 771 724 725 457 365 457 838 500 500 675 716 593 716 678 435 716 712 343 343 "
        "665 343 1042 712 687 716 716 493 595 478 712 652 924 645 652 582 712 365 712 838")


def width_of(text, size, bold):
    table = [int(w) for w in (BOLD if bold else REGULAR).split()]
    other = {"\u00a0": 350, "\u00c5": 774, "\u00e9": 678, "\u00b2": 440, "\u00d7": 838}
    return sum(table[ord(c) - 32] if " " <= c <= "~" else other.get(c, 1000) for c in text) * size / 1000


def picture(path):
    """Width, and all texts as (x, anchor, size, text, bold)."""
    root = xml.etree.ElementTree.parse(path).getroot()
    return float(root.get("width")), [(float(e.get("x")), e.get("text-anchor"), float(e.get("font-size")), e.text,
                                       e.get("font-weight") == "bold")
                                      for e in root.iter(SVG + "text") if e.get("x")]


def words_of(path):
    return " ".join(t[3] for t in picture(path)[1]).replace("\u00a0", " ")


def test_captions_of_a_crystal(vicinal, molecule, tmp_path):
    target = tmp_path / "p.svg"
    for command in ("pattern", "packing"):
        for options, words in (([], "Not periodic; space group P 21 21 21 not applied (3 operations left out): the atoms "
                                    "are the asymmetric unit."),
                               (["--pbc", "xyz"], "Periodic along a, b and c; space group P 21 21 21 not applied (3 "
                                                  "operations left out): the atoms are the asymmetric unit, repeated by "
                                                  "translation alone."),
                               (["--symmetry"], "Periodic along a, b and c; space group P 21 21 21 applied (4 operations)."),
                               (["--symmetry", "--pbc", "y"], "Periodic along b; space group P 21 21 21 applied")):
            vicinal(command, molecule[0], "--cutoff", 6, *options, "--plot", target)
            assert words in words_of(target), (command, options)


@pytest.mark.parametrize("options, words", [
    (["--cutoff", 6], "90 atoms, all pairs nearer than 6 \u00c5: "),
    (["--cutoff", 6, "--no-self"], "all pairs nearer than 6 \u00c5, without self pairs: "),
    (["--nearest", 7], "the 7 nearest atoms of each, itself among them: 630 pairs"),
    (["--windows", "16,48"], "windows by atom number, 16 atoms attending to the 48 around them: "),
    (["--pairs", "pairs.npy"], "the pairs of pairs.npy: 3 pairs"),
    (["--cutoff", 6, "--unite", "w.vnp"], "all pairs nearer than 6 \u00c5, and the pairs of w.vnp: "),
    (["--nearest", 7, "--exclude-pairs", "pairs.npy"], "the 7 nearest atoms of each, itself among them, without those of "
                                                       "pairs.npy: "),
    (["--cutoff", 6, "--skip", "skip.npy"], "all pairs nearer than 6 \u00c5, atoms left out by skip.npy: "),
])
def test_captions_say_which_pairs(vicinal, molecule, tmp_path, options, words):
    np.save(tmp_path / "pairs.npy", np.array([[0, 1], [1, 0], [5, 7]], np.int32))
    np.save(tmp_path / "skip.npy", np.array([1] + [0] * 89, np.uint8))
    vicinal("pattern", molecule[0], "--windows", "16,48", "-o", tmp_path / "w.vnp")
    vicinal("pattern", molecule[0], *options, "--plot", tmp_path / "p.svg", "-o", tmp_path / "q.vnp")
    assert words in words_of(tmp_path / "p.svg")
    text = vicinal("pattern", molecule[0], *options).out
    assert "--cutoff" in options and "--unite" not in options or words.split(": ")[0].replace("\u00c5", "A") in text
    vicinal("pattern", tmp_path / "q.vnp", "--plot", tmp_path / "q.svg")  # and of a pattern that was read
    assert "cutoff 0" not in words_of(tmp_path / "p.svg") + words_of(tmp_path / "q.svg")


def test_pictures_without_positions(vicinal, tmp_path):
    for name, options, words in (("blocks:5x5:n=9,seed=1", [], "640 atoms, the blocks of a mask: 147,456 pairs"),
                                 ("blocks:2x5:n=4,seed=1", [], "256 atoms attending to 640, the blocks of a mask"),
                                 ("atoms:300", ["--windows", "32,128"], "windows by atom number")):
        answer = vicinal("pattern", name, *options, "--plot", tmp_path / "p.svg", "--json").json
        said = words_of(tmp_path / "p.svg")
        assert words in said and "coloured by strip" not in said and "in space" not in said
        assert ("orange" in said) == (answer["full_blocks"] > 0)
    assert "no atoms to draw" in vicinal("pattern", "atoms:0", "--windows", "8,8", "--plot", tmp_path / "p.svg", code=3).err


@pytest.mark.parametrize("letters", ["a<b>&\"c' ", "W", "i", "mr!`", "\u00c5\u00e9", "\u6f22"])
def test_no_text_runs_out_of_the_picture(vicinal, tmp_path, letters):
    name = letters
    while len((name + letters).encode()) <= 240:
        name += letters
    path = write_xyz(tmp_path / (name + ".xyz"), np.arange(9.0).reshape(3, 3))
    for command in ("pattern", "packing"):
        vicinal(command, path, "--cutoff", 6, "--plot", tmp_path / "p.svg")
        width, texts = picture(tmp_path / "p.svg")
        title = next(t for t in texts if t[2] == 22)
        assert title[3].startswith(("Packing of " if command == "packing" else "Attention pattern of ") + letters)
        cut = title[3].endswith("\u2026")
        assert cut or title[3].endswith(".xyz")
        assert not cut or title[0] + width_of(title[3], 22, True) > 0.75 * width, "no more is cut than need be"
        for x, anchor, size, text, bold in texts:
            whole = width_of(text, size, bold)
            left = x - {"start": 0, "middle": whole / 2, "end": whole}[anchor]
            assert 0 <= left and left + whole <= width, text


def test_long_captions_are_wrapped(vicinal, molecule, tmp_path):
    long = tmp_path / ("a pattern of a very long name " * 7 + ".vnp")
    vicinal("pattern", molecule[0], "--windows", "16,48", "-o", long)
    vicinal("pattern", molecule[0], "--cutoff", 6, "--unite", long, "--plot", tmp_path / "p.svg")
    width, texts = picture(tmp_path / "p.svg")
    captions = [t for t in texts if t[2] == 14]
    assert len(captions) >= 3 and " ".join(t[3] for t in captions).count("very long name") >= 6
    assert all(t[0] + width_of(t[3], 14, False) <= width for t in captions)


def test_a_wire_fills_its_panel(vicinal, tmp_path):
    from test_output import decode_png, pictures
    wire = write_xyz(tmp_path / "wire.xyz", np.column_stack([1.4 * np.arange(40), np.zeros(40), np.zeros(40)]))
    for command in ("packing", "pattern"):
        vicinal(command, wire, "--cutoff", 4, "--plot", tmp_path / "p.svg")
        panel = next(p for p in map(decode_png, pictures(tmp_path / "p.svg")[0]) if p.shape[0] > 100)
        rows, columns = np.nonzero((panel != 255).any(2))
        assert np.ptp(rows) > 0.7 * panel.shape[0] and np.ptp(columns) > 0.7 * panel.shape[1]
        assert np.hypot(np.ptp(rows), np.ptp(columns)) > 1.25 * panel.shape[1], "along the diagonal"


def words_over_the_chart(path):
    """The frame of the chart on the right, and the texts within it."""
    root = xml.etree.ElementTree.parse(path).getroot()
    x, y, w, h = [float(list(root.iter(SVG + "clipPath"))[0][0].get(k)) for k in ("x", "y", "width", "height")]
    return [e.text for e in root.iter(SVG + "text")
            if e.get("x") and x < float(e.get("x")) < x + w and y < float(e.get("y")) < y + h]


def test_nothing_stands_over_the_hexagons(vicinal, molecule, tmp_path):
    vicinal("packing", molecule[0], "--plot", tmp_path / "p.svg")
    answer = vicinal("packing", molecule[0], "--json").json
    assert words_over_the_chart(tmp_path / "p.svg") == []
    assert f"r = {answer['correlation']['pearson']:.3f}" in words_of(tmp_path / "p.svg").split("hexagon")[0]
