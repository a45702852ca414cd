# SPDX-License-Identifier: Apache-2.0
"""Small-molecule CIF, POSCAR, GRO boxes, frames, LAMMPS data and Amber restarts against ASE and SciPy, on real files
and on random ones that ASE or NumPy wrote; damaged files end in an error that says where, never in other atoms."""
import gzip
import os
import warnings

import numpy as np
import pytest

import vicinal_ctypes as vic

ase = pytest.importorskip("ase")
ase_io = pytest.importorskip("ase.io")
bio_pdb = pytest.importorskip("Bio.PDB")

CIFS = {"1011031": 8, "2242624": 5, "LiFePO4": 28, "btet_1915": 6, "IRMOF-1": 424}
CELLS = [np.diag([5.0, 6, 7]), np.array([[5, 0, 0], [-2, 6, 0], [1, 2, 7.0]]),
         np.array([[4, 3, 1], [-2, 6, 0.5], [1, -2, 7.0]])]


def ase_read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ase_io.read(path, **options)


def random_atoms(seed, cell, count=23):
    r = np.random.default_rng(seed)
    return ase.Atoms(sorted(r.choice(["H", "C", "O", "Fe", "Cl"], count)), r.uniform(-3, 9, (count, 3)), cell=cell,
                     pbc=True)


def equal_as_crystals(ours, theirs):
    """The same atoms up to lattice translations and order."""
    assert np.allclose(ours.cell, theirs.cell.array, atol=1e-9)
    assert ours.atoms == len(theirs)
    inverse = np.linalg.inv(ours.cell)
    free = list(range(ours.atoms))
    for position, number in zip(ours.positions, ours.numbers):
        difference = (theirs.positions[free] - position) @ inverse
        away = np.linalg.norm((difference - np.round(difference)) @ ours.cell, axis=1)
        best = int(np.argmin(away))
        assert away[best] < 0.02 and theirs.numbers[free[best]] == number
        free.pop(best)


@pytest.mark.parametrize("name,atoms", CIFS.items())
def test_cif_crystals_equal_ase(name, atoms):
    path = vic.data(f"crystals/{name}.cif")
    ours = vic.read(path, symmetry=True)
    assert ours.atoms == atoms and ours.format == "cif"
    equal_as_crystals(ours, ase_read(path))


def test_cif_with_a_cell_by_hand():
    path = vic.data("malformed/2004198-no-cell-angles.cif")
    with pytest.raises(vic.Error, match="expected _cell_angle_alpha, found none"):
        vic.read(path, symmetry=True)
    ours = vic.read(path, symmetry=True, has_cell=True,
                    cell=[8.583, 8.710, 17.030, 90, 90, 90])
    assert ours.atoms == 112 and ours.file_atoms == 28 and ours.symmetry_operations == 4
    inverse = np.linalg.inv(ours.cell)
    fractional = ours.positions @ inverse
    difference = fractional[:, None] - fractional[None]
    away = np.linalg.norm((difference - np.round(difference)) @ ours.cell, axis=2) + 9 * np.eye(112)
    assert 0.7 < away.min() < 1.6  # molecules, not overlapping ones


@pytest.mark.parametrize("group", [2, 14, 62, 148, 166, 167, 194, 205, 216, 225, 227, 229])
def test_cif_of_every_system(group, tmp_path):
    """Sites on general and special positions, written by ASE with the operations of its own table."""
    from ase.spacegroup import Spacegroup, crystal

    cellpar = {"triclinic": [5, 6, 7, 80, 95, 103], "monoclinic": [5, 6, 7, 90, 102, 90],
               "orthorhombic": [5, 6, 7, 90, 90, 90], "hexagonal": [6, 6, 9, 90, 90, 120],
               "cubic": [8, 8, 8, 90, 90, 90]}
    system = ("triclinic" if group < 3 else "monoclinic" if group < 16 else "orthorhombic" if group < 75 else
              "hexagonal" if group < 195 else "cubic")
    sites = [(0, 0, 0), (0.137, 0.291, 0.412), (0.125, 0.125, 0.125)]
    theirs = crystal(["Na", "C", "Cl"], sites, spacegroup=group, cellpar=cellpar[system], symprec=1e-4)
    operations = Spacegroup(group).get_symop()
    path = tmp_path / "x.cif"
    with open(path, "w") as file:
        file.write("data_x\n" + "".join(f"_cell_{k} {v}\n" for k, v in zip(
            ["length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"], cellpar[system])))
        file.write("loop_\n_symmetry_equiv_pos_as_xyz\n")
        for rotation, translation in operations:
            rows = [" ".join(f"{'+' if f > 0 else '-'} {letter}" for f, letter in zip(row, "xyz") if f) + f" +{t:.4f}"
                    for row, t in zip(rotation, translation)]
            file.write("'" + ", ".join(rows) + "'\n")
        file.write("loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n")
        for label, site in zip(["Na1", "C1", "Cl1"], sites):
            file.write(label + "".join(f" {x}(1)" for x in site) + "\n")
    ours = vic.read(path, symmetry=True)
    assert ours.symmetry_operations == len(operations)
    equal_as_crystals(ours, theirs)


