#!/usr/bin/env bash
# Runs every test: unit, integration and documentation tests, the examples built.
#
#   bash scripts/test.sh [-- CARGO-TEST-ARGUMENTS]
#
# The shaders are tested on whatever adapter wgpu finds: Vulkan on Linux, Metal on macOS, Direct3D 12 on Windows (with WARP in
# software). A Debian or Ubuntu machine without a Vulkan driver gets Mesa's software one (lavapipe) installed first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "test.sh: $*" >&2; }

if [ "${1-}" = -- ]; then
    shift
elif [ $# -gt 0 ]; then
    say "unknown argument $1; arguments for cargo test go after --"
    exit 2
fi

# rustup may be installed but not in this shell's PATH.
if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    export PATH
fi
if ! command -v cargo >/dev/null 2>&1; then
    say "cargo is not installed. Install Rust 1.89 or newer from https://rustup.rs, open a new shell, and run this again."
    exit 1
fi

have_vulkan() {
    local icd lib found=
    if [ -n "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ]; then found=1; fi
    for icd in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json; do
        if [ -e "$icd" ]; then found=1; fi
    done
    [ -n "$found" ] || return 1
    for lib in /usr/lib/*/libvulkan.so.1 /usr/lib*/libvulkan.so.1 /usr/local/lib/libvulkan.so.1; do
        if [ -e "$lib" ]; then return 0; fi
    done
    # ldconfig is in /sbin, which a user's PATH may lack. (No grep -q: under pipefail its early exit would look like a failure.)
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep 'libvulkan\.so\.1' >/dev/null
}

install_vulkan() {
    local sudo=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            say "no Vulkan driver, and neither root nor sudo to install one: as root, apt-get install mesa-vulkan-drivers libvulkan1"
            return 1
        fi
        sudo="sudo -n"
        [ -t 0 ] && sudo=sudo
    fi
    say "no Vulkan driver found; installing Mesa's software one (mesa-vulkan-drivers, libvulkan1)"
    $sudo apt-get update -qq >&2 || say "apt-get update failed; trying with the lists at hand"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >&2
}

case $(uname -s) in
    Linux)
        if have_vulkan; then
            say "Vulkan driver present"
        elif command -v apt-get >/dev/null 2>&1; then
            install_vulkan || say "could not install it"
            have_vulkan || { say "still no Vulkan driver: the GPU tests need one"; exit 1; }
        else
            say "no Vulkan driver found: install this system's Mesa Vulkan package (Fedora: mesa-vulkan-drivers, Arch: vulkan-swrast)"
            exit 1
        fi
        if [ -z "${XDG_RUNTIME_DIR-}" ]; then # Mesa prints an error without it
            XDG_RUNTIME_DIR=$(mktemp -d)
            export XDG_RUNTIME_DIR
            trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
        fi
        ;;
    Darwin) say "using Metal" ;;
    MINGW* | MSYS* | CYGWIN*) say "using Direct3D 12" ;;
    *) say "unknown system $(uname -s): using whatever adapter wgpu finds" ;;
esac

# The runner's own lines are the output; a copy of them is counted at the end.
log=$(mktemp)
status=0
cargo test --release --locked ${1+"$@"} 2>&1 | tee "$log" || status=$?

sum() { awk -v word="$1" '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) n += $(i - 1) } END { print n + 0 }' "$log"; }
passed=$(sum passed) failed=$(sum failed) ignored=$(sum ignored)
rm -f "$log"
echo "$passed passed, $failed failed, $ignored skipped"
exit "$status"
