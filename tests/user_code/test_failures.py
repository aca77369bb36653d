import pytest

from prunecheck.errors import InputError
from prunecheck.user_code.failures import LONGEST_MESSAGE, failure_named


class OddError(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("it"), "KeyError: 'it'"),
        (BaseException("of\n two lines."), "BaseException: of two lines"),
        (ValueError("\x1b[2Jboo"), "ValueError: \\x1b[2Jboo"),
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (MemoryError(), "MemoryError"),
        (OddError(), "OddError"),
        (ValueError("x" * 1000), f"ValueError: {'x' * LONGEST_MESSAGE}..."),
    ],
)
def test_whatever_is_raised_is_one_sentence(error: BaseException, said: str) -> None:
    with pytest.raises(InputError) as refused, failure_named("it failed"):
        raise error
    assert str(refused.value) == f"it failed ({said}): correct it first."


@pytest.mark.parametrize("error", [InputError("own words."), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_what_is_not_its_failure_goes_on(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, failure_named("it failed", beside=(MemoryError,)):
        raise error
    assert raised.value is error
