# SPDX-License-Identifier: Apache-2.0
"""The C library through ctypes: where it is, how it is called, and its errors as exceptions.

The libraries lie in the package's folder lib, where `pip install` puts them, or beside the file that the environment
variable VIC_LIBRARY names (a build's libvicinal.so).  Every call releases Python's global lock.
"""
import ctypes as c
import os
import pathlib

from . import __path__  # of an editable install two folders: the sources, and what was built
from ._declarations import CONSTANTS, FUNCTIONS, STRUCTS

LIBRARIES = ("libvicinal.so", "libvicinal_structure.so", "libvicinal_python.so")


class Error(Exception):
    """A call of vicinal failed; the text says what was wrong, where, what was expected, and what to do.  All errors of
    vicinal are of this kind; `status` is the C library's word for it, "BAD_ARGUMENT" for example."""

    status = "FAILED"


class ArgumentError(Error, ValueError):
    """An argument is not accepted: its type, its shape, its value, or beside the others."""

    status = "BAD_ARGUMENT"


class InputError(Error, ValueError):
    """The content of a file or an array cannot be used: a garbled record, a coordinate that is not finite."""

    status = "BAD_INPUT"


class FileError(Error, OSError):
    """A file cannot be read or written."""

    status = "CANNOT_READ"


class DeviceError(Error, RuntimeError):
    """There is no such device, or no kernel for what was asked."""

    status = "NO_DEVICE"


class OutOfMemory(Error, MemoryError):
    """There is not enough memory, or not as much as max_bytes allows."""

    status = "NO_MEMORY"


for _kind in (Error, ArgumentError, InputError, FileError, DeviceError, OutOfMemory):
    _kind.__module__ = "vicinal"  # where they are looked for

ERRORS = {CONSTANTS["VIC_" + name]: kind for name, kind in (
    ("BAD_ARGUMENT", ArgumentError), ("BAD_INPUT", InputError), ("CANNOT_READ", FileError),
    ("CANNOT_WRITE", FileError), ("NO_DEVICE", DeviceError), ("NO_KERNEL", DeviceError), ("NO_MEMORY", OutOfMemory),
    ("FAILED", Error))}


def _find():
    """Paths of LIBRARIES; those that a build lacks are left out."""
    given = os.environ.get("VIC_LIBRARY")
    folders = [pathlib.Path(given).absolute().parent] if given else [pathlib.Path(p, "lib") for p in __path__]
    paths = []
    for name in LIBRARIES:
        # A wheel has no links, so that the name there is the one that the loader asks for: libvicinal.so.0.2.
        found = [p for folder in folders for p in [folder / name, *sorted(folder.glob(name + ".*"))] if p.is_file()]
        paths += found[:1]
        if not found and name != "libvicinal_structure.so":
            raise ImportError(f"{name} is not in {folders[0]}: " + (
                f"VIC_LIBRARY is {given!r}, and has to name the libvicinal.so of a whole build, or to be unset" if given
                else "install the package (pip install .), or let VIC_LIBRARY name a build's libvicinal.so"))
    return paths


class Library:
    """The functions of several shared libraries, with their types set; one that a build lacks is missing."""

    def __init__(self, paths):
        self.paths = [str(path) for path in paths]
        try:
            self.handles = [c.CDLL(path) for path in self.paths]
        except OSError as error:
            raise ImportError(f"a library of vicinal cannot be loaded: {error}: build or install it on this machine"
                              ) from error
        for handle in self.handles:
            for name, (result, arguments) in FUNCTIONS.items():
                if name not in vars(self) and hasattr(handle, name):
                    function = getattr(handle, name)
                    function.restype, function.argtypes = result, arguments
                    setattr(self, name, function)

    def __getattr__(self, name):  # of one that is missing
        if name.startswith("vic_structure_"):
            raise Error("this build of vicinal reads no structure files (VIC_STRUCTURE_FILES=OFF, or gemmi's headers "
                        "were missing: on Debian gemmi-dev, tao-pegtl-dev): install it again with these, or take "
                        "positions from another program")
        raise AttributeError(f"{name} is in none of {', '.join(self.paths)}: these belong to another version")


_library = None


def library():
    """The one of this process, loaded when it is first needed."""
    global _library
    if _library is None:
        _library = Library(_find())
    return _library


def fail(error):
    """Raise what a vic_error says; `status` is the name that the library has for it."""
    raised = ERRORS.get(error.status, Error)(error.text.decode())
    raised.status = library().vic_status_name(error.status).decode()
    raise raised


def call(name, *arguments):
    """A function whose last argument is the error; raises a kind of Error."""
    error = STRUCTS["vic_error"]()
    if getattr(library(), name)(*arguments, c.addressof(error)) != 0:
        fail(error)


def make(name, *arguments):
    """The handle that a function hands out before its error, as an int."""
    handle = c.c_void_p()
    call(name, *arguments, c.addressof(handle))
    return handle.value


def filled(function, struct, handle):
    """What a getter tells of a handle."""
    info = STRUCTS[struct]()
    call(function, handle, c.addressof(info))
    return info


CPU, CUDA = CONSTANTS["VIC_CPU"], CONSTANTS["VIC_CUDA"]
MAX_DIMS = CONSTANTS["VIC_MAX_DIMS"]
DTYPES = {name: CONSTANTS["VIC_" + short] for name, short in (
    ("int32", "I32"), ("int64", "I64"), ("uint8", "U8"), ("float16", "F16"), ("float32", "F32"), ("float64", "F64"),
    ("bfloat16", "BF16"), ("bool", "BOOL"))}


def tensor(address, dtype, shape, stride, device=CPU, index=0):
    """A vic_tensor of memory at `address`; dtype by name; strides in elements."""
    t = STRUCTS["vic_tensor"](data=address, dtype=DTYPES[dtype], ndim=len(shape))
    t.device.type, t.device.index = device, index
    for axis, (n, step) in enumerate(zip(shape, stride)):
        t.shape[axis], t.stride[axis] = n, step
    return t


def array_tensor(array):
    """A vic_tensor of a NumPy array, which must outlive it; none of None."""
    if array is None:
        return STRUCTS["vic_tensor"]()
    # NumPy's strides of empty arrays are 0, where dense ones are asked for.
    strides = [s // array.itemsize for s in array.strides] if array.size else [1] * array.ndim
    return tensor(array.ctypes.data, array.dtype.name, array.shape, strides)


def pointer(array):
    """The address of a NumPy array; None of None."""
    return None if array is None else array.ctypes.data


def context(device=CPU, index=0):
    """The context of this process for a device (a borrowed address): for the CPU its threads."""
    return make("vicpy_context", STRUCTS["vic_device"](type=device, index=index))
