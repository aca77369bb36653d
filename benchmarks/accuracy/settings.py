"""In which ways the same tickets are trained: as :mod:`benchmarks.training.contestants` times them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.accuracy.task import RealTask
from benchmarks.training.contestants import ALL_TOGETHER, LOOP_ALONE, NOTHING, PARTS, PLAIN_LOOP, everything
from prunecheck.errors import InputError
from prunecheck.training import Acceleration, train

REFERENCE = LOOP_ALONE
"""What every other setting is compared with."""


@dataclass(frozen=True)
class Setting:
    """A way to train.

    Attributes:
        name: as the table shows it.
        acceleration: of prunecheck's loop; None for the plain loop.
    """

    name: str
    acceleration: Acceleration | None


def settings_on(device: torch.device) -> list[Setting]:
    """Return all settings that there are on a device, the reference first."""
    parts = [part for part in PARTS if device.type in part.devices]
    return [
        Setting(REFERENCE, NOTHING),
        *(Setting(f"loop + {part.name}", replace(NOTHING, **{part.field: part.alone})) for part in parts),
        Setting(ALL_TOGETHER, everything(device)),
        Setting(PLAIN_LOOP, None),
    ]


def chosen_settings(device: torch.device, names: Sequence[str] | None) -> list[Setting]:
    """Return the reference and the settings of these names; all of them for None.

    Raises:
        InputError: there is no setting of a name on the device.
    """
    settings = settings_on(device)
    known = [setting.name for setting in settings]
    for name in names or ():
        if name not in known:
            raise InputError(f"there is no setting {name} on {device.type}: choose of {', '.join(known)}.")
    return [setting for setting in settings if names is None or setting.name in (REFERENCE, *names)]


def distinct_settings(task: RealTask, settings: Sequence[Setting]) -> tuple[list[Setting], dict[str, str]]:
    """Return the settings that can be had and differ, and why the others are left out.

    A ticket is trained for a step in each, so that nothing is refused after hours of work.

    Raises:
        InputError: the reference cannot be had.
    """
    found: dict[object, Setting] = {}
    left_out: dict[str, str] = {}
    for setting in settings:
        try:
            way = _way_of(task, setting.acceleration)
        except InputError as error:
            if setting.name == REFERENCE:
                raise
            left_out[setting.name] = str(error)
            continue
        if way in found:
            left_out[setting.name] = f"it is {found[way].name}"
        else:
            found[way] = setting
    return list(found.values()), left_out


def _way_of(task: RealTask, acceleration: Acceleration | None) -> tuple[object, ...] | None:
    """Return what tells trainings apart: the parts that are used, and how many tickets are trained at once."""
    if acceleration is None:
        return None
    classes = task.dataset().num_classes
    few_images = task.dataset().shortened(classes, classes)
    model, ticket = task.network(few_images, 0), task.ticket(few_images, 0)
    recipe = replace(task.recipe, epochs=1)
    (record,) = train([ticket], model, few_images, recipe, [0], device=task.device, acceleration=acceleration)
    return acceleration.tickets_at_once, *record.acceleration
