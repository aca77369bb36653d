"""Which options a user may have meant who gave one that a command does not have."""

from collections.abc import Callable, Iterable

from prunecheck.registry import nearest_names

MOST_NAMED = 3


def near_options(given: str, known: Iterable[str]) -> list[str]:
    """Return options that are like one that is not known, the most alike first.

    Args:
        given: as the user wrote it: ``--lr``, ``--sparsty``.
        known: those that there are: ``--learning-rate``, ``--sparsity``.

    Returns:
        Up to three: those that ``given`` abbreviates by its initials, begins, or names a word of; else those that are
        spelled alike.
    """
    named = {option.lstrip("-"): option for option in known}
    wanted = given.lstrip("-").lower().replace("_", "-")
    likenesses: tuple[Callable[[str], bool], ...] = (
        lambda option: wanted == option,
        lambda option: wanted == "".join(word[:1] for word in option.split("-")),
        lambda option: option.startswith(wanted),
        lambda option: wanted in option.split("-"),
    )
    found = [option for is_like in likenesses for option in named if wanted and is_like(option)]
    return [named[option] for option in dict.fromkeys(found or nearest_names(wanted, named))][:MOST_NAMED]
