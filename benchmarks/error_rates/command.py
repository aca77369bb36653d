"""How often verdicts are wrong, and how often there is one, by simulation, for the rule that is used and others.

Differences are drawn whose mean lies at the margin of 2 points, where ``does not use it`` is wrong and allowed in
5 %, or at 0, where it is right. The draws are always the same.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.error_rates.sequential import runs_of_designs, shares_of_sequential, worst_rows
from benchmarks.error_rates.simulations import (
    FAMILY,
    shares_of_families,
    shares_of_images,
    shares_of_looks,
    shares_of_rules,
)
from benchmarks.tables import table
from prunecheck.errors import InputError

Rows = list[dict[str, Any]]

PARTS: dict[str, Callable[[int, Sequence[int]], list[dict[str, object]]]] = {
    "rules": shares_of_rules,
    "families": shares_of_families,
    "images": shares_of_images,
    "looks": lambda repetitions, _: shares_of_looks(max(repetitions // 5, 1)),
    "sequential": lambda repetitions, _: shares_of_sequential(max(repetitions // 5, 1)),
    "designs": lambda repetitions, _: runs_of_designs(max(repetitions // 10, 1)),
}


def add_command(commands: Any) -> None:
    """Add ``error-rates`` to the benchmarks' command line."""
    summary_line, _, details = (__doc__ or "").partition("\n")
    parser = commands.add_parser("error-rates", help=summary_line, description=summary_line + details)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--repetitions", type=int, default=10_000, help="studies a number is a share of; 10,000")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 8, 10, 20], help="numbers of seeds")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Simulate and print shares in percent."""
    parts = arguments.parts or list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        raise InputError(f"there is no part named {unknown[0]}: name some of {', '.join(PARTS)}.")
    if arguments.repetitions < 1 or min(arguments.seeds) < 3:
        raise InputError("--repetitions takes a number that is at least 1, and --seeds numbers that are at least 3.")
    found = {part: PARTS[part](arguments.repetitions, arguments.seeds) for part in parts}
    if arguments.json:
        print(json.dumps({"repetitions": arguments.repetitions, **found}, indent=2, default=float))
        return
    for part, rows in found.items():
        print(f"{part}\n{SHOW[part](rows)}\n")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _spread(rows: Rows, keys: Sequence[str], across: str, shown: Callable[[dict[str, Any]], str]) -> str:
    """Return a table with a row for each of the keys' values and a column for each value of ``across``."""
    columns = list(dict.fromkeys(row[across] for row in rows))
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        lines.setdefault(tuple(str(row[key]) for key in keys), {})[row[across]] = shown(row)
    cells = [[*line, *(by_column[column] for column in columns)] for line, by_column in lines.items()]
    return table([*keys, *(str(column) for column in columns)], cells)


def _show_rules(rows: Rows) -> str:
    return f"percent alone, and at a level of 5 % / {FAMILY}\n" + _spread(
        rows, ("population", "seeds"), "rule", lambda row: f"{_percent(row['alone'])} {_percent(row['among'])}"
    )


def _show_families(rows: Rows) -> str:
    named = [
        row | {"of": f"{row['rule']}: {row['family']}"} for row in sorted(rows, key=lambda row: row["rule"] != "t")
    ]
    return _spread(named, ("population", "seeds"), "of", lambda row: _percent(row["wrong"]))


def _show_images(rows: Rows) -> str:
    rules = ("t", "guard 1", "with images")
    cells = [
        [row["kind"], str(row["images"]), str(row["seeds"]), *(_percent(row[rule]) for rule in rules)] for row in rows
    ]
    return table(["differences", "images", "seeds", *rules], cells)


def _show_looks(rows: Rows) -> str:
    return _spread(rows, ("looks",), "rule", lambda row: _percent(row["wrong"]))


def _show_sequential(rows: Rows) -> str:
    rules = ("looks: wrong", "looks: decided", "fixed: wrong", "fixed: decided")
    cells = [
        [str(row["family"]), row["noise"], row["difference"], str(row["sd"]), *(_percent(row[rule]) for rule in rules)]
        for row in worst_rows(rows)
    ]
    return table(["family", "differences", "true difference", "worst sd", *rules], cells)


def _show_designs(rows: Rows) -> str:
    return "mean runs over those of the fixed number that decides 95 %, and percent decided\n" + _spread(
        rows, ("family", "difference", "design"), "sd", lambda row: f"{_ratio(row)} {100 * row['decided']:.0f}"
    )


def _ratio(row: dict[str, Any]) -> str:
    return "-" if row["ratio"] is None else f"{row['ratio']:.2f}"


SHOW: dict[str, Callable[[Rows], str]] = {
    "rules": _show_rules,
    "families": _show_families,
    "images": _show_images,
    "looks": _show_looks,
    "sequential": _show_sequential,
    "designs": _show_designs,
}