def test_cif_operations_and_names_agree(tmp_path):
    """The list of operations, the Hall symbol and the Hermann-Mauguin name lead to the same crystal."""
    with open(vic.data("crystals/IRMOF-1.cif")) as file:
        lines = [line for line in file.read().splitlines() if "Hall" not in line]
    at = next(i for i, line in enumerate(lines) if line.startswith("_symmetry_equiv_pos_as_xyz"))
    end = next(i for i in range(at + 1, len(lines)) if not lines[i].strip())
    name = next(i for i, line in enumerate(lines) if "name_H-M" in line)
    unlisted = lines[:at - 1] + lines[end:]
    hall = [line for line in unlisted if "H-M" not in line and "Int_Tables" not in line]
    hall.insert(name, "_space_group_name_Hall '-F 4 2 3'")
    dotted = [line.replace("_atom_site_", "_atom_site.").replace("_cell_", "_cell.") for line in unlisted]
    listed = vic.read(vic.data("crystals/IRMOF-1.cif"), symmetry=True)
    for variant in (unlisted, hall, dotted):
        (tmp_path / "x.cif").write_text("\n".join(variant) + "\n")
        ours = vic.read(tmp_path / "x.cif", symmetry=True)
        assert ours.atoms == 424 and ours.symmetry_operations == 192
        equal_as_crystals(ours, ase.Atoms(listed.numbers, listed.positions, cell=listed.cell))
    lines[at + 5] = " 'z+1/8,x,y'"
    (tmp_path / "x.cif").write_text("\n".join(lines) + "\n")
    assert vic.read(tmp_path / "x.cif").atoms == 7
    with pytest.raises(vic.Error, match="make a group, found 192 in which the product"):
        vic.read(tmp_path / "x.cif", symmetry=True)


@pytest.mark.parametrize("name", ["POSCAR-002", "MnO.cartesian.poscar"])
def test_poscar_equals_its_numbers(name):
    """Read by hand: ASE takes the comment for species and refuses these."""
    with open(vic.data("crystals/" + name)) as file:
        lines = file.read().splitlines()
    cell = np.array([[float(x) for x in line.split()] for line in lines[2:5]]) * float(lines[1])
    counts = [int(x) for x in lines[5].split()]
    rows = np.array([[float(x) for x in line.split()[:3]] for line in lines[7:7 + sum(counts)]])
    ours = vic.read(vic.data("crystals/" + name))
    assert ours.atoms == sum(counts) and np.array_equal(ours.cell, cell)
    assert np.allclose(ours.positions, rows @ cell if lines[6].startswith("D") else rows, atol=1e-12)
    symbols = ["V", "O"] if name == "POSCAR-002" else ["Mn", "O"]
    expected = np.repeat([ase.data.atomic_numbers[s] for s in symbols], counts)
    assert np.array_equal(ours.numbers, expected)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("vasp5", [False, True])
def test_poscar_written_by_ase(cell, direct, vasp5, tmp_path):
    theirs = random_atoms(7, cell)
    ase_io.write(tmp_path / "x", theirs, format="vasp", direct=direct, vasp5=vasp5, sort=True)
    read = ase_read(tmp_path / "x", format="vasp")
    ours = vic.read(tmp_path / "x")
    assert ours.format == "poscar"
    assert np.allclose(ours.cell, read.cell.array, atol=1e-12)
    assert np.allclose(ours.positions, read.positions, atol=1e-12)
    assert np.array_equal(ours.numbers, read.numbers)


