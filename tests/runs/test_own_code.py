from pathlib import Path

from prunecheck.runs.own_code import watched
from prunecheck.user_code import content_hash, load_file


def test_only_what_users_code_reads_is_seen(tmp_path: Path) -> None:
    ours, theirs, code = (tmp_path / name for name in ("ours.txt", "theirs.txt", "mine.py"))
    ours.write_text("1")
    theirs.write_text("2")
    code.write_text(f"def read():\n    return open({str(theirs)!r}).read()\n")
    read = load_file(code).names["read"]
    with watched("mine.py:read") as seen:
        assert content_hash(str(ours)) != content_hash(str(tmp_path / "missing"))
        assert read() == "2"
    assert str(theirs) in seen.files
    assert str(ours) not in seen.files
