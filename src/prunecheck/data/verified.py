"""Files whose size and hash their publisher, or a widely used library, states."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.plain_files import NoPlainFileError, read_plain_file

PublishedFiles = Mapping[str, tuple[str, int | None]]
"""File name -> ("md5:..." or "sha256:..." in hexadecimal, size in bytes or None where it is not known)."""

LARGEST = 1 << 30
"""Bytes of a file that is read at once: 1 GiB, more than any file of a published set has, and any image."""


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        InputError: it is not there, cannot be read, is a pipe or a device, or has more than :data:`LARGEST` bytes.
    """
    try:
        return read_plain_file(path, LARGEST)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: fetch the data set again, or name the folder that holds it.") from None
    except NoPlainFileError as error:
        raise InputError(
            f"{path} is not read, for {error.strerror}: expected a file of at most {LARGEST:,} bytes, replace or "
            "remove it."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): expected a file that you may read, check its kind and "
            f"permissions."
        ) from error


def read_verified(path: Path, digest: str, size: int | None = None) -> bytes:
    """Return the content of a published file; the bytes returned are the ones that were checked.

    Args:
        path: the file.
        digest: "md5:..." or "sha256:...", in hexadecimal.
        size: in bytes; None where it is not known.

    Raises:
        InputError: it is missing, cannot be read, or is not the published file.
    """
    content = read_file(path)
    if size is not None and len(content) != size:
        raise InputError(
            f"{path} has {len(content)} bytes and the published file {size}: it is truncated or another file, "
            f"delete it and fetch it again."
        )
    algorithm, _, expected = digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(
            f"{path} is not the published file (its {algorithm} is {found}, expected {expected}): it was altered or "
            f"damaged, delete it and fetch it again."
        )
    return content
