# SPDX-License-Identifier: Apache-2.0
"""The parts of `vicinal bench all`: cases.py says what is measured, compare.py holds two runs against each other."""