@pytest.mark.parametrize("scale", ["2.5", "-100", "1.5 2 0.5"])
@pytest.mark.parametrize("mode", ["Direct", "cartesian", "K"])
def test_poscar_scales(scale, mode, tmp_path):
    cell, rows = CELLS[2], np.random.default_rng(3).uniform(-1, 1, (4, 3))
    path = tmp_path / "x"
    text = ["a comment", scale] + [" ".join(map(str, v)) for v in cell] + ["Fe_pv O", "1 3", "Selective dynamics", mode]
    path.write_text("\n".join(text + [" ".join(map(str, r)) + " T F T" for r in rows]) + "\n\n 0 0 0\n")
    factors = np.array([float(x) for x in scale.split()])
    if factors[0] < 0:
        factors = (-factors / abs(np.linalg.det(cell))) ** (1 / 3)
    ours = vic.read(path)
    assert np.allclose(ours.cell, cell * factors, rtol=1e-14)
    assert np.allclose(ours.positions, rows @ (cell * factors) if mode == "Direct" else rows * factors, rtol=1e-13)
    assert ours.numbers.tolist() == [26, 8, 8, 8]
    if factors.size == 1 and scale[0] == "-":
        assert abs(np.linalg.det(ours.cell)) == pytest.approx(100)


@pytest.mark.parametrize("cell", CELLS + [np.array([[0, 5, 0], [5, 0, 0], [0, 0, 5.0]])])
def test_gro_boxes(cell, tmp_path):
    """Nine numbers in any form, also boxes that GROMACS itself would turn; ASE reads them too."""
    theirs = random_atoms(5, cell)
    v = cell / 10
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    with open(tmp_path / "x.gro", "w") as file:
        for frame in range(3):
            file.write(f"frame {frame}\n{len(theirs)}\n")
            for i, (symbol, r) in enumerate(zip(theirs.get_chemical_symbols(), theirs.positions / 10 + frame)):
                file.write("%5d%-5s%5s%5d%8.3f%8.3f%8.3f\n" % (1, "MOL", symbol, i + 1, *r))
            file.write(" ".join(f"{v[at]:.5f}" for at in order) + "\n")
    for frame, number in ((0, 0), (1, 2), (2, -1), (0, -3)):
        ours = vic.read(tmp_path / "x.gro", model=number)
        assert ours.models == 3
        assert np.abs(ours.positions - theirs.positions - 10 * frame).max() < 0.0051
        assert np.allclose(ours.cell, cell, atol=1e-9)
    if cell[0, 0]:
        one = (tmp_path / "x.gro").read_text().splitlines(True)[:3 + len(theirs)]
        (tmp_path / "one.gro").write_text("".join(one))
        assert np.allclose(ase_read(tmp_path / "one.gro").cell.array, vic.read(tmp_path / "one.gro").cell, atol=1e-9)
    with pytest.raises(vic.Error, match="no frame -4; the file has 3: 1 to 3"):
        vic.read(tmp_path / "x.gro", model=-4)


def test_frames_of_extxyz(tmp_path):
    frames = [random_atoms(i, CELLS[i % 3], 3 + i) for i in range(5)]
    frames[1].pbc = [True, False, True]
    ase_io.write(tmp_path / "x.xyz", frames, format="extxyz")
    for number, index in ((0, 0), (1, 0), (2, 1), (5, 4), (-1, 4), (-5, 0)):
        ours, theirs = vic.read(tmp_path / "x.xyz", model=number), ase_io.read(tmp_path / "x.xyz", index=index)
        assert ours.models == 5
        assert np.array_equal(ours.positions, theirs.positions) and np.array_equal(ours.cell, theirs.cell.array)
        assert np.array_equal(ours.numbers, theirs.numbers) and ours.periodic == theirs.pbc.tolist()
    for number in (6, -6):
        with pytest.raises(vic.Error, match=f"no frame {number}; the file has 5"):
            vic.read(tmp_path / "x.xyz", model=number)


@pytest.mark.parametrize("lattice", ['Lattice="5 0 0 -2 6 0 1 2 7"', "Lattice='5 0 0 -2 6 0 1 2 7'",
                                     "Lattice={5 0 0 -2 6 0 1 2 7}"])
@pytest.mark.parametrize("pbc", ['pbc="T F T"', "pbc=[T, F, T]", 'pbc="1 0 1"', "pbc=[True, False, True]",
                                 "pbc={T F T}"])
