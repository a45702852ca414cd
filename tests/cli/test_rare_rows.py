# SPDX-License-Identifier: Apache-2.0
"""Rows that few programs write: each says what must come of it, or what the error must say."""
import re

import pytest

PDB = "ATOM  {0:>5} {1:<4}{2}{3:>3} {4}{5:>4}    {6:8.3f}{7:8.3f}{8:8.3f}  1.00  0.00          {9:>2}\n"
CIF_LOOP = ("data_x\nloop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"
            "_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_id\n"
            "_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n")


def pdb(serial, name=" CA ", altloc=" ", residue="ALA", chain="A", number="1", x=1.0, y=2.0, z=3.0, element="C"):
    return PDB.format(serial, name, altloc, residue, chain, number, x, y, z, element)


def extxyz(comment, rows):
    return f"{len(rows)}\n{comment}\n" + "".join(row + "\n" for row in rows)


def cif(*rows, head=""):
    return CIF_LOOP.replace("data_x\n", "data_x\n" + head) + "".join(row + "\n" for row in rows) + "#\n"


def smcif(sites, head=""):
    return ("data_x\n_cell_length_a 5\n_cell_length_b 6\n_cell_length_c 7\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
            f"_cell_angle_gamma 90\n{head}loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
            "_atom_site_fract_y\n_atom_site_fract_z\n" + "".join(site + "\n" for site in sites))


def poscar(elements="Si", counts="1", cell="4 0 0\n0 4 0\n0 0 4", comment="made", scale="1.0", rows="0 0 0\n"):
    return f"{comment}\n{scale}\n{cell}\n" + (elements + "\n" if elements else "") + f"{counts}\nDirect\n{rows}"


def lammps(masses="1 12.011", header=""):
    return ("made\n\n1 atoms\n1 atom types\n" + header + "0 10 xlo xhi\n0 10 ylo yhi\n0 10 zlo zhi\n\n"
            f"Masses\n\n{masses}\n\nAtoms # atomic\n\n1 1 1.0 2.0 3.0\n")


