# SPDX-License-Identifier: Apache-2.0
"""Softmax attention between the atoms of a structure, over exactly the pairs that geometry allows.

    structure = vicinal.read("1crn.pdb")
    pattern = vicinal.pattern(structure, cutoff=8.0)
    out = vicinal.attention(q, k, v, pattern)              # q, k, v [atoms, heads, d], NumPy or torch

https://github.com/vicinal/vicinal has the documentation.  Nothing heavy is imported before it is used: NumPy with the
first pattern, torch and JAX only where the caller already has them.
"""
