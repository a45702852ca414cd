#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CPU's figures of docs/performance.md, one JSON object a line, from `vicinal bench`.
# usage: bench/cpu.sh DATA >bench/results/NAME.jsonl      DATA: the folder of real structures; build/release is used
set -euo pipefail
data=${1:?usage: bench/cpu.sh DATA}
cd "$(dirname "$0")/.."
apoa1=$data/large/apoa1.pdb.gz
for threads in 1 2; do build/release/bench_fma_peak $threads; done
box=(--cell "108.8612,108.8612,77.758")
# Words of the line after `vicinal bench`; no path of this machine in a result.
bench() {
    printf '%s\n' "$*" >&2
    build/release/vicinal bench "$@" --json | sed "s#$data#DATA#g"
}
bench scaling "$apoa1" --device cpu --over threads --cutoff 8 --order caller
bench scaling "$apoa1" --device cpu --over threads --cutoff 8 --order caller "${box[@]}"
bench scaling "$apoa1" --device cpu --over cutoff --values 6,8,10 --order caller
bench scaling "$apoa1" --device cpu --over cutoff --values 6,8,10
for dtype in float16 bfloat16; do bench latency --device cpu "$apoa1" --cutoff 8 --order caller --dtype $dtype; done
for kernel in attn_fwd_cpu_avx2 attn_fwd_cpu_scalar; do bench latency --device cpu "$apoa1" --cutoff 8 --order caller --kernel $kernel; done
bench latency --device cpu "$data/huge/4v6x.cif.gz" --cutoff 8 --order caller
gradients() { bench latency --device cpu "$apoa1" --backward "$@"; }
for cutoff in 6 8 10; do gradients --cutoff $cutoff; done
for dtype in float16 bfloat16; do gradients --cutoff 8 --dtype $dtype; done
gradients --cutoff 8 --head-dim 32
for kernel in avx2 scalar; do
    VIC_FORCE_BACKWARD_KERNEL=attn_bwd_cpu_$kernel gradients --cutoff 8 --kernel attn_fwd_cpu_$kernel
done
# What grows here is the pattern.
for supercell in 1x1x1 2x1x1 2x2x1 2x2x2 3x2x2; do
    bench pattern "$apoa1" --cutoff 8 "${box[@]}" --supercell $supercell
done
