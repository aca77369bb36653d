"""A real Jupyter kernel: an event loop runs in its main thread, and it is interrupted by a signal."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

START = """
import asyncio, signal
import prunecheck
asyncio.get_running_loop()
small = dict(model="resnet8", width=2, sparsity=0.5, checks="rearrange-mask", baseline=None, train_images=100,
             test_images=50, samples_per_class=2)
each_epoch = prunecheck.Acceleration(checkpoint_seconds=0)
handler = signal.getsignal(signal.SIGINT)
"""

TIMEOUT = 120


@dataclass
class Shown:
    """What a cell showed: outputs as they are in the end, and how often they were changed."""

    error: str | None = None
    streams: str = ""
    result: dict[str, str] = field(default_factory=dict)
    displays: dict[str, dict[str, str]] = field(default_factory=dict)
    updates: int = 0

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                self.streams += content["text"]
            case "execute_result":
                self.result = content["data"]
            case "error":
                self.error = content["ename"]
            case "display_data" | "update_display_data" as kind:
                self.displays[content["transient"].get("display_id", "")] = content["data"]
                self.updates += kind == "update_display_data"

    @property
    def progress(self) -> str:
        """The one output that changes."""
        (display,) = self.displays.values()
        return display["text/plain"]


class Kernel:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = KernelManager()
        self.manager.start_kernel(cwd=str(folder))
        self.client: Any = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)

    def run(self, code: str) -> Shown:
        shown = Shown()
        self.client.execute_interactive(code, output_hook=shown.take, timeout=TIMEOUT)
        return shown

    def interrupted(self, code: str, runs: str) -> Shown:
        """Run a cell, and interrupt it as soon as a run below ``runs`` has done an epoch."""

        def interrupt() -> None:
            end = time.monotonic() + TIMEOUT
            while time.monotonic() < end and not list(self.folder.glob(f"{runs}/*/metrics.csv")):
                time.sleep(0.02)
            self.manager.interrupt_kernel()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            return self.run(code)
        finally:
            thread.join()


FEW_SEEDS = "One seed cannot decide anything: `prunecheck seeds` says how many a question needs.\n"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    assert kernel.run(START).error is None
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def test_an_answer_is_shown_and_the_cell_shows_how_far_it_is(kernel: Kernel) -> None:
    shown = kernel.run('prunecheck.check("magnitude", epochs=1, seeds=1, out="shown", **small)')
    assert (shown.error, shown.streams) == (None, FEW_SEEDS)
    assert shown.progress.startswith("3 of 3 runs done in ")
    assert shown.updates >= 1
    assert "<table" in shown.result["text/html"]
    assert shown.result["text/plain"].startswith("<Answer magnitude on digits")
    again = kernel.run('prunecheck.check("magnitude", epochs=1, seeds=1, out="shown", **small)')
    assert not again.displays  # nothing was to be done
    assert again.result == shown.result


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_is_interrupted_and_goes_on_when_it_is_called_again(kernel: Kernel, workers: int) -> None:
    root = f"interrupted-{workers}"
    options = f'epochs=30, seeds=1, workers={workers}, out="{root}", acceleration=each_epoch'
    code = f'answer = prunecheck.check("snip", {options}, **small)'
    shown = kernel.interrupted(code, root)
    assert shown.error == "KeyboardInterrupt"
    assert "finishing the epoch" in shown.streams
    assert "goes on from there" in shown.progress
    assert not list((kernel.folder / root).glob("*/result.json"))
    begun = {file: file.read_text().splitlines() for file in (kernel.folder / root).glob("*/metrics.csv")}
    assert begun
    assert all(len(rows) < 31 for rows in begun.values())
    after = kernel.run(f"{code}; print(len(answer.results), signal.getsignal(signal.SIGINT) is handler)")
    assert (after.error, after.streams) == (None, f"{FEW_SEEDS}3 True\n")
    for file, rows in begun.items():
        assert file.read_text().splitlines()[: len(rows)] == rows


def test_events_take_the_place_of_what_is_shown(kernel: Kernel) -> None:
    code = 'events = []; prunecheck.check("snip", epochs=2, seeds=1, on_event=events.append, out=None, **small)'
    shown = kernel.run(f"{code}; print([type(event).__name__ for event in events])")
    assert shown.error is None
    assert not shown.displays
    assert shown.streams == str(["EpochDone", "EpochDone", "RunDone"] * 3) + "\n"
