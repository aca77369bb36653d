"""Archives unpacked so that nothing of them ends up outside the folder they are unpacked into."""

import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prunecheck.errors import InputError

CHUNK = 1 << 20

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)

Member = tuple[str, IO[bytes] | None]
"""A member's name, and its content; None for a folder."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, or a zip archive.

    Only files and folders are made, with the permissions that new ones have; owners, times and modes
    of the archive are left out.

    Args:
        archive: which it is is told by its content.
        folder: exists.

    Raises:
        InputError: it is no archive, it is cut off, or a member is a link or a device, or would lie
            outside ``folder``.
        OSError: the disk is full.
    """
    try:
        members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
        for name, content in members(archive):
            target = folder.joinpath(*_parts(name, archive))
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with content as source, target.open("xb") as file:
                shutil.copyfileobj(source, file, CHUNK)
    except (*DAMAGED, FileExistsError) as error:
        raise InputError(f"{archive} cannot be unpacked ({error}): it is damaged, fetch it again.") from error


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as opened:
        for member in opened:
            if not (member.isreg() or member.isdir()):
                raise _refused(archive, member.name, "is a link or a device")
            yield member.name, None if member.isdir() else opened.extractfile(member)
        while opened.fileobj and opened.fileobj.read(CHUNK):
            pass  # the checksum of what was compressed comes last


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "is a link or a device")
            # orig_filename: zipfile cuts a name at its first NUL
            yield member.orig_filename, None if member.is_dir() else opened.open(member)


def _parts(name: str, archive: Path) -> list[str]:
    """Return the parts of a member's path, none of which leads up, or to another place on any system."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    is_elsewhere = name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name)
    if is_elsewhere or "\\" in name or "\0" in name:
        raise _refused(archive, name, "would lie outside the folder")
    return parts


def _refused(archive: Path, name: str, why: str) -> InputError:
    return InputError(f"{archive} is not unpacked, since its member {name!r} {why}: do not use this archive.")
