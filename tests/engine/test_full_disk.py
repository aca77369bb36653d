import errno
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prunecheck.engine.executors import Event, RunDone, execute_all
from prunecheck.engine.job import Job
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

MakeJob = Callable[[RunSpec, Path], Job]
ReadCurves = Callable[[Path], dict[str, list[tuple[int, float]]]]

PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "prunecheck-test", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def leave_pages(disk: Path, pages: int) -> None:
    """Fill a disk but for some pages."""
    free = os.statvfs(disk).f_bavail
    (disk / "ballast").write_bytes(b"0" * PAGE * (free - pages))


def everything_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def pages_of(folder: Path) -> int:
    return sum(math.ceil(file.stat().st_size / PAGE) for file in folder.iterdir())


@pytest.fixture
def specs(make_spec: Callable[..., RunSpec]) -> list[RunSpec]:
    return [make_spec(seed=seed) for seed in (0, 1)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_full_disk_is_an_error_and_the_same_call_completes_once_there_is_space(
    small_disk: Path,
    tmp_path: Path,
    specs: list[RunSpec],
    make_job: MakeJob,
    read_curves: ReadCurves,
    share: float,
) -> None:
    first, second = specs
    ample, store = RunStore(tmp_path), RunStore(small_disk)
    execute_all([make_job(second, tmp_path)], 1, lambda _: None)
    execute_all([make_job(first, small_disk)], 1, lambda _: None)
    finished = everything_in(store.folder(first).path)
    leave_pages(small_disk, int(share * pages_of(ample.folder(second).path)))

    events: list[Event] = []
    jobs = [make_job(spec, small_disk) for spec in specs]
    with pytest.raises(OSError, match="No space left on device") as failure:
        execute_all(jobs, 1, events.append)
    assert failure.value.errno == errno.ENOSPC
    assert [event.spec for event in events if isinstance(event, RunDone)] == [first]
    assert everything_in(store.folder(first).path) == finished
    assert store.result(second) is None
    assert not list(small_disk.rglob("*.part"))

    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    execute_all(jobs, 1, lambda _: None)
    assert everything_in(store.folder(first).path) == finished
    for name in ("last.safetensors", "ticket.safetensors", "metrics.csv"):
        assert (store.folder(second).path / name).read_bytes() == (ample.folder(second).path / name).read_bytes()
    assert read_curves(store.folder(second).path) == read_curves(ample.folder(second).path)
