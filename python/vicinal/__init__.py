# SPDX-License-Identifier: Apache-2.0
"""Softmax attention between the atoms of a structure, over exactly the pairs that geometry allows.

    import vicinal

    structure = vicinal.read("1crn.pdb")                    # or arrays, ASE Atoms, MDAnalysis, biotite, torch_geometric
    pattern = vicinal.pattern(structure, cutoff=8.0)        # who is within 8 A of whom
    out = vicinal.attention(q, k, v, pattern)               # q, k, v [atoms, heads, d], NumPy or torch

Nothing heavy is imported before it is used: NumPy with the first array, torch and JAX only where the caller has them.
"""
import importlib

__version__ = "0.2.0"

# Public name -> the module that has it.
_PLACES = {
    "read": "structure", "Structure": "structure",
    "pattern": "pattern", "nearest": "pattern", "windows": "pattern", "blocks": "pattern", "pairs": "pattern",
    "ranges": "pattern", "pages": "pattern", "load": "pattern", "Pattern": "pattern",
    "attention": "attention", "attention_backward": "attention", "DistanceBias": "bias",
    "set_num_threads": "threads", "get_num_threads": "threads", "environment": "threads",
    "Error": "_c", "ArgumentError": "_c", "InputError": "_c", "FileError": "_c", "DeviceError": "_c",
    "OutOfMemory": "_c",
}
_MODULES = ("jax", "distributed", "integrations", "compare", "report", "reference")
__all__ = sorted(_PLACES)


def __getattr__(name):
    if name in _PLACES:
        value = getattr(importlib.import_module("vicinal._" + _PLACES[name].lstrip("_")), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module("vicinal." + name)
    raise AttributeError(f"module 'vicinal' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PLACES, *_MODULES])