def test_extxyz_comment_forms(lattice, pbc, tmp_path):
    properties = "Properties=id:I:1:pos:R:3:species:S:1"
    for i, order in enumerate([(lattice, pbc, properties), (properties, lattice, pbc), (pbc, properties, lattice)]):
        path = tmp_path / f"{i}.xyz"
        path.write_text("1\nenergy=-3 " + " ".join(order) + " name=\"a = b\"\n7 1 2 3 Fe\n")
        ours, theirs = vic.read(path), ase_io.read(path, format="extxyz")
        assert np.array_equal(ours.cell, theirs.cell.array) and ours.numbers.tolist() == [26]
        assert ours.periodic == [True, False, True] and ours.positions.tolist() == [[1, 2, 3]]
        if "0" not in pbc and "True" not in pbc:  # which ASE takes for other things
            assert ours.periodic == theirs.pbc.tolist()


def lammps_lines(name):
    path = vic.data("crystals/" + name)
    with (gzip.open(path, "rt") if name.endswith(".gz") else open(path)) as file:
        return path, file.read().splitlines()


@pytest.mark.parametrize("name,style,skip", [("albite_triclinic.data", "atomic", 2), ("data.comb.gz", "charge", 3)])
def test_lammps_equals_its_columns_and_ase(name, style, skip, tmp_path):
    path, lines = lammps_lines(name)
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("Atoms"))
    rows = [line.split() for line in lines[at + 1:] if line.strip()]
    count = next(int(line.split()[0]) for line in lines if line.strip().endswith(" atoms"))
    rows = rows[:count]
    ours = vic.read(path)
    assert ours.atoms == count and ours.format == "lammps"
    assert np.array_equal(ours.positions, [[float(x) for x in row[skip:skip + 3]] for row in rows])
    if style == "atomic":
        theirs = ase_read(path, format="lammps-data", style=style, units="metal", sort_by_id=False)
        assert np.allclose(ours.cell, theirs.cell.array, atol=1e-12)  # it wraps nothing but moves the origin
        assert set(ours.numbers) == {13}


@pytest.mark.parametrize("style", ["atomic", "charge", "full", "molecular"])
@pytest.mark.parametrize("cell", CELLS[:2])
def test_lammps_styles(style, cell, tmp_path):
    atoms = random_atoms(11, cell)
    kinds = sorted(set(atoms.get_chemical_symbols()))
    r = np.random.default_rng(2)
    for comment in (True, False):
        for flags in (True, False):
            path = tmp_path / f"{comment}{flags}.data"
            with open(path, "w") as file:
                file.write(f"title\n\n {len(atoms)} atoms\n 0 bonds\n {len(kinds)} atom types\n\n")
                for k, axis in enumerate("xyz"):
                    file.write(f"-1.5 {cell[k, k] - 1.5} {axis}lo {axis}hi # box\n")
                if cell[1, 0]:
                    file.write(f"{cell[1, 0]} {cell[2, 0]} {cell[2, 1]} xy xz yz\n")
                file.write("\nMasses\n\n")
                for i, kind in enumerate(kinds):
                    mass = ase.data.atomic_masses[ase.data.atomic_numbers[kind]]
                    file.write(f"{i + 1} {mass + 0.005:.4f} # {kind}\n")
                file.write("\nAtoms" + (f"  # {style}" if comment else "") + "\n\n")
                for i, (symbol, position) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions)):
                    kind, charge = kinds.index(symbol) + 1, f"{r.normal():.3f}"
                    before = {"atomic": [kind], "charge": [kind, charge], "full": [99 + i, kind, charge],
                              "molecular": [99 + i, kind]}[style]
                    file.write(" ".join(map(str, [i + 1] + before + list(position))) + (" 1 0 -2" * flags) + "\n")
                file.write("\nVelocities\n\n" + "".join(f"{i + 1} 0 0 0\n" for i in range(len(atoms))))
                file.write("\nPair Coeffs\n\n1 0.1 3.0\n")
            ours = vic.read(path)
            assert np.array_equal(ours.numbers, atoms.numbers) and np.array_equal(ours.positions, atoms.positions)
            assert np.allclose(ours.cell, cell, atol=1e-12)
            if comment and not flags:
                theirs = ase_read(path, format="lammps-data", style=style, units="metal")
                assert np.allclose(ours.cell, theirs.cell.array, atol=1e-9)
                assert np.allclose(ours.positions, theirs.positions, atol=1e-9)


