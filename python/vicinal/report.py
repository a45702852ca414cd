# SPDX-License-Identifier: Apache-2.0
"""`vicinal report FILE... -o report.html`: results of `vicinal bench`, `vicinal compare` and bench/ as one page.

main(words) is the command.  docs/howto/report.md describes the page and the file of targets.
"""
import argparse
import os
import sys
import tempfile
from dataclasses import dataclass

from ._report import origin, page, records, tables, targets


@dataclass
class Report:
    title: str
    records: list
    origin: list
    peers: list
    targets: list


def make(files, title="vicinal: benchmark report", targets_file=None):
    """What the report shows of these files.  Raises vicinal._report.records.Stop."""
    read = records.read(files)
    return Report(title, read, origin.lines(read), tables.peers(read),
                  targets.judge(targets_file, read) if targets_file else [])


def _options(words):
    parser = argparse.ArgumentParser(
        prog="vicinal report", description="One page from result files: JSON lines of `vicinal bench ... --json`, of "
        "`vicinal compare --json` and of the programs of bench/.  The page needs no network and no other file.",
        epilog="Exit codes: 0 ok, 1 a target was missed or a file not written, 2 usage, 3 bad input.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="results, one JSON object a line")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the page goes; default: standard output")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown, without pictures")
    parser.add_argument("--title", default="vicinal: benchmark report", help="the page's title")
    parser.add_argument("--targets", metavar="FILE", help="JSON list of what must be reached: exit code 1 where it is not")
    return parser.parse_args(words)


def _write(path, text):
    """Whole or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=".report-", delete=False) as file:
            temporary = file.name
            try:
                file.write(text)
                file.flush()
                os.chmod(temporary, 0o666 & ~_umask())
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
    except OSError as error:
        raise records.Stop(1, f"{path}: cannot be written: {error.strerror}") from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def main(words):
    """The command; returns the exit code."""
    o = _options(words)
    try:
        report = make(o.files, o.title, o.targets)
        try:
            text = page.markdown(report) if o.markdown else page.html(report)
        except ImportError as error:
            raise records.Stop(1, f"its pictures are drawn with matplotlib, which cannot be imported ({error}): pip "
                               "install 'vicinal[report]', or --markdown, which has none") from None
        if o.output:
            _write(o.output, text)
            print(f"vicinal report: {o.output}: {len(text.encode()) / 1e3:,.0f} kB, of "
                  f"{records.count(len(report.records), 'result')}", file=sys.stderr)
        else:
            sys.stdout.write(text)
    except records.Stop as stop:
        print(f"vicinal report: error: {stop}", file=sys.stderr)
        return stop.code
    missed = [t for t in report.targets if not t.met]
    for t in missed:
        value = "not measured" if t.value is None else f"{t.value:.4g}"
        print(f"vicinal report: missed: {t.name}: {t.target}, got {value}", file=sys.stderr)
    return 1 if missed else 0
