# SPDX-License-Identifier: Apache-2.0
"""What pip builds the package with (pyproject.toml): scikit-build-core, which asks for CMake and Ninja where a machine
has none, and here for zlib as well, whose header is not on every machine that has a compiler."""
import os
import pathlib
import shlex
import subprocess
import sys

from scikit_build_core import build as scikit
from scikit_build_core.build import (build_sdist, get_requires_for_build_sdist,  # noqa: F401
                                     prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel)

ZLIB = "cmeel-zlib>=1.3"  # zlib.h and libz.so as files of a wheel


def has_zlib():
    """Whether the C compiler finds zlib.h; without a compiler yes, since there is something else to complain about."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        return subprocess.run([*compiler, "-E", "-x", "c", "-"], input=b"#include <zlib.h>\n",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return True


def get_requires_for_build_wheel(config_settings=None):
    return scikit.get_requires_for_build_wheel(config_settings) + ([] if has_zlib() else [ZLIB])


def get_requires_for_build_editable(config_settings=None):
    return scikit.get_requires_for_build_editable(config_settings) + ([] if has_zlib() else [ZLIB])


def use_zlib():
    """Tells CMake where the zlib is that was asked for."""
    for folder in [] if has_zlib() else sys.path:
        prefix = pathlib.Path(folder, "cmeel.prefix")
        for library in prefix.glob("lib*/libz.so"):
            where = shlex.join([f"-DZLIB_INCLUDE_DIR={prefix / 'include'}", f"-DZLIB_LIBRARY={library}"])
            os.environ["CMAKE_ARGS"] = f"{where} {os.environ.get('CMAKE_ARGS', '')}"
            return


def build_wheel(*arguments, **named):
    use_zlib()
    return scikit.build_wheel(*arguments, **named)


def build_editable(*arguments, **named):
    use_zlib()
    return scikit.build_editable(*arguments, **named)
