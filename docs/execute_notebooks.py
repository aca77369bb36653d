"""Execute the notebooks of the documentation, so that the outputs in them are what their code shows today.

    python docs/execute_notebooks.py            # all of docs/notebooks, each in place
    python docs/execute_notebooks.py --check    # only see that they run

A notebook runs in an empty folder, in the Python that calls this. Outputs are kept without times of day, and progress
in its final state, so that a notebook that is executed again differs in what its code found, and in durations.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent / "notebooks"

SECONDS_A_CELL = 600


def executed(file: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs.

    Args:
        file: the notebook; it is left as it is.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory(prefix="prunecheck-notebook-") as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS_A_CELL,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
        )
        client.execute()
    # Of the machine that executed it, only what a reader needs to choose a kernel.
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def main(arguments: list[str] | None = None) -> int:
    """Execute notebooks; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="notebooks; without any, all of docs/notebooks")
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args(arguments)
    for file in asked.files or sorted(FOLDER.glob("*.ipynb")):
        try:
            notebook = executed(file)
        except CellExecutionError as error:
            print(f"{file}: {error}", file=sys.stderr)
            return 1
        if not asked.check:
            nbformat.write(notebook, file)
        print(f"{'executed' if asked.check else 'wrote'} {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
