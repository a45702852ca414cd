# SPDX-License-Identifier: Apache-2.0
"""The status page in a browser, where Debian's chromium is installed."""
import os
import shutil
import subprocess

import pytest

from conftest import PATIENCE

SEE = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
       "--virtual-time-budget=4000"]


@pytest.fixture
def browser(tmp_path):
    """browser(url, arguments...): what a look at the page gives on stdout."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no chromium here (Debian: chromium)")

    def look(url, *arguments):
        done = subprocess.run([program, *SEE, f"--user-data-dir={tmp_path / 'profile'}", *arguments, url],
                              capture_output=True, encoding="utf-8", timeout=PATIENCE,
                              env={**os.environ, "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return look


def url(server):
    return "http://%s:%d/" % server.address


def test_page_shows_models(tiny_server, tensors, browser):
    with tiny_server.client() as client:
        for _ in range(3):
            assert client.infer("tiny", tensors()).status == 200
        assert client.infer("tiny", {"POSITIONS": tensors()["Q"][:, 0, :3].astype("f8")}).status == 200
    page = browser(url(tiny_server), "--dump-dom")
    assert '<span id="state">ready</span>' in page
    row = page.split('<tbody id="models">')[1].split("</tr>")[0]
    cells = [c.split("</td>")[0] for c in row.split("<td>")[1:]]
    assert cells[:4] == ["tiny", "5", "2 \u00d7 8", "float32"]
    assert cells[5:10] == ["2", "0", "0", "4", "0"]  # positions, waiting, running, answered, failed
    assert "<svg" in cells[12] and "polyline" in cells[12]
    assert "connections" in page and "memory of requests" in page


def test_page_asks_for_the_token(serve, tiny, tmp_path, browser):
    (tmp_path / "token").write_text("0123456789abcdef\n")
    server = serve(tiny, "--cutoff", "2", "--heads", "2", "--head-dim", "8", "--token-file", tmp_path / "token")
    page = browser(url(server), "--dump-dom")
    assert "needs its token" in page and '<form id="login">' in page and "tiny" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_errors(tiny_server, browser, scheme, tmp_path):
    """Drawn in both colours; the console says nothing."""
    picture = tmp_path / "page.png"
    dark = ["--force-dark-mode", "--enable-features=WebContentsForceDark"] if scheme == "dark" else []
    said = browser(url(tiny_server), f"--screenshot={picture}", "--window-size=1100,500", "--enable-logging=stderr",
                   "--v=0", *dark)
    assert picture.stat().st_size > 5000 and "CONSOLE" not in said
