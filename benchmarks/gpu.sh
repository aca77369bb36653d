#!/bin/sh
# All that a quarter of an hour on a GPU is to show, in under eight minutes, on a machine with torch and numpy alone.
#
#   python -m benchmarks gpu --pack cifar10-part.npz --data-root DIR     # once, where CIFAR-10 lies: 59 MiB
#   benchmarks/gpu.sh cifar10-part.npz gpu.json                          # where the GPU is
#   benchmarks/gpu.sh cifar10-part.npz cpu.json --device cpu --rehearse  # the same steps in a minute or two, on a CPU
#
# The JSON is written anew after every step, so that what was measured before an interruption is there.
set -eu
data=$1 out=$2
shift 2
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src:$PWD"
exec "${PYTHON:-python3}" -m benchmarks gpu --data "$data" --out "$out" "$@"
