# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from conftest import STRUCTURE, write_pdb, write_xyz

KEYS = {"file", "format", "title", "atoms", "file_atoms", "elements", "models", "altloc_atoms", "partial_occupancy", "chains", "residues",
        "cell", "box", "density"} | STRUCTURE


def test_open_cloud(vicinal, cloud):
    path, positions = cloud
    answer = vicinal("info", path, "--json").json
    assert set(answer) == KEYS
    assert answer["file"] == str(path) and answer["format"] == "xyz"
    assert answer["atoms"] == answer["file_atoms"] == 300 and answer["elements"] == {"C": 300}
    assert answer["cell"] is None and answer["density"] is None and answer["periodic"] == [False] * 3
    np.testing.assert_array_equal(answer["box"], [positions.min(0), positions.max(0)])


def test_cell_and_density(vicinal, crystal):
    path, _, cell = crystal
    answer = vicinal("info", path, "--json").json
    assert set(answer["cell"]) == {"a", "b", "c", "alpha", "beta", "gamma", "vectors", "volume"}
    lengths = np.linalg.norm(cell, axis=1)
    np.testing.assert_allclose([answer["cell"][k] for k in "abc"], lengths, rtol=1e-12)

    def angle(u, v):
        return np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
    np.testing.assert_allclose([answer["cell"][k] for k in ("alpha", "beta", "gamma")],
                               [angle(cell[1], cell[2]), angle(cell[0], cell[2]), angle(cell[0], cell[1])], rtol=1e-10)
    np.testing.assert_allclose(answer["cell"]["vectors"], cell, atol=1e-12)
    volume = abs(np.linalg.det(cell))
    assert answer["cell"]["volume"] == pytest.approx(volume, rel=1e-12)
    assert answer["density"]["atoms_per_A3"] == pytest.approx(70 / volume, rel=1e-12)
    assert answer["density"]["g_per_cm3"] == pytest.approx(70 * 12.011 / volume * 1.66053907, rel=1e-7)
    assert answer["periodic"] == [True] * 3


def test_elements_and_selection(vicinal, tmp_path):
    path = write_xyz(tmp_path / "w.xyz", np.arange(18.0).reshape(6, 3), ["O", "H", "H", "Fe", "H", "C"])
    assert vicinal("info", path, "--json").json["elements"] == {"H": 3, "C": 1, "O": 1, "Fe": 1}
    heavy = vicinal("info", path, "--json", "--no-hydrogen").json
    assert heavy["atoms"] == 3 and heavy["file_atoms"] == 6 and heavy["elements"] == {"C": 1, "O": 1, "Fe": 1}


def test_cell_by_hand_and_supercell(vicinal, cloud):
    path, _ = cloud
    answer = vicinal("info", path, "--json", "--cell", "20,21,22", "--supercell", "2x1x3", "--pbc", "xz").json
    assert answer["atoms"] == 1800 and answer["periodic"] == [True, False, True]
    np.testing.assert_allclose([answer["cell"][k] for k in "abc"], [40, 21, 66])


def test_chains_and_residues(vicinal, tmp_path):
    path = write_pdb(tmp_path / "p.pdb", np.arange(12.0).reshape(4, 3), [1.0] * 4)
    text = path.read_text().splitlines()
    text[1] = text[1].replace(" C   ALA A   2", " CA  ALA A   1")  # two atoms of one residue
    text[3] = text[3].replace("ALA A", "ALA B")
    path.write_text("\n".join(text) + "\n")
    answer = vicinal("info", path, "--json").json
    assert answer["chains"] == 2 and answer["residues"] == 3
    assert "2, 3" in vicinal("info", path).out


def test_real_protein(vicinal, real_structure):
    answer = vicinal("info", real_structure("small/4hhb.pdb"), "--json").json
    assert answer["atoms"] == 4779 and answer["chains"] == 4 and answer["elements"]["Fe"] == 4
    assert answer["space_group"] == "P 1 21 1" and answer["symmetry_operations"] == 1
    full = vicinal("info", real_structure("small/4hhb.pdb"), "--json", "--symmetry").json
    assert full["symmetry_operations"] == 2 and full["atoms"] == 2 * 4779
    assert 0.5 < full["density"]["g_per_cm3"] < 1.5


