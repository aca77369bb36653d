import pytest

from benchmarks.tables import table, three_digits


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    rows = [("plain loop", "9.5", ""), ("all", "1000.0", "3")]

    assert table(("of resnet32, 98 %", "ms", "times"), rows).split("\n") == [
        "of resnet32, 98 %      ms  times",
        "plain loop            9.5",
        "all                1000.0      3",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.02156, "0.0216"), (0.5, "0.500"), (2.0, "2.00"), (99.94, "99.9"), (99.96, "100"), (1234.5, "1234")],
)
def test_three_digits(value: float, shown: str) -> None:
    assert three_digits(value) == shown
