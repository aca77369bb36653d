import hashlib
from pathlib import Path

import pytest

from prunecheck.data.verified import read_file, read_verified
from prunecheck.errors import InputError

CONTENT = b"published"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_published_file_is_read(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    digest = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    assert read_verified(file, digest, len(CONTENT)) == CONTENT
    assert read_verified(file, digest) == CONTENT


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-1], r"has 8 bytes and the published file 9: it is truncated"),
        (CONTENT + b"\n", r"has 10 bytes and the published file 9"),
        (b"Published", r"is not the published file \(its (md5|sha256) is [0-9a-f]+, expected [0-9a-f]+\)"),
    ],
)
def test_altered_file_is_named(tmp_path: Path, algorithm: str, content: bytes, says: str) -> None:
    file = tmp_path / "batch.bin"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"batch\.bin {says}"):
        read_verified(file, f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}", len(CONTENT))


def test_truncated_file_of_unknown_size_is_found_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "batch"
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match=r"batch is not the published file"):
        read_verified(file, f"md5:{hashlib.md5(CONTENT).hexdigest()}", None)


def test_file_that_is_not_there_or_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/absent is missing"):
        read_file(tmp_path / "absent")
    with pytest.raises(InputError, match=rf"{tmp_path} cannot be read \(Is a directory\)"):
        read_file(tmp_path)
    with pytest.raises(InputError, match=r"/file/below cannot be read"):
        (tmp_path / "file").touch()
        read_file(tmp_path / "file" / "below")
