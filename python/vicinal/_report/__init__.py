# SPDX-License-Identifier: Apache-2.0
"""The parts of `vicinal report`: records.py reads result files, origin.py and targets.py judge, plots.py draws,
page.py and markdown.py write."""
