"""A question: one method in one setting, its checks, baseline, seeds and margin."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from prunecheck.constraints import Constraint, ListOf, Name, OrNone, WholeNumber
from prunecheck.data.transforms import AUGMENT, NORMALIZE
from prunecheck.errors import InputError, field_name
from prunecheck.metrics import Margin, MarginOf, Quantity
from prunecheck.models.registry import CHANNELS
from prunecheck.pruning import DENSE
from prunecheck.pruning.allocations import SPARSITY
from prunecheck.pruning.mask_files import START
from prunecheck.pruning.prunable_layers import PATTERNS
from prunecheck.runs.dependencies import TRAINED_SEED
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.studies.looks import USUAL_LOOKS, USUAL_MAX_SEEDS, Look, SequentialLooks

MOST_SEEDS = 10_000
"""More than anyone can train, and few enough to list."""

USUAL_SPARSITIES = (0.9, 0.95)
"""What is asked about where no sparsity is given, and masks in files have none of their own."""

SEED = WholeNumber(at_least=0)
"""What a seed may be: what 63 bits hold."""


CALIBRATION_DRAW = "calibration draw"
"""What a seed is where nothing is trained."""

AUTO: Literal["auto"] = "auto"
"""In the place of seeds: as many as it takes, up to ``max_seeds``; see :class:`SequentialLooks`."""


class Scope(StrEnum):
    """How far a family reaches: over the comparisons of one question, or of all that one command answers."""

    QUESTION = "question"
    REPORT = "report"


@dataclass(frozen=True)
class Seeds(Constraint[Sequence[int] | Literal["auto"]]):
    """A number of seeds, which are counted from 0, or a list of them.

    Attributes:
        may_be_auto: whether ``auto`` is taken, too.
    """

    may_be_auto: bool = False

    number = WholeNumber(at_most=MOST_SEEDS, what="a number of seeds")
    listed = ListOf(SEED, "whole numbers", "[0, 1, 2]")

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        auto = f", or {AUTO}" if self.may_be_auto else ""
        return f"{self.number.takes}, or a list of seeds, such as {self.listed.example}{auto}"

    def read(self, value: object) -> Sequence[int] | Literal["auto"]:
        """Return the seeds; of a number, a range."""
        if self.may_be_auto and isinstance(value, str) and value == AUTO:
            return AUTO
        if isinstance(value, int) and not isinstance(value, bool):
            return range(self.number.read(value))
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.refusal(value)
        if len(value) > MOST_SEEDS:
            raise ValueError(f"at most {MOST_SEEDS:,} seeds, and this list has {len(value):,}")
        return value if isinstance(value, range) and value else self.listed.read(value)


SWEEP = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
"""What ``sweep`` stands for: densities in steps that are about even on a logarithmic axis, to the point of collapse."""


@dataclass(frozen=True)
class Sparsities(Constraint[tuple[float, ...]]):
    """Sparsities, or the word ``sweep`` for :data:`SWEEP`."""

    listed = ListOf(SPARSITY, "numbers", "[0.9, 0.98]")
    word = "sweep"

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return f"{self.listed.takes}, or {self.word}"

    def read(self, value: object) -> tuple[float, ...]:
        """Return the sparsities."""
        is_word = value == self.word or (isinstance(value, Sequence) and list(value) == [self.word])
        return SWEEP if is_word else self.listed.read(value)


SEEDS_OR_AUTO = Seeds(may_be_auto=True)
"""What those may be of questions that are trained."""

QUESTION: Mapping[str, Constraint[Any]] = {
    "train_images": OrNone(WholeNumber()),
    "test_images": OrNone(WholeNumber()),
    "augment": OrNone(AUGMENT),
    "normalize": OrNone(NORMALIZE),
    "width": OrNone(CHANNELS),
    "prunable": PATTERNS,
    "keep_dense": PATTERNS,
    "sparsity": Sparsities(),
    "checks": ListOf(Name(), "names", '["random-labels", "reinit"]', may_be_empty=True),
    "seeds": Seeds(),
    "max_seeds": OrNone(
        WholeNumber(
            at_least=USUAL_LOOKS.first.seeds,
            at_most=MOST_SEEDS,
            what="a number of seeds",
            why=f"(the first look is at {USUAL_LOOKS.first.seeds})",
        )
    ),
    "samples_per_class": WholeNumber(),
    "scoring_rounds": WholeNumber(),
    "start": OrNone(START),
    "calibration_sequences": WholeNumber(),
    "calibration_data": OrNone(Name()),
    "sequence_length": OrNone(WholeNumber(at_least=2)),
}
"""What the fields of a question take, but for the margin; see :class:`prunecheck.metrics.MarginOf`."""


def read_seeds(seeds: Any, max_seeds: Any) -> tuple[Sequence[int], SequentialLooks | None]:
    """Return the seeds that a question may have, and at which numbers of them it is looked at; None for all at once.

    Raises:
        InputError: they are no seeds, or a most is given of a number that is fixed.
    """
    listed = SEEDS_OR_AUTO.require("seeds", seeds)
    most = QUESTION["max_seeds"].require("max_seeds", max_seeds)
    if listed == AUTO:
        return range(USUAL_MAX_SEEDS if most is None else most), USUAL_LOOKS
    if most is not None:
        raise InputError(
            f"{field_name('max_seeds')} is the most that {field_name('seeds')} {AUTO} may take, and here the number of "
            f"seeds is fixed: leave it out, or give {field_name('seeds')} {AUTO}.",
            field="max_seeds",
        )
    return listed, None


def read_margin(quantity: Quantity, margin: object, usual: float | None = None) -> Margin:
    """Return the margin that a user gives; for None the usual one, of the metric or of percentages.

    Raises:
        InputError: it is no such number, nor a percentage; or there is none, and values are not in percent.
    """
    if margin is not None:
        return MarginOf(quantity).require("margin", margin)
    if usual is None:
        usual = quantity.usual_margin
    if usual is None:
        raise InputError(
            f"runs are judged by {quantity}, for which there is no usual {field_name('margin')}: give one, the least "
            "difference that matters in practice.",
            field="margin",
        )
    return Margin(usual)


@dataclass(frozen=True)
class Question:
    """Which runs are compared, and against which margin; it holds no data, and no code of a method.

    Attributes:
        method: its name, with what tells its versions apart where there are several.
        own: what the runs of its tickets have in common; see :func:`template`.
        baseline: the name of the method whose tickets the method's are compared with; None for nothing.
        others: what the runs of the baseline's tickets have in common; None where there is none.
        sparsities: shares of weights removed.
        checks: by name.
        reaching: per check, what of it can reach the method, by which its runs are known; None for nothing of it.
        check_hashes: per check, that of its code; None for built-in ones.
        seeds: by which runs are paired; with sequential looks, the most that there may be.
        margin: what makes no practical difference; differences are counted as it is.
        is_asked: whether somebody asked just this; else it was gathered from runs, and what was run of it need not
            be a whole grid of sparsities and checks.
        sequential: at which numbers of seeds it is looked at, until it is decided; None for once, with all seeds.
    """

    method: str
    own: RunSpec
    baseline: str | None
    others: RunSpec | None
    sparsities: tuple[float, ...]
    checks: tuple[str, ...]
    reaching: tuple[str | None, ...]
    check_hashes: tuple[str | None, ...]
    seeds: tuple[int, ...]
    margin: Margin
    is_asked: bool = True
    sequential: SequentialLooks | None = None

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks that its seeds suffice for; without sequential ones a single one, with all seeds."""
        if self.sequential is None:
            return (Look(len(self.seeds), 1.0),)
        return self.sequential.up_to(len(self.seeds))

    @property
    def dense_seeds(self) -> tuple[int, ...]:
        """The seeds of the dense networks: those of the first look, for no verdict needs more of them.

        Methods after training all start from one network.
        """
        if self.is_after_training:
            return (TRAINED_SEED,)
        return self.seeds[: self.looks[0].seeds]

    @property
    def paired_by(self) -> str:
        """What a seed decides, in a word: ``seed``, or ``calibration draw`` where nothing else is drawn."""
        return CALIBRATION_DRAW if self.is_after_training else "seed"

    @property
    def is_after_training(self) -> bool:
        """Whether nothing is trained of its tickets, so that its seeds are draws of calibration data."""
        return self.own.is_evaluated_only

    def at(self, look: Look) -> "Question":
        """Return the question with the seeds of a look."""
        if look.seeds >= len(self.seeds):
            return self
        return replace(self, seeds=self.seeds[: look.seeds])

    @property
    def without_seeds(self) -> "Question":
        """What is the same for a question that is asked again, with more seeds or more looks."""
        return replace(self, seeds=(), sequential=None)

    @property
    def quantity(self) -> Quantity:
        """What its runs are judged by: name, unit and direction, and how differences are counted."""
        return self.margin.quantity(self.setting.quantity)

    @property
    def setting(self) -> Setting:
        """What all its runs have in common."""
        return self.own.setting

    def dense_run(self, seed: int) -> RunSpec:
        """Return the run of the whole network, done or not."""
        return replace(
            self.own,
            method=DENSE,
            method_hash=None,
            check=None,
            check_hash=None,
            trained_on=None,
            samples_per_class=0,
            scoring_rounds=0,
            calibration_sequences=0,
            is_evaluated_only=self.setting.model_is_trained,
            seed=seed,
        )

    def method_run(self, sparsity: float, check: str | None, seed: int) -> RunSpec:
        """Return the run of the method's ticket, changed by a check or not, done or not."""
        made = self._runs_made.get((sparsity, check, seed))
        if made is None:
            reaching, code = (None, None) if check is None else self._change(self.checks.index(check))
            made = replace(self.own, sparsity=sparsity, check=reaching, check_hash=code, seed=seed)
            self._runs_made[sparsity, check, seed] = made
        return made

    @functools.cached_property
    def _runs_made(self) -> dict[tuple[float, str | None, int], RunSpec]:
        """What :meth:`method_run` has returned: a report asks for thousands of runs again and again."""
        return {}

    def _change(self, index: int) -> tuple[str | None, str | None]:
        return self.reaching[index], self.check_hashes[index]

    def baseline_run(self, sparsity: float, seed: int) -> RunSpec:
        """Return the run of the baseline's ticket, done or not."""
        assert self.others is not None
        return replace(self.others, sparsity=sparsity, seed=seed)

    def runs(self) -> Iterator[RunSpec]:
        """Yield every run once or more often, with all seeds that there may be."""
        yield from map(self.dense_run, self.dense_seeds)
        for seed in self.seeds:
            for sparsity in self.sparsities:
                for check in (None, *self.checks):
                    yield self.method_run(sparsity, check, seed)
                if self.others is not None:
                    yield self.baseline_run(sparsity, seed)

    def own_runs(self) -> Iterator[RunSpec]:
        """Yield the runs of the method's own tickets, changed or not."""
        for seed in self.seeds:
            for sparsity in self.sparsities:
                for check in (None, *self.checks):
                    yield self.method_run(sparsity, check, seed)

    def comparisons(self) -> Iterator[tuple[object, ...]]:
        """Yield what is compared with what, as values that are equal for equal comparisons of whatever seeds."""
        for sparsity in self.sparsities:
            for change in zip(self.reaching, self.check_hashes, strict=True):
                yield self.own, sparsity, change
            if self.others is not None:
                yield self.own, sparsity, self.others

    def is_part_of(self, other: "Question") -> bool:
        """Say whether another question compares all of this and more, over all of its seeds."""
        mine, others = set(self.comparisons()), set(other.comparisons())
        return mine < others and set(self.seeds) <= set(other.seeds)


def template(spec: RunSpec) -> RunSpec:
    """Return what all unchanged tickets of a method have in common: their spec at sparsity 0 and seed 0."""
    return replace(spec, sparsity=0.0, check=None, check_hash=None, seed=0)


def what_pairs(questions: Iterable[Question]) -> str:
    """Return what a seed decides in all of them, see :attr:`Question.paired_by`; ``seed`` where they differ."""
    found = {question.paired_by for question in questions}
    return found.pop() if len(found) == 1 else "seed"
