from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch

from prunecheck.checks import CHECKS, Change, Check, find_asked_check, find_check, register_check
from prunecheck.checks.registry import Ingredient
from prunecheck.data import Images, Sequences
from prunecheck.data.tokenizers import Tokenizer
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, TopologyUpdates
from prunecheck.randomness import generator
from prunecheck.registry import Entry

CLASSES = 256
"""So many, so that any text is of tokens that are known."""

LAYERS = {"a": (6, 5), "b": (3, 2, 3, 3)}


@pytest.fixture
def images() -> Images:
    source = numpy.random.default_rng(3)
    return Images(source.integers(0, 256, (80, 2, 4, 4), dtype=numpy.uint8), numpy.arange(80) % CLASSES)


def drawn(seed: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {layer: torch.randn(shape, generator=source) for layer, shape in LAYERS.items()}


@pytest.fixture
def ticket() -> Ticket:
    masks = {layer: scores > 0 for layer, scores in drawn(1).items()}
    moves = TopologyUpdates(growth="gradient", is_gradual=True, sparsity=0.6)
    return Ticket(weights_of(2), masks, draw_weights=weights_of, updates=moves)


def weights_of(seed: int) -> dict[str, torch.Tensor]:
    return {f"{layer}.weight": weight for layer, weight in drawn(seed).items()}


def flat(thing: Any) -> list[bytes]:
    """Return all that is in images, scores or a ticket."""
    if isinstance(thing, Images):
        return [thing.pixels.tobytes(), thing.labels.tobytes(), bytes([thing.in_file_order])]
    groups = [thing.weights, thing.masks] if isinstance(thing, Ticket) else [thing]
    tensors = [name.encode() + tensor.numpy().tobytes() for group in groups for name, tensor in group.items()]
    return [*tensors, repr(thing.updates).encode()] if isinstance(thing, Ticket) else tensors


def shown_to(name: str, images: Images) -> Images:
    """Return what a check changes: the images, or sequences of tokens for one of tokens."""
    if CHECKS.get(name).shows != "tokens":
        return images
    windows = numpy.random.default_rng(3).integers(0, CLASSES, (6, 33), dtype=numpy.uint8)
    tokenizer = Tokenizer("a tokenizer", CLASSES, encode=lambda text: [ord(c) % CLASSES for c in text], first=1)
    return replace(Sequences.of_windows(windows), tokenizer=tokenizer)


def done(name: str, images: Images, ticket: Ticket, seed: int = 0) -> tuple[list[bytes], list[bytes]]:
    """Do a check to what it changes; return what that was before, and what it is then."""
    if name == "no-update":
        ticket = replace(ticket, before_update=weights_of(8))
    change = find_check(name.replace("<dataset>", f"text:{__file__}"))
    data = change.corrupt(change.select(images, CLASSES, seed), CLASSES, seed)
    scores = drawn(5)
    before = flat(images) + flat(scores) + flat(ticket)
    after = flat(data) + flat(change.change_scores(scores, seed)) + flat(change.change_ticket(ticket, seed))
    return before, after


@pytest.fixture
def new_check() -> Iterator[Check]:
    @register_check("a-new-check", changes="data", information="something")
    def do_nothing(images: Images, num_classes: int, generator: object) -> Images:
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
            "half-data": "selection",
            "part-of-data": "selection",
            "single-class": "selection",
            "one-permutation": "data",
            "blank-data": "data",
            "noise-data": "data",
            "ratios-only": "ticket",
            "invert-scores": "scores",
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
    assert check.changes in ("selection", "data", "scores", "ticket", "topology")


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


@pytest.mark.parametrize("name", CHECKS.names())
def test_every_check_changes_what_it_says_and_nothing_else_and_leaves_its_argument_as_it_was(
    name: str, images: Images, ticket: Ticket
) -> None:
    images = shown_to(name, images)
    at_first = flat(images) + flat(drawn(5)) + flat(ticket)
    before, after = done(name, images, ticket)
    assert before == at_first
    assert flat(images) + flat(drawn(5)) + flat(ticket) == at_first
    is_changed = [one != other for one, other in zip(before, after, strict=True)]
    changed = {
        "data": any(is_changed[:3]),
        "scores": any(is_changed[3:5]),
        "ticket": any(is_changed[5:]),
    }
    ingredient = CHECKS.get(name).changes
    assert [what for what, is_so in changed.items() if is_so] == [
        {"selection": "data", "topology": "ticket"}.get(ingredient, ingredient)
    ]


@pytest.mark.parametrize("name", CHECKS.names())
def test_every_check_is_the_same_for_the_same_seed(name: str, images: Images, ticket: Ticket) -> None:
    images = shown_to(name, images)
    assert done(name, images, ticket, 1) == done(name, images, ticket, 1)


def test_nothing_is_no_change_at_all(images: Images, ticket: Ticket) -> None:
    for nothing in (None, ""):
        change = find_check(nothing)
        assert change == Change()
        assert (change.name, change.information) == ("", "")
        assert change.select(images, CLASSES, 0) is images
        assert change.corrupt(images, CLASSES, 0) is images
        assert change.change_ticket(ticket, 0) is ticket
        scores = drawn(5)
        assert change.change_scores(scores, 0) is scores


def test_joined_checks_are_named_and_described_together() -> None:
    change = find_check("random-labels@0.25+rearrange-mask")
    assert change.name == "random-labels@0.25+rearrange-mask"
    assert change.information == ("the labels (a share of 0.25) together with which weights of each layer it keeps")
    assert [part.changes for part in change.parts] == ["data", "ticket"]


def test_what_corrupts_data_can_be_told_from_the_rest() -> None:
    change = find_check("rearrange-mask+random-labels+half-data+invert-scores")
    assert change.of_data.name == "random-labels+half-data"
    assert change.but_data.name == "rearrange-mask+invert-scores"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Ingredient], None]:
    """Return a function that registers a check that writes its name and a drawn number on a list."""

    def add(name: str, ingredient: Ingredient) -> None:
        def write(written: list[str], *rest: Any) -> list[str]:
            number = int(torch.randint(2**40, (), generator=rest[-1]))
            return [*written, name, str(number)]

        monkeypatch.setitem(CHECKS.entries, name, Entry(name, Check(name, ingredient, name, write), ""))

    return add


