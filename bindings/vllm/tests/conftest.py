# SPDX-License-Identifier: Apache-2.0
"""The plugin in the real vLLM (./test --vllm, which installs it): installed as a user would, and run in processes of its
own, since vLLM takes plugins when it starts."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PATIENCE = 3600  # seconds until a process counts as hanging; no verdict depends on how long one takes

try:
    import vllm  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]


class Bench:
    """Where vLLM runs with the plugin, and with mutants of it."""

    def __init__(self, folder):
        self.folder, self.plugin = folder, folder / "plugin"
        source = folder / "source"
        shutil.copytree(HERE.parent, source, ignore=shutil.ignore_patterns("tests", "build", "*.egg-info"))
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target",
                        self.plugin, source], check=True)
        mutants = folder / "mutants"  # a plugin for vLLM as well, beside ours
        (mutants / "mutants-1.dist-info").mkdir(parents=True)
        (mutants / "mutants-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mutants\nVersion: 1\n")
        (mutants / "mutants-1.dist-info" / "entry_points.txt").write_text(
            "[vllm.general_plugins]\nmutants = mutants:apply\n")
        shutil.copy(HERE / "mutants.py", mutants)

    def environment(self, ours=True, mutant=None, **more):
        env = {**os.environ, "VICINAL_VLLM": "1" if ours else "0", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
               "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "PYTHONDONTWRITEBYTECODE": "1", "TORCHINDUCTOR_CACHE_DIR":
               str(self.folder / "inductor"), "VLLM_CACHE_ROOT": str(self.folder / "cache"), **more}
        path = [str(self.plugin), str(ROOT / "python"), str(HERE)]
        if mutant:
            path.insert(0, str(self.folder / "mutants"))
            env["MUTANT"] = mutant
        env["PYTHONPATH"] = os.pathsep.join(path)
        return env

    def run(self, script, *arguments, **options):
        """The script's last line, as JSON, and all that it printed."""
        done = subprocess.run([sys.executable, HERE / script, *map(str, arguments)], cwd=self.folder, text=True,
                              capture_output=True, env=self.environment(**options), timeout=PATIENCE)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-6000:]
        return json.loads(done.stdout.strip().splitlines()[-1]), said


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("vllm"))
