import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.registry import Registry, nearest_names

Function = Registry[object]


@pytest.fixture
def fruits() -> Function:
    registry: Function = Registry("fruit", "prunecheck.tests.no-such-group")
    for name in ("apple", "apricot", "banana", "cherry", "pear"):
        registry.add(name, name.upper(), f"what a {name} is")
    return registry


@pytest.fixture
def networks() -> Function:
    registry: Function = Registry("model", "prunecheck.tests.no-such-group")
    for name in ("resnet<depth>", "wide<depth>_bn", "a.b<depth>", "resnet18"):
        registry.add(name, name.upper(), "")
    return registry


def test_names_and_entries_come_in_order_of_registration(fruits: Function) -> None:
    assert fruits.names() == ["apple", "apricot", "banana", "cherry", "pear"]
    assert [(entry.name, entry.item, entry.summary) for entry in fruits][1] == (
        "apricot",
        "APRICOT",
        "what a apricot is",
    )
    assert fruits.get("pear") == "PEAR"


def test_unknown_name_is_answered_with_the_nearest_names_only(fruits: Function) -> None:
    with pytest.raises(InputError) as raised:
        fruits.get("aple")
    message = str(raised.value)
    assert "no fruit named 'aple'" in message
    assert "did you mean apple" in message
    assert "banana" not in message


def test_unknown_name_like_no_other_is_answered_with_all_names(fruits: Function) -> None:
    with pytest.raises(InputError, match="choose one of apple, apricot, banana, cherry, pear"):
        fruits.get("zzzzzz")


def test_nearest_names_are_at_most_three_and_the_most_alike_comes_first() -> None:
    known = ["snipxxx", "snipx", "snipxx", "snip", "grasp"]
    assert nearest_names("snip", known) == ["snip", "snipx", "snipxx"]


def test_name_that_is_taken_is_refused_and_keeps_its_item(fruits: Function) -> None:
    with pytest.raises(ValueError, match="fruit named 'apple' is registered already"):
        fruits.register("apple")(object())
    assert fruits.get("apple") == "APPLE"
    assert len(fruits.names()) == 5


def test_decorator_returns_the_function_and_takes_the_summary_from_its_docstring(fruits: Function) -> None:
    def plum() -> None:
        """Blue, with a stone.

        More of it.
        """

    def bare() -> None:
        pass

    assert fruits.register("plum")(plum) is plum
    fruits.register("bare")(bare)
    assert {entry.name: entry.summary for entry in fruits}["plum"] == "Blue, with a stone"
    assert {entry.name: entry.summary for entry in fruits}["bare"] == ""


@pytest.mark.parametrize(
    ("name", "item", "depth"),
    [
        ("resnet32", "RESNET<DEPTH>", 32),
        ("resnet8", "RESNET<DEPTH>", 8),
        ("resnet18", "RESNET18", None),  # registered under its full name, which goes before the family
        ("wide7_bn", "WIDE<DEPTH>_BN", 7),
        ("a.b5", "A.B<DEPTH>", 5),
    ],
)
def test_match_finds_the_family_and_its_number(networks: Function, name: str, item: str, depth: int | None) -> None:
    assert networks.match(name) == (item, depth)


@pytest.mark.parametrize(
    "name", ["resnet", "resnet32x", "xresnet32", "resnet-32", "resnet3.2", "resnet032", "resnet٣٢", "wide7", "axb5", ""]
)
def test_match_refuses_what_is_not_family_and_number(networks: Function, name: str) -> None:
    with pytest.raises(InputError, match=r"no model named"):
        networks.match(name)


def test_match_refuses_the_family_itself_and_asks_for_a_number(networks: Function) -> None:
    with pytest.raises(InputError, match=r"resnet<depth> is a family: .*number"):
        networks.match("resnet<depth>")


def test_match_error_names_the_family(networks: Function) -> None:
    with pytest.raises(InputError, match=r"did you mean .*resnet<depth>"):
        networks.match("resnet")


OFFERED = """
from orchard import FRUITS


@FRUITS.register("quince")
def quince():
    "Hard and yellow."
"""


def install(folder: Path, entry_point: str) -> None:
    (folder / "orchard.py").write_text(
        "from prunecheck.registry import Registry\nFRUITS = Registry('fruit', 'prunecheck.tests.fruits')\n"
    )
    (folder / "orchard_of_a_user.py").write_text(OFFERED)
    info = folder / "orchard_of_a_user-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard-of-a-user\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[prunecheck.tests.fruits]\n{entry_point}\n")


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("orchard", "orchard_of_a_user"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("how", ["get", "match", "names", "iterate"])
def test_every_way_into_the_registry_sees_what_installed_packages_register(user_folder: Path, how: str) -> None:
    install(user_folder, "quince = orchard_of_a_user:quince")
    registry: Function = importlib.import_module("orchard").FRUITS
    ways: dict[str, Callable[[], object]] = {
        "get": lambda: registry.get("quince"),
        "match": lambda: registry.match("quince")[0],
        "names": lambda: registry.entries[registry.names()[0]].item,
        "iterate": lambda: next(entry.item for entry in registry if entry.summary == "Hard and yellow"),
    }
    assert getattr(ways[how](), "__name__", "") == "quince"


@pytest.mark.parametrize(
    ("entry_point", "sentence"),
    [
        ("quince = orchard_of_nobody:quince", r"fruit quince \(orchard_of_nobody:quince\) and cannot be imported"),
        ("medlar = orchard_of_a_user:quince", r"fruit medlar \(orchard_of_a_user:quince\) and does not register it"),
    ],
)
def test_installed_package_that_offers_what_it_does_not_have_is_named(
    user_folder: Path, entry_point: str, sentence: str
) -> None:
    install(user_folder, entry_point)
    registry: Function = importlib.import_module("orchard").FRUITS
    with pytest.raises(InputError, match=sentence):
        registry.names()
