# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/, by the programs that read them, each where it is installed.  Those for Kubernetes are in
tests/clients/test_manifests.py."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
BINARY = pathlib.Path(os.environ.get("VIC_BINARY") or ROOT / "build/dev/vicinal")
INSTALLED = "/usr/local/bin/vicinal"


def program(name):
    """The path of a program, also of those that only root has on the PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return found or pytest.skip(f"no {name} here")


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path):
    """A function that puts the unit and some of its drop-ins where systemd-analyze finds them together."""
    def place(*drop_ins):
        path = tmp_path / "vicinal.service"
        path.write_text((DEPLOY / "vicinal.service").read_text().replace(INSTALLED, str(BINARY)))
        (tmp_path / "vicinal.service.d").mkdir()
        for name in drop_ins:
            text = (DEPLOY / name).read_text().replace(INSTALLED, str(BINARY))
            (tmp_path / "vicinal.service.d" / name).write_text(text)
        return path
    return place


@pytest.mark.parametrize("drop_ins, most", [((), 1.5), (("vicinal-gpu.conf",), 3.0), (("vicinal-network.conf",), 2.0),
                                            (("vicinal-gpu.conf", "vicinal-network.conf"), 3.0)])
def test_systemd(unit, drop_ins, most):
    """Nothing to complain of, and little that the service may do besides its work (0 is nothing, 10 all)."""
    analyze = program("systemd-analyze")
    path = unit(*drop_ins)
    done = run(analyze, "verify", path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    done = run(analyze, "security", "--offline=true", path)
    found = re.search(r"Overall exposure level for vicinal.service: ([0-9.]+)", done.stdout)
    if not found:
        pytest.skip(f"this systemd-analyze judges no files: {done.stderr}")
    assert float(found[1]) <= most, done.stdout


def test_systemd_would_complain(unit):
    analyze = program("systemd-analyze")
    path = unit()
    path.write_text(path.read_text().replace("PrivateTmp=yes", "PrivateTemp=yes"))
    assert "PrivateTemp" in run(analyze, "verify", path).stderr


def test_nginx(tmp_path):
    nginx = program("nginx")
    ours = ["access_log off;"] + [f"{name}_temp_path {tmp_path}/{name};"
                                  for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    path = tmp_path / "nginx.conf"
    path.write_text((DEPLOY / "nginx.conf").read_text().replace("http {", "http {\n" + "\n".join(ours), 1))
    done = run(nginx, "-t", "-p", tmp_path, "-c", path, "-g", f"pid {tmp_path}/pid;", "-e", "stderr")
    assert done.returncode == 0, done.stderr


def test_haproxy():
    haproxy = program("haproxy")
    done = run(haproxy, "-c", "-f", DEPLOY / "haproxy.cfg")
    assert done.returncode == 0 and "WARNING" not in done.stderr + done.stdout, done.stdout + done.stderr


def commands():
    """Every command line of `vicinal serve` in deploy/: (where, its words after `serve`)."""
    for path in sorted(DEPLOY.rglob("*")):
        if not path.is_file():
            continue
        text = path.read_text()
        for match in re.finditer(rf"^ExecStart={INSTALLED} serve (.*)$", text, re.M):
            yield path.name, shlex.split(match[1])
        for match in re.finditer(r"(?:CMD|args:) \[\"?serve\"?, ([^]]*)\]", text):
            yield path.name, [word.strip(' "\n') for word in match[1].split(",")]


def test_options_of_serve():
    """Files name options that there are, with values where the option has one."""
    found = list(commands())
    assert {name for name, _ in found} == {"vicinal.service", "vicinal-gpu.conf", "vicinal-network.conf",
                                           "Containerfile", "serve.yaml"}
    done = run(BINARY, "serve", "--help")
    if done.returncode != 0:
        pytest.skip("this build of vicinal has no serve")
    known = dict(re.findall(r"^  (--[a-z0-9-]+)(?: ([A-Z][A-Z,|x\[\]]*))?", done.stdout, re.M))
    for name, words in found:
        at = 0
        while at < len(words):
            assert words[at] in known, (name, words[at])
            at += 2 if known[words[at]] else 1
        assert "--models" in words and "--drain-timeout" in words or name == "Containerfile"
        if "--host" in words:
            assert "--token-file" in words and "--drain-delay" in words, name


def test_service_stops_after_its_drain():
    """systemd waits longer than the server may take."""
    stop = int(re.search(r"TimeoutStopSec=(\d+)s", (DEPLOY / "vicinal.service").read_text())[1])
    for name, words in commands():
        if name.endswith((".service", ".conf")):
            times = [float(words[words.index(o) + 1]) for o in ("--drain-delay", "--drain-timeout") if o in words]
            assert sum(times) < stop, name


def test_docs_name_every_file():
    """docs/deploy.md says of each file what it is and where it ran."""
    text = (ROOT / "docs/deploy.md").read_text()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert f"`deploy/{path.relative_to(DEPLOY)}`" in text, path
