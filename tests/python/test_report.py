# SPDX-License-Identifier: Apache-2.0
"""`vicinal report`: what it reads, judges and says, its page in a browser, and the results of bench/results."""
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from test_entry import ROOT, environment

RESULTS = sorted((ROOT / "bench/results").glob("*.jsonl"))
TIMES = {"p50": 2e-3, "p95": 3e-3, "p99": 4e-3, "min": 1e-3, "mean": 2e-3, "sigma": 1e-4, "relative_sigma": 0.05,
         "tflops_computed": 4.0, "tflops_useful": 1.5}
LATENCY = {"bench": "latency", "file": "demo.pdb.gz", "cutoff": 8, "heads": 4, "kv_heads": 2, "head_dim": 64, "dtype":
           "float16", "device": "cuda:0", "gpu": "GPU <one>", "threads": 2, "seconds": {"single": TIMES},
           "command": "vicinal bench latency \"demo\" <x>", "check": {"relative_frobenius": 3e-4}}


@pytest.fixture
def report(tmp_path, capsys):
    """report(lines or paths..., words=(), code=0): (stdout, stderr)."""
    from vicinal.report import main

    def call(*given, words=(), code=0):
        paths = []
        for number, one in enumerate(given):
            if isinstance(one, pathlib.Path):
                paths.append(str(one))
                continue
            paths.append(str(tmp_path / f"results-{number}.jsonl"))
            pathlib.Path(paths[-1]).write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in one))
        found = main([*paths, *map(str, words)])
        out, said = capsys.readouterr()
        assert found == code, said
        return out, said
    return call


class Page(html.parser.HTMLParser):
    """Texts, the names of parts, and whatever a page would fetch."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.names, self.fetched, self.open, self.links = [], [], [], [], []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)
        self.fetched += [(tag, attrs[key]) for key in ("src", "srcset", "data", "href", "xlink:href")
                         if attrs.get(key) and not attrs[key].startswith("#")]
        self.links += [attrs["href"][1:] for key in ("href",) if str(attrs.get(key)).startswith("#")]
        self.names += [attrs["id"]] if "id" in attrs else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "br", "link", "img"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def matplotlib():
    pytest.importorskip("matplotlib")


def test_all_results_of_the_project(report, tmp_path):
    """One page that fetches nothing, whose parts have names of their own, with every file and the origin's table."""
    matplotlib()
    out = tmp_path / "page.html"
    _, said = report(*RESULTS, words=["-o", out])
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    words = " ".join(page.texts)
    assert len(text.encode()) < 2e6 and page.fetched == []
    assert len(page.names) == len(set(page.names)) and set(page.links) <= set(page.names)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    for path in RESULTS:
        assert path.name in words
    assert text.count("<svg") == text.count('role="img"') == text.count("<title>") - 1 >= 5
    assert "#010203" not in text  # stands for the page's colour
    assert "119,323" in words and "6,807" in words
    count, = re.findall(r"([\d,]+) results", said)
    assert int(count.replace(",", "")) == sum(len(path.read_text().split("\n")) - 1 for path in RESULTS)


def test_figures_are_those_of_the_files(report):
    """Each median of the Markdown is that of the line that it names."""
    out, _ = report(*RESULTS, words=["--markdown"])
    lines = {path.name: path.read_text().split("\n") for path in RESULTS}
    seen = 0
    factor = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
    for row in out.split("\n"):
        cells = [c.strip() for c in row.strip("|").split("|")]
        if len(cells) < 5 or cells[1] not in ("single launches", "in a graph"):
            continue
        name, _, number = cells[-1].rpartition(":")
        key = "single" if cells[1] == "single launches" else "graph"
        stored = json.loads(lines[name][int(number) - 1])["seconds"][key]["p50"]
        value, unit = cells[2].split()
        assert float(value.replace(",", "")) * factor[unit] == pytest.approx(stored, rel=6e-3)
        seen += 1
    assert seen > 50


