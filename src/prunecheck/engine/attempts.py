"""How often the process that was doing a run has ended in the middle of it, as the run's own folder tells.

A process that is killed tells nobody. So each leaves a line in the run's folder when it begins, and takes it back when
a checkpoint is on disk or the run has ended in any way: what is left was written by those that ended in between. A run
that gets on is not given up, however often its machines leave; one that ends its processes before it has left anything
that the next one could go on from is.

A process that ended alone may have been ended by the run. One whose nanny, which would start it anew, is gone as well
ended with its machine, or was to leave it: that is not the run's fault, unless it goes on and on.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from prunecheck.plain_files import MOST_TEXT, append_line, read_plain_file

BEGUN = ".begun"
"""In a run's folder: a line for each process that began the run and has told of nothing since."""


def forget_attempts(folder: Path) -> None:
    """Say that a run has got on: what ends its process from now on is no longer what ended the others."""
    with contextlib.suppress(OSError):  # read-only by now, or full: what the run itself meets is to be told
        (folder / BEGUN).unlink(missing_ok=True)


class Attempt:
    """One process's attempt at a run.

    Args:
        folder: of the run, which need not exist.
        command: whose attempts are counted.
        nanny: the address of what starts this process anew when it ends; nothing if nothing does.
        is_there: says of an address whether a nanny still answers there.

    Attributes:
        deaths: how many processes have ended in the middle of it before, one after another, without a checkpoint.
        machines_lost: how many have together with their nannies, which are not among ``deaths``.
    """

    def __init__(
        self, folder: Path, command: str, nanny: str = "", is_there: Callable[[str], bool] = lambda nanny: True
    ) -> None:
        self._file = folder / BEGUN
        self._line = f"{command}\t{nanny}" if nanny else command
        ended = [nanny for by, _, nanny in (line.partition("\t") for line in self._lines()) if by == command]
        self.machines_lost = sum(bool(nanny) and not is_there(nanny) for nanny in ended)
        self.deaths = len(ended) - self.machines_lost

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Count this process among the deaths unless it lives to the end of the block, or until the run gets on."""
        self._file.parent.mkdir(exist_ok=True)
        append_line(self._file, self._line)
        try:
            yield
        finally:
            forget_attempts(self._file.parent)

    def _lines(self) -> list[str]:
        try:
            return read_plain_file(self._file, MOST_TEXT).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
