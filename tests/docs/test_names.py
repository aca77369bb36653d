"""What pages name exists: modules, public names, files of the repository, commands."""

import importlib
import re
from pathlib import Path

import pytest

import prunecheck
from prunecheck.api.tracking import SERVICES
from prunecheck.cli import main
from tests.docs.conftest import OFFERS

ROOT = Path(__file__).parents[2]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""All but the changelog, which names what is gone."""

DOTTED = re.compile(r"\bprunecheck(?:\.[A-Za-z_]\w*)+")

PATH = re.compile(
    r"(?<![\w./-])(?:\.\./)*((?:src|docs|tests|benchmarks|studies|\.ci)/[\w./-]*\w|(?!pruner/)(?:\w+/)+\w+\.py)\b"
)

GROUPS = {registry.group for registry, _ in OFFERS.values()} | {SERVICES.group}
"""Of entry points: they begin with ``prunecheck`` and are no modules."""


def _named(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), found)
        for page in PAGES
        for found in sorted(set(pattern.findall(page.read_text(encoding="utf-8"))))
    ]


def exists(dotted: str) -> bool:
    """Say whether a module, something in one, or a public name is called so."""
    first, *names = dotted.split(".")
    found: object = importlib.import_module(first)
    for index, name in enumerate(names):
        try:
            found = importlib.import_module(".".join([first, *names[: index + 1]]))
        except ModuleNotFoundError:
            if found is prunecheck and name not in [*prunecheck.__all__, "__all__", "__version__"]:
                return False
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
    return True


@pytest.mark.parametrize(("page", "dotted"), _named(DOTTED))
def test_a_name_in_python_exists(page: str, dotted: str) -> None:
    assert dotted in GROUPS or exists(dotted), f"{page} names {dotted}"


@pytest.mark.parametrize(("page", "path"), _named(PATH))
def test_a_file_exists(page: str, path: str) -> None:
    places = [ROOT, ROOT / "src" / "prunecheck", (ROOT / page).parent]
    assert any((place / path).exists() for place in places), f"{page} names {path}"


def test_what_is_not_there_is_found_missing() -> None:
    assert exists("prunecheck.pruning.criteria.snip")
    assert exists("prunecheck.check")
    assert not exists("prunecheck.pruning.criteria.snap")
    assert not exists("prunecheck.prunning")
    assert not exists("prunecheck.importlib")
    assert PATH.findall("see `src/prunecheck/runs/spec.py`, runs/spec.py and [it](../studies/paper)") == [
        "src/prunecheck/runs/spec.py",
        "runs/spec.py",
        "studies/paper",
    ]


COMMAND = re.compile(r"(?:^|`|srun.* )prunecheck ([a-z]+)", re.MULTILINE)


@pytest.mark.parametrize("command", sorted({command for _, command in _named(COMMAND)}))
def test_a_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0, capsys.readouterr().err
