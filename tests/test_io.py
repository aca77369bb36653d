import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.io import atomic_write, remove_unfinished, require_output, require_output_folder, write_output

WRITE_WITH_A_FULL_DISK = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from prunecheck.io import atomic_write

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        atomic_write(Path(sys.argv[1]), bytes(3_000_000))
    except OSError:
        sys.exit(17)
    """
)


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


@pytest.mark.parametrize("content", [b"", b"\x00\xff\r\n", bytes(range(256)) * 10_000])
def test_bytes_arrive_whole(tmp_path: Path, content: bytes) -> None:
    atomic_write(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == ["file"]


def test_text_is_utf8_with_its_line_ends_as_they_are(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "Größe\n\r\nπ")
    assert (tmp_path / "file").read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n\r\n\xcf\x80"


def test_new_content_replaces_longer_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, "a long first version")
    atomic_write(path, "short")
    assert path.read_text() == "short"


def test_reader_of_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        atomic_write(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_content_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    seen: list[tuple[int, str]] = []
    really_fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_size, path.read_text()))
        really_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    atomic_write(path, "new content")
    assert seen[0] == (len("new content"), "old")


@pytest.mark.parametrize("old", [None, b"the old content"])
def test_full_disk_leaves_the_old_file_and_no_part_of_the_new(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    done = subprocess.run([sys.executable, "-c", WRITE_WITH_A_FULL_DISK, str(path)], check=False)
    assert done.returncode == 17
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([] if old is None else [old])


def test_folder_in_the_way_stays_and_no_part_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.mkdir()
    (folder / "inside").write_text("kept")
    with pytest.raises(OSError):
        atomic_write(folder, "content")
    assert names(tmp_path) == ["file"]
    assert (folder / "inside").read_text() == "kept"


def test_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "missing" / "file", "content")


def test_what_has_no_code_is_written_as_an_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, "a\ud800b \u00e9")
    assert path.read_bytes() == b"a\\ud800b \xc3\xa9"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int, expected: int) -> None:
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "file", "content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("folder", "folder is a folder"),
        ("missing/file", "there is no folder .*missing"),
        ("folder/../foreign", "foreign exists and holds something else"),
        ("file.txt", r"file\.txt does not end in \.svg"),
        ("pipe", "pipe exists and holds something else"),
    ],
)
def test_where_no_output_can_be_written_is_refused(tmp_path: Path, name: str, wrong: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "foreign").write_text("foreign")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=wrong):
        require_output(
            tmp_path / name,
            ending=".svg" if name.endswith(".txt") else None,
            is_own=lambda file: file.read_text() == "own",
        )
    (tmp_path / "own").write_text("own")
    require_output(tmp_path / "own", is_own=lambda file: file.read_text() == "own")
    require_output(tmp_path / "foreign")  # which is compared with what is written
    require_output(tmp_path / "NEW.SVG", ending=".svg")


def test_an_output_takes_the_place_of_nothing_but_itself(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_output("π", file)
    before = file.stat()
    write_output("π".encode(), file)
    assert file.stat().st_ino == before.st_ino
    with pytest.raises(InputError, match="file exists and holds something else"):
        write_output("other", file)
    with pytest.raises(InputError, match="exists and holds something else"):
        write_output("other", tmp_path)
    assert file.read_text(encoding="utf-8") == "π"


def test_a_file_is_no_folder_for_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require_output_folder(tmp_path)
    require_output_folder(tmp_path / "not" / "there")
    with pytest.raises(InputError, match="file is a file"):
        require_output_folder(tmp_path / "file")


def test_what_killed_processes_have_begun_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [f".results.csv.{ended.pid}.part", f".last.safetensors.{ended.pid}.part"]
    kept = [f".results.csv.{os.getpid()}.part", f"results.csv.{ended.pid}.part", ".mine.part", ".movie.x1.part", ".x.1"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("half")
    remove_unfinished(tmp_path)
    assert sorted(names(tmp_path)) == sorted(kept)


@pytest.mark.parametrize("name", ["file", "file/below/it"])
def test_a_folder_that_would_lie_in_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file: give the name of a folder"):
        require_output_folder(tmp_path / name)
    require_output_folder(tmp_path / "new" / "below")
