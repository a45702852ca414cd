# SPDX-License-Identifier: Apache-2.0
"""The first request of docs/howto/triton.md, as it stands there."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

from triton_tools import ROOT, Server


def test_first_request(tmp_path):
    page = (ROOT / "docs/howto/triton.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.M | re.S)
    configuration = next(block for block in blocks if block.startswith("backend:"))
    program = next(block for block in blocks if block.startswith("import numpy"))
    folder = tmp_path / "models/quartz"
    (folder / "1").mkdir(parents=True)
    shutil.copy(ROOT / "examples/quartz.xyz", folder / "1")
    (folder / "config.pbtxt").write_text(configuration)
    server = Server(pathlib.Path(tmp_path / "models"))
    try:
        assert "localhost:8000" in program
        program = program.replace("localhost:8000", f"127.0.0.1:{server.http}")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONWARNINGS": "ignore"})
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    atoms = int((ROOT / "examples/quartz.xyz").read_text().split()[0])
    assert done.stdout.splitlines() == [f"({atoms}, 4, 32) ({atoms}, 4)", "{'positions_version': 2}"]
