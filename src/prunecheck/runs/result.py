"""What a run ended with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from prunecheck.declared_types import json_of, require_declared
from prunecheck.metrics import is_value
from prunecheck.pruning.collapse import Collapse
from prunecheck.pruning.dense_parameters import DenseParameter

CHECKSUM = "sha256"
"""In ``result.json``, the hash of all else that stands there; results of earlier versions have none."""

SORTED = json.JSONEncoder(sort_keys=True)
"""What is hashed; to make it takes longer than to hash a result."""


class Status(StrEnum):
    """What a run ended with; the values are its labels, and what ``result.json`` holds."""

    TRAINED = "trained"
    COLLAPSED = "collapsed"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def is_degenerate(self) -> bool:
        """Whether the ticket cannot be trained: a result like any other, which a failure is not."""
        return self in (Status.COLLAPSED, Status.DIVERGED)


@dataclass(frozen=True)
class MetricResult:
    """What a metric made of a run, in its unit.

    Attributes:
        value: over the whole test part, after the last epoch; None unless the run is trained.
        chance: what guessing gets; None where the metric has no such level, or before it was known.
        counts_images: whether the value is a percentage of the test images.
    """

    value: float | None
    chance: float | None = None
    counts_images: bool = False


@dataclass(frozen=True)
class RunResult:
    """The content of ``result.json``.

    What it says of accuracy it says whatever the run is judged by; :attr:`value` is what counts.

    Attributes:
        status: ``collapsed``: the ticket was degenerate and not trained; ``diverged``: the loss
            stopped being finite; ``failed``: its ticket could not be made or trained.
        accuracy: test accuracy after the last epoch, percent; None unless trained.
        best_accuracy: the best one of the epochs that were tested after, which is picked on test data; None unless
            trained.
        chance: accuracy, percent, of always guessing the commonest class of the test set.
        sparsity: share of prunable weights that the mask removes.
        kept: per prunable layer, the weights kept and all of them; empty for a dense network.
        collapse: where and why the ticket collapsed.
        reason: of a failure, in one line; the log has all of it.
        seconds: spent by the call that finished the run.
        device: where it was trained.
        versions: of prunecheck, Python and torch.
        test_images: how many images the accuracies are of; None if the run ended before that was known.
        share_by_lot: see :attr:`prunecheck.pruning.Ticket.share_by_lot`.
        acceleration: what made the training faster; see :meth:`prunecheck.training.Acceleration.used`.
        left_dense: parameters of two dimensions or more that no mask prunes; see
            :func:`prunecheck.pruning.dense_parameters.left_dense`; empty unless it was trained.
        metric: what the run is judged by; None for accuracy.
        sequence_losses: of a run that was tested and not trained, the mean cross entropy of each test sequence of
            tokens, nats; empty for images.
    """

    status: Status
    accuracy: float | None
    best_accuracy: float | None
    epochs: int
    chance: float
    sparsity: float
    kept: dict[str, tuple[int, int]]
    collapse: Collapse | None
    reason: str | None
    seconds: float
    device: str
    versions: dict[str, str]
    acceleration: tuple[str, ...] = ()
    share_by_lot: float = 0.0
    test_images: int | None = None
    left_dense: tuple[DenseParameter, ...] = ()
    metric: MetricResult | None = None
    sequence_losses: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """What the run is judged by, in the unit of its metric; None unless trained."""
        return self.metric.value if self.metric else self.accuracy

    @property
    def chance_level(self) -> float | None:
        """What guessing gets of it; None where the metric has no such level."""
        return self.metric.chance if self.metric else self.chance

    @property
    def images_counted(self) -> int | None:
        """The number of test images of which :attr:`value` is a percentage; None if it is none, or not known."""
        return self.test_images if self.metric is None or self.metric.counts_images else None

    @property
    def empty_layers(self) -> list[str]:
        """Layers of which no weight is kept."""
        return [layer for layer, (kept, _) in self.kept.items() if not kept]

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))  # a file holds its value

    def to_json(self) -> str:
        """Return the result as JSON."""
        values = asdict(self)
        if self.metric is None:
            del values["metric"]
        if not self.sequence_losses:
            del values["sequence_losses"]
        values[CHECKSUM] = _checksum(values)
        return json.dumps(values, indent=2, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "RunResult":
        """Read a result.

        Raises:
            ValueError: the text is not a result, or another than was written.
        """
        try:
            values = json_of(text)
            if isinstance(values, dict) and values.pop(CHECKSUM, None) not in (None, _checksum(values)):
                raise ValueError("it does not hold what was written")
            require_declared(RunResult, values)
            values["kept"] = {layer: (kept, total) for layer, (kept, total) in values["kept"].items()}
            values["collapse"] = values["collapse"] and Collapse(**values["collapse"])
            values["metric"] = MetricResult(**values["metric"]) if values.get("metric") else None
            values["acceleration"] = tuple(values.get("acceleration", ()))  # not in results of earlier versions
            values["left_dense"] = tuple(DenseParameter(**one) for one in values.get("left_dense", ()))
            values["sequence_losses"] = tuple(values.get("sequence_losses", ()))
            result = RunResult(**values)
        except TypeError as error:
            raise ValueError("not the fields of a result") from error
        result._require_possible()
        return result

    def _require_possible(self) -> None:
        """Raise :class:`ValueError` if values contradict each other, or what they mean."""
        accuracies = [value for value in (self.accuracy, self.best_accuracy, self.chance) if value is not None]
        if not all(0 <= value <= 100 for value in accuracies):
            raise ValueError("an accuracy is not between 0 and 100 percent")
        if (self.status is Status.TRAINED) != (self.accuracy is not None) or not 0 <= self.sparsity <= 1:
            raise ValueError("its values contradict each other")
        if self.metric and (self.status is Status.TRAINED) != (self.metric.value is not None):
            raise ValueError("its values contradict each other")
        values = (self.metric.value, self.metric.chance) if self.metric else ()
        if not all(is_value(value) for value in (*values, *self.sequence_losses) if value is not None):
            raise ValueError("a value is larger than any that is written")
        if any(not 0 <= kept <= total for kept, total in self.kept.values()):
            raise ValueError("a layer keeps more weights than it has")
        if (self.status is Status.COLLAPSED and self.collapse is None) or self.epochs < 0 or self.seconds < 0:
            raise ValueError("its values contradict each other")


def _checksum(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a result's values, as JSON with sorted keys."""
    return hashlib.sha256(SORTED.encode(values).encode()).hexdigest()
