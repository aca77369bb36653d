"""What is left of a question when some of its runs are excluded: questions that are whole grids again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prunecheck.studies.check_study import CheckStudy


@dataclass(frozen=True)
class Asked:
    """A question, and the name of its recipe in the file that asks it."""

    question: CheckStudy
    recipe: str


@dataclass(frozen=True)
class Cell:
    """One kind of ticket of a question, at one sparsity and seed.

    Attributes:
        method: whose ticket it is: the question's method's, or its baseline's.
        check: what it is changed by; None for a ticket as it is.
    """

    method: str
    check: str | None
    sparsity: float
    seed: int


@dataclass
class Exclude:
    """What to leave out: every run that matches all keys.

    Attributes:
        allowed: by the key of the study file, the values that match: ``methods``, ``datasets``,
            ``models``, ``widths``, ``recipes``, ``sparsities``, ``checks``, ``seeds``.
        has_excluded: whether it has matched any run so far.
    """

    allowed: Mapping[str, Collection[object]]
    has_excluded: bool = field(default=False, init=False)

    def may_match(self, asked: Asked) -> bool:
        """Say whether it matches what all runs of a question have in common."""
        question = asked.question
        about = {
            "datasets": question.dataset,
            "models": question.model,
            "widths": question.width,
            "recipes": asked.recipe,
        }
        return self._matches(about)

    def matches(self, cell: Cell) -> bool:
        """Say whether it matches a run, of a question that it may match."""
        matches = self._matches(
            {"methods": cell.method, "checks": cell.check, "sparsities": cell.sparsity, "seeds": cell.seed}
        )
        self.has_excluded = self.has_excluded or matches
        return matches

    def _matches(self, about: Mapping[str, object]) -> bool:
        return all(value in self.allowed[key] for key, value in about.items() if key in self.allowed)


def without(asked: Asked, excludes: Sequence[Exclude]) -> list[CheckStudy]:
    """Return what is left of a question.

    Where the unchanged ticket of a sparsity and seed is excluded, there is nothing to compare with,
    and its changed tickets and the baseline's go too. What is left is cut so that each part is a
    whole grid; most often there is one.
    """
    question = asked.question
    possible = [exclude for exclude in excludes if exclude.may_match(asked)]
    if not possible:
        return [question]
    parts: dict[tuple[tuple[int, ...], tuple[str, ...], bool], list[float]] = {}
    for sparsity in question.sparsities:
        for seeds, checks, has_baseline in _parts_at(question, sparsity, possible):
            parts.setdefault((seeds, checks, has_baseline), []).append(sparsity)
    return [
        replace(
            question,
            sparsities=tuple(sparsities),
            checks=checks,
            seeds=seeds,
            baseline=question.baseline if has_baseline else None,
            sequential=question.sequential if question.sequential and question.sequential.up_to(len(seeds)) else None,
        )
        for (seeds, checks, has_baseline), sparsities in parts.items()
    ]


def _parts_at(
    question: CheckStudy, sparsity: float, excludes: Sequence[Exclude]
) -> list[tuple[tuple[int, ...], tuple[str, ...], bool]]:
    """Cut what is left at one sparsity by its seeds: (seeds, checks, whether with the baseline)."""

    def left(method: str, check: str | None, among: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(seed for seed in among if not _matching(Cell(method, check, sparsity, seed), excludes))

    own = left(question.method.name, None, tuple(question.seeds))
    checks_of: dict[tuple[int, ...], list[str]] = {}
    for check in question.checks:
        checks_of.setdefault(left(question.method.name, check, own), []).append(check)
    baseline = left(question.baseline.name, None, own) if question.baseline else ()
    if baseline:
        checks_of.setdefault(baseline, [])
    checks_of.pop((), None)
    if own and own not in checks_of:
        checks_of[own] = []
    return [(seeds, tuple(checks), seeds == baseline) for seeds, checks in checks_of.items()]


def _matching(cell: Cell, excludes: Sequence[Exclude]) -> list[Exclude]:
    """Ask every exclude, so that each knows whether it matches anything."""
    return [exclude for exclude in excludes if exclude.matches(cell)]
