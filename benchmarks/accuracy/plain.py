"""A whole training by a plain loop, of a ticket that is given, with order and augmentation of its seed."""

import math

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.training.plain_images import PlainImages
from benchmarks.training.plain_loop import PlainDescent, WaitingTally
from prunecheck.data import Batches, Dataset
from prunecheck.data.batches import EVALUATION_BATCH_SIZE
from prunecheck.pruning import Ticket
from prunecheck.randomness import generator
from prunecheck.training import Recipe
from prunecheck.training.metrics import evaluate


def train_plainly(
    ticket: Ticket, model: nn.Module, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device
) -> tuple[float, bool]:
    """Train as :mod:`benchmarks.training.plain_loop` does, through all epochs of a recipe.

    Args:
        ticket: what is trained.
        model: trained in place.
        dataset: trained on image by image, and tested on in batches after the last epoch.
        recipe: hyper-parameters.
        seed: decides the order of the data and their augmentation, which are not those of prunecheck's loop.
        device: where to train.

    Returns:
        The test accuracy, percent, and whether the loss stopped being finite.
    """
    model.load_state_dict(ticket.weights)
    model.to(device)
    descent = PlainDescent(model, ticket.masks, recipe)
    images = PlainImages(dataset)
    images.draws = generator(seed, "plain loop")
    loader = DataLoader(images, recipe.batch_size, shuffle=True, generator=generator(seed, "plain order"))
    for epoch in range(recipe.epochs):
        for group in descent.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(epoch)
        train_loss = _train_epoch(model, loader, descent, device)
    test_loss, accuracy = evaluate(model, Batches(dataset.test, dataset, EVALUATION_BATCH_SIZE, device))
    return accuracy, not math.isfinite(train_loss + test_loss)


def _train_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[torch.Tensor, int]],
    descent: PlainDescent,
    device: torch.device,
) -> float:
    """Train on every image once, and return the mean loss of the batches."""
    model.train()
    tally = WaitingTally()
    for batch, labels in loader:
        x, y = batch.to(device), labels.to(device)
        logits = model(x)
        loss = functional.cross_entropy(logits, y)
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step(descent.optimizer.param_groups[0]["lr"])
        tally.add(loss, logits, y)
    return tally.take()[0]
