"""One ticket while it is trained."""

import contextlib
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from prunecheck.data.batches import Batches
from prunecheck.pruning.tickets import Weights
from prunecheck.randomness import seeded_global_generator
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.metrics import EpochMetrics, Tally, evaluate_batch
from prunecheck.training.network import TrainableNetwork
from prunecheck.training.recipe import Recipe
from prunecheck.training.streams import EAGER_CALLS, Stream, Work


@dataclass(frozen=True)
class Record:
    """A finished training.

    Attributes:
        weights: the state dict after the last epoch.
        metrics: one row per epoch.
        diverged: whether the loss stopped being finite; training ends with that epoch.
        acceleration: the parts of it that were used; see :meth:`prunecheck.training.Acceleration.used`.
    """

    weights: Weights
    metrics: tuple[EpochMetrics, ...]
    diverged: bool
    acceleration: tuple[str, ...] = ()


class TicketTraining:
    """A ticket's network, and how far it has come.

    Args:
        network: with the ticket's weights.
        recipe: hyper-parameters.
        seed: decides the order of the data and their augmentation.
        train_batches, test_batches: of the data set; other tickets may use them at the same time.
        stream: where the work is queued.
        acceleration: what the record says of it.
    """

    def __init__(
        self,
        network: TrainableNetwork,
        recipe: Recipe,
        seed: int,
        train_batches: Batches,
        test_batches: Batches,
        stream: Stream,
        acceleration: tuple[str, ...] = (),
    ) -> None:
        self.network = network
        self.metrics: list[EpochMetrics] = []
        self._recipe = recipe
        self._seed = seed
        self._train_batches = train_batches
        self._test_batches = test_batches
        self._stream = stream
        self._acceleration = acceleration
        self._train_tally = Tally(train_batches.labels.device)
        self._test_tally = Tally(test_batches.labels.device)
        self._learning_rate = math.nan
        self._learn: Work
        # No work refers to this object: what a captured one holds on a GPU is free as soon as the object is.
        self._test = stream.repeated(functools.partial(_test, network, self._test_tally, stream))

    @property
    def diverged(self) -> bool:
        """Whether the loss has stopped being finite."""
        # The test loss shows what the last steps did, which the training loss is measured before.
        return bool(self.metrics) and not math.isfinite(self.metrics[-1].train_loss + self.metrics[-1].test_loss)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.diverged or len(self.metrics) >= self._recipe.epochs

    def own_generator(self) -> contextlib.AbstractContextManager[None]:
        """Seed torch's global generator for the next epoch, for networks that draw from it."""
        device = self._train_batches.labels.device
        return seeded_global_generator(self._seed, "training", len(self.metrics), device=device)

    def steps(self) -> Iterator[None]:
        """Queue the work of the next epoch, batch by batch, without waiting for it.

        Training comes first, and then the test. Whoever goes through the steps calls :meth:`read_metrics` after the
        last of them.
        """
        self._stream.after_caller()
        self._use_learning_rate(self._recipe.learning_rate_at(len(self.metrics)))
        self._train_tally.reset()
        self._test_tally.reset()
        self.network.train()
        yield from self._in_stream(self._learn, self._train_batches.draws(self._seed, len(self.metrics)))
        self.network.train(False)
        yield from self._in_stream(self._test, self._test_batches.in_order())

    def rehearse(self) -> None:
        """Do a few steps with batches of every size, which take all the memory that a training ever takes.

        Nothing is to be done with the training afterwards.
        """
        self._stream.after_caller()
        self._use_learning_rate(self._recipe.learning_rate_at(0))
        self.network.train()
        self._repeat(self._learn, self._train_batches.draws(self._seed, 0))
        self.network.train(False)
        self._repeat(self._test, self._test_batches.in_order())
        self._stream.before_caller()

    def _repeat(self, work: Work, batches: Iterator[tuple[Tensor, ...]]) -> None:
        with self._stream.queued():
            of_each_size = {len(batch[0]): batch for batch in batches}
            for batch in of_each_size.values():
                for _ in range(EAGER_CALLS + 1):
                    work(*batch)

    def _in_stream(self, work: Work, batches: Iterator[tuple[Tensor, ...]]) -> Iterator[None]:
        while True:
            # Other tickets have their turns between the batches, and streams of their own.
            with self._stream.queued():
                batch = next(batches, None)
                if batch is None:
                    return
                work(*batch)
            yield

    def _use_learning_rate(self, learning_rate: float) -> None:
        if learning_rate != self._learning_rate:
            self._learning_rate = learning_rate
            self._learn = self._stream.repeated(
                functools.partial(
                    _learn, self.network, self._train_batches, self._train_tally, self._stream, learning_rate
                )
            )

    def read_metrics(self) -> None:
        """Wait for the epoch, and add its row to the metrics."""
        with self._stream.queued():
            train_loss, train_accuracy = self._train_tally.mean_loss_and_accuracy()
            test_loss, test_accuracy = self._test_tally.mean_loss_and_accuracy()
        self._stream.before_caller()
        epoch = len(self.metrics) + 1
        self.metrics.append(
            EpochMetrics(epoch, self._learning_rate, train_loss, test_loss, train_accuracy, test_accuracy)
        )

    def checkpoint(self) -> Checkpoint:
        """Return the state after the last epoch."""
        return Checkpoint(self.network.weights(), self.network.momentum(), tuple(self.metrics))

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Take over a state."""
        self.metrics = list(checkpoint.metrics)
        # A run that ended may have had its momentum cleaned away.
        self.network.load(checkpoint.weights, None if self.ended else checkpoint.momentum)

    def record(self) -> Record:
        """Return what has come of it."""
        return Record(self.network.weights(), tuple(self.metrics), self.diverged, self._acceleration)


def _learn(
    network: TrainableNetwork,
    batches: Batches,
    tally: Tally,
    stream: Stream,
    learning_rate: float,
    chosen: Tensor,
    shifts: Tensor,
    mirrored: Tensor,
) -> None:
    """Do a training step."""
    x, y = batches.drawn(chosen, shifts, mirrored)
    with stream.precision():
        logits = network(x)
        loss = functional.cross_entropy(logits, y)
    loss.backward()  # type: ignore[no-untyped-call]
    network.step(learning_rate)
    tally.add(loss, logits, y)


def _test(network: TrainableNetwork, tally: Tally, stream: Stream, x: Tensor, y: Tensor) -> None:
    with stream.precision():
        evaluate_batch(network, tally, x, y)
