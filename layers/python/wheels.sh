#!/usr/bin/env bash
# Wheels, in dist/: for Linux on x86-64 and AArch64, with glibc 2.17. Needs cargo, and in the environment
# of Python: pip install maturin ziglang. zig links, so no other compiler is needed.
#
#   ./wheels.sh            both
#   ./wheels.sh native     for this machine only, without zig: glibc as old as this machine's
#
# Wheels for Windows and macOS are built on those: maturin build --release. That is not tested.
set -euo pipefail
cd "$(dirname "$0")"
case "$*" in
'') ;;
native) exec maturin build --release --locked --out dist ;;
*) echo "usage: ./wheels.sh [native]" >&2; exit 2 ;;
esac
# The bindings of CUDA's driver name a library to link with, and zig wants a shared one. It is empty, and
# nothing in the wheel needs it: the driver is opened when a CUDA tensor comes.
CUDA_LIBRARY_PATH=$(mktemp -d)
export CUDA_LIBRARY_PATH
trap 'rm -rf "$CUDA_LIBRARY_PATH"' EXIT
mkdir -p "$CUDA_LIBRARY_PATH/lib64/stubs"
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
    python3 -m ziglang cc -target "${target/-unknown/}" -shared -nostdlib -x c /dev/null \
        -o "$CUDA_LIBRARY_PATH/lib64/libcuda.so"
    rustup target add "$target" >/dev/null 2>&1 || true
    maturin build --release --locked --zig --target "$target" --compatibility manylinux2014 --out dist
done
