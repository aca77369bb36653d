"""The network and the ticket of a run, and the data that they are trained on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from prunecheck.checks import Change, find_check
from prunecheck.data import (
    Batches,
    Dataset,
    Images,
    NewSamples,
    ScoringData,
    TokenShape,
    TrainingEpochs,
    blank_batch,
    calibration_sequences,
    scoring_samples,
)
from prunecheck.engine.initial_networks import initial_network
from prunecheck.models import Model, require_input
from prunecheck.pruning import Method, Ticket, Training, choose_prunable, dense_ticket, make_ticket
from prunecheck.pruning.post_training import choose_as_after_training
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.runs.spec import RunSpec
from prunecheck.user_code import global_state_kept


def build_network(spec: RunSpec, dataset: Dataset, builder: Model | None = None) -> nn.Module:
    """Return the run's network with its initial weights, which knows which of its layers may be pruned.

    Args:
        spec: the run.
        dataset: the one that the spec names.
        builder: what builds it; None for the network that is registered under the name in the spec.
    """
    return _build(spec, dataset, spec.seed, builder)


def _build(spec: RunSpec, dataset: Dataset, seed: int, builder: Model | None) -> nn.Module:
    shape, name = dataset.image_shape, spec.setting.model
    options: dict[str, Any] = {} if spec.setting.width is None else {"width": spec.setting.width}
    if isinstance(shape, TokenShape):
        options["sequence_length"] = shape.length
    else:
        channels, height, width = shape
        options |= {"image_size": (height, width), "input_channels": channels}
    model = initial_network(builder or name, dataset.num_classes, seed, options)
    if not isinstance(shape, TokenShape):
        require_input(name, model, height, width)
    choose_prunable(model, prunable=spec.setting.prunable or None, keep_dense=spec.setting.keep_dense or None)
    if spec.is_evaluated_only and isinstance(shape, TokenShape):
        choose_as_after_training(model, shape.length)
    return model


def build_ticket(
    spec: RunSpec,
    dataset: Dataset,
    model: nn.Module,
    method: Method | None,
    given: Mapping[Training, Weights] | None = None,
    device: torch.device | str = "cpu",
    samples_seed: int | None = None,
    builder: Model | None = None,
) -> Ticket:
    """Make the run's ticket, with its check done to the data, the scores or the ticket.

    Args:
        spec: the run.
        dataset: the one that the spec names.
        model: the run's network, see :func:`build_network`.
        method: None for a dense network.
        given: the weights of the runs that it needs; see :func:`prunecheck.runs.dependencies.dependencies_of`.
        device: where criteria score.
        samples_seed: another seed whose samples criteria are to see.
        builder: what builds the network; see :func:`build_network`.
    """
    if method is None:
        return dense_ticket(model)
    change, seed, is_on_cpu = find_check(spec.check), spec.seed, torch.device(device).type == "cpu"

    def draw_weights(seed: int) -> Weights:
        return copy_weights(_build(spec, dataset, seed, builder))

    with global_state_kept(), seeded_global_generator(seed, "criterion", device=device):
        ticket = make_ticket(
            method,
            model if is_on_cpu else model.to(device),
            _scoring_data(
                spec if samples_seed is None else replace(spec, seed=samples_seed),
                dataset,
                method,
                change.of_data,
                device,
            ),
            spec.sparsity,
            generator(seed, "mask placement"),
            draw_weights,
            given=given,
            seed=seed,
            change_scores=(lambda scores: change.change_scores(scores, seed)) if change.of_scores.parts else None,
        )
    if not is_on_cpu:  # nor is it gone through where nothing moves: that takes as long as a copy
        ticket = ticket.on_cpu()
        model.cpu()
    return check_ticket(spec, dataset, model, ticket)


def check_ticket(spec: RunSpec, dataset: Dataset, model: nn.Module, ticket: Ticket) -> Ticket:
    """Return a ticket of the run's network with its check done to it, and its collapse found."""
    return find_check(spec.check).change_ticket(ticket, spec.seed).checked(model, dataset.image_shape)


def _scoring_data(
    spec: RunSpec, dataset: Dataset, method: Method, change: Change, device: torch.device | str
) -> ScoringData:
    classes, seed = dataset.num_classes, spec.seed
    x, y = blank_batch(dataset.image_shape)
    data = ScoringData(shape_only=[(x.to(device), y.to(device))])
    if method.sees("calibration"):
        drawn = calibration_sequences(dataset, spec.calibration_sequences, seed)
        changed = change.corrupt(change.select(drawn, classes, seed), classes, seed)
        data = replace(data, calibration=torch.from_numpy(changed.pixels.astype("int64")).to(device))
    if method.sees("samples"):
        amount = (spec.samples_per_class, spec.scoring_rounds, seed)
        samples = scoring_samples(
            change.select(dataset.train, classes, seed),
            dataset,
            *amount,
            lambda images: change.corrupt(images, classes, seed),
        )
        data = replace(
            data,
            samples=[(x.to(device), y.to(device)) for x, y in samples],
            new_samples=NewSamples(lambda: corrupted(dataset, change, seed).train, dataset, *amount, device),
        )
    if method.sees("training set"):
        images = corrupted(dataset, change, seed).train
        batches = Batches(images, dataset, spec.setting.recipe.batch_size, device)
        data = replace(data, training_set=TrainingEpochs(batches, seed))
    return data


def corrupted(dataset: Dataset, change: Change, seed: int) -> Dataset:
    """Return the data set with its training images selected and corrupted."""
    images = change.select(dataset.train, dataset.num_classes, seed)
    return replace(dataset, train=change.corrupt(images, dataset.num_classes, seed))


def images_that_grow(spec: RunSpec, dataset: Dataset, ticket: Ticket | None) -> Images | None:
    """Return the images in whose gradients a mask grows that moves in training; None for those that it is trained on.

    A check that corrupts the data which a method sees corrupts these, and those that are trained on stay.
    """
    change = find_check(spec.check).of_data
    grows_by_data = bool(ticket and ticket.updates and ticket.updates.needs_gradients)
    if not grows_by_data or not change.parts or spec.trained_on:
        return None
    return corrupted(dataset, change, spec.seed).train
