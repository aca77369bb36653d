import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.data.unpacking import unpack
from prunecheck.errors import InputError

FILES = {"set/train/a.bin": b"\x00\x01" * 5000, "set/empty": b"", "set/name with space, é": b"text"}

Make = Callable[[Path, dict[str, bytes]], Path]


def make_tar(folder: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    path = folder / "archive"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_zip(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    return target


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives_are_unpacked_however_compressed(tmp_path: Path, target: Path, mode: str) -> None:
    unpack(make_tar(tmp_path, FILES, mode), target)
    assert everything_below(target) == FILES


def test_zip_archives_are_unpacked(tmp_path: Path, target: Path) -> None:
    unpack(make_zip(tmp_path, FILES | {"set/folder/": b""}), target)
    assert everything_below(target) == FILES
    assert (target / "set" / "folder").is_dir()


def test_folders_of_a_tar_archive_are_made_even_if_empty_or_unwritable(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, "w") as archive:
        for name in ("./", "./set", "./set/empty"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o000
            archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("./set/file"), io.BytesIO())
    unpack(path, target)
    assert (target / "set" / "empty").is_dir()
    assert (target / "set" / "file").stat().st_mode & 0o777 == (target.stat().st_mode & 0o666)


OUTSIDE = ["../evil", "set/../../evil", "/tmp/prunecheck-evil", "..", "C:/evil", "set\\..\\..\\evil"]


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_that_would_lie_outside_is_refused_by_name(
    tmp_path: Path, target: Path, make: Make, name: str
) -> None:
    archive = make(tmp_path, {name: b"evil"})
    with pytest.raises(InputError) as refused:
        unpack(archive, target)
    assert repr(name) in str(refused.value)
    assert list(everything_below(tmp_path)) == ["archive"]
    assert not Path("/tmp/prunecheck-evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_archive_are_refused(tmp_path: Path, target: Path, kind: bytes) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("set/link")
        member.type, member.linkname = kind, "../../.."
        archive.addfile(member)
    with pytest.raises(InputError, match="'set/link' is a link or a device"):
        unpack(path, target)
    assert list(target.rglob("*")) == []


def test_links_in_a_zip_archive_are_refused(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("set/link")
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "../../..")
    with pytest.raises(InputError, match="'set/link' is a link or a device"):
        unpack(path, target)
    assert list(target.rglob("*")) == []


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def alter(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("harm", [cut, alter])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_damaged_archive_is_refused(tmp_path: Path, target: Path, make: Make, harm: Callable[[bytes], bytes]) -> None:
    noise = bytes((i * i * 2654435761 >> 13) % 256 for i in range(30_000))
    archive = make(tmp_path, {"set/noise": noise})
    archive.write_bytes(harm(archive.read_bytes()))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, target)


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tmp_path / "archive", target)


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_file_that_comes_twice_is_refused(tmp_path: Path, target: Path, make: Make) -> None:
    archive = make(tmp_path, {"set/file": b"one", "set/./file": b"two"})
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, target)
