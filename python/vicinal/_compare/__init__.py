# SPDX-License-Identifier: Apache-2.0
"""What `vicinal compare` is made of: compare.py is the command.

    problem    a structure with tensors, and what is right for some of its rows in float64
    measure    clocks, memory, limits of time
    lists      pairs by other programs
    ways       the methods in NumPy and what all methods have; ways_torch: those in torch
"""
