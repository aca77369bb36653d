"""What takes turns: the plain loop, each idea alone, all together, and all but one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from benchmarks.training.plain_loop import PLAIN, Ideas, PlainLoop
from benchmarks.training.prunecheck_loop import PrunecheckLoop
from benchmarks.training.task import Task
from prunecheck.errors import InputError
from prunecheck.training import Acceleration
from prunecheck.training.acceleration import EVERY_EPOCH

Loop = PlainLoop | PrunecheckLoop

PLAIN_LOOP = "plain loop"
LOOP_ALONE = "prunecheck's loop alone"
ALL_TOGETHER = "all together"


@dataclass(frozen=True)
class Contestant:
    """Something that trains.

    Attributes:
        name: as the table shows it.
        task: what it trains.
        by: the ideas in a plain loop, or what accelerates prunecheck's.
        tickets: how many are given to prunecheck's loop at once.
        compared_with: the name of what its time is a ratio to.
    """

    name: str
    task: Task
    by: Ideas | Acceleration
    tickets: int = 1
    compared_with: str = PLAIN_LOOP

    def loop(self) -> Loop:
        """Return what trains it, ready for its turns."""
        if isinstance(self.by, Ideas):
            return PlainLoop(self.task, self.by)
        return PrunecheckLoop(self.task, self.by, self.tickets)

    def described(self) -> dict[str, Any]:
        """Return what it trains and how, for JSON."""
        kind = "plain" if isinstance(self.by, Ideas) else "acceleration"
        return {
            "width": self.task.width,
            "sparsity": self.task.sparsity,
            "batch_size": self.task.batch_size,
            "batches": self.task.batches,
            "tickets": self.tickets,
            kind: asdict(self.by),
        }


@dataclass(frozen=True)
class Part:
    """A field of :class:`Acceleration`.

    Attributes:
        field: its name there.
        name: as the table shows it.
        alone: its value when it is the only one in use.
        together: its value among all others.
        off: its value when it is not in use.
        devices: where there is such a thing.
        many_tickets: whether it takes several tickets to show.
    """

    field: str
    name: str
    alone: Any
    together: Any
    off: Any
    devices: tuple[str, ...]
    many_tickets: bool = False


PARTS = (
    Part("channels_last", "channels last", alone=True, together=None, off=False, devices=("cpu", "cuda")),
    Part("sparse_convolutions", "sparse convolutions", alone=True, together=None, off=False, devices=("cpu",)),
    Part("bfloat16", "bfloat16", alone=True, together=True, off=False, devices=("cuda",)),
    Part("cuda_graphs", "CUDA graphs", alone=True, together=None, off=False, devices=("cuda",)),
    Part("tickets_at_once", "tickets at once", alone=None, together=None, off=1, devices=("cuda",), many_tickets=True),
)

NOTHING = replace(EVERY_EPOCH, **{part.field: part.off for part in PARTS})
"""The network is tested after every epoch, as a plain loop does."""


def everything(device: torch.device) -> Acceleration:
    """Return what is fastest on a device: whatever pays there."""
    return replace(NOTHING, **{part.field: part.together for part in PARTS if device.type in part.devices})


def all_together(task: Task, tickets: int = 1, name: str = ALL_TOGETHER, compared_with: str = PLAIN_LOOP) -> Contestant:
    """Return prunecheck's loop with everything."""
    return Contestant(name, task, everything(task.device), tickets, compared_with)


def plain(task: Task, name: str = PLAIN_LOOP) -> Contestant:
    """Return the plain loop."""
    return Contestant(name, task, PLAIN, compared_with=name)


def by_torch(task: Task, name: str) -> Contestant:
    """Return prunecheck's loop with all weights by torch, in the layout that is faster for the network."""
    return Contestant(name, task, replace(NOTHING, channels_last=None), compared_with=name)


def each_idea(task: Task, tickets: int) -> tuple[list[Contestant], dict[str, str]]:
    """Return every contestant, and what is left out on this device with the reason.

    Args:
        task: what to train.
        tickets: how many are trained at once where a device takes several.
    """
    here, left_out = available_parts(task)
    at_once = tickets if any(part.many_tickets for part in here) else 1
    together = all_together(task, at_once)
    settled = _settled(task)
    contestants = [plain(task), *_ideas_in_a_plain_loop(task, here), Contestant(LOOP_ALONE, task, NOTHING)]
    for part in here:
        by = replace(NOTHING, **{part.field: part.alone})
        contestants.append(Contestant(f"loop + {part.name}", task, by, at_once if part.many_tickets else 1))
    contestants.append(together)
    for part in here:
        by = replace(everything(task.device), **{part.field: part.off})
        but_one = Contestant(f"all but {part.name}", task, by, 1 if part.many_tickets else at_once)
        same = [other.name for other in contestants if _alike(other, but_one, settled)]
        if same:
            left_out[but_one.name] = f"it is {same[0]}"
        else:
            contestants.append(but_one)
    return contestants, left_out


def available_parts(task: Task) -> tuple[list[Part], dict[str, str]]:
    """Return the parts that can be had on the task's device, and why the others cannot."""
    here, left_out = [], {}
    for part in PARTS:
        if task.device.type not in part.devices:
            left_out[part.name] = f"there is no such thing on {task.device.type}"
        elif refusal := _refusal(task, part):
            left_out[part.name] = refusal
        else:
            here.append(part)
    return here, left_out


def _refusal(task: Task, part: Part) -> str | None:
    """Return why a part cannot be had, as training says it."""
    try:
        _trained_a_step(task, replace(NOTHING, **{part.field: part.alone}))
    except InputError as error:
        return str(error)
    return None


def _trained_a_step(task: Task, acceleration: Acceleration) -> PrunecheckLoop:
    loop = PrunecheckLoop(replace(task, batches=1), acceleration)
    loop.train(1, lambda seconds: None)
    return loop


def _ideas_in_a_plain_loop(task: Task, here: Sequence[Part]) -> list[Contestant]:
    parts = {part.field for part in PARTS}
    available = {part.field for part in here}
    ideas = [field.name for field in fields(Ideas) if field.name in available or field.name not in parts]
    return [Contestant(f"plain + {idea.replace('_', ' ')}", task, Ideas(**{idea: True})) for idea in ideas]


def _settled(task: Task) -> dict[str, Any]:
    """Return what "where it pays" comes to, by field of :class:`Acceleration`."""
    used = _trained_a_step(task, everything(task.device)).used
    return {part.field: part.alone if part.many_tickets else part.field in used for part in PARTS}


def _alike(one: Contestant, other: Contestant, settled: Mapping[str, Any]) -> bool:
    """Whether two train in the same way."""
    if isinstance(one.by, Ideas) or isinstance(other.by, Ideas):
        return False
    first, second = (
        {field: settled[field] if value is None else value for field, value in asdict(each.by).items()}
        for each in (one, other)
    )
    return first == second
