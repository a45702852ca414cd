#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pattern's figures in docs/performance.md, one JSON object a line.
# usage: bench/pattern.sh DATA [BUILD] >bench/results/NAME.jsonl
# DATA: the folder of real structures; BUILD: where the programs are (build/release). With NEIGHBOURS_PYTHON naming a
# Python that has numpy and vesin, also the neighbour list beside vesin's.
set -eu
data=${1:?usage: bench/pattern.sh DATA [BUILD]}
cd "$(dirname "$0")/.."
build=${2:-build/release}
apoa1=$data/large/apoa1.pdb.gz
box=108.8612,108.8612,77.758
load() { cut -d ' ' -f 1 /proc/loadavg; }
case_() { # name, then a command that prints JSON objects
    local name=$1
    shift
    printf '%s\n' "$name" >&2
    "$@" | sed "s/^{/{\"case\": \"$name\", \"load\": $(load), /"
}
printf '{"machine": "%s", "cores": %s, "build": "%s", "load": %s}\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$("$build"/vicinal env --json | sed -n 's/.*"build": "\([^"]*\)".*/\1/p')" "$(load)"
for threads in 1 2; do
    case_ "ApoA1 8 A open" "$build"/bench_pattern "$apoa1" 8 $threads 41
    case_ "ApoA1 8 A periodic" "$build"/bench_pattern "$apoa1" 8 $threads 41 $box
done
case_ "ApoA1 10 A open" "$build"/bench_pattern "$apoa1" 10 2 41
for off in avx512 avx512,avx2; do
    case_ "ApoA1 8 A open, without $off" env VIC_DISABLE_CPU=$off "$build"/bench_pattern "$apoa1" 8 2 41
done
for n in 10000 100000 1000000 10000000; do
    case_ "liquid 8 A" "$build"/bench_pattern $n 8 2 $((n > 1000000 ? 5 : n > 100000 ? 9 : 41))
done
for cutoff in 8 10; do case_ "orders, ApoA1" "$build"/bench_orders "$apoa1" $cutoff 5; done
case_ "orders, 4V6X" "$build"/bench_orders "$data/huge/4v6x.cif.gz" 8 5
case_ "orders, 1AON" "$build"/bench_orders "$data/large/1aon.pdb.gz" 8 5
if [ -n "${NEIGHBOURS_PYTHON:-}" ]; then
    export VIC_LIBRARY=$build/libvicinal.so
    case_ "neighbours ApoA1 5 A open" taskset -c 0 "$NEIGHBOURS_PYTHON" bench/neighbours.py "$apoa1" 5 15
    case_ "neighbours ApoA1 5 A periodic" taskset -c 0 "$NEIGHBOURS_PYTHON" bench/neighbours.py "$apoa1" 5 $box 15
fi
