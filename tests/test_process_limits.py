import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from prunecheck import process_limits
from prunecheck.errors import InputError
from prunecheck.process_limits import FILES_OF_A_COMMAND, FILES_OF_A_WORKER, private_folder, require_startable


def in_a_process(code: str, kind: int, soft: int, hard: int) -> str:
    """Return what a process prints that has a limit of its own."""
    limited = f"import resource; resource.setrlimit({kind}, ({soft}, {hard}))\n{code}"
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SAYING = """
from prunecheck import process_limits
from prunecheck.errors import InputError
from prunecheck.process_limits import require_startable
try:
    require_startable({workers})
except InputError as error:
    print(error)
else:
    print("startable")
"""


def test_the_limit_of_open_files_is_raised_as_far_as_is_allowed_and_says_how_many_workers_fit() -> None:
    workers = 9
    enough = FILES_OF_A_COMMAND + FILES_OF_A_WORKER * workers
    counted = "from prunecheck.process_limits import *; print(workers_with_open_files(), allow_most_open_files())"
    assert in_a_process(counted, resource.RLIMIT_NOFILE, 40, enough) == f"{workers} {enough}"
    assert in_a_process(counted, resource.RLIMIT_NOFILE, 40, enough - 1) == f"{workers - 1} {enough - 1}"
    assert in_a_process(SAYING.format(workers=workers), resource.RLIMIT_NOFILE, 40, enough) == "startable"
    said = in_a_process(SAYING.format(workers=workers + 1), resource.RLIMIT_NOFILE, 40, enough)
    assert said == (
        f"10 worker processes need about {enough + FILES_OF_A_WORKER} open files, and {enough} are allowed: "
        "raise the limit (ulimit -n), or lower workers to 9."
    )


def test_too_few_open_files_for_any_worker_is_said_too() -> None:
    said = in_a_process(SAYING.format(workers=1), resource.RLIMIT_NOFILE, 30, 30)
    assert "1 worker processes need" not in said
    assert said.startswith("1 worker process needs about")
    assert "ulimit -n" in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count address space")
def test_threads_that_do_not_fit_the_address_space_are_found_before_and_the_limit_is_named() -> None:
    # Room for some threads' stacks of 8 MB on top of the interpreter itself, and not for those of 64 workers.
    said = in_a_process(SAYING.format(workers=64), resource.RLIMIT_AS, 1_000_000 * 1024, 1_000_000 * 1024)
    assert "64 worker processes need about" in said
    assert "ulimit -v allows 1000000 kB of address space)" in said
    fit = int(said.rsplit("lower workers to ", 1)[1].rstrip("."))
    assert 1 <= fit < 64


def test_threads_end_with_the_probe_and_stacks_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    before, stack = threading.active_count(), threading.stack_size()
    require_startable(2)
    assert (threading.active_count(), threading.stack_size()) == (before, stack)

    class Refused(threading.Thread):
        allowed = 20

        def start(self) -> None:
            if Refused.allowed == 0:
                raise RuntimeError("can't start new thread")
            Refused.allowed -= 1
            super().start()

    monkeypatch.setattr(threading, "Thread", Refused)
    with pytest.raises(
        InputError, match=r"^2 worker processes need about \d+ threads, .* no more than 20.*lower workers to 1\.$"
    ):
        require_startable(2)
    assert (threading.active_count(), threading.stack_size()) == (before, stack)


def test_semaphores_that_cannot_be_made_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def Lock(self) -> None:  # noqa: N802
            raise OSError(30, "Read-only file system")

    monkeypatch.setattr("multiprocessing.get_context", lambda method: Context())
    with pytest.raises(
        InputError, match=r"semaphores, .* \(Read-only file system\): see that /dev/shm .* workers set to 1"
    ):
        require_startable(2)


def test_a_loopback_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr("socket.create_server", refuse)
    with pytest.raises(InputError, match=r"127\.0\.0\.1, .*\(Cannot assign requested address\): bring the loopback"):
        require_startable(2)


# The folder for temporary files


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_for_temporary_files_is_ones_own_and_the_same_again(temporary: Path) -> None:
    folder = private_folder()
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder() == folder


def test_a_folder_that_others_have_prepared_or_may_look_into_is_not_used(temporary: Path) -> None:
    name = f"prunecheck-{os.geteuid()}"
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (temporary / name).symlink_to(elsewhere)
    linked = private_folder()
    assert linked.name != name
    assert linked.stat().st_mode & 0o777 == 0o700
    (temporary / name).unlink()
    (temporary / name).mkdir()
    (temporary / name).chmod(0o777)
    assert private_folder().name != name
    assert list(elsewhere.iterdir()) == []


def test_no_folder_for_temporary_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(InputError, match=r"folder for temporary files, .*: set TMPDIR"):
        private_folder()


@pytest.mark.parametrize(("needed", "is_said"), [(500, False), (501, True), (1000, True)])
def test_what_takes_much_of_the_free_memory_is_said_beforehand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, needed: int, is_said: bool
) -> None:
    monkeypatch.setattr(process_limits, "available_memory", lambda: 1000 * 2**30)
    process_limits.require_memory("mine.npz", needed * 2**30)
    said = f"mine.npz: {needed}.0 GiB of memory are needed, and 1000.0 GiB are free."
    assert caplog.messages == [said] * is_said


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_limits, "available_memory", lambda: 2**20)
    with pytest.raises(InputError, match=r"^mine\.npz: 2\.0 MiB of memory are needed, and 1\.0 MiB are free: "):
        process_limits.require_memory("mine.npz", 2**21)
    monkeypatch.setattr(process_limits, "available_memory", lambda: None)
    process_limits.require_memory("mine.npz", 2**60)


def test_free_memory_is_what_a_container_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_limits, "CGROUP", tmp_path)
    whole = process_limits.available_memory()
    assert whole is not None
    assert whole > 2**20
    for name, text in (("max", "5000"), ("current", "4000"), ("stat", "anon 1\ninactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert process_limits.available_memory() == 1500
    (tmp_path / "memory.max").write_text("max\n")
    assert process_limits.available_memory() != 1500
