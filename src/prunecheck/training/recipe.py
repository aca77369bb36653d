"""The training hyper-parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict

from prunecheck.constraints import Constraint, ListOf, Number, OneOf, TrueOrFalse, WholeNumber, require_all
from prunecheck.declared_types import LEFT_OUT_AT_DEFAULT
from prunecheck.errors import InputError, field_name
from prunecheck.training.schedules import BY_EPOCH, SCHEDULES, Place, warmed_up

SGD, ADAM, ADAMW = "sgd", "adam", "adamw"

ALL, WEIGHTS = "all", "weights"
"""What weight decay is on: all parameters, or all but biases and those of normalisations, which are vectors."""

SHARE_BELOW_1 = Number(at_least=0, below=1)

RECIPE: Mapping[str, Constraint[Any]] = {
    "epochs": WholeNumber(),
    "batch_size": WholeNumber(at_least=2, why="for batch norm"),
    "learning_rate": Number(above=0),
    "momentum": SHARE_BELOW_1,
    "weight_decay": Number(at_least=0),
    "milestones": ListOf(WholeNumber(at_least=0), "epochs", "[80, 120]", may_be_empty=True, may_repeat=True),
    "gamma": Number(above=0),
    "optimizer": OneOf((SGD, ADAM, ADAMW), "optimizer"),
    "nesterov": TrueOrFalse(),
    "beta2": SHARE_BELOW_1,
    "epsilon": Number(above=0),
    "schedule": OneOf(tuple(SCHEDULES), "schedule"),
    "warmup_epochs": Number(at_least=0),
    "scheduled_epochs": WholeNumber(at_least=0),
    "peak": Number(above=0, below=1),
    "decayed": OneOf((ALL, WEIGHTS), "choice of decayed parameters"),
    "clip_norm": Number(at_least=0),
    "label_smoothing": SHARE_BELOW_1,
    "mixup": Number(at_least=0),
    "cutout": WholeNumber(at_least=0),
    "weight_average": SHARE_BELOW_1,
}
"""What the fields of a recipe take."""

ONLY_WITH: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "nesterov": ("optimizer", (SGD,)),
    "beta2": ("optimizer", (ADAM, ADAMW)),
    "epsilon": ("optimizer", (ADAM, ADAMW)),
    "gamma": ("schedule", ("steps",)),
    "peak": ("schedule", ("one-cycle",)),
    "warmup_epochs": ("schedule", tuple(name for name in SCHEDULES if name != "one-cycle")),
}
"""Fields that mean something where another has one of some values only, and keep their default elsewhere."""


def _later(default: Any) -> Any:
    return field(default=default, metadata=LEFT_OUT_AT_DEFAULT)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of arXiv:2009.11094, SGD with momentum and a step schedule.

    Attributes:
        epochs: passes over the training data.
        momentum: of SGD; of Adam, beta1.
        weight_decay: added to the gradient; of AdamW, taken off the weights (arXiv:1711.05101).
        milestones: of the schedule ``steps``, epochs, counted from 0, from which on the learning rate is multiplied by
            ``gamma``; empty with every other schedule.
        optimizer: ``sgd``, ``adam`` or ``adamw``, as in torch.
        nesterov: whether SGD looks ahead by its momentum.
        beta2: of Adam, for the mean of squared gradients.
        epsilon: of Adam, added to the root of that mean.
        schedule: ``steps``, ``constant``, ``cosine``, ``linear`` or ``one-cycle``; see :mod:`.schedules`.
        warmup_epochs: in which the learning rate rises to its full value; 0 for no warm-up.
        scheduled_epochs: that the schedule is made for, where training stops earlier; 0 for ``epochs``.
        peak: of one-cycle, the share of the training after which the learning rate is highest.
        decayed: what weight decay is on: ``all`` parameters, as published, or ``weights``, all but biases and the
            parameters of normalisations.
        clip_norm: the norm of the whole gradient, of kept weights, that it is shortened to if it is longer; 0: never.
        label_smoothing: share of each label that is spread evenly over all classes (arXiv:1512.00567).
        mixup: alpha of the Beta distribution of the shares in which two images of a batch are mixed, the batch with
            itself turned round (arXiv:1710.09412); 0 for no mixing.
        cutout: side of a square, pixels, that is cut out of each image about a pixel of its own, in every epoch another
            one: there the image is the mean of the training set (arXiv:1708.04552); 0 for none.
        weight_average: decay of the exponential moving average of weights and batch statistics, which is tested and
            kept in the place of the last weights; 0 for none. In step t it is (1 + t) / (10 + t) if that is less.
    """

    epochs: int = 160
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: tuple[int, ...] = (80, 120)
    gamma: float = 0.1
    optimizer: str = _later(SGD)
    nesterov: bool = _later(False)
    beta2: float = _later(0.999)
    epsilon: float = _later(1e-8)
    schedule: str = _later("steps")
    warmup_epochs: float = _later(0.0)
    scheduled_epochs: int = _later(0)
    peak: float = _later(0.3)
    decayed: str = _later(ALL)
    clip_norm: float = _later(0.0)
    label_smoothing: float = _later(0.0)
    mixup: float = _later(0.0)
    cutout: int = _later(0)
    weight_average: float = _later(0.0)

    def __post_init__(self) -> None:
        require_all(RECIPE, vars(self))
        # Recipes that train the same are to be equal.
        if self.schedule != "steps":
            object.__setattr__(self, "milestones", ())
        if self.is_by_epoch or self.scheduled_epochs == self.epochs:
            object.__setattr__(self, "scheduled_epochs", 0)
        for name, (other, values) in ONLY_WITH.items():
            if getattr(self, name) != DEFAULTS[name] and getattr(self, other) not in values:
                _refuse_beside(name, other, getattr(self, other))
        if self.nesterov and not self.momentum:
            raise InputError(
                f"{field_name('nesterov')} looks ahead by the momentum, which is 0: leave it out.", field="nesterov"
            )
        if 0 < self.scheduled_epochs < self.epochs:
            raise InputError(
                f"the schedule ends after {self.scheduled_epochs} epochs and the training has {self.epochs}: give "
                f"fewer {field_name('epochs')}, or leave {field_name('scheduled_epochs')} out.",
                field="scheduled_epochs",
            )
        if self.warmup_epochs >= self._whole:
            raise InputError(
                f"{field_name('warmup_epochs')} of {self.warmup_epochs:g} leave nothing of {self._whole} epochs: give "
                "fewer.",
                field="warmup_epochs",
            )

    @property
    def _whole(self) -> int:
        """The epochs that the schedule is made for."""
        return self.scheduled_epochs or self.epochs

    @property
    def is_by_epoch(self) -> bool:
        """Whether the learning rate is the same in all steps of an epoch."""
        return self.schedule in BY_EPOCH and not self.warmup_epochs

    def learning_rate_at(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """Return the learning rate of a step.

        Args:
            epoch: counted from 0.
            step: of the epoch, counted from 0.
            steps: of an epoch.
        """
        done, warmup = epoch * steps + step, round(self.warmup_epochs * steps)
        own_warmup = 0 if self.schedule in BY_EPOCH else warmup
        factor = warmed_up(done, warmup)
        if done >= own_warmup:
            place = Place(
                done - own_warmup, self._whole * steps - own_warmup, epoch, self.milestones, self.gamma, self.peak
            )
            factor *= SCHEDULES[self.schedule](place)
        return self.learning_rate * factor

    def of_epochs(self, epochs: int) -> "Recipe":
        """Return the same for another number of epochs: its milestones and its warm-up take the same shares of them.

        Milestones that no longer fit are left out: those before the first epoch, and of several in one epoch the later
        ones, for the rate would fall twice at once.
        """
        milestones = _moved(self.milestones, epochs, self._whole)
        warmup = self.warmup_epochs * epochs / self._whole
        return replace(self, epochs=epochs, milestones=milestones, warmup_epochs=warmup, scheduled_epochs=0)

    def stopped_after(self, epochs: int) -> "Recipe":
        """Return the same training, stopped after so many of its epochs."""
        is_same_schedule = self.is_by_epoch or epochs == self._whole
        return replace(self, epochs=epochs, scheduled_epochs=0 if is_same_schedule else self._whole)

    def __str__(self) -> str:
        """Return in a few words what is not SGD with a step schedule; nothing for what is."""
        words = [self.optimizer] if self.optimizer != SGD else ["nesterov"] if self.nesterov else []
        words += [self.schedule] if self.schedule != "steps" else []
        words += [f"{name.replace('_', ' ')} {getattr(self, name):g}" for name in IN_WORDS if getattr(self, name)]
        words += [f"decayed {self.decayed}"] if self.decayed != ALL else []
        return ", ".join(words)


class RecipeFields(TypedDict, total=False):
    """Fields of a recipe as keyword arguments; None stands for what is left out."""

    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    momentum: float | None
    weight_decay: float | None
    milestones: Sequence[int] | None
    gamma: float | None
    optimizer: str | None
    nesterov: bool | None
    beta2: float | None
    epsilon: float | None
    schedule: str | None
    warmup_epochs: float | None
    scheduled_epochs: int | None
    peak: float | None
    decayed: str | None
    clip_norm: float | None
    label_smoothing: float | None
    mixup: float | None
    cutout: int | None
    weight_average: float | None


DEFAULTS: Mapping[str, Any] = {one.name: one.default for one in fields(Recipe)}

IN_WORDS = ("warmup_epochs", "clip_norm", "label_smoothing", "mixup", "cutout", "weight_average")
"""Fields that are 0 where nothing is done, and are named with their value where something is."""


def _refuse_beside(name: str, other: str, value: str) -> None:
    raise InputError(
        f"{field_name(name)} says nothing where {field_name(other)} is {value}: leave it out, or choose another "
        f"{other} ({', '.join(ONLY_WITH[name][1])}).",
        field=name,
    )


def step_schedule(epochs: int) -> tuple[int, ...]:
    """Return the published milestones, half and three quarters of the way, for any number of epochs.

    Those that no longer fit are left out: 2 epochs have one, after the first, and 1 epoch has none.
    """
    return _moved((2, 3), epochs, 4)


def _moved(milestones: Sequence[int], epochs: int, whole: int) -> tuple[int, ...]:
    """Return milestones of ``whole`` epochs at the same shares of ``epochs``, without those that no longer fit."""
    moved: dict[int, int] = {}
    for milestone in milestones:
        moved.setdefault(milestone * epochs // whole, milestone)
    # One that is given twice, for a fall by gamma squared, still is.
    places = ((milestone * epochs // whole, milestone) for milestone in milestones)
    return tuple(place for place, milestone in places if place and moved[place] == milestone)
