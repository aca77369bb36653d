"""Thousands of inputs that nobody should give: ``python -m tests.fuzz --inputs 1000 --seed 0``.

Each is given to a command in a process of its own, and must end as :func:`tests.fuzz.cases.fault_of` has it: with code
0, 1 or 2, in time, with a sentence and no traceback, and with no damaged file taken for whole. The same seed makes the
same inputs; one of them is done again by ``--kind KIND --only NUMBER``.
"""

import argparse
import collections
import sys

from tests.fuzz.fuzzing import KINDS, found_faults


def main() -> int:
    """Try inputs of every kind in turn, and print what is wrong; return 1 if something is."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Try inputs that nobody should give.")
    parser.add_argument("--inputs", type=int, default=1000, help="how many, over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="decides the inputs")
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="of these kinds only")
    parser.add_argument("--only", type=int, help="the input of this number, and its output")
    chosen = parser.parse_args()
    kinds = chosen.kind or sorted(KINDS)
    numbers = range(-(-chosen.inputs // len(kinds))) if chosen.only is None else [chosen.only]
    counts: collections.Counter[str] = collections.Counter()
    for number in numbers:
        for kind in kinds:
            for fault in found_faults(kind, chosen.seed, [number]):
                counts[kind] += 1
                print(fault, flush=True)
    for kind in kinds:
        print(f"{kind:12} {len(numbers):6} inputs {counts[kind]:6} faults")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