def test_checks_are_done_in_the_order_of_their_names_each_with_a_generator_of_its_own(
    recorder: Callable[[str, Ingredient], None],
) -> None:
    for name, ingredient in (("one", "ticket"), ("two", "ticket"), ("other", "scores")):
        recorder(name, ingredient)  # type: ignore[arg-type]

    def written(name: str, seed: int = 0) -> list[str]:
        return find_check(name).change_ticket([], seed)  # type: ignore[arg-type, return-value]

    alone = {name: written(name) for name in ("one", "two")}
    assert written("one+two") == alone["one"] + alone["two"]
    assert written("two+other+one") == alone["two"] + alone["one"]
    assert alone["one"][1] != alone["two"][1]
    assert written("one", seed=1)[1] != alone["one"][1]
    assert alone["one"][1] == str(int(torch.randint(2**40, (), generator=generator(0, "check", "one"))))


@pytest.mark.parametrize("ingredient", ["selection", "data", "scores", "ticket"])
def test_every_ingredient_is_changed_in_order(
    recorder: Callable[[str, Ingredient], None], ingredient: Ingredient
) -> None:
    recorder("one", ingredient)
    recorder("two", ingredient)
    change: Any = find_check("two+one")
    done_to: dict[str, Callable[[], list[str]]] = {
        "selection": lambda: change.select([], CLASSES, 0),
        "data": lambda: change.corrupt([], CLASSES, 0),
        "scores": lambda: change.change_scores([], 0),
        "ticket": lambda: change.change_ticket([], 0),
    }
    for name, do in done_to.items():
        assert do()[::2] == (["two", "one"] if name == ingredient else [])


def test_a_mask_is_rearranged_the_same_whether_its_weights_are_drawn_anew_or_not(ticket: Ticket) -> None:
    alone, both, turned = (
        find_check(name).change_ticket(ticket, 3)
        for name in ("rearrange-mask", "rearrange-mask+reinit", "reinit+rearrange-mask")
    )
    reinitialised = find_check("reinit").change_ticket(ticket, 3)
    for other in (both, turned):
        assert flat(other.masks) == flat(alone.masks) != flat(ticket.masks)
        assert flat(other.weights) == flat(reinitialised.weights) != flat(ticket.weights)


def test_weights_are_shuffled_under_the_mask_that_was_rearranged_before(ticket: Ticket) -> None:
    first = find_check("rearrange-mask+shuffle-weights").change_ticket(ticket, 3)
    second = find_check("shuffle-weights+rearrange-mask").change_ticket(ticket, 3)
    for layer, mask in first.masks.items():
        kept = f"{layer}.weight"
        assert torch.equal(mask, second.masks[layer])
        assert torch.equal(first.weights[kept][~mask], ticket.weights[kept][~mask])
        assert torch.equal(second.weights[kept][~ticket.masks[layer]], ticket.weights[kept][~ticket.masks[layer]])
        assert not torch.equal(first.weights[kept], second.weights[kept])


def test_images_are_selected_before_they_are_corrupted_wherever_the_names_stand(images: Images) -> None:
    for name in ("half-data+random-labels", "random-labels+half-data"):
        change = find_check(name)
        selected = change.select(images, CLASSES, 0)
        assert numpy.array_equal(selected.labels, images.labels[:40])
        corrupted = change.corrupt(selected, CLASSES, 0)
        assert numpy.array_equal(corrupted.pixels, images.pixels[:40])
        assert not numpy.array_equal(corrupted.labels, images.labels[:40])
        assert corrupted.in_file_order


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("random-labels@1", "random-labels"),
        ("random-labels@1.0", "random-labels"),
        ("random-labels@0", "random-labels@0"),
        ("random-labels@.5", "random-labels@0.5"),
        ("random-labels@0.250", "random-labels@0.25"),
        ("part-of-data@0.5", "part-of-data"),
        ("part-of-data@1", "part-of-data@1"),
        ("reinit+random-labels@1.0", "reinit+random-labels"),
        ("random-labels@1e-05", "random-labels@1e-05"),
        ("random-labels@-0", "random-labels@0"),
    ],
)
def test_a_share_has_one_name_and_the_usual_one_none(text: str, name: str) -> None:
    change = find_check(text)
    assert change.name == name
    assert find_check(change.name).name == name


