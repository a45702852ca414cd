#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Count test cases over all runners: `N passed, N failed, N skipped`.

    tools/sum_tests.py [--ctest BUILD]... [--pytest FILE]...

--ctest BUILD   a build folder in which ctest has run with --output-junit ctest.xml.  ctest counts programs and hides
                skipped cases, so a cmocka program counts by the cases in its own XML, BUILD/cmocka/PROGRAM.xml;
                a program that crashed, or failed although its cases passed (a sanitizer's report at exit), adds one
                failed case, and so does one that wrote no XML.  Any other test is one case.
--pytest FILE   pytest's --junitxml; a file that is not there is one failed case.

Prints what failed, then the one line; exit code 1 when a case failed or there was none.
"""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA_LABELS = {"unit", "parity", "gpu"}  # tests/CMakeLists.txt: these are cmocka programs


class Sum:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def fail(self, name, text=""):
        self.failed += 1
        print(f"FAILED {name}" + "".join(f"\n    {line}" for line in text.strip().splitlines()[:40]))

    def case(self, prefix, case, with_text):
        """One <testcase>; cmocka's and pytest's look alike."""
        wrong = [part.text or part.get("message", "") for part in case if part.tag in ("failure", "error")]
        if wrong:
            self.fail(prefix + case.get("name"), "\n".join(wrong) if with_text else "")
        elif case.find("skipped") is not None:
            self.skipped += 1
        else:
            self.passed += 1


def cmocka_suites(path):
    """The <testsuite>s of one program.  cmocka writes one document after the other when there are several groups, and
    passes on control characters of messages: mend both."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"<\?xml[^>]*\?>|[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)
    return list(ElementTree.fromstring(f"<all>{text}</all>").iter("testsuite"))


def add_cmocka(total, build, name):
    """The cases of one program; the number that failed, or None when it has left no XML."""
    file = build / "cmocka" / (name.replace("/", "_") + ".xml")
    if not file.is_file():
        return None
    before = total.failed
    try:
        for suite in cmocka_suites(file):
            cases = suite.findall("testcase")
            for case in cases:
                total.case(f"[{build.name}] {name}: ", case, with_text=True)
            if not cases and int(suite.get("errors", "0")):
                total.fail(f"[{build.name}] {name}: the set-up of group {suite.get('name')}")
    except ElementTree.ParseError as error:
        total.fail(f"[{build.name}] {name}", f"its XML cannot be read: {error}")
    return total.failed - before


def add_ctest(total, build):
    report = build / "ctest.xml"
    if not report.is_file():
        total.fail(f"[{build.name}] it was not built, or ctest has left no report")
        return
    for test in ElementTree.parse(report).getroot().iter("testcase"):
        name, status = test.get("name"), test.get("status")
        shown = f"[{build.name}] {name}"
        if name.split("/")[0] not in CMOCKA_LABELS:
            if status == "run":
                total.passed += 1
            elif status == "notrun" or status == "disabled" or test.find("skipped") is not None:
                total.skipped += 1
            else:
                total.fail(shown)  # ctest has shown its output
            continue
        failed = add_cmocka(total, build, name)
        if failed is None:
            total.fail(shown, "no report: a crash, a time-out, or no test in it; see its output above")
        elif status == "fail" and failed == 0:
            total.fail(shown, "its cases passed, the program failed; see its output above")


def add_pytest(total, report):
    if not report.is_file():
        total.fail(f"{report}: pytest has left no report")
        return
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        total.case(f"{case.get('classname')}::", case, with_text=False)  # pytest has shown it


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ctest", action="append", default=[], type=pathlib.Path, metavar="BUILD")
    parser.add_argument("--pytest", action="append", default=[], type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    total = Sum()
    for build in arguments.ctest:
        add_ctest(total, build)
    for report in arguments.pytest:
        add_pytest(total, report)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed + total.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
