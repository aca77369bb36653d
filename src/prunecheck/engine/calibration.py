"""How long a step of training takes here: some are done, and nothing is left of them."""

import time
from dataclasses import replace

import numpy
import torch

from prunecheck.data import Dataset, Images
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.engine.training import one_thread
from prunecheck.models import Model
from prunecheck.pruning import find_method
from prunecheck.pruning.logits import logits_of
from prunecheck.runs.spec import RunSpec
from prunecheck.training import SharedTraining
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration
from prunecheck.training.curves import epochs_to_test

STEPS = (6, 60)
"""Of an epoch that is timed: few and, where these are done in no time, many."""

ENOUGH = 0.5
"""Seconds of an epoch that tell what its steps take."""

SEQUENCES = 4
"""That are timed at once, where nothing is trained."""

EPOCHS = 3
"""The first of which is not counted: kernels are compiled and graphs captured in it."""

TICKET = "random-erk"
"""Whose tickets are timed: what a step costs hangs on how many weights are kept, and hardly on which."""


def seconds_a_step(
    spec: RunSpec, dataset: Dataset, builder: Model, device: str, acceleration: Acceleration = WHERE_IT_PAYS
) -> float:
    """Return how long a step takes, with its share of the tests after each epoch.

    Args:
        spec: of a dense network, at the sparsity of the tickets whose step is timed; 0 for the dense one.
        dataset: that it is trained on; only the shape and the number of its images count.
        builder: what builds the network.
        device: where it is trained.
        acceleration: what may make it faster.

    Raises:
        InputError: the device is not there, or the network does not take such images.
    """
    for steps in STEPS:
        seconds, images = _timed_epoch(spec, dataset, builder, device, acceleration, steps)
        if seconds >= ENOUGH or images == len(dataset.train):
            break
    return seconds / -(-images // spec.setting.recipe.batch_size)


def _timed_epoch(
    spec: RunSpec, dataset: Dataset, builder: Model, device: str, acceleration: Acceleration, steps: int
) -> tuple[float, int]:
    """Return how long an epoch of so many steps takes, and of how many images it is."""
    recipe, whole = spec.setting.recipe, (len(dataset.train), len(dataset.test))
    train_images = min(steps * recipe.batch_size, len(dataset.train))
    tested = len(epochs_to_test(recipe.epochs, *whole, acceleration.thin_curves)) / recipe.epochs
    test_images = max(1, round(len(dataset.test) * tested * train_images / len(dataset.train)))
    few = replace(dataset, train=_noise(dataset, train_images), test=_noise(dataset, test_images))
    times: list[float] = []
    with one_thread():
        model = build_network(spec, few, builder)
        method = find_method(TICKET) if spec.sparsity else None
        ticket = build_ticket(spec, few, model, method, device=device, builder=builder)
        each = replace(acceleration, thin_curves=False)
        shared = SharedTraining(model, few, recipe.of_epochs(EPOCHS), device, each, wanted=1)
        shared.take_turns([shared.steps(ticket, model, spec.seed, None, lambda training: times.append(_now(device)))])
    return (times[-1] - times[0]) / (len(times) - 1), train_images


def seconds_a_token(spec: RunSpec, dataset: Dataset, builder: Model, device: str) -> float:
    """Return how long a network takes for a token, in sequences of the data set's length, without learning.

    Args:
        spec: of a dense network.
        dataset: of tokens; only the length of its sequences counts, and its vocabulary.
        builder: what builds the network.
        device: where it computes.

    Raises:
        InputError: the network does not take such sequences.
    """
    shape = dataset.image_shape
    drawn = numpy.random.default_rng(0).integers(0, dataset.num_classes, (SEQUENCES, shape[0]))
    tokens = torch.from_numpy(drawn).to(device)
    with one_thread(), torch.inference_mode():
        model = build_network(spec, dataset, builder).to(device).eval()
        logits_of(model, tokens)
        began, times = _now(device), 0
        while _now(device) - began < ENOUGH:
            logits_of(model, tokens)
            times += 1
        return (_now(device) - began) / (times * tokens.numel())


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _noise(dataset: Dataset, count: int) -> Images:
    """Return images of the shape of a data set's, of noise, as blank ones are quicker than any."""
    drawn = numpy.random.default_rng(0).integers(0, 256, (count, *dataset.image_shape), dtype=numpy.uint8)
    return Images(drawn, numpy.arange(count, dtype=numpy.int64) % dataset.num_classes)
