from collections import defaultdict
from collections.abc import Iterator

from cyclopts import App

from prunecheck.cli.main import build_app

OWN_MEANING = {
    "--sparsity": {"audit", "prune", "reproduce"},  # one; which of a table's
    "--seeds": {"reproduce", "audit"},  # a default of its own; never as many as it takes
    "--model": {"prune", "export"},  # required; one's own alone
    "--dataset": {"prune", "export"},  # may be left out; one's own alone
    "--data-root": {"get"},  # the folder to fill
    "--test-images": {"seeds"},  # those of a test set that is imagined
    "--checks": {"show", "audit"},  # those that change data
    "--margin": {"report"},  # as it was asked
    "--baseline": {"report"},
    "--markdown": {"report", "reproduce"},
    "--csv": {"report", "results"},
    "--out": {"prune", "show", "report", "export", "merge", "audit"},  # a file, a folder that is made, one that is read
    "--seed": {"prune", "show"},
    "--workers": {"plan"},  # nothing is done: how many are going to
    "--device": {"plan"},
    "--scale": {"plan"},  # of the tables among its studies
    "--methods": {"reproduce"},  # which of a table's
    "--models": {"reproduce"},  # which of a table's
    "--datasets": {"reproduce"},
    "--family": {"check", "report"},  # that of all settings, where there are several; as it was asked
}
"""Where an option means something else than in other commands, and says so itself."""


def commands(app: App) -> Iterator[tuple[str, App]]:
    """Yield every command that reads options of its own."""
    for name in app:
        if name.startswith("-") or name == "published":
            continue
        command = app[name]
        if command.default_command:
            yield name, command
        yield from commands(command)


def described_options() -> Iterator[tuple[str, str, str | None]]:
    for name, command in commands(build_app()):
        for argument in command.assemble_argument_collection(parse_docstring=True):
            if argument.name.startswith("-"):
                yield name, argument.name, argument.parameter.help


def test_every_option_is_described() -> None:
    options = list(described_options())
    assert len(options) > 100
    assert [(command, option) for command, option, text in options if not text] == []


def test_an_option_of_several_commands_has_one_description() -> None:
    texts: defaultdict[str, set[str | None]] = defaultdict(set)
    for command, option, text in described_options():
        if command not in OWN_MEANING.get(option, ()):
            texts[option].add(text)
    assert {option: found for option, found in texts.items() if len(found) > 1} == {}


def test_what_has_a_meaning_of_its_own_is_there() -> None:
    there = {(command, option) for command, option, _ in described_options()}
    assert {(command, option) for option, named in OWN_MEANING.items() for command in named} <= there
