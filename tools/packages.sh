# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034  # the lists are used where this is sourced
# Sourced by ./demo, ./test and .ci/run: Debian packages, phases with their seconds, and quiet builds.
# On a machine without apt nothing is installed: the packages are named and the work goes on with the tools that are
# there, because whoever has gemmi and cmake from elsewhere needs no Debian.

BUILD_PACKAGES=(build-essential cmake ninja-build pkg-config zlib1g-dev gemmi-dev tao-pegtl-dev)
TEST_PACKAGES=(libcmocka-dev libdlpack-dev python3-numpy python3-scipy python3-pytest python3-ase python3-biopython)
# For a virtual environment: ./test --full builds and installs the wheel, ./test --torch has torch.
VENV_PACKAGES=(python3-venv)
# From PyPI, for tests/with_torch: what the package works with.
TORCH_PACKAGES=(torch jax transformers torch-geometric ase MDAnalysis biotite matplotlib pytest)
# For preset asan-clang: gcc's UndefinedBehaviorSanitizer says nothing of an offset of 0 to NULL.
SANITIZE_PACKAGES=(clang)
# For the test api/format, tools/count-instructions, tools/fuzz and tools/static.
CI_PACKAGES=(clang-format valgrind clang clang-tidy cppcheck shellcheck)

export LC_ALL=C.UTF-8

milliseconds() {
    date +%s%3N
}

# phase "words": ends the phase before it with its time and begins one.  phase_end closes the last.
phase_started=
phase() {
    phase_end
    phase_name=$1
    phase_started=$(milliseconds)
    printf '== %s\n' "$phase_name"
}
phase_end() {
    [ -n "$phase_started" ] || return 0
    printf '   %s s: %s\n\n' "$(seconds_since "$phase_started")" "$phase_name"
    phase_started=
}
seconds_since() {
    local ms=$(($(milliseconds) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# quietly LOG COMMAND...: output into LOG; its end is shown when the command fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        printf '   failed: %s\n   the end of %s:\n' "$*" "$log" >&2
        tail -n 30 "$log" | sed 's/^/   | /' >&2
        return 1
    fi
}

packages_missing() {
    local package
    for package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | sort -u)" = installed ] ||
            printf '%s ' "$package"
    done
}

# packages_install LOG PACKAGE...: those that are missing.  Returns 1, having said why, when they could not be had; the
# caller goes on, since the build says better than a list of packages what is really missing.
packages_install() {
    local log=$1 missing as_root=()
    shift
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        printf '   not a Debian system: going on with what is here. In Debian the packages are\n   %s\n' "$*"
        return 1
    fi
    read -r -a missing <<<"$(packages_missing "$@")"
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            printf '   missing, and neither root nor sudo here. As root: apt-get install %s\n' "${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n)
    fi
    printf '   installing with apt-get: %s\n' "${missing[*]}"
    if [ -z "${packages_updated:-}" ]; then
        quietly "$log" "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 update || return 1
        packages_updated=yes
    fi
    quietly "$log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
        install -y --no-install-recommends "${missing[@]}"
}

# The virtual environment with TORCH_PACKAGES, outside of every clone: 6.5 GB.
torch_folder() {
    printf '%s/vicinal/torch' "${XDG_CACHE_HOME:-$HOME/.cache}"
}
torch_ready() {
    "$(torch_folder)/bin/python" -c 'import torch, pytest' >/dev/null 2>&1
}
# torch_install LOG PYTHON: what is missing of it.  Returns 1 when there is no torch in the end.
torch_install() {
    local folder
    folder=$(torch_folder)
    [ -x "$folder/bin/python" ] || quietly "$1" "$2" -m venv "$folder" || return 1
    "$folder/bin/python" -c 'import importlib.metadata, sys; [importlib.metadata.version(name) for name in sys.argv[1:]]' \
        "${TORCH_PACKAGES[@]}" 2>/dev/null ||
        quietly "$1" "$folder/bin/python" -m pip install "${TORCH_PACKAGES[@]}"
    torch_ready
}

# build_preset PRESET LOG: configures and builds it, with Ninja where that is; a folder that was configured before keeps
# its generator.
build_preset() {
    local preset=$1 log=$2 generator=()
    mkdir -p build
    : >"$log"
    if [ ! -e "build/$preset/CMakeCache.txt" ] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
    quietly "$log" cmake --preset "$preset" "${generator[@]}" &&
        quietly "$log" cmake --build --preset "$preset" -j "$(nproc)"
}
