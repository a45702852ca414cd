#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The figures of docs/performance.md: each case is one `vicinal run --json --check`, one JSON object a line.
# usage: bench/cpu.sh DATA >bench/results/NAME.jsonl      DATA: the folder of real structures; build/release is used
set -eu
data=${1:?usage: bench/cpu.sh DATA}
cd "$(dirname "$0")/.."
vicinal=build/release/vicinal
apoa1=$data/large/apoa1.pdb.gz
box="--cell 108.8612,108.8612,77.758"
printf '{"machine": "%s", "build": "%s", "load": "%s"}\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    "$($vicinal env --json | sed -n 's/.*"build": "\([^"]*\)".*/\1/p')" "$(cut -d ' ' -f 1 /proc/loadavg)"
for threads in 1 2; do build/release/bench_fma_peak $threads; done
anonymous() { sed "s#\"file\": \"$data#\"file\": \"DATA#"; } # no path of this machine in a result
case_() { # words of the case, then the options of run
    printf '%s\n' "$*" >&2
    $vicinal run --json --check --repeat 5 --heads 4 --head-dim 64 "$@" | anonymous
}
for threads in 1 2; do
    case_ "$apoa1" --cutoff 8 --threads $threads
    # shellcheck disable=SC2086
    case_ "$apoa1" --cutoff 8 $box --threads $threads
done
case_ "$apoa1" --cutoff 6 --threads 2
case_ "$apoa1" --cutoff 10 --threads 2
for dtype in float16 bfloat16; do case_ "$apoa1" --cutoff 8 --dtype $dtype --threads 2; done
for kernel in attn_fwd_cpu_avx2 attn_fwd_cpu_scalar; do case_ "$apoa1" --cutoff 8 --kernel $kernel --threads 2; done
case_ "$data/huge/4v6x.cif.gz" --cutoff 8 --threads 2
# One head of 8 from here: what grows is the pattern.
# shellcheck disable=SC2086
for supercell in 1x1x1 2x1x1 2x2x1 2x2x2 3x2x2; do
    $vicinal run --json --repeat 3 --heads 1 --head-dim 8 "$apoa1" --cutoff 8 $box --supercell $supercell --threads 2 | anonymous
done
