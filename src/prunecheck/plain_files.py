"""Files that are read as what they are: no pipes or devices, which may never end, and none larger than is allowed."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

MOST_TEXT = 1 << 28
"""Bytes of a file of text that are read: 256 MiB, the metrics of some million epochs."""

BLOCK = 1 << 16
"""Bytes that are read at once of a file which does not say how many it has."""


class NoPlainFileError(OSError):
    """A pipe, a device or a socket is where a file should be, or a file that is too large."""


def open_file(path: Path, at_most: int) -> BufferedReader:
    """Open a file for reading, and see that it is one: what waits for a writer, or has no end, is refused.

    Args:
        path: links are followed.
        at_most: bytes that it may have.

    Raises:
        NoPlainFileError: it is a pipe, a socket or a device, or larger.
        OSError: it cannot be read.
    """
    number, _ = _opened(path, at_most)
    return os.fdopen(number, "rb")


def _opened(path: Path, at_most: int) -> tuple[int, int]:
    """Return the descriptor of a file that is open for reading, and how many bytes it says that it has."""
    # Of a pipe, whether someone writes to it or not; on a file it changes nothing.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise NoPlainFileError(errno.EINVAL, "it is a pipe or a device, and no plain file", str(path))
        if status.st_size > at_most:
            raise NoPlainFileError(errno.EFBIG, f"it has {status.st_size:,} bytes, more than {at_most:,}", str(path))
    except BaseException:
        os.close(number)
        raise
    return number, status.st_size


def read_plain_file(path: Path, at_most: int) -> bytes:
    """Return the content of a file; see :func:`open_file`.

    Raises:
        NoPlainFileError: see there; and it says that it is empty, and has more bytes than it may.
        OSError: see there.
    """
    # Without a file object, which takes as long to make as a small file to read.
    number, size = _opened(path, at_most)
    try:
        content = os.read(number, size)
        if size and len(content) == size:
            return content
        # The system's own files, and some of FUSE, say that they have none, and give less at once than is asked for.
        return _read_to_the_end(number, path, content, at_most)
    finally:
        os.close(number)


def _read_to_the_end(number: int, path: Path, begun: bytes, at_most: int) -> bytes:
    content = bytearray(begun)
    while block := os.read(number, BLOCK):
        content += block
        if len(content) > at_most:
            raise NoPlainFileError(errno.EFBIG, f"it has more than {at_most:,} bytes", str(path))
    return bytes(content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file that is made if need be; what has no code in UTF-8 is written as an escape sequence.

    Whoever has made its folder may have put something else there: nothing is written through a link, which may lead to
    any file of this user's, nor into a pipe, whose reader would be waited for.

    Raises:
        NoPlainFileError: it is a device.
        OSError: it is a link, a pipe that nobody reads or a socket, or it cannot be written to.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8", errors="backslashreplace") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NoPlainFileError(errno.EINVAL, "it is a pipe or a device, and no plain file", str(path))
        file.write(f"{line}\n")


@contextlib.contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """Yield a path of a file for libraries that take no names but those in UTF-8, which names of files need not be.

    Raises:
        OSError: see :func:`open_file`.
    """
    try:
        name: str | None = os.fsencode(path).decode()
    except UnicodeDecodeError:
        name = None
    if name is not None:
        yield name
        return
    with open_file(path, sys.maxsize) as file:
        yield f"/dev/fd/{file.fileno()}"


def read_plain_text(path: Path) -> str:
    """Return the content of a file of UTF-8 of at most :data:`MOST_TEXT` bytes.

    Raises:
        OSError: see :func:`open_file`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_plain_file(path, MOST_TEXT).decode()
