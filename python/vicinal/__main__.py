# SPDX-License-Identifier: Apache-2.0
"""`vicinal` and `python -m vicinal`: the C command, in place of this process.  What is written in Python is called
here: vicinal compare, vicinal report, vicinal bench all."""
import os
import sys

from . import __path__  # of an editable install two folders: the sources, and what was built


def binary():
    """The C command: in the package's folder bin, or beside the library that VIC_LIBRARY names."""
    library = os.environ.get("VIC_LIBRARY")
    if library:
        return os.path.join(os.path.dirname(library), "vicinal")
    paths = [os.path.join(folder, "bin", "vicinal") for folder in __path__]
    return next(filter(os.path.exists, paths), paths[0])


def main():
    if sys.argv[1:2] == ["compare"]:
        from . import compare
        return compare.main(sys.argv[2:])
    if sys.argv[1:2] == ["report"]:
        from . import report
        return report.main(sys.argv[2:])
    if sys.argv[1:3] == ["bench", "all"]:
        from . import suite
        return suite.main(sys.argv[3:])
    # Python ignores these, and so would the command.
    import _signal
    for name in ("SIGPIPE", "SIGXFSZ"):
        _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    path = binary()
    try:
        os.execv(path, [path, *sys.argv[1:]])
    except OSError as error:
        print(f"vicinal: error: {path}: {error.strerror}: install the package (pip install .), or let VIC_LIBRARY name "
              "a build's libvicinal.so", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
