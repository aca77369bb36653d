"""``prunecheck list``: what there is."""

import sys


def list_names() -> None:
    """List methods, checks, networks and data sets, with a line each."""
    from rich.console import Console
    from rich.table import Table

    from prunecheck.checks import CHECKS
    from prunecheck.data import DATASETS
    from prunecheck.models import MODELS
    from prunecheck.pruning import METHODS

    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 200)
    for heading, registry in (
        ("methods", METHODS),
        ("checks", CHECKS),
        ("models", MODELS),
        ("data sets", DATASETS),
    ):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
        for entry in registry:
            table.add_row(f"  {entry.name}", entry.summary)
        console.print(heading, style="bold")
        console.print(table, markup=False)
