"""Command lines that follow from dataclasses."""

from dataclasses import dataclass

import pytest

from prunecheck.errors import InputError
from prunecheck.paper.scripts import PruneFlags, parse_flags
from prunecheck.paper.scripts.parser import Parser, at_least, flag, flags_of, require_ranges


@dataclass(frozen=True)
class Some:
    images: int = flag(4, "-i", "--some-images", range=at_least(2, ", for a reason"), help="so many [{default}]")
    seed: int | None = flag(None, range=at_least(0), help="{script.__name__}'s")
    steps: tuple[int, ...] = flag((1, 2), help="[{default}]", group="more")


@dataclass(frozen=True)
class Other(Some):
    images: int = 6


def test_a_subclass_that_restates_a_default_changes_nothing_else() -> None:
    assert flags_of(Other) == flags_of(Some)
    texts = {script: Parser(script, "some.py", "Does some.").format_help() for script in (Some, Other)}
    assert "so many [4]" in texts[Some]
    assert texts[Other] == texts[Some].replace("so many [4]", "so many [6]").replace("Some's", "Other's")


def test_what_is_given_is_told_from_defaults() -> None:
    given, spelled = Parser(Other, "some.py", "Does some.").given(["-i", "3", "--steps", "5", "7"])
    assert given == {"images": 3, "steps": [5, 7]}
    assert spelled == {"images": "--some-images", "steps": "--steps"}


def test_values_have_ranges_and_none_has_not() -> None:
    require_ranges(Other(images=2, seed=None), {"images": "--some-images", "seed": "--seed"})
    with pytest.raises(InputError, match=r"^--some-images must be at least 2, for a reason, not 1\.$"):
        require_ranges(Other(images=1), {"images": "--some-images"})


def test_tiny_imagenet_changes_no_default_of_lt_prune() -> None:
    flags = parse_flags(PruneFlags, ["--dataset", "tinyimagenet", "--epochs", "7"])
    assert (flags.epochs, flags.schedule) == (7, (150, 225))
    assert flags.given == {"dataset": "--dataset", "epochs": "--epochs"}
