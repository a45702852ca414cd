# SPDX-License-Identifier: Apache-2.0
"""Our readers against Biopython's and ASE's, PDB against mmCIF of one entry, and files we wrote read by others."""
import gzip
import warnings

import numpy as np
import pytest

import vicinal_ctypes as vic

ase_io = pytest.importorskip("ase.io")
bio_pdb = pytest.importorskip("Bio.PDB")
ase_data = pytest.importorskip("ase.data")

PDB = ["small/1crn.pdb", "small/1UBQ.pdb", "small/4hhb.pdb", "small/1AKE.pdb", "small/1EN2.pdb", "small/1a4w.pdb",
       "small/1o1z.pdb", "small/1SSU.pdb.gz", "large/3nig.pdb.gz"]
MMCIF = ["small/1crn.cif", "small/1UBQ.cif", "small/4hhb.cif", "small/1AKE.cif", "small/1EN2.cif", "small/1a4w.cif",
         "small/1o1z.cif", "small/1SSU.cif.gz"]


def opened(path):
    return gzip.open(path, "rt") if path.endswith(".gz") else open(path)


def biopython(path, parser):
    """{(chain, number, insertion, residue, name, altloc): (position, element, B, occupancy)} of the first model."""
    atoms = {}
    with warnings.catch_warnings(), opened(path) as file:
        warnings.simplefilter("ignore")
        model = next(iter(parser.get_structure("x", file)))
    for chain in model:
        for residue in chain.get_unpacked_list():
            for atom in residue.get_unpacked_list():
                _, number, insertion = residue.id
                key = (chain.id.strip(), number, insertion, residue.resname.strip(), atom.name, atom.altloc)
                assert key not in atoms
                atoms[key] = (atom.coord, atom.element, atom.bfactor, atom.occupancy)
    return atoms


@pytest.mark.parametrize("name", PDB + MMCIF)
def test_equal_to_biopython(name):
    path = vic.data(name)
    ours = vic.read(path, altloc=vic.ALTLOC_ALL)
    parser = bio_pdb.MMCIFParser(QUIET=True) if ".cif" in name else bio_pdb.PDBParser(QUIET=True)
    theirs = biopython(path, parser)
    assert ours.atoms == len(theirs)
    assert len(set(ours.labels)) == ours.atoms
    for i, label in enumerate(ours.labels):
        position, element, b, occupancy = theirs[label]
        assert np.abs(ours.positions[i] - position).max() < 1e-4  # theirs are float32
        assert ase_data.chemical_symbols[ours.numbers[i]].upper() == ("H" if element == "D" else element)
        assert ours.b_factors[i] == pytest.approx(b, abs=1e-4)
        assert ours.occupancies[i] == pytest.approx(occupancy, abs=1e-6)


@pytest.mark.parametrize("name", ["1crn", "1UBQ", "4hhb", "1AKE", "1EN2", "1a4w", "1o1z", "1SSU", "3nig"])
@pytest.mark.parametrize("altloc", [vic.ALTLOC_HIGHEST, vic.ALTLOC_ALL])
def test_pdb_equals_mmcif(name, altloc):
    packed = {"1SSU": ".gz", "3nig": ".gz"}.get(name, "")
    folder = "large" if name == "3nig" else "small"
    pdb = vic.read(vic.data(f"{folder}/{name}.pdb{packed}"), altloc=altloc)
    cif = vic.read(vic.data(f"{folder}/{name}.cif{packed}"), altloc=altloc)
    assert pdb.atoms == cif.atoms and pdb.models == cif.models and pdb.altloc_atoms == cif.altloc_atoms
    a, b = dict(zip(pdb.labels, pdb.positions.tolist())), dict(zip(cif.labels, cif.positions.tolist()))
    assert a == b  # to the last bit
    assert sorted(pdb.numbers) == sorted(cif.numbers)
    if pdb.cell is None:
        assert cif.cell is None
    else:
        assert np.allclose(pdb.cell, cif.cell, atol=1e-9) and pdb.space_group == cif.space_group


def raw_pdb(path):
    """Fields of the ATOM lines of the first model, cut by hand."""
    rows = []
    for line in opened(path):
        if line.startswith("ENDMDL"):
            break
        if line.startswith(("ATOM  ", "HETATM")):
            chain, residue, name = line[20:22].strip(), line[17:20].strip(), line[12:16].strip()
            rows.append(((chain, int(line[22:26]), line[26], residue, name, line[16]), float(line[54:60])))
    return rows


@pytest.mark.parametrize("name", ["small/1AKE.pdb", "small/1EN2.pdb", "small/1o1z.pdb", "large/3nig.pdb.gz"])
def test_altloc_choice(name):
    rows = raw_pdb(vic.data(name))
    residues = {}
    for i, (label, occupancy) in enumerate(rows):
        residues.setdefault(label[:3], []).append((i, label, occupancy))
    expected = set()
    for members in residues.values():
        labelled = [m for m in members if m[1][5] != " "]
        expected.update(m[0] for m in members if m[1][5] == " ")
        if not labelled:
            continue
        mean = {}
        for m in labelled:  # dicts keep the order of the file
            mean.setdefault(m[1][5], []).append(m[2])
        winner = max(mean, key=lambda a: round(np.mean(mean[a]), 6))  # the first of equals
        residue = next(m[1][3] for m in labelled if m[1][5] == winner)
        for atom in {m[1][4] for m in labelled if m[1][3] == residue}:
            choices = [m for m in labelled if m[1][3] == residue and m[1][4] == atom]
            chosen = [m for m in choices if m[1][5] == winner] or [max(choices, key=lambda m: m[2])]
            expected.add(chosen[0][0])
    ours = vic.read(vic.data(name))
    assert ours.labels == [rows[i][0] for i in sorted(expected)]  # and in the order of the file
    assert 0 < ours.atoms < ours.file_atoms == len(rows)


