#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds.py FOLDER [DATA]: small inputs for each fuzz target to begin with, FOLDER/TARGET/NAME, and words its inputs are
made of, FOLDER/TARGET.dict.  (fuzz_vnp's come from the program fuzz_seeds.)  Small real structures below DATA, and the
beginnings of large ones, join in.  Needs numpy and scipy for .npy and .npz."""
import gzip
import json
import pathlib
import struct
import sys

MOST = 6000  # bytes taken of a real structure
ATOM = "ATOM  %5d  %-3s ALA A%4d    %8.3f%8.3f%8.3f%6.2f%6.2f          %2s\n"
PDB = ("HEADER    MADE BY HAND\nTITLE     SEED\nCRYST1   20.000   21.000   22.000  90.00 100.00  90.00 P 1 21 1      4\n"
       "SCALE1      0.050000  0.000000  0.008816        0.00000\nMODEL        1\n" +
       "".join(ATOM % (i + 1, n, 1 + i // 2, 1.5 * i, 2.0, 3.25, 1.0, 10.0, n[0])
               for i, n in enumerate(["N", "CA", "C", "O", "CB"])) +
       "HETATM    6  O   HOH B   1       9.000   9.000   9.000  0.50 20.00           O\nTER\nENDMDL\nEND\n")
ALTLOC = PDB.replace("CA  ALA", "CA AALA") + PDB.replace("MODEL        1", "MODEL        2").split("22.000")[1][40:]
CIF = ("data_seed\n_cell.length_a 20\n_cell.length_b 21\n_cell.length_c 22\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
       "_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n" +
       "".join("_atom_site.%s\n" % c for c in (
           "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id auth_seq_id "
           "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv pdbx_PDB_model_num").split()) +
       "ATOM 1 N N . ALA A 1 1 ? 1.0 2.0 3.0 1.0 10.0 1\nATOM 2 C CA A ALA A 1 1 ? 2.0 2.5(1) 3.0 0.6 10.0 1\n"
       "ATOM 3 C CA B ALA A 1 1 ? 2.1 2.5 3.0 0.4 10.0 1\nHETATM 4 O \"O5'\" . HOH B . 1 ? 7.0 2.0 3.0 1.0 10.0 1\n#\n")
GRO = ("made by hand, t= 0.0\n    3\n    1SOL     OW    1   0.126   1.624   1.679  0.1227 -0.0580  0.0434\n"
       "    1SOL    HW1    2   0.190   1.661   1.747\n    1SOL    HW2    3   0.177   1.568   1.613\n"
       "   1.82060   1.82060   1.82060   0.00000   0.00000   0.50000   0.00000   0.10000   0.20000\n")
XYZ = "3\nwater\nO 0.0 0.0 0.0\nH 0.757 0.586 0.0\nH -0.757 0.586 0.0\n"
EXTXYZ = ('2\nLattice="5 0 0 0 5 0 0 1 5" Properties=species:S:1:pos:R:3:charge:R:1:tag:I:1:ok:L:1 pbc="T T F" '
          "energy=-1.5 config_type='a b'\nSi 0 0 0 0.5 1 T\nO 1.5 1e0 2.0 -.5 2 F\n")


SMALL_CIF = ("data_quartz\n_cell_length_a 4.91(1)\n_cell_length_b 4.91\n_cell_length_c 5.40\n_cell_angle_alpha 90\n"
             "_cell_angle_beta 90\n_cell_angle_gamma 120\n_symmetry_space_group_name_H-M 'P 31 2 1'\nloop_\n"
             "_symmetry_equiv_pos_as_xyz\nx,y,z\n-y,x-y,z+1/3\n-x+y,-x,z+2/3\ny,x,-z\n-x,-x+y,1/3-z\nx-y,-y,2/3-z\nloop_\n"
             "_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
             "_atom_site_occupancy\n_atom_site_U_iso_or_equiv\nSi1 Si4+ 0.4697(2) 0 0 1 0.01\n"
             "O1 O2- 0.413 0.267 0.119 1.0 .\n_chemical_name_common\n;quartz\n;\n")
GRO_FORMS = {"five": "made by hand\n    1\n    1ION     NA    1   0.12612   1.62412   1.67912\n   1.82060   1.82060   1.82060\n",
             "frames": GRO + GRO.replace("t= 0.0", "t= 1.0"), "wide": GRO.replace("    1SOL", "99999SOL"),
             "open": GRO[:GRO.rindex("\n", 0, -1)] + "\n 0 0 0\n", "blank": GRO[:GRO.rindex("\n", 0, -1)] + "\n\n" + GRO + "cut\n 3\n",
             "touching": "loop_ closure\n    1\n    1ION     NA    1-100.126-100.624-100.679-10.1234-10.5678-10.9999\n"
                         "10000.0000010000.0000010000.00000\n"}
EXTXYZ_FORMS = {"frames": EXTXYZ + EXTXYZ, "plain": XYZ + XYZ, "apart": XYZ + "\n\n" + XYZ + "2\ncut\n", "count": XYZ.replace("water", "100"),
                "words": '1\nProperties=tag:S:1:species:S:1:pos:R:3:x:Q:1 Lattice="5 5" note="open\na C 1 2 3 4\n',
                "mace": '1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1 stress="1 0 0 0 1 0 0 0 1" pbc="F F F"\n'
                        "H 0 0 0 nan 0 0\n",
                "ipi": "1\n# CELL(abcABC): 20.0 20.0 20.0 90.0 90.0 90.0 Step: 0 positions{angstrom} cell{angstrom}\nO 1 2 3\n",
                "names": "3\ncell=[[9,0,0],[0,9,0],[0,0,9]]\nCA 0 0 0\nCB 0 0 1\nSG 0 0 2\n",
                "types": "2\nAtoms. Timestep: 0\n1 0 0 0\n2 0 0 1\n",
                "vectors": "1\nx %PBC\nC 0 0 0\n\nVector1 9 0 0\nVector2 0 9 0\nVector3 0 0 9\nOffset 0 0 0\n",
                "array": '1\nLattice=[[5,0,0],[0,5,0],[0,0,5]] Properties="species:S:1:pos:R:3" pbc=[T,T,F]\nC 1 2 3\n'}
POSCAR_FORMS = {"lines": "t\n1\n5 0 0\n0 5 0\n0 0 5\nFe Cr\nNi\n1 1\n1\n\n0 0 0\n.5 0 0\n0 .5 0\n",
                "direct": "NaCl\n1.0\n5.6 0 0\n0 5.6 0\n0 0.1 5.6\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n",
                "selective": "a comment\n-27.0\n3 0 0\n0 3 0\n0 0 3\nFe_pv O/abc\n1 2\nSelective dynamics\nCartesian\n"
                             "0 0 0 T T F\n0 1 0 F F F\n1 0 0 T F T\n\n0 0 0\n",
                "four": "Si O\n1 1 2\n3 0 0\n0 3 0\n0 0 3\n1 2\nD\n0 0 0 Si\n.5 .5 .5 O\n.25 0 0 O\n"}
BOX = "0 10 xlo xhi\n0 11 ylo yhi\n-1 11 zlo zhi\n"
LAMMPS_FORMS = {"full": "title\n\n2 atoms\n2 atom types\n1 bonds\n" + BOX + "1 -0.5 0.25 xy xz yz\n\nMasses\n\n1 15.9994 # O\n"
                        "2 1.008\n\nPair Coeffs # lj/cut\n\n1 0.1 3\n\nAtoms # full\n\n1 1 1 -0.8 1 2 3 0 0 -1\n"
                        "2 1 2 .4 4 5 6 0 1 0\n\nVelocities\n\n1 0 0 0\n2 0 0 0\n\nBonds\n\n1 1 1 2\n",
                "atomic": "LAMMPS data file\n2 atoms\n1 atom types\n" + BOX + "\nAtoms\n\n1 1 0 0 0\n2 1 1e0 1 1.5\n",
                "labels": "x, units = lj\n2 atoms\n2 atom types\n" + BOX + "\nAtom Type Labels\n\n1 OW\n2 CT\n\nMasses\n\nOW 16\nCT 12\n"
                          "\nAtoms # my own comment\n\n1 OW 0 0 0\n2 CT 1 1 1\n\nMolecules\n\n1 1\n\nPair Coeffs\n\nOW 1\n",
                "hybrid": "h\n1 atoms\n1 atom types\n0 0 xlo xhi\n0 x ylo yhi\n0 0 zlo zhi\n\nAtoms # hybrid\n\n1 1 2 3 4 0.5 1\n\nCMAP\n\n1 1\n",
                "charge": "c\n1 atoms\n1 atom types\n" + BOX + "\nAtoms # charge\n\n1 1 -1.5 2 3 4\n",
                "vectors": "v\n1 atoms\n1 atom types\n1 2 0 avec\n0 3 0 bvec\n0 1 4 cvec\n0 0 0 abc origin\n\nAtoms # bond\n\n"
                           "1 1 1 0 0 0\n"}


def amber(numbers, columns=6):
    words = ["%12.7f" % x for x in numbers]
    return "".join("".join(words[i:i + columns]) + "\n" for i in range(0, len(words), columns))


POINTS = [0.5 * i - 1 for i in range(15)]
AMBER_FORMS = {"plain": "title\n    5\n" + amber(POINTS), "box": "title\n    5  0.1000000E+02\n" + amber(POINTS) +
               amber([30, 31, 32, 90, 100, 90]),
               "velocities": "title\n    5  0.1000000E+02  0.3000000E+03\n" + amber(POINTS) + amber(POINTS[::-1]),
               "both": "title\n5\n" + amber(POINTS) + amber(POINTS[::-1]) + amber([30, 31, 32])}
FORMATS = {"pdb": {"pdb": PDB, "altloc": ALTLOC, "short": PDB.replace("  0.50 20.00           O", ""),
                   "count": "6\n" + PDB},  # begins like XYZ
           "cif": {"cif": CIF, "small": SMALL_CIF, "word": "data_seed"}, "gro": {"gro": GRO, **GRO_FORMS},
           "xyz": {"xyz": XYZ, "extxyz": EXTXYZ, **EXTXYZ_FORMS}, "poscar": POSCAR_FORMS, "lammps": LAMMPS_FORMS,
           "amber": AMBER_FORMS}
OPTIONS = (0, 1 | 16, 2 | 64, 4 | 8, 32)  # see fuzz_read_options()


def put(folder, name, text):
    for options in OPTIONS:
        (folder / f"{name}-{options}").write_bytes(bytes([options]) + text)


def structure(folder):
    texts = {name: text for forms in FORMATS.values() for name, text in forms.items()}
    texts |= {"cr": PDB.replace("\n", "\r"), "crlf": XYZ.replace("\n", "\r\n"), "bom": "\ufeff" + XYZ}
    for name, text in texts.items():
        put(folder, name, text.encode())
    for name, text in (("gz", PDB), ("gz2", XYZ)):
        (folder / name).write_bytes(b"\0" + gzip.compress(text.encode(), mtime=0))


def formats(root, data):
    """A folder for the target of each format, with real structures where there are some."""
    for target, texts in FORMATS.items():
        (root / target).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            put(root / target, name, text.encode())
        (root / f"{target}.dict").write_text("".join('"%s"\n' % w for w in WORDS[target]))
    for path in sorted(data.rglob("*")) if data else []:
        if path.is_dir():
            continue
        text = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read(MOST)
        text = text[:text.rindex(b"\n") + 1] if len(text) == MOST and b"\n" in text else text
        name = path.name.removesuffix(".gz").lower()
        kinds = {"pdb": ".pdb", "cif": ".cif", "gro": ".gro", "xyz": ".xyz", "poscar": "poscar", "lammps": "data"}
        for target in [t for t, part in kinds.items() if part in name]:
            put(root / target, "real-" + path.name, text)


def arrays():
    import numpy as np
    rng = np.random.default_rng(1)
    return np, rng, {
        "f32": rng.random((4, 2, 3)).astype("f4"), "f64": rng.random((2, 5)), "f16": rng.random(6).astype("f2"),
        "pairs": rng.integers(0, 9, (7, 2)).astype("i4"), "flags": rng.integers(0, 2, 4).astype("?"),
        "fortran": np.asfortranarray(rng.random((3, 2)).astype("f4")), "empty": np.zeros((0, 2), "i8"),
        "big": rng.random(3).astype(">f4"), "scalar": np.float32(1), "u8": np.arange(4, dtype="u8")}


def npy(folder):
    np, _, all_arrays = arrays()
    for name, a in all_arrays.items():
        np.save(folder / f"{name}.npy", a)


def npz(folder):
    import scipy.sparse
    np, rng, _ = arrays()
    i, j = np.arange(5, dtype="i4"), np.arange(5, dtype="i8")[::-1]
    np.savez(folder / "pairs.npz", i=i, j=j)
    np.savez(folder / "images.npz", i=i, j=j, image=np.zeros((5, 3), "i1"))
    np.savez_compressed(folder / "packed.npz", i=i, j=j)
    dense = (rng.random((6, 6)) < 0.4).astype("i1")
    scipy.sparse.save_npz(folder / "csr.npz", scipy.sparse.csr_matrix(dense), compressed=False)
    scipy.sparse.save_npz(folder / "packed-csr.npz", scipy.sparse.csr_matrix(dense))
    blocks = scipy.sparse.bsr_matrix(np.kron(dense[:3, :3], np.ones((16, 16), "i1")), blocksize=(16, 16))
    scipy.sparse.save_npz(folder / "bsr.npz", blocks, compressed=False)


def safetensors(folder):
    def write(name, header, data):
        text = json.dumps(header).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + data)
    entry = {"dtype": "F32", "shape": [2, 1, 2], "data_offsets": [0, 16]}
    write("one", {"a": entry}, bytes(16))
    write("two", {"__metadata__": {"format": "pt", "x\\u00e9": "\\n"}, "q": entry,
                  "b": {"dtype": "BF16", "shape": [], "data_offsets": [16, 18]}}, bytes(18))
    write("other", {"q": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8))
    write("empty", {}, b"")
    (folder / "long").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def radial(folder):
    np, rng, _ = arrays()
    np.save(folder / "table.npy", rng.random(16).astype("f4"))
    np.save(folder / "heads.npy", np.full((4, 8), -np.inf, "f4"))
    texts(folder, ["linear:-0.5", "linear:-0.5+cosine", "gaussian:2,1,0.5+polynomial", "polynomial:6+linear:+1e-3",
                   "gaussian:0,0", "cosine+cosine", "linear", "+", "lineer:1"])


def blocks(folder):
    texts(folder, ["blocks:6x6:n=8,seed=1", "blocks:5x7:density=0.2,block=64", "origin:800", "blocks:3x3:n=9,block=16",
                   "blocks:9999999999x1:n=1", "blocks:3x3:density=1.5", "blocks:2x2:n=5", "blocks:131072x131072:n=0",
                   "blocks:2x2:n=0"])


def options(folder):
    texts(folder, ["a.pdb\n--cutoff\n8\n--heads=4\n-o\nx.npy\n--check", "--help", "--\n-a.pdb",
                   "--cell\n1,2,3,90,90,90\n--supercell\n2x2x1\n--pbc\nxy\na", "--seed\n18446744073709551616\na",
                   "--dtype\nfp\na\nb", "--cutof=1e999\na", "--cutoff\n0x10\na", "--model\n-1\na"])


def infer(folder):
    one = {"name": "Q", "shape": [5, 2, 8], "datatype": "FP32"}
    places = [{"parameters": {"binary_data_size": 320}}, {"data": [0.5] * 80}, {"data": [[[1, -2e3]]]},
              {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 320, "shared_memory_offset": 8}}]
    outputs = [[], [{"name": "O"}], [{"name": "LSE", "parameters": {"binary_data": False}}, {"name": "O", "parameters": {
        "shared_memory_region": "out", "shared_memory_byte_size": 320}}]]
    texts(folder, [json.dumps({"id": "x\u00e4", "inputs": [{**one, **place, "name": name} for name in names],
                               "outputs": out, "parameters": {"binary_data_output": True, "timeout": 5}})
                   for place in places for names in (["Q", "K", "V"], ["Q"]) for out in outputs] +
          [json.dumps({"inputs": [{**one, "name": "POSITIONS", "datatype": "FP64", "shape": [2, 3], "data": [0.1] * 6}]}),
           json.dumps({"inputs": [{**one, "shape": [2**62, 4], "parameters": {"binary_data_size": 2**63 - 1}}]}),
           "[1]", "{}", "YWJjZA==", "YWJj", "YQ=="])


def texts(folder, lines):
    for i, line in enumerate(lines):
        (folder / f"text{i}").write_text(line)


WORDS = {
    "structure": ["ATOM  ", "HETATM", "CRYST1", "MODEL ", "ENDMDL", "SCALE1", "ORIGX1", "TER", "loop_", "data_", "Lattice=",
                  "Properties=", "pbc=", "species:S:1", "pos:R:3", "_atom_site.Cartn_x", "_cell.length_a", "save_", "nan",
                  "inf", "1e308", "-1e-320", "P 21 21 21", "Atoms", "Direct", "\\x1f\\x8b\\x08", "\\x0d\\x0a", ";", "99999999999999999999"],
    "pdb": ["ATOM  ", "HETATM", "CRYST1", "MODEL ", "ENDMDL", "SCALE1", "TER", "TITLE ", "A000", "*****", "TIP3", "HOH",
            "\\x0d\\x0a", "nan", "1e308"],
    "cif": ["data_", "loop_", "save_", "global_", "_atom_site.Cartn_x", "_atom_site_fract_x", "_cell_length_a", "_cell.length_a",
            "_symmetry_equiv_pos_as_xyz", "x,y,z", "-x,1/2+y,z", "P 21 21 21", "_space_group_name_Hall", "'", ";", "?",
            "1.0(2)", "fract_transf_matrix", "_atom_site.pdbx_PDB_model_num", "calc_flag", "dum"],
    "gro": ["SOL", "OW", "0.126", "99999", "0.0", "1.82060", "-0.0001", "1e9"],
    "xyz": ["Lattice=", "Properties=", "pbc=", "species:S:1", "pos:R:3", "Z:I:1", "T T F", "[[5,0,0],", "nan", "inf",
            "1e308", ":L:1", "100000", "CELL(abcABC):", "cell{", "positions{", "cell=", "CB", "CA", "Vector1 "],
    "poscar": ["Direct", "Cartesian", "Selective dynamics", "T T F", "-1.0", "1e-9", "Na Cl", "1 1", "!", "#"],
    "lammps": ["atoms", "atom types", "xlo xhi", "ylo yhi", "zlo zhi", "xy xz yz", "avec", "bvec", "cvec", "Atoms # full",
               "Masses", "Velocities", "Pair Coeffs", "Atom Type Labels", "charge", "hybrid", "units = ", "#", "99999999999999999999"],
    "amber": ["   0.5000000", "  90.0000000", "0.1000000E+02", "*", "   30.0000000"],
    "npy": ["descr", "fortran_order", "shape", "True", "False", "<f4", "<f8", "|b1", "<i8", "{'", "}", "(,)", "-1"],
    "npz": ["PK\\x01\\x02", "PK\\x03\\x04", "PK\\x05\\x06", "PK\\x06\\x06", "PK\\x06\\x07", "indptr.npy", "i.npy", "<i8",
            "\\xff\\xff\\xff\\xff"],
    "safetensors": ["dtype", "shape", "data_offsets", "__metadata__", "F32", "BF16", "[0,", "\\\\u0000", "18446744073709551615"],
    "radial": ["linear:", "gaussian:", "cosine", "polynomial:", "+", "-inf", "nan", "1e308", "descr", "shape"],
    "blocks": ["blocks:", "origin:", "n=", "density=", "seed=", "block=", "x", ":", ","],
    "infer": ["inputs", "outputs", "name", "shape", "datatype", "parameters", "binary_data_size", "data", "FP32", "FP64", "BF16",
              "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "binary_data", "timeout", "POSITIONS",
              "LSE", "9223372036854775807", "\\\\u0000", "1e999", "[[", "]]", "=="],
    "options": ["--cutoff", "--heads", "--seed", "--dtype", "-o", "--cell", "--pbc", "--supercell", "--help", "--", "=",
                "\\x0a"],
}


def main():
    root = pathlib.Path(sys.argv[1])
    for make in (structure, npy, npz, safetensors, radial, blocks, options, infer):
        folder = root / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
        words = "".join('"%s"\n' % w for w in WORDS[make.__name__])
        (root / f"{make.__name__}.dict").write_text(words)
    formats(root, pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None)


main()