READ = {
    # name: (file, content, what `info --json` must hold)
    "extxyz: an escaped quote in a text": ("a.xyz", extxyz(r'note="a \" b" Properties=species:S:1:pos:R:3', ["C 0 0 0"]),
                                           {"atoms": 1, "elements": {"C": 1}}),
    "extxyz: a backslash in braces is itself": ("a.xyz", extxyz(r'note={a \} Properties=species:S:1:pos:R:3', ["C 0 0 0"]),
                                                {"atoms": 1, "elements": {"C": 1}}),
    "extxyz: the diagonal of a lattice": ("a.xyz", extxyz('Lattice="5 6 7"', ["C 0 0 0"]), {"cell.a": 5, "cell.b": 6, "cell.c": 7}),
    "extxyz: the first of two positions": (
        "a.xyz", extxyz("Properties=pos:R:3:species:S:1:positions:R:3", ["1 2 3 N 7 8 9"]),
        {"box": [[1, 2, 3], [1, 2, 3]], "elements": {"N": 1}}),
    "extxyz: the first of two species": ("a.xyz", extxyz("Properties=species:S:1:pos:R:3:element:S:1", ["N 1 2 3 O"]),
                                         {"elements": {"N": 1}}),
    "extxyz: species before numbers": ("a.xyz", extxyz("Properties=species:S:1:Z:I:1:pos:R:3", ["N 8 1 2 3"]),
                                       {"elements": {"N": 1}}),
    "extxyz: species as numbers": ("a.xyz", extxyz("Properties=species:I:1:pos:R:3", ["8 1 2 3"]), {"elements": {"O": 1}}),
    "extxyz: species of two columns are none": ("a.xyz", extxyz("Properties=species:S:2:Z:I:1:pos:R:3", ["N O 8 1 2 3"]),
                                                {"elements": {"O": 1}}),
    "extxyz: species that are real numbers are none": (
        "a.xyz", extxyz("Properties=species:R:1:Z:I:1:pos:R:3", ["1.5 8 1 2 3"]), {"elements": {"O": 1}}),
    "extxyz: numbers of two columns are none": ("a.xyz", extxyz("Properties=Z:I:2:species:S:1:pos:R:3", ["8 8 N 1 2 3"]),
                                                {"elements": {"N": 1}}),
    "extxyz: numbers that are text are none": ("a.xyz", extxyz("Properties=Z:S:1:species:S:1:pos:R:3", ["8 N 1 2 3"]),
                                               {"elements": {"N": 1}}),
    "gro: residue numbers that did not fit": (
        "a.gro", "made\n1\n*****SOL     OW    1   0.100   0.200   0.300\n   1.0   1.0   1.0\n", {"atoms": 1, "elements": {"O": 1}}),
    "gro: a number as title": (
        "a.gro", "7\n1\n    1SOL     OW    1   0.100   0.200   0.300\n   1.0   1.0   1.0\n", {"format": "gro", "atoms": 1}),
    "xyz: a last frame of nothing": ("a.xyz", "1\nx\nC 0 0 0\n0\n", {"models": 2, "atoms": 1}),
    "xyz: a number as title and as comment": ("a.xyz", "1\n1\nC 0 0 0\n", {"format": "xyz", "atoms": 1}),
    "mmcif: a blank altloc is none": ("a.cif", cif("ATOM 1 C CA ' ' ALA A 1 1 2 3"), {"altloc_atoms": 0}),
    "mmcif: an empty altloc is none": ("a.cif", cif("ATOM 1 C CA '' ALA A 1 1 2 3"), {"altloc_atoms": 0}),
    "mmcif: an ion's charge": ("a.cif", cif("HETATM 1 FE3+ FE . FE A 1 1 2 3"), {"elements": {"Fe": 1}}),
    "mmcif: a symbol with brackets behind it": ("a.cif", cif("HETATM 1 FE{3} FE . FE A 1 1 2 3"), {"elements": {"Fe": 1}}),
    "mmcif: residue numbers past 32 bits": ("a.cif", cif("ATOM 1 C CA . ALA A 99999999999 1 2 3",
                                                         "ATOM 2 C CB . ALA A -99999999999 1 2 4"), {"atoms": 2}),
    "mmcif: dummy atoms at places of their own": ("a.cif", cif("HETATM 1 X X . DUM A 1 1 2 3", "HETATM 2 X X . DUM A 1 4 5 6"),
                                                  {"atoms": 2}),
    "mmcif: a dummy cell is none": (
        "a.cif", cif("ATOM 1 C CA . ALA A 1 1 2 3",
                     head="_cell.length_a 1\n_cell.length_b 1\n_cell.length_c 1\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
                          "_cell.angle_gamma 90\n"), {"cell": None}),
    "mmcif: an empty space group": (
        "a.cif", cif("ATOM 1 C CA . ALA A 1 1 2 3",
                     head="_cell.length_a 20\n_cell.length_b 20\n_cell.length_c 20\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
                          "_cell.angle_gamma 90\n_symmetry.space_group_name_H-M ''\n_space_group.name_H-M_alt 'P 1'\n"),
        {"space_group": "P 1", "cell.a": 20}),
    "pdb: hybrid-36 residue numbers, capitals": ("a.pdb", pdb(1, number="A000") + pdb(2, x=2, number="A001"), {"residues": 2}),
    "pdb: hybrid-36 residue numbers, small": ("a.pdb", pdb(1, number="a000") + pdb(2, x=2, number="a00z"), {"residues": 2}),
    "pdb: capitals and small letters are no hybrid-36 number": ("a.pdb", pdb(1, number="A0a0"), {"residues": 1}),
    "pdb: an altloc that cannot be printed is none": ("a.pdb", pdb(1, altloc="\x7f"), {"altloc_atoms": 0}),
    "pdb: four-letter residues without a chain": (
        "a.pdb", pdb(1, name=" OH2", residue="TIP", chain="3", number="1", element="O"), {"elements": {"O": 1}}),
    "pdb: atoms of no residue twice at two places": (
        "a.pdb", pdb(1, name=" X  ", residue="DUM", x=1, element="") + pdb(2, name=" X  ", residue="DUM", x=2, element=""),
        {"atoms": 2}),
    "pdb: a lipid and no chain": (
        "a.pdb", pdb(1, residue="POP")[:20] + "C " + pdb(1)[22:] + pdb(2, residue="POP")[:20] + "E " + pdb(2, y=3)[22:],
        {"atoms": 2, "residues": 2}),
    "pdb: an end without a line's end": ("a.pdb", pdb(1) + "TER", {"atoms": 1}),
    "pdb: a record name that comes late": ("a.pdb", "FREE TEXT\n" * 25 + "MODEL        1\n" + pdb(1) + "ENDMDL\n", {"atoms": 1}),
    "poscar by its ending .vasp": ("a.vasp", poscar(), {"format": "poscar", "elements": {"Si": 1}}),
    "poscar by its ending .poscar": ("a.poscar", poscar(), {"format": "poscar"}),
    "CONTCAR by its name": ("CONTCAR_2", poscar(), {"format": "poscar"}),
    "poscar of VASP 4, elements in the comment": ("POSCAR", poscar(elements="", comment="Si O2", counts="1 1",
                                                                  rows="0 0 0\n.5 .5 .5\n"), {"elements": {"Si": 1, "O": 1}}),
    "poscar of VASP 4, one letter at the comment's end": ("POSCAR", poscar(elements="", comment="C"), {"elements": {"C": 1}}),
    "poscar of VASP 4, a comment that is no formula": ("POSCAR", poscar(elements="", comment="C{"), {"elements": {"X": 1}}),
    "cif: a vacancy": ("a.cif", smcif(["V1 Va 0 0 0", "O1 O .5 .5 .5"]), {"atoms": 2, "elements": {"O": 1, "X": 1}}),
    "cif: two letters that are no element": ("a.cif", smcif(["V1 Vx 0 0 0"]), {"elements": {"V": 1}}),
    "cif: vanadium, no vacancy": ("a.cif", smcif(["V1 V 0 0 0"]), {"elements": {"V": 1}}),
    "cif: an empty name and one behind it": ("a.cif", smcif(["O1 O 0 0 0"], head="_chemical_name_common ''\n_chemical_name_mineral Ice\n"),
                                             {"title": "Ice"}),
    "a title in UTF-8": ("a.xyz", "1\n\u0800 \ud000 \U00010000 \U0010ffff\nC 0 0 0\n",
                         {"title": "\u0800 \ud000 \U00010000 \U0010ffff"}),
    "a title that is not UTF-8": ("a.xyz", b"1\n\xed\xa0\x80 \xe0\x80\x80 \xf0\x80\x80\x80 \xf4\x90\x80\x80 \xc3\xa9\nC 0 0 0\n",
                                  {"title": "??? ??? ???? ???? é"}),
    "a cell of zeros and right angles is none": (
        "a.pdb", "CRYST1    0.000    0.000    0.000  90.00  90.00  90.00 P 1           1\n" + pdb(1), {"cell": None}),
    "a cell of one, one and something is one": (
        "a.pdb", "CRYST1    1.000    1.000   30.000  90.00  90.00  90.00 P 1           1\n" + pdb(1), {"cell.c": 30}),
    "amber: velocities and no box": ("a.rst7", "made\n3\n" + "   1.0000000   2.0000000   3.0000000" * 2 + "\n"
                                     + "   7.0000000   8.0000000   9.0000000\n" + "   0.1000000   0.2000000   0.3000000" * 2
                                     + "\n" + "   0.1000000   0.2000000   0.3000000\n", {"atoms": 3, "cell": None}),
}

