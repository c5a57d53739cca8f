#!/bin/sh
# The host's kernels with address, undefined-behaviour and thread sanitizers; where a cross compiler and an emulator for
# arm64 are at hand (g++-aarch64-linux-gnu, qemu-user-static), also there. Three to six minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sources="csrc/host_isa_*.cpp csrc/host_dispatch.cpp csrc/host_windows.cpp csrc/host_run.cpp csrc/host_watch.cpp tests/kernels/sanitized.cpp"

run() { # NAME COMPILER EMULATOR FLAGS...
    name=$1 compiler=$2 emulator=$3
    shift 3
    mkdir "$out/$name"
    for source in $sources; do
        echo "$compiler -std=c++17 -pthread -ffp-contract=off $* -c $source -o $out/$name/$(basename "$source").o"
    done | xargs -P 2 -I{} sh -c '{}'
    "$compiler" -pthread "$@" "$out/$name"/*.o -o "$out/$name/run"
    echo "== $name"
    $emulator "$out/$name/run"
}

run address g++ "" -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
run thread g++ "" -O1 -g -fsanitize=thread
if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then
    run arm64 aarch64-linux-gnu-g++ qemu-aarch64-static -O3 -static
fi