@pytest.mark.parametrize("share", [0.1234567, 0.99999999, 1e-7, 1 / 3])
def test_a_name_says_the_share_that_is_meant_to_the_last_digit(share: float) -> None:
    """The name is all that a run's spec holds: what is made of it must be what was asked for."""
    change = find_check(f"random-labels@{share!r}")
    assert [part.usual_share for part in change.parts] == [share]
    assert [part.usual_share for part in find_check(change.name).parts] == [share]


def test_the_shares_of_a_check_draw_the_same_numbers(images: Images) -> None:
    def labels(name: str) -> Any:
        return find_check(name).corrupt(images, CLASSES, 0).labels

    whole, half, none = labels("random-labels"), labels("random-labels@0.5"), labels("random-labels@0")
    assert numpy.array_equal(none, images.labels)
    drawn_anew = half != images.labels
    assert 0 < drawn_anew.sum() < (whole != images.labels).sum()
    assert numpy.array_equal(half[drawn_anew], whole[drawn_anew])


def test_a_share_is_said_in_what_is_taken_away() -> None:
    assert find_check("random-labels").information == "the labels"
    assert find_check("random-labels@0.25").information == "the labels (a share of 0.25)"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("rearange-mask", "no check named 'rearange-mask': did you mean rearrange-mask"),
        ("random-labels+rearange-mask", "no check named 'rearange-mask': did you mean rearrange-mask"),
        ("random-label@0.5", "no check named 'random-label': did you mean random-labels"),
        ("reinit+", "no check named ''"),
        ("+reinit", "no check named ''"),
        ("reinit+random-labels+reinit", "names the check reinit twice: name it once"),
        ("random-labels@0.5+random-labels@0.25", "names the check random-labels twice"),
        ("reinit@0.5", "the check reinit is done whole or not at all: leave @0.5 out"),
        ("half-data@0.5", "the check half-data is done whole or not at all: leave @0.5 out"),
        ("random-labels@", "random-labels@ names no share: write a number from 0 to 1 after @"),
        ("random-labels@1.5", "random-labels@1.5 names no share"),
        ("random-labels@-0.1", "random-labels@-0.1 names no share"),
        ("random-labels@nan", "random-labels@nan names no share"),
        ("random-labels@inf", "random-labels@inf names no share"),
        ("random-labels@half", "random-labels@half names no share"),
        ("random-labels@0.5@0.5", "random-labels@0.5@0.5 names no share"),
    ],
)
def test_what_is_no_change_is_answered_in_one_sentence(wrong: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        find_check(wrong)
    assert sentence in str(refused.value)


def test_changing_a_ticket_keeps_how_its_weights_are_drawn(ticket: Ticket) -> None:
    for entry in CHECKS:
        if entry.item.changes == "ticket":
            after = find_check(entry.name).change_ticket(ticket, 0)
            assert replace(after, weights=ticket.weights, masks=ticket.masks) == ticket


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("shuffle-weights+reinit", "reinit", "shuffle-weights"),
        ("reinit+shuffle-weights", "reinit", "shuffle-weights"),
        ("rearrange-mask+ratios-only", "ratios-only", "rearrange-mask"),
        ("random-labels@0.25+corrupted-data", "corrupted-data", "random-labels"),
        ("blank-data+random-pixels+rearrange-mask", "blank-data", "random-pixels"),
    ],
)
def test_two_checks_that_are_one_of_them_are_not_asked_about(text: str, one: str, other: str) -> None:
    with pytest.raises(InputError, match=f"^.*is {one} by another name: beside {one}, {other} changes nothing more"):
        find_asked_check(text)
    assert find_check(text).name == text  # what was recorded is read all the same


@pytest.mark.parametrize(
    "text", ["rearrange-mask+reinit", "random-labels+random-pixels", "corrupted-data+reinit", None]
)
def test_two_checks_that_change_different_things_are(text: str | None) -> None:
    assert find_asked_check(text).name == (text or "")


def test_blank_images_stay_what_they_are_under_what_they_absorb(images: Images) -> None:
    (blank,) = find_check("blank-data").parts
    alone = find_check("blank-data").corrupt(images, CLASSES, seed=1).pixels
    for other in blank.absorbs:
        for text in (f"{other}+blank-data", f"blank-data+{other}"):
            assert (find_check(text).corrupt(images, CLASSES, seed=1).pixels == alone).all(), text