REFUSED = {
    # name: (file, content, what the error must say)
    "extxyz: positions of two columns": ("a.xyz", extxyz("Properties=species:S:1:pos:R:2", ["C 1 2"]), "pos:R:3"),
    "extxyz: positions that are text": ("a.xyz", extxyz("Properties=species:S:1:pos:S:3", ["C 1 2 3"]), "pos:R:3"),
    "extxyz: four flags": ("a.xyz", extxyz('Lattice="5 6 7" pbc="T T T T"', ["C 0 0 0"]), "pbc as three of T and F"),
    "extxyz: a flag that is none": ("a.xyz", extxyz('Lattice="5 6 7" pbc="T T x"', ["C 0 0 0"]), "pbc as three of T and F"),
    "gro: a count without rows": ("a.gro", "made\n2\n    1SOL     OW    1   0.100   0.200   0.300\n", "end of the file"),
    "lammps: a mass that is no number": ("a.data", lammps(masses="1 heavy"), "an atom type .* and its mass"),
    "lammps: a type of zero": ("a.data", lammps(masses="0 12.0"), "an atom type .* and its mass"),
    "lammps: a type of none": ("a.data", lammps(masses="2 12.0"), "an atom type .* and its mass"),
    "lammps: a type that is a word": ("a.data", lammps(masses="C 12.0"), "an atom type .* and its mass"),
    "lammps: a mass alone": ("a.data", lammps(masses="1"), "an atom type .* and its mass"),
    "mmcif: rows twice": ("a.cif", cif("ATOM 1 C CA . ALA A 1 1 2 3", "ATOM 2 C CA . ALA A 1 1 2 3"), "each atom once"),
    "mmcif: a dummy twice at one place": (
        "a.cif", cif("HETATM 1 X X . DUM A 1 1 2 3", "HETATM 2 X X . DUM A 1 1 2 3"), "each atom once"),
    "mmcif: half a cell": ("a.cif", cif("ATOM 1 C CA . ALA A 1 1 2 3", head="_cell.length_a 20\n"), "cell"),
    "poscar: more counts than elements": ("POSCAR", poscar(counts="1 2"), "as many counts"),
    "poscar: a flat cell scaled to a volume": ("POSCAR", poscar(cell="4 0 0\n8 0 0\n0 0 4", scale="-64"), "vectors with a volume"),
    "poscar: three scales, one negative": ("POSCAR", poscar(scale="1 -1 1"), "three scales above 0"),
    "poscar: nothing": ("POSCAR", "", "empty|nothing|comment"),
    "cif: brackets that close nothing": ("a.cif", smcif(["O1 O 1) 0 0"]), "number"),
    "cif: empty brackets": ("a.cif", smcif(["O1 O 1() 0 0"]), "number"),
    "cif: letters in brackets": ("a.cif", smcif(["O1 O 1(a) 0 0"]), "number"),
    "pdb: cut within the record's name": ("a.pdb", pdb(1) + "ATO", "whole record"),
    "pdb: cut within the other record's name": ("a.pdb", pdb(1) + "HETA", "whole record"),
    "xyz: a frame that is cut": ("a.xyz", "2\nx\nC 0 0 0\n", "end of the file|rows"),
    "xyz: an empty frame": ("a.xyz", "0\n\n", "atom"),
}


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", READ)
def test_what_comes_of_it(vicinal, tmp_path, name):
    file, content, expected = READ[name]
    answer = vicinal("info", write(tmp_path, file, content), "--json").json
    for key, value in expected.items():
        found = answer
        for part in key.split("."):
            found = found[part]
        assert found == value, key


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_error_says(vicinal, tmp_path, name):
    file, content, said = REFUSED[name]
    error = vicinal("info", write(tmp_path, file, content), code=3).err
    assert re.search(said, error), error


def test_frames_that_are_not_there(vicinal, tmp_path):
    path = write(tmp_path, "a.xyz", "1\nx\nC 0 0 0\n1\ny\nN 0 0 0\n")
    assert vicinal("info", path, "--json", "--frame", "-2").json["elements"] == {"C": 1}
    assert "the file has 2" in vicinal("info", path, "--frame", "-3", code=3).err
    assert "the file has 2" in vicinal("info", path, "--frame", "3", code=3).err
    path = write(tmp_path, "b.xyz", "1\nx\nC 0 0 0\n2\ny\nN 0 0 0\n")  # the second is cut, which the first does not mind
    assert vicinal("info", path, "--json").json["elements"] == {"C": 1}
    assert re.search("end of the file|rows", vicinal("info", path, "--frame", "2", code=3).err)
    assert re.search("end of the file|rows", vicinal("info", path, "--frame", "-1", code=3).err)


def test_a_limit_below_one_is_the_default(vicinal, tmp_path):
    path = write(tmp_path, "a.xyz", "1\n\nC 0 0 0\n")
    assert vicinal("info", path, "--json", env={"VIC_READ_LIMIT_MB": "0"}).json["atoms"] == 1
