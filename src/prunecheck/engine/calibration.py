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
from prunecheck.runs.spec import RunSpec
from prunecheck.training import train
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration

STEPS = 6
"""Of an epoch that is timed."""

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
    recipe = spec.setting.recipe
    train_images = min(STEPS * recipe.batch_size, len(dataset.train))
    test_images = max(1, min(round(len(dataset.test) * train_images / len(dataset.train)), len(dataset.test)))
    few = replace(dataset, train=_noise(dataset, train_images), test=_noise(dataset, test_images))
    recipe = recipe.of_epochs(EPOCHS)
    times: list[float] = []
    with one_thread():
        model = build_network(spec, few, builder)
        method = find_method(TICKET) if spec.sparsity else None
        ticket = build_ticket(spec, few, model, method, device=device, builder=builder)
        train(
            [ticket],
            model,
            few,
            recipe,
            [spec.seed],
            device=device,
            on_epoch=lambda index, checkpoint: times.append(_now(device)),
            acceleration=replace(acceleration, thin_curves=False),
        )
    steps = -(-train_images // recipe.batch_size)
    return (times[-1] - times[0]) / (len(times) - 1) / steps


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _noise(dataset: Dataset, count: int) -> Images:
    """Return images of the shape of a data set's, of noise, as blank ones are quicker than any."""
    drawn = numpy.random.default_rng(0).integers(0, 256, (count, *dataset.image_shape), dtype=numpy.uint8)
    return Images(drawn, numpy.arange(count, dtype=numpy.int64) % dataset.num_classes)
