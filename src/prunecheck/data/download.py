"""Published data sets fetched from their publishers: checked, resumed when interrupted, there whole or not at all."""

import contextlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunecheck.data.sources import Download, Found, PublishedSet, damage
from prunecheck.data.unpacking import unpack
from prunecheck.errors import InputError, field_name
from prunecheck.extras import extra
from prunecheck.io import atomic_folder, flush, lock_name

if TYPE_CHECKING:
    from requests import Response

TIMEOUT = (15, 60)
"""Seconds to wait for a connection, and for the next bytes."""

CHUNK = 1 << 18

LARGEST_FILE = 1 << 30
"""Bytes of the largest file that is taken: four times those of the largest that any of the sets has."""

PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416

Progress = Callable[[str, int, int | None], None]
"""Is told a file's name, how many of its bytes are there, and how many there will be, if that is known."""


class WrongFileError(Exception):
    """What an address offers is not the published file."""


def fetch(
    published: PublishedSet, root: Path, replace_damaged: bool = False, progress: Progress = lambda *_: None
) -> Path:
    """Return the folder of a set below ``root``, fetched if it is not there.

    What was fetched of a file before an interruption is kept in ``root/.fetching`` and not fetched again.
    When several processes fetch a set, one does and the others wait for it.

    Args:
        published: which.
        root: is made if need be.
        replace_damaged: whether a damaged folder of the set in ``root`` is replaced; else it is an error.
        progress: called often.

    Raises:
        InputError: none of the addresses can be reached or offers the published file, or a damaged
            folder is in the way.
        OSError: ``root`` cannot be written to, or its disk is full.
    """
    with extra("download", f"fetching {published.name}"):
        import pooch  # noqa: F401 - before anything is asked for
    layout, target = published.layouts[0], root / published.folder
    found = Found(target, layout)
    with lock_name(target):
        if layout.files(target):
            wrong = damage(found)
            if not wrong:
                return target
            if not replace_damaged:
                raise InputError(
                    f"{target} is there and damaged ({wrong[0]}): "
                    f"move it away and call `prunecheck data get {published.name}` again."
                )
        store = root / ".fetching" / published.folder
        store.mkdir(parents=True, exist_ok=True)
        try:
            files = [_fetch_file(published, download, store, progress) for download in published.downloads]
            atomic_folder(target, lambda beside: _fill(beside, published, files))
            shutil.rmtree(store)
        finally:
            _remove_if_empty(store, root)
    return target


def _remove_if_empty(folder: Path, up_to: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != up_to:
            if folder.exists():
                folder.rmdir()
            folder = folder.parent


def _fill(beside: Path, published: PublishedSet, files: list[Path]) -> Path:
    made = beside
    for download, file in zip(published.downloads, files, strict=True):
        if not download.unpacked:
            shutil.copyfile(file, beside / file.name)
            continue
        unpack(file, beside)
        made = beside / Path(published.folder).name
    wrong = published.layouts[0].missing(made)
    if wrong:
        raise InputError(f"what was fetched of {published.name} is not the set ({wrong[0]}): report it, please.")
    return made


def _fetch_file(published: PublishedSet, download: Download, store: Path, progress: Progress) -> Path:
    why = []
    for address in download.addresses:
        try:
            return _from_address(address, download, store, progress)
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            why.append(f"{address}: {reason}")
    part = _part(store, download)
    there = f"; {part.stat().st_size / 1e6:.1f} MB are there and need not be fetched again" if part.exists() else ""
    raise InputError(
        f"{published.name} could not be fetched ({', '.join(why)}{there}): call the command again, "
        f"or fetch it elsewhere and put its folder {published.folder} below {field_name('data_root')}.",
        field="data_root",
    )


def _from_address(address: str, download: Download, store: Path, progress: Progress) -> Path:
    """Fetch one file through pooch, which checks its hash before it takes the name."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    for _ in range(2):
        resumed = _Resumed(_part(store, download), lambda done, total: progress(download.name, done, total))
        try:
            file = pooch.retrieve(address, download.digest, fname=download.name, path=store, downloader=resumed)
        except ValueError as error:
            if "hash" not in str(error).lower():
                raise
            if not resumed.continued:
                raise WrongFileError from error
            continue  # perhaps what was there already was of another file; it is gone now
        flush(Path(file))
        return Path(file)
    raise WrongFileError


def _part(store: Path, download: Download) -> Path:
    return store / f"{download.name}.part"


class _Resumed:
    """Fetches a file for pooch, which itself begins anew after every interruption.

    Attributes:
        continued: whether bytes that were there already are part of the file.
    """

    def __init__(self, part: Path, progress: Callable[[int, int | None], None]) -> None:
        self.part = part
        self.progress = progress
        self.continued = False

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests

        there = self.part.stat().st_size if self.part.exists() else 0
        # identity: the file's own bytes are counted, and checked, not those of a compressed transfer
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if there and response.status_code == RANGE_NOT_SATISFIABLE:
                total = _total_of_range(response)
                if total != there:
                    self.part.unlink()
                    self(url, output_file, pooch)
                    return
                self.continued = True
            else:
                response.raise_for_status()
                self._receive(response, there)
        self.part.replace(output_file)

    def _receive(self, response: "Response", there: int) -> None:
        self.continued = response.status_code == PARTIAL_CONTENT and _start_of_range(response) == there
        if not self.continued:
            there = 0
        length = response.headers.get("Content-Length", "")
        total = there + int(length) if length.isdecimal() else None
        self._require_size(total or there)
        with self.part.open("ab" if self.continued else "wb") as file:
            self.progress(there, total)
            # raw: requests would unzip a .gz whose server calls that its transfer's compression
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                there += len(chunk)
                self._require_size(there)
                file.write(chunk)
                self.progress(there, total)
        if total is not None and there != total:
            raise ConnectionError("the connection ended early")

    def _require_size(self, size: int) -> None:
        """Raise :class:`WrongFileError` for what is larger than any file of a set, and let go what is there of it."""
        if size > LARGEST_FILE:
            self.part.unlink(missing_ok=True)
            raise WrongFileError


def _start_of_range(response: "Response") -> int | None:
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else None


def _total_of_range(response: "Response") -> int | None:
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _reason(error: Exception) -> str | None:
    """Say in a few words why an address did not give the file; None if the error is not the address's."""
    import requests
    import urllib3

    if isinstance(error, WrongFileError):
        return "offers another file than the published one"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers {error.response.status_code}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | ConnectionError):
        return "the connection was lost"
    return None
