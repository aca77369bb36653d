"""Where progress is shown: a live table in a terminal, an output that changes in a notebook, plain lines elsewhere."""

import html
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from prunecheck.api.rendering import as_text

if TYPE_CHECKING:
    from rich.live import Live

    from prunecheck.api.progress import Progress

SECONDS_BETWEEN_LINES = 10.0

SECONDS_BETWEEN_UPDATES = 0.25
"""Of a notebook's output; each is a message to the browser."""

NOTEBOOK_WIDTH, NOTEBOOK_HEIGHT = 90, 16
"""Columns and lines of a notebook's output."""


class Display(Protocol):
    """Shows how far a study is."""

    def start(self, progress: "Progress") -> None:
        """Show the beginning."""

    def update(self, progress: "Progress") -> None:
        """Show what has changed, if it is time to."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def end(self, summary: str | None) -> None:
        """Show the end; without a summary the runs did not come to theirs."""


def find_display() -> Display:
    """Return the display for where this process shows its output."""
    if in_notebook():
        return NotebookDisplay()
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return Lines()


def in_notebook() -> bool:
    """Say whether this process is a Jupyter kernel, which shows HTML; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class LiveTable:
    """A table at the foot of a terminal, drawn four times a second."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._live: Live | None = None

    def start(self, progress: "Progress") -> None:
        """Draw it."""
        from rich.live import Live

        self._live = Live(progress, console=self._console, transient=True, refresh_per_second=4)
        self._live.start()

    def update(self, progress: "Progress") -> None:
        """Leave it to the thread that draws."""

    def say(self, text: str) -> None:
        """Print a line above it."""
        self._console.print(text)

    def end(self, summary: str | None) -> None:
        """Remove it."""
        if self._live:
            self._live.stop()
        if summary:
            print(summary, file=sys.stderr)


class Lines:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._said = 0.0

    def start(self, progress: "Progress") -> None:
        """Print the first line."""
        self._print(progress)

    def update(self, progress: "Progress") -> None:
        """Print a line if the last one is old."""
        if time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._print(progress)

    def say(self, text: str) -> None:
        """Leave it to the counts of the lines, and to the answer."""

    def end(self, summary: str | None) -> None:
        """Print the last line."""
        if summary:
            print(summary, file=sys.stderr)

    def _print(self, progress: "Progress") -> None:
        self._said = time.monotonic()
        print(progress, file=sys.stderr, flush=True)


class NotebookDisplay:
    """An output of the cell that calls, which changes while the cell runs."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = 0.0
        self._kept: list[str] = []
        self._last = ""

    def start(self, progress: "Progress") -> None:
        """Make the output."""
        from IPython.display import display

        self._draw(progress)
        self._handle = display(_bundle(self._text()), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(self, progress: "Progress") -> None:
        """Change the output if the last change is old enough."""
        if time.monotonic() - self._shown >= SECONDS_BETWEEN_UPDATES:
            self._draw(progress)
            self._show()

    def say(self, text: str) -> None:
        """Keep a line above the table."""
        self._kept.append(text)

    def end(self, summary: str | None) -> None:
        """Leave the summary, or how far the runs came."""
        if summary:
            self._last = summary
        else:
            self._kept.append("Interrupted; what is finished stays, and the same call goes on from there:")
        self._show()

    def _draw(self, progress: "Progress") -> None:
        self._shown = time.monotonic()
        self._last = as_text(progress, width=NOTEBOOK_WIDTH, height=NOTEBOOK_HEIGHT)

    def _text(self) -> str:
        return "\n".join([*self._kept, self._last])

    def _show(self) -> None:
        self._handle.update(_bundle(self._text()), raw=True)


def _bundle(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f'<pre style="line-height: 1.3">{html.escape(text)}</pre>'}
