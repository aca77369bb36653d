"""``python -m benchmarks NAME``: run a benchmark and print its table."""

import argparse
import ast
import importlib
import importlib.util
import sys
from pathlib import Path

from prunecheck.errors import InputError

BENCHMARKS = {
    "training": "benchmarks.training.command",
    "accuracy": "benchmarks.accuracy.command",
    "gpu": "benchmarks.gpu.command",
    "sparse-convolution": "benchmarks.sparse_convolution",
    "data-pipeline": "benchmarks.data_pipeline",
    "scoring": "benchmarks.scoring",
    "reading": "benchmarks.reading",
    "planning": "benchmarks.planning",
    "report": "benchmarks.report",
    "large-folder": "benchmarks.large_folder",
    "engine": "benchmarks.engine",
    "run-parts": "benchmarks.run_parts",
    "error-rates": "benchmarks.error_rates.command",
    "recipe-tuning": "benchmarks.recipe_tuning",
}
"""By name, the module that adds the command. Only the one asked for is imported, for some need more than torch."""


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="NAME")
    for name, module in BENCHMARKS.items():
        if name in sys.argv[1:2]:
            importlib.import_module(module).add_command(commands)
        else:
            commands.add_parser(name, help=summary(module))
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except InputError as error:
        parser.exit(2, f"{error.spelled(lambda field: f'--{field}'.replace('_', '-'))}\n")


def summary(module: str) -> str:
    """Return the first line of a module's docstring, without importing it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    return docstring.split("\n", maxsplit=1)[0]


if __name__ == "__main__":
    main()
