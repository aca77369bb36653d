import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunecheck.cli import known_names, main


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without data sets; the command takes over SIGTERM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNECHECK_DATA", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["published", *arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize(
    ("command", "script", "own"),
    [
        ("baseline", "baseline.py", "--max_batch_idx"),
        ("lt-prune", "LT_prune.py", "--prune_ratio"),
        ("train-ticket", "train_ticket.py", "--GraSP"),
    ],
)
def test_each_command_is_its_script(capsys: pytest.CaptureFixture[str], command: str, script: str, own: str) -> None:
    for option in ("--help", "-h"):
        code, out, err = call(capsys, command, option)
        assert (code, err) == (0, "")
        assert out.startswith(f"usage: {script}")
        assert own in out
    code, out, err = call(capsys, command, "--version")
    assert (code, out) == (2, "")
    assert err.startswith(f"prunecheck: {script} takes no --version: ")


@pytest.mark.parametrize("command", ["baseline", "lt-prune", "train-ticket"])
def test_a_data_set_that_is_not_there_is_said_and_nothing_is_made(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, err = call(capsys, command, "-d", "cifar100", "--save_dir", "out")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("prunecheck: cifar100 is not on this machine (looked in ")
    assert [file.name for file in Path().rglob("*") if not file.is_dir()] in ([], [known_names.FILE])
    assert not Path("out").exists()


def test_data_sets_are_looked_for_where_the_published_scripts_keep_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("data").mkdir()
    _, _, err = call(capsys, "baseline", "--data_root", "mine")
    assert "(looked in mine, data, " in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "tpu"], "--device takes cpu, cuda or cuda:N, not 'tpu'."),
        (["--data_root", "nowhere"], "--data_root takes a folder that holds data sets, and nowhere is not a folder."),
    ],
)
def test_what_a_machine_does_not_have_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert call(capsys, "train-ticket", *arguments) == (2, "", f"prunecheck: {sentence}\n")