@pytest.mark.parametrize("atoms", [1, 2, 3, 4, 23, 1000])
@pytest.mark.parametrize("velocities", [False, True])
@pytest.mark.parametrize("box", [0, 3, 6])
def test_amber(atoms, velocities, box, tmp_path):
    r = np.random.default_rng(atoms)
    positions = np.round(r.uniform(-900, 999, (atoms, 3)), 7)

    def lines(numbers):
        fields = [f"{x:12.7f}" for x in np.ravel(numbers)]
        return "".join("".join(fields[i:i + 6]) + "\n" for i in range(0, len(fields), 6))

    cell = [50.5, 60, 70.25, 90, 109.4712190, 90][:box]
    path = tmp_path / "x.rst7"
    path.write_text("default_name\n%6d  0.1500000E+02\n" % atoms + lines(positions)
                    + lines(r.normal(size=(atoms, 3))) * velocities + (lines(cell) if box else ""))
    if (atoms == 1 and velocities + bool(box) == 1) or (atoms == 2 and (box == 6) != velocities and box != 3):
        with pytest.raises(vic.Error, match="velocities or a box"):
            vic.read(path)
        return
    ours = vic.read(path)
    assert ours.format == "amber" and ours.atoms == atoms and np.array_equal(ours.positions, positions)
    assert not ours.numbers.any()
    if box:
        expected = ase.cell.Cell.fromcellpar(cell if box == 6 else cell + [90] * 3).array
        assert np.allclose(ours.cell, expected, atol=1e-6)
    else:
        assert ours.cell is None


@pytest.mark.parametrize("name", ["small/1crn.pdb", "small/4hhb.pdb", "small/1o1z.cif", "small/1a4w.cif"])
def test_written_mmcif_is_read_by_biopython(name, tmp_path):
    ours = vic.read(vic.data(name))
    values = np.random.default_rng(4).normal(scale=1e4, size=ours.atoms)
    path = tmp_path / "out.cif"
    ours.write(path, values)
    again = vic.read(path)
    assert again.labels == ours.labels and np.array_equal(again.positions, ours.positions)
    assert np.array_equal(again.numbers, ours.numbers) and np.array_equal(again.b_factors, values.astype(np.float32))
    assert np.allclose(again.cell, ours.cell, atol=1e-6) and again.space_group == ours.space_group
    theirs = bio_pdb.MMCIFParser(QUIET=True).get_structure("x", str(path))
    atoms = {}
    for chain in theirs[0]:
        for residue in chain.get_unpacked_list():
            for atom in residue.get_unpacked_list():
                key = (chain.id, residue.id[1], residue.id[2], residue.resname.strip(), atom.name, atom.altloc)
                atoms[key] = (atom.coord, atom.bfactor)
    assert len(atoms) == ours.atoms
    for label, position, value in zip(ours.labels, ours.positions, values):
        assert np.abs(atoms[label][0] - position).max() < 1e-4 and atoms[label][1] == pytest.approx(value, rel=1e-6)


def test_written_mmcif_of_a_crystal(tmp_path):
    ours = vic.read(vic.data("crystals/IRMOF-1.cif"), symmetry=True)
    ours.write(tmp_path / "x.cif", np.arange(424.0))
    again = vic.read(tmp_path / "x.cif")
    assert np.array_equal(again.positions, ours.positions) and np.allclose(again.cell, ours.cell, atol=1e-9)


SEEDS = ["crystals/1011031.cif", "crystals/btet_1915.cif", "crystals/POSCAR-002", "crystals/MnO.cartesian.poscar",
         "crystals/albite_triclinic.data", "crystals/diamond.xyz", "malformed/truncated.gro"]


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files(name, tmp_path):
    """Cut anywhere, or with a byte replaced: refused with a reason, or read with as many atoms as before or fewer
    where a count says so; and it comes back at all."""
    with open(vic.data(name), "rb") as file:
        whole = file.read()
    r = np.random.default_rng(1)
    path = tmp_path / os.path.basename(name)
    for i in range(150):
        text = bytearray(whole)
        if i % 3 == 0:
            text = text[:r.integers(1, len(text))]
        elif i % 3 == 1:
            text[r.integers(len(text))] = int(r.choice(list(b"\x00\r\n 9-.eT'\";#\xff")))
        else:
            a, b = sorted(r.integers(0, len(text), 2))
            text[a:b] = r.choice([b"", b"99999999999999999999", b"nan", b"-1e308", b" " * 1000, b"\n" * 1000])
        path.write_bytes(bytes(text))
        try:
            s = vic.read(path)
            assert np.isfinite(s.positions).all() and s.atoms > 0
        except vic.InputError as error:
            assert str(path) in str(error) and len(str(error)) > 30