def test_the_table_in_the_docs():
    """docs/benchmarks.md has the rows of the origin's table, as the files give them."""
    from vicinal._report import page
    from vicinal.report import make
    rows = [line for line in page._lines(page.origin_table(make([str(p) for p in RESULTS]))) if line.startswith("| ")][1:]
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert len(rows) == 8 and [row for row in rows if row not in text] == []


def test_texts_are_escaped_and_traced(report, tmp_path):
    matplotlib()
    out = tmp_path / "page.html"
    report([LATENCY], words=["-o", out, "--title", "A <b> & c"])
    text = out.read_text(encoding="utf-8")
    assert "A &lt;b&gt; &amp; c" in text and "GPU &lt;one&gt;" in text and "<one>" not in text
    assert 'title="vicinal bench latency &quot;demo&quot; &lt;x&gt;"' in text
    assert "results-0.jsonl:1" in text and "demo, 8 Å, 4 x 64 (2 of keys), float16" in text
    assert Page(text).fetched == []


def test_gradients_and_unknown_lines(report):
    back = {"kernel": "k", "error": 5e-7, "seconds": {"single": {**TIMES, "p50": 6e-3}}}
    out, _ = report([{**LATENCY, "backward": back}, {"who": "knows"}], words=["--markdown"])
    assert "| gradients | 6.00 ms | 3.00 ms | 4.00 ms | 1.00 ms | 5.0 % |" in out and "5.0e-07" in out
    assert "1 line with other results" in out


def test_peers_that_compute_something_else_are_no_comparison(report):
    """Nor is what failed; and ours is the fastest of ours."""
    case = {"case": "demo", "atoms": 9, "heads": 1, "head_dim": 8, "dtype": "float16", "cutoff": 3.0, "gpu": "G"}
    rows = [{**case, "peer": "vicinal", "label": "vicinal", "ms": 2.0, "status": "timed", "exact": True},
            {**case, "peer": "vicinal-caller", "label": "vicinal, caller's", "ms": 3.0, "status": "timed", "exact": True},
            {**case, "peer": "blocks", "label": "whole blocks", "ms": 1.0, "status": "timed", "exact": False},
            {**case, "peer": "flex", "label": "flex", "ms": 5.0, "ms_graph": 4.0, "status": "timed", "exact": True},
            {**case, "peer": "fa3", "label": "fa3", "status": "failed", "reason": "no module"}]
    out, _ = report(rows, words=["--markdown"])
    assert "**2.00 x** as fast as the fastest other" in out
    assert "| whole blocks (other pairs: whole blocks) | 1.00 ms | 0.50 x |" in out
    assert "| fa3 | not timed: no module |" in out


@pytest.mark.parametrize("target, code, words", [
    ({"at_most": 0.002}, 0, "| met |"), ({"at_most": 0.0019}, 1, "| missed |"), ({"at_least": 0.001}, 0, "| met |"),
    ({"at_least": 0.1, "value": "seconds.single.p51"}, 1, "not measured"),
])
def test_targets(report, tmp_path, target, code, words):
    path = tmp_path / "targets.json"
    path.write_text(json.dumps([{"name": "demo", "where": {"bench": "latency", "cutoff": 8}, "value":
                                 "seconds.single.p50", **target}]))
    out, said = report([LATENCY, {**LATENCY, "cutoff": 6}], words=["--markdown", "--targets", path], code=code)
    assert words in out and ("vicinal report: missed: demo" in said) == bool(code)


@pytest.mark.parametrize("text, words", [
    ("{}", "expected a JSON list"), ("[1]", "target 1: expected an object"), ("nonsense", "expected a JSON list of targets"),
    ('[{"name": "x", "value": "a"}]', "it lacks where"),
    ('[{"name": "x", "value": "a", "where": {}}]', "either"),
    ('[{"name": "x", "value": "a", "where": {}, "at_most": 1, "at_least": 1}]', "got 2"),
    ('[{"name": "x", "value": "a", "where": {}, "at_most": 1, "atleast": 1}]', "unknown member 'atleast'"),
    ('[{"name": "x", "value": "a", "where": [], "at_most": 1}]', "expected an object as"),
])
def test_targets_that_are_none(report, tmp_path, text, words):
    path = tmp_path / "targets.json"
    path.write_text(text)
    out, said = report([LATENCY], words=["--targets", path, "-o", tmp_path / "page.html"], code=3)
    assert words in said and str(path) in said and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("lines, words", [
    ([], "got an empty file"), (["{}", "{,"], ":2: expected a JSON object"), (["[1]"], ":1: expected a JSON object, got int"),
    (["hello"], ":1: expected a JSON object, as `vicinal bench ... --json` writes one, got 'hello'"),
])
def test_files_that_are_none(report, tmp_path, lines, words):
    out, said = report(lines, words=["-o", tmp_path / "page.html"], code=3)
    assert words in said and "results-0.jsonl" in said and out == "" and not (tmp_path / "page.html").exists()