def test_frames(vicinal, tmp_path):
    path = tmp_path / "t.xyz"
    path.write_text("".join(f"{n}\nframe {n}\n" + "C 0 0 0\n" * n for n in (1, 2, 3)))
    for arguments, atoms in ((["--frame", "2"], 2), (["--frame", "-1"], 3), (["--model=-3"], 1), ([], 1),
                             (["--frame", "1", "--model", "-2"], 2)):
        answer = vicinal("info", path, "--json", *arguments).json
        assert answer["atoms"] == atoms and answer["models"] == 3
    assert "no frame 4; the file has 3: 1 to 3" in vicinal("info", path, "--frame", "4", code=3).err
    for wrong in (["--frame", "0"], ["--frame", "last"]):
        assert "--frame: expected" in vicinal("info", path, *wrong, code=2).err


def test_crystal_of_partly_occupied_sites(vicinal, tmp_path):
    path = tmp_path / "x.cif"
    path.write_text("data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n"
                    "_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,-z\n"
                    "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
                    "_atom_site_occupancy\nNa1 0 0 0 .5\nK1 0 0 0 .5\nCl1 .3 .2 .1 1\n")
    answer = vicinal("info", path, "--json", "--symmetry").json
    assert answer["format"] == "cif" and answer["elements"] == {"Na": 1, "Cl": 2, "K": 1}
    assert answer["partial_occupancy"] == 2 and answer["symmetry_operations"] == 2
    assert "below 1 for 2 of these atoms" in vicinal("info", path).out


def test_density_without_elements(vicinal, tmp_path):
    """Mass is what elements have: nothing is said where none is known, and of the others where some are."""
    path = tmp_path / "x.xyz"
    for species, mass in ((("X", "Du"), 0.0), (("X", "C"), 12.011)):
        path.write_text("2\n\n%s 0 0 0\n%s 1 1 1\n" % species)
        density = vicinal("info", path, "--cell", "10,10,10", "--json").json["density"]
        out = vicinal("info", path, "--cell", "10,10,10").out
        assert density["atoms_per_A3"] == 0.002 and "0.002000 atoms/A^3" in out
        if mass:
            assert density["g_per_cm3"] == pytest.approx(mass / 1000 * 1.66053906660)
            assert "g/cm^3 (atoms of unknown element not counted)" in out
        else:
            assert density["g_per_cm3"] is None and "g/cm^3" not in out


@pytest.mark.parametrize("name", ["dense:100", "atoms:8", "blocks:4x4:n=3", "origin:800"])
def test_what_stands_for_a_pattern_is_no_file(vicinal, tmp_path, name):
    for words in (["info", name], ["packing", name, "--cutoff", 5]):
        err = vicinal(*words, code=3).err
        assert f"{name}: expected a structure file" in err and "`vicinal pattern`, `run`" in err
    (tmp_path / name).write_text("1\n\nC 0 0 0\n")  # unless there is one
    assert vicinal("info", name, "--json").json["atoms"] == 1


def test_a_cell_of_one_length(vicinal, tmp_path):
    """ASE writes a structure that is periodic along one axis so."""
    path = tmp_path / "x.pdb"
    path.write_text("CRYST1    0.000    0.000    5.000  90.00  90.00  90.00 P 1\n"
                    "ATOM      1  C   MOL A   1       0.000   0.000   0.000  1.00  0.00           C\n")
    err = vicinal("info", path, code=3).err
    assert "line 1: expected a cell edge a" in err and "--cell a,b,c" in err and "--pbc none" in err
    assert vicinal("info", path, "--pbc", "none", "--json").json["atoms"] == 1
    assert vicinal("info", path, "--cell", "9,9,5", "--pbc", "z", "--json").json["periodic"] == [False, False, True]