@pytest.mark.parametrize("name", ["small/1vln-triclinic.gro", "large/popc.gro.gz", "large/bigbox.gro.gz"])
def test_gro_equals_its_columns(name):
    ours = vic.read(vic.data(name))
    with opened(vic.data(name)) as file:
        lines = file.read().splitlines()
    assert ours.atoms == int(lines[1])
    cut = np.array([[float(line[20 + 8 * k:28 + 8 * k]) for k in range(3)] for line in lines[2:2 + ours.atoms]])
    assert np.abs(ours.positions - 10 * cut).max() < 1e-9
    assert [label[4] for label in ours.labels] == [line[10:15].strip() for line in lines[2:2 + ours.atoms]]
    v = [10 * float(word) for word in lines[2 + ours.atoms].split()]
    cell = np.diag(v[:3])
    if len(v) == 9:
        cell[0, 1], cell[0, 2], cell[1, 0], cell[1, 2], cell[2, 0], cell[2, 1] = v[3:]
    assert np.allclose(ours.cell, cell, atol=1e-9)


@pytest.mark.parametrize("name", ["crystals/carbon.xyz", "crystals/diamond.xyz", "crystals/carbon_64000_model.xyz.gz",
                                  "crystals/graphene_40400_model.xyz"])
def test_extxyz_equals_ase(name):
    ours = vic.read(vic.data(name))
    with opened(vic.data(name)) as file:
        theirs = ase_io.read(file, format="extxyz")
    assert np.array_equal(ours.positions, theirs.positions)
    assert np.array_equal(ours.numbers, theirs.numbers)
    assert np.array_equal(ours.cell, theirs.cell.array)
    assert ours.periodic == theirs.pbc.tolist()


def test_triclinic_cell_of_gro_and_pdb():
    gro, pdb = vic.read(vic.data("small/1vln-triclinic.gro")), vic.read(vic.data("small/1vln-triclinic.pdb.gz"))
    assert np.abs(gro.cell - pdb.cell).max() < 0.01
    assert np.abs(gro.positions - pdb.positions).max() < 0.0101
    assert np.array_equal(gro.numbers, pdb.numbers)  # one from names alone, one from the element column


def test_elements_of_a_force_field_file():
    """ApoA1 has no element column: compared with the masses that CHARMM's atom names imply."""
    ours = vic.read(vic.data("large/apoa1.pdb.gz"))
    first = {"H": 1, "C": 6, "N": 7, "O": 8, "P": 15, "S": 16}
    expected = [first[label[4].lstrip("0123456789")[0]] for label in ours.labels]
    assert ours.numbers.tolist() == expected
    assert ours.cell is None and ours.b_factors is not None


@pytest.mark.parametrize("name", ["small/1crn.pdb", "small/4hhb.pdb", "small/1o1z.cif", "small/1AKE.cif"])
def test_written_pdb_is_read_by_biopython(name, tmp_path):
    ours = vic.read(vic.data(name))
    values = np.linspace(-99.99, 999.99, ours.atoms)
    path = tmp_path / "out.pdb"
    ours.write(path, values)
    theirs = biopython(str(path), bio_pdb.PDBParser(QUIET=True))
    again = vic.read(path)
    assert again.atoms == ours.atoms and again.labels == ours.labels
    assert np.array_equal(again.numbers, ours.numbers)
    assert np.abs(again.positions - ours.positions).max() < 0.000501
    assert np.abs(again.b_factors - values).max() < 0.0051
    assert np.abs(again.cell - ours.cell).max() < 0.02
    for label, position, value in zip(ours.labels, ours.positions, values):
        assert np.abs(theirs[label][0] - position).max() < 0.0006
        assert theirs[label][2] == pytest.approx(value, abs=0.0051)


@pytest.mark.parametrize("name", ["small/4hhb.pdb", "crystals/graphene_40400_model.xyz"])
def test_written_extxyz_is_read_by_ase(name, tmp_path):
    ours = vic.read(vic.data(name))
    values = np.random.default_rng(1).normal(size=ours.atoms)
    ours.write(tmp_path / "out.extxyz", values, "neighbours")
    theirs = ase_io.read(tmp_path / "out.extxyz", format="extxyz")
    assert np.array_equal(theirs.positions, ours.positions)
    assert np.array_equal(theirs.numbers, ours.numbers)
    assert np.array_equal(theirs.cell.array, ours.cell)
    assert theirs.pbc.tolist() == ours.periodic
    assert np.array_equal(theirs.arrays["neighbours"], values)


def test_pdb_written_by_ase(tmp_path):
    """ASE names every atom by its element and all residues MOL 1: no duplicates."""
    theirs = ase_io.read(vic.data("crystals/diamond.xyz"))
    ase_io.write(tmp_path / "ase.pdb", theirs)
    ours = vic.read(tmp_path / "ase.pdb")
    assert np.abs(ours.positions - theirs.positions).max() < 0.00051
    assert np.array_equal(ours.numbers, theirs.numbers)
    assert np.abs(ours.cell - theirs.cell.array).max() < 0.001
