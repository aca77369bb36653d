import csv
import errno
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore, results_csv

MakeSpec = Callable[..., RunSpec]

RESULT = RunResult(Status.TRAINED, 50.0, 60.0, 2, 10.0, 0.8, {"fc": (1, 5)}, None, None, 1.0, "cpu", {})


def finish(store: RunStore, spec: RunSpec, result: RunResult = RESULT) -> RunFolder:
    folder = store.folder(spec)
    folder.open()
    folder.write_result(result)
    return folder


def test_a_run_has_a_result_once_it_is_complete(tmp_path: Path, make_spec: MakeSpec) -> None:
    store, spec = RunStore(tmp_path), make_spec()
    assert store.result(spec) is None
    folder = store.folder(spec)
    folder.open()
    assert store.result(spec) is None
    folder.write_result(RESULT)
    assert store.result(spec) == RESULT
    assert store.result(make_spec(seed=1)) is None


def test_a_folder_can_be_opened_again_by_its_own_run(tmp_path: Path, make_spec: MakeSpec) -> None:
    folder = finish(RunStore(tmp_path), make_spec())
    folder.open()
    assert folder.result() == RESULT


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_another_spec_is_refused(tmp_path: Path, make_spec: MakeSpec, finished: bool) -> None:
    store, spec, other = RunStore(tmp_path), make_spec(), make_spec(seed=5)
    folder = store.folder(spec)
    folder.open()
    if finished:
        folder.write_result(RESULT)
    (folder.path / "spec.json").write_text(other.canonical())
    uses: list[Callable[[], object]] = [folder.open, folder.result, lambda: store.result(spec)]
    for use in uses:
        with pytest.raises(InputError, match="was made by another spec") as refusal:
            use()
        assert other.folder_name in str(refusal.value)
        assert str(folder.path) in str(refusal.value)
    assert (folder.path / "spec.json").read_text() == other.canonical()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1]", b'{"format": 2}'])
@pytest.mark.parametrize("finished", [True, False])
def test_a_spec_that_cannot_be_read_is_refused(
    tmp_path: Path, make_spec: MakeSpec, content: bytes, finished: bool
) -> None:
    store, spec = RunStore(tmp_path), make_spec()
    folder = store.folder(spec)
    folder.open()
    if finished:
        folder.write_result(RESULT)
    (folder.path / "spec.json").write_bytes(content)
    uses: list[Callable[[], object]] = [folder.open, lambda: store.result(spec)]
    for use in uses:
        with pytest.raises(InputError, match=r"spec\.json is not the spec of a run: move .* away"):
            use()


def test_a_spec_with_an_impossible_recipe_is_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    folder = finish(RunStore(tmp_path), make_spec())
    text = make_spec().canonical().replace('"epochs":2', '"epochs":0')
    assert text != make_spec().canonical()
    (folder.path / "spec.json").write_text(text)
    with pytest.raises(InputError, match="is not the spec of a run"):
        folder.result()


def test_a_result_without_a_spec_is_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    folder = finish(RunStore(tmp_path), make_spec())
    (folder.path / "spec.json").unlink()
    with pytest.raises(InputError, match=r"spec\.json is not the spec of a run"):
        folder.result()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"null"])
def test_a_result_that_cannot_be_read_is_refused(tmp_path: Path, make_spec: MakeSpec, content: bytes) -> None:
    folder = finish(RunStore(tmp_path), make_spec())
    (folder.path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match=r"result\.json is not the result of a run: remove its folder"):
        folder.result()


def test_finished_runs_are_listed_by_folder_name_and_strangers_left_out(tmp_path: Path, make_spec: MakeSpec) -> None:
    store = RunStore(tmp_path)
    specs = [make_spec(seed=seed) for seed in (2, 0, 1)]
    for spec in specs:
        finish(store, spec, replace(RESULT, seconds=float(spec.seed)))
    store.folder(make_spec(seed=9)).open()
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "result.json").write_text("{}")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "result.json").write_text(RESULT.to_json())
    (tmp_path / "old" / "spec.json").write_text('{"format": 0}')
    (finish(store, make_spec(seed=8)).path / "result.json").write_text("{")
    assert [(spec.seed, result.seconds) for spec, result in store.results().items()] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    store.write_results()
    assert (tmp_path / "results.csv").read_text() == results_csv(store.results())


HOLDER = """
import sys, time
from pathlib import Path
from prunecheck.runs.store import RunStore
with RunStore(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_root_is_held_by_one_command_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    root = tmp_path / "new" / "runs"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = pytest.raises(InputError, match=r"another prunecheck is at work in .*runs: wait")
        with said as raised, RunStore(root).locked():
            pass
        assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)  # one traceback in Python
        with RunStore(tmp_path / "another").locked():
            pass
    finally:
        holder.kill()
        holder.communicate()
    with RunStore(root).locked():
        assert root.is_dir()
    with RunStore(root).locked():
        pass


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="runs is a file"), RunStore(tmp_path / "runs").locked():
        pass


def test_where_there_are_no_locks_that_is_said_and_the_command_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    store = RunStore(tmp_path / "runs")
    with store.locked():
        store.request_stop()
    (warning,) = caplog.messages
    assert f"{store.root} has no locks" in warning
    with store.locked():
        assert not store.stop_requested()


def test_what_is_known_is_not_read_again(tmp_path: Path, make_spec: Callable[..., RunSpec]) -> None:
    store = RunStore(tmp_path)
    known, other = make_spec(seed=0), make_spec(seed=1)
    for spec in (known, other):
        finish(store, spec, RESULT)
    (store.folder(known).path / "result.json").write_text("not read")
    result = replace(RESULT, seconds=77.0)
    assert store.write_results({known: result, make_spec(seed=2): RESULT}) == {known: result, other: RESULT}
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert {(row["seed"], row["seconds"]) for row in rows} == {("0", "77.0"), ("1", str(RESULT.seconds))}


@contextmanager
def mounted(path: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory, or skip the test."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "prunecheck-test", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("root", [".", "runs"])
def test_a_root_that_cannot_be_written_to_is_refused(tmp_path: Path, root: str) -> None:
    disk = tmp_path / "disk"
    with (
        mounted(disk, "ro,size=1m"),
        pytest.raises(InputError, match=r"cannot be written to \(Read-only file system\): choose another out"),
        RunStore(disk / root).locked(),
    ):
        pass


def test_too_little_space_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m"):
        store = RunStore(disk)
        store.require_space(2**20)
        with pytest.raises(InputError, match=r"has 1\.0 MB left and the runs need 2\.5 MB: free some"):
            store.require_space(2_500_000)
        (disk / "ballast").write_bytes(b"0" * 2**19)
        store.require_space(2**19)
        with pytest.raises(InputError, match=r"has 0\.5 MB left"):
            store.require_space(2**19 + 1)


def test_a_stop_is_requested_until_the_next_command_begins(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    with store.locked():
        assert not store.stop_requested()
        store.request_stop()
        assert store.stop_requested()
        assert RunStore(tmp_path / "runs").stop_requested()
        assert not RunStore(tmp_path).stop_requested()
    with store.locked():
        assert not store.stop_requested()


def test_what_a_killed_command_has_left_half_written_in_the_root_goes_with_the_next_one(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    killed = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "held\n"
    killed.kill()
    killed.communicate()
    left = [root / f".{name}.{killed.pid}.part" for name in ("results.csv", "questions.json", "report.html")]
    for file in left:
        file.write_text("half")
    (root / ".notes.part").write_text("somebody's own")
    with RunStore(root).locked():
        assert sorted(path.name for path in root.iterdir()) == [".lock", ".notes.part"]
