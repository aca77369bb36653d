"""What the flags that all scripts share mean in the library."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from torch import nn

from prunecheck.data import DataPlaces, Dataset, load_dataset
from prunecheck.engine.tickets import build_network
from prunecheck.models import published_width
from prunecheck.paper.scripts.flags import DATASETS, Flags
from prunecheck.pruning import DENSE
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.tickets import Weights
from prunecheck.runs.own_code import model_code
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.training import Recipe

Say = Callable[[str], None]

LARGEST_DRAWN_SEED = 100_000

ONLY_IN_TRAINING = ("epochs", "start_epoch", "train_batch", "lr", "schedule", "gamma", "momentum", "weight_decay")
"""Flags that nothing but training reads."""


@dataclass(frozen=True)
class Machine:
    """Where a script works.

    Attributes:
        places: where data sets lie.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        say: prints a line.
    """

    places: DataPlaces
    device: str
    say: Say


def load(flags: Flags, machine: Machine) -> Dataset:
    """Return the data set, shortened as the flags say."""
    dataset = load_dataset(DATASETS[flags.dataset], machine.places)
    return dataset.shortened(flags.train_images, flags.test_images)


def recipe_of(flags: Flags) -> Recipe:
    """Return the recipe.

    With ``--start-epoch`` K it has the epochs from K on; as published, what the schedule would have
    done before is left out.
    """
    first = flags.start_epoch
    return Recipe(
        epochs=flags.epochs - first,
        batch_size=flags.train_batch,
        learning_rate=flags.lr,
        momentum=flags.momentum,
        weight_decay=flags.weight_decay,
        milestones=tuple(epoch - first for epoch in flags.schedule if epoch >= first),
        gamma=flags.gamma,
    )


def dense_spec(flags: Flags, dataset: Dataset, seed: int) -> RunSpec:
    """Return the run of the whole network, which other runs differ from in a few fields."""
    return RunSpec(
        Setting(
            dataset=dataset.name,
            dataset_hash=dataset.fingerprint,
            train_images=flags.train_images,
            test_images=flags.test_images,
            model=flags.model,
            width=published_width(flags.model),
            recipe=recipe_of(flags),
            model_hash=code.hash if (code := model_code(flags.model)) else None,
        ),
        method=DENSE,
        sparsity=0.0,
        seed=seed,
    )


def network_with(spec: RunSpec, dataset: Dataset, weights: Weights | None) -> nn.Module:
    """Return the run's network, with these weights or its initial ones.

    Raises:
        InputError: it cannot take such images, or does not return a logit for each class.
    """
    network = build_network(spec, dataset)
    require_logits(network, dataset.image_shape, dataset.num_classes, spec.setting.model)
    if weights is not None:
        network.load_state_dict(weights)
    return network


def describe(flags: Flags, dataset: Dataset) -> str:
    """Name the network and its classes, for errors about checkpoints."""
    return f"{flags.model} for the {dataset.num_classes} classes of {flags.dataset}"


def with_seed(spec: RunSpec, flags: Flags, found: RunSpec | None) -> RunSpec:
    """Return the spec with its seed: the given one, that of the run that is there already, or a drawn one.

    Args:
        spec: with any seed.
        flags: which may have a seed.
        found: the run in ``--save_dir``; its seed is taken if it is the same run but for that.
    """
    if flags.manual_seed is not None:
        return replace(spec, seed=flags.manual_seed)
    if found is not None and replace(spec, seed=found.seed) == found:
        return found
    return replace(spec, seed=secrets.randbelow(LARGEST_DRAWN_SEED) + 1)


def say_seed(spec: RunSpec, flags: Flags, say: Say) -> None:
    """Say which seed was drawn, unless it was given."""
    if flags.manual_seed is None:
        say(f"seed {spec.seed}: --manualSeed {spec.seed} draws the same numbers")


def say_without_effect(flags: Flags, names: Iterable[str], say: Say) -> None:
    """Say which of the flags that were given change nothing."""
    idle = [flags.given[name] for name in names if name in flags.given]
    depths = ("resnet", f"vgg{flags.depth}", f"vgg{flags.depth}_bn")
    if "depth" in flags.given and flags.arch not in depths:
        idle.append(flags.given["depth"])
    if idle:
        say(f"without effect here: {', '.join(idle)}")


def idle_everywhere(machine: Machine) -> list[str]:
    """Return the flags that no script reads on this machine."""
    return ["workers", "test_batch", "drop", *([] if machine.device.startswith("cuda") else ["gpu_id"])]
