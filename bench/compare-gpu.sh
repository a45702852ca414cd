#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `vicinal compare` of ApoA1 at 10 and 6 A on a GPU: the tables on stdout, the results in OUT/compare-gpu-*.json.
# usage: bench/compare-gpu.sh DATA [OUT]
# DATA: the folder of real structures; OUT: a folder (here).  PYTHON names a Python with torch (python3); VIC_LIBRARY
# the library, by default that of preset cuda.
set -euo pipefail
data=$(realpath "${1:?usage: bench/compare-gpu.sh DATA [OUT]}")
out=$(realpath "${2:-.}")
cd "$(dirname "$0")/.."
export VIC_LIBRARY=${VIC_LIBRARY:-$PWD/build/cuda/libvicinal.so} PYTHONPATH=$PWD/python${PYTHONPATH:+:$PYTHONPATH}
for cutoff in 10 6; do
    "${PYTHON:-python3}" -m vicinal compare "$data/large/apoa1.pdb.gz" --cutoff $cutoff --device cuda --backward \
        --json "$out/compare-gpu-apoa1-$cutoff.json"
done
