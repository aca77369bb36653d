"""Code that ends its process is told before it ends the one that counts."""

import os
import signal
import time

import pytest

from prunecheck.errors import InputError
from prunecheck.user_code import sudden_end
from prunecheck.user_code.sudden_end import require_survival


@pytest.mark.parametrize(
    ("call", "how"),
    [
        (lambda: os._exit(7), "with exit code 7"),
        (lambda: os._exit(0), "with exit code 0"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
        (os.abort, "killed by SIGABRT"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "killed by SIGTERM"),
    ],
)
def test_what_ends_the_process_is_refused(call: object, how: str) -> None:
    with pytest.raises(InputError) as refused:
        require_survival(call, "own.py:score")  # type: ignore[arg-type]
    assert str(refused.value) == f"own.py:score ends the whole process when it is called ({how}): correct it first."


def test_what_only_fails_is_left_to_the_real_call(capfd: pytest.CaptureFixture[str]) -> None:
    def call() -> None:
        print("seen once", flush=True)
        os.write(2, b"here, too")
        raise SystemExit(3)

    require_survival(call, "own.py:score")
    assert capfd.readouterr() == ("", "")


def test_what_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudden_end, "PATIENCE", 0.1)
    forked: list[int] = []
    fork = os.fork

    def noted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", noted)
    require_survival(lambda: time.sleep(600), "own.py:score")
    (process,) = forked
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
