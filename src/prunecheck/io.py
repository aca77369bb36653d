"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old one or the new one.

    Args:
        path: where the file is to appear; its folder exists.
        content: bytes, or text that is encoded as UTF-8; what has no code there, as parts of a file's name may have
            none, is written as an escape sequence.

    Raises:
        OSError: the disk is full or the folder cannot be written to; ``path`` is then as it was.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    """See to it that the new name outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
