"""Worker processes that begin without the script, or notebook, that started them."""

import contextlib
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any

RUN_AGAIN = ("init_main_from_name", "init_main_from_path")
"""What multiprocessing tells a new process of the main module, for it to be run there once more."""


@contextlib.contextmanager
def main_module_left_out() -> Iterator[None]:
    """Let processes that are spawned in the block not run the main module again.

    They do so for what a script without ``if __name__ == "__main__"`` defines, and with it run what called us. A worker
    needs nothing of it: runs name their code, or bring it along. One that ends is started anew at any time, so that the
    block is to last as long as they do.
    """
    usual = spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        return {key: value for key, value in usual(name).items() if key not in RUN_AGAIN}

    spawn.get_preparation_data = without_main
    try:
        yield
    finally:
        spawn.get_preparation_data = usual
