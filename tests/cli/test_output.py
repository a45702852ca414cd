# SPDX-License-Identifier: Apache-2.0
"""What is written is complete or not there, and pictures are pictures."""
import base64
import resource
import struct
import xml.etree.ElementTree
import zlib

import numpy as np
import pytest

from conftest import write_pdb

# The options of each command that write a file, with names that suit them.
WRITERS = [("packing", "--plot", "p.svg"), ("packing", "-o", "p.pdb"), ("packing", "-o", "p.xyz"),
           ("pattern", "--plot", "p.svg"), ("pattern", "--pairs-out", "p.npz"),
           ("run", "-o", "p.npy"), ("run", "-o", "p.safetensors")]


@pytest.fixture
def structure(tmp_path):
    rng = np.random.default_rng(4)
    (tmp_path / "in").mkdir()
    return write_pdb(tmp_path / "in" / "s.pdb", np.round(rng.normal(0, 8, (400, 3)), 3),
                     np.round(rng.uniform(5, 60, 400), 2), rng.choice(["C", "N", "O", "S"], 400))


def arguments(command, structure):
    return [command, structure] + ([] if command == "packing" else ["--cutoff", "7"])


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("command, option, name", WRITERS)
def test_one_file_with_usual_permissions(vicinal, structure, out, command, option, name):
    vicinal(*arguments(command, structure), option, out / name)
    assert names(out) == [name]
    assert (out / name).stat().st_mode & 0o777 == 0o666 & ~current_umask()
    first = (out / name).read_bytes()
    vicinal(*arguments(command, structure), option, out / name)
    assert (out / name).read_bytes() == first, "the same input gives the same file"
    assert names(out) == [name]


def current_umask():
    import os
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("command, option, name", WRITERS)
def test_nothing_is_left_of_a_file_that_does_not_fit(vicinal, structure, out, command, option, name):
    (out / name).write_bytes(b"before")
    limit = 200  # bytes

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = vicinal(*arguments(command, structure), option, out / name, "--json", code=1, preexec=small_files)
    assert done.out == "" and name in done.err
    assert names(out) == [name] and (out / name).read_bytes() == b"before"


@pytest.mark.parametrize("command, option, name", WRITERS)
def test_folders_are_refused(vicinal, structure, out, command, option, name):
    (out / name).mkdir()
    done = vicinal(*arguments(command, structure), option, out / name, code=1)
    assert name in done.err and names(out) == [name] and names(out / name) == []
    done = vicinal(*arguments(command, structure), option, out / "missing" / name, code=1)
    assert "missing" in done.err and names(out) == [name]


@pytest.mark.parametrize("command, option, name", WRITERS)
def test_nothing_is_left_after_bad_input(vicinal, out, command, option, name):
    vicinal(*arguments(command, out / "nothing.pdb"), option, out / name, code=3)
    assert names(out) == []


def test_refused_before_the_work(vicinal, out):
    """A target that cannot be written is named even when the input cannot be read either."""
    assert "p.npy" in vicinal("run", "nothing.pdb", "--cutoff", "5", "-o", out / "no" / "p.npy", code=1).err


def test_links_stay_links_and_devices_devices(vicinal, structure, out):
    (out / "real.npy").write_bytes(b"")
    (out / "link.npy").symlink_to("real.npy")
    vicinal("run", structure, "--cutoff", "5", "-o", out / "link.npy")
    assert (out / "link.npy").is_symlink() and len(np.load(out / "real.npy")) == 400
    (out / "null.npy").symlink_to("/dev/null")
    vicinal("run", structure, "--cutoff", "5", "-o", out / "null.npy")
    (out / "full.npy").symlink_to("/dev/full")
    assert "No space left" in vicinal("run", structure, "--cutoff", "5", "-o", out / "full.npy", code=1).err
    assert names(out) == ["full.npy", "link.npy", "null.npy", "real.npy"]


# ---- pictures ----

SVG = "{http://www.w3.org/2000/svg}"