def test_files_that_are_not_there(report, tmp_path):
    _, said = report(tmp_path / "none.jsonl", code=3)
    assert said == f"vicinal report: error: {tmp_path / 'none.jsonl'}: No such file or directory\n"
    _, said = report([LATENCY], words=["--markdown", "-o", tmp_path / "no/page.md"], code=1)
    assert "no/page.md: cannot be written: No such file or directory" in said


def test_a_page_that_is_there_stays_when_writing_fails(report, tmp_path):
    out = tmp_path / "page.md"
    out.write_text("before")
    report(["{"], words=["--markdown", "-o", out], code=3)
    assert out.read_text() == "before"
    report([LATENCY], words=["--markdown", "-o", out])
    assert out.read_text().startswith("# vicinal") and [p.name for p in tmp_path.iterdir() if "report-" in p.name] == []


def test_without_matplotlib(report, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "vicinal._report.plots", raising=False)
    monkeypatch.setattr(sys.modules["vicinal"]._report if hasattr(sys.modules["vicinal"], "_report") else sys, "plots", None,
                        raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delattr("vicinal._report.plots", raising=False)
    _, said = report([LATENCY], words=["-o", tmp_path / "page.html"], code=1)
    assert "pip install 'vicinal[report]'" in said and not (tmp_path / "page.html").exists()
    assert "demo" in report([LATENCY], words=["--markdown"])[0]


def test_as_a_command():
    done = subprocess.run([sys.executable, "-m", "vicinal", "report", "--help"], capture_output=True, encoding="utf-8",
                          env=environment())
    assert done.returncode == 0 and "--targets FILE" in done.stdout
    done = subprocess.run([sys.executable, "-m", "vicinal", "report"], capture_output=True, encoding="utf-8",
                          env=environment())
    assert done.returncode == 2 and "FILE" in done.stderr


@pytest.mark.parametrize("width", [390, 1300])
def test_in_a_browser(report, tmp_path, width):
    """The page is no wider than a phone, or a screen; every picture has a size."""
    matplotlib()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("there is no chromium")
    out = tmp_path / "page.html"
    report(*RESULTS, words=["-o", out])
    out.write_text(out.read_text(encoding="utf-8").replace("</body>", """<script>
        const small = [...document.querySelectorAll("svg")].filter(s => !s.closest("details:not([open])") &&
                                                                   s.getBoundingClientRect().height < 60);
        const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg") &&
            e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
        document.title = JSON.stringify({width: document.documentElement.clientWidth, small: small.length,
            page: document.documentElement.scrollWidth, wide: wide.map(e => e.tagName + " " + e.className)});
        </script></body>"""), encoding="utf-8")
    frame = tmp_path / "frame.html"  # a window is never narrower than 500 pixels, a frame is
    frame.write_text(f"""<!DOCTYPE html><title>-</title><iframe src="page.html" style="width:{width}px;height:900px;border:0">
        </iframe><script>onload = () => {{ document.title = document.querySelector("iframe").contentDocument.title; }}
        </script>""")
    done = subprocess.run([browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
                           f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--dump-dom",
                           frame.as_uri()], capture_output=True, encoding="utf-8", timeout=300)
    seen = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", done.stdout)[1]))
    assert seen["width"] in range(width - 20, width + 1), done.stderr
    assert seen["page"] <= seen["width"] and not seen["wide"] and seen["small"] == 0
