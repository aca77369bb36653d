from collections.abc import Iterator

import pytest

from prunecheck.checks import CHECKS, Check, register_check
from prunecheck.errors import InputError


@pytest.fixture
def new_check() -> Iterator[Check]:
    @register_check("a-new-check", changes="data", information="something")
    def do_nothing(images: object, num_classes: int, generator: object) -> object:
        """Nothing is changed.

        A method that relies on nothing loses nothing.
        """
        return images

    yield CHECKS.get("a-new-check")
    del CHECKS.entries["a-new-check"]


def test_the_checks_of_the_paper_are_there_and_change_what_they_say() -> None:
    changed = {entry.name: entry.item.changes for entry in CHECKS}
    assert (
        changed.items()
        >= {
            "corrupted-data": "data",
            "random-labels": "data",
            "random-pixels": "data",
            "rearrange-mask": "ticket",
            "shuffle-weights": "ticket",
            "reinit": "ticket",
        }.items()
    )


@pytest.mark.parametrize("name", CHECKS.names())
def test_every_check_says_what_it_does_and_what_a_method_would_lose(name: str) -> None:
    entry = CHECKS.entries[name]
    check = entry.item
    assert check.name == name
    assert entry.summary
    assert "\n" not in entry.summary
    assert not entry.summary.endswith(".")
    # It completes "the method depends on ...".
    assert check.information
    assert check.information[0].islower()
    assert not check.information.endswith(".")
    assert "A method that relies on" in (check.function.__doc__ or "")
    assert check.changes in ("data", "ticket")


def test_every_check_takes_away_something_else() -> None:
    phrases = [entry.item.information for entry in CHECKS]
    assert len(set(phrases)) == len(phrases)


def test_a_registered_check_is_found_by_its_name_with_its_summary(new_check: Check) -> None:
    assert (new_check.name, new_check.changes, new_check.information) == ("a-new-check", "data", "something")
    assert new_check.function("images", 3, None) == "images"
    assert CHECKS.entries["a-new-check"].summary == "Nothing is changed"


def test_an_unknown_check_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no check named 'rearange-mask': did you mean rearrange-mask"):
        CHECKS.get("rearange-mask")
