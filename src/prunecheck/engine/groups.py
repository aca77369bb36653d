"""Which runs are trained together on one device."""

import itertools
import math
from collections.abc import Sequence

from prunecheck.engine.job import Job
from prunecheck.runs.spec import RunSpec
from prunecheck.training.acceleration import most_at_once

Group = tuple[Job, ...]
"""Runs of one setting, none of which depends on another of them."""


def grouped(jobs: Sequence[Job], workers: int) -> list[Group]:
    """Share out runs into groups, as large as a device may train at once and as all workers have something to do.

    Args:
        jobs: each after those that it depends on; all have one device and one acceleration.
        workers: how many there are.

    Returns:
        The groups, each after those that it depends on; where only one run is trained at a time, in the jobs' order.
    """
    most = most_at_once(jobs[0].acceleration, jobs[0].device) if jobs else 1
    if most == 1:
        return [(job,) for job in jobs]
    depths: dict[RunSpec, int] = {}
    alike: dict[object, list[Job]] = {}
    for job in jobs:
        spec = job.spec
        depth = depths[spec] = 1 + max((depths[other] for other in job.dependencies if other in depths), default=-1)
        # What a run is trained on is corrupted with its own seed.
        alone = spec if spec.trained_on else None
        alike.setdefault((depth, spec.setting, job.dataset, alone), []).append(job)
    groups = [group for members in alike.values() for group in _cut(members, most, workers)]
    return sorted(groups, key=lambda group: depths[group[0].spec])


def _cut(members: list[Job], most: int, workers: int) -> list[Group]:
    """Cut a list into parts of about the same length: at least as many as there are workers, none too long."""
    count = min(len(members), max(workers, math.ceil(len(members) / most)))
    ends = [len(members) * number // count for number in range(count + 1)]
    return [tuple(members[start:end]) for start, end in itertools.pairwise(ends)]
