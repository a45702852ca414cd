# SPDX-License-Identifier: Apache-2.0
"""The command under test, for the tests that start it: tests/cli, tests/serve."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def find_binary():
    """VIC_BINARY, or what the dev or the release preset builds; None where there is none."""
    for path in (os.environ.get("VIC_BINARY"), ROOT / "build/dev/vicinal", ROOT / "build/release/vicinal"):
        if path and os.access(path, os.X_OK):
            return str(path)
    return None


def environment(**more):
    """The caller's, without switches of vicinal that would change what it does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VIC_") or k == "VIC_TEST_DATA"}
    # AddressSanitizer keeps 256 MiB of what was freed, and no memory would be flat.
    return {**kept, "ASAN_OPTIONS": kept.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=2", **more}