def decode_png(raw):
    """RGB pixels [height, width, 3] of an 8-bit PNG, with every checksum and filter."""
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + size]
        assert struct.unpack(">I", raw[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    data = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    pixels = np.zeros((height, 3 * width), np.uint8)
    for y, (kind, *line) in enumerate(data.tolist()):  # plain integers: ten times faster than numpy's here
        above = [0] * 3 + (pixels[y - 1].tolist() if y else [0] * 3 * width)
        line = [0] * 3 + line
        for i in range(3, 3 * width + 3) if kind else ():
            left, up, corner = line[i - 3], above[i], above[i - 3]
            if kind == 4:
                p = left + up - corner
                a, b, c = abs(p - left), abs(p - up), abs(p - corner)
                guess = left if a <= b and a <= c else up if b <= c else corner
            else:
                guess = (0, left, up, (left + up) // 2)[kind]
            line[i] = line[i] + guess & 255
        pixels[y] = line[3:]
    return pixels.reshape(height, width, 3)


def pictures(path):
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == SVG + "svg"
    images = [e.get("{http://www.w3.org/1999/xlink}href") for e in root.iter(SVG + "image")]
    prefix = "data:image/png;base64,"
    assert all(i.startswith(prefix) for i in images)
    texts = [e.text for e in root.iter(SVG + "text")]
    return [base64.b64decode(i[len(prefix):], validate=True) for i in images], texts


def test_packing_picture(vicinal, structure, out):
    vicinal("packing", structure, "--plot", out / "p.svg")
    images, texts = pictures(out / "p.svg")
    assert len(images) == 4  # two panels and their colour bars
    assert "Packing of s.pdb" in texts and any("B-factor (\u00c5\u00b2)" == t for t in texts)
    panels = [decode_png(images[0]), decode_png(images[2])]
    assert panels[0].shape == panels[1].shape and panels[0].shape[1] == 940
    covered = [(p != 255).any(2) for p in panels]
    np.testing.assert_array_equal(covered[0], covered[1], "both panels show the structure from the same side")
    assert 0.2 < covered[0].mean() < 0.95
    assert (panels[0] != panels[1]).any()
    # The structure fills the panel in at least one direction.
    rows, columns = np.nonzero(covered[0])
    assert max(np.ptp(rows) / covered[0].shape[0], np.ptp(columns) / covered[0].shape[1]) > 0.9


def test_pattern_picture(vicinal, structure, out):
    answer = vicinal("pattern", structure, "--cutoff", "12", "--plot", out / "p.svg", "--json").json
    images, texts = pictures(out / "p.svg")
    assert any(f"{answer['pairs']:,} pairs" in t for t in texts)
    matrix = next(decode_png(i) for i in images if struct.unpack(">II", i[16:24]) == (1080, 1080))
    ink = (matrix != np.array([0xf7, 0xf8, 0xfa])).any(2)
    assert ink.diagonal().all(), "each atom is its own neighbour"
    np.testing.assert_allclose(ink.mean(), answer["blocks"] * 1024 / 400**2, rtol=0.12)


def test_picture_without_b_factors_and_of_one_atom(vicinal, tmp_path, out):
    one = tmp_path / "one.xyz"
    one.write_text("1\n\nC 1 2 3\n")
    vicinal("packing", one, "--plot", out / "p.svg")
    assert "how often each count occurs" in pictures(out / "p.svg")[1]
    vicinal("pattern", one, "--cutoff", "3", "--plot", out / "q.svg")
    assert len(pictures(out / "q.svg")[0]) == 6


def test_title_is_escaped(vicinal, tmp_path, out):
    odd = tmp_path / 'a<b>&"c".xyz'
    odd.write_text("1\n\nC 1 2 3\n")
    vicinal("packing", odd, "--plot", out / "p.svg")
    assert 'Packing of a<b>&"c".xyz' in pictures(out / "p.svg")[1]


def test_same_picture_for_every_number_of_threads(vicinal, structure, out):
    for threads in (1, 3):
        vicinal("packing", structure, "--plot", out / f"{threads}.svg", "--threads", threads)
    assert (out / "1.svg").read_bytes() == (out / "3.svg").read_bytes()
