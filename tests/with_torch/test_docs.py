# SPDX-License-Identifier: Apache-2.0
"""The Python blocks of the docs run, with torch and the programs that it is compared with."""
import docs_blocks
import pytest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", list(docs_blocks.programs()), ids=lambda p: p.name)
def test_program(program, tmp_path, monkeypatch):
    program.run_in(tmp_path, monkeypatch)
