"""A run that is to be executed, and what it is made of: found by name, and as its spec was made for."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prunecheck.data import (
    DataPlaces,
    Dataset,
    load_dataset,
)
from prunecheck.data.datasets import named_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.data.transforms import as_spec_says
from prunecheck.errors import InputError
from prunecheck.metrics import ACCURACY, Metric, find_metric
from prunecheck.models import Model, find_model
from prunecheck.pruning import DENSE, Method, find_method
from prunecheck.runs.own_code import (
    ALL_BUILT_IN,
    OwnCode,
    check_hash,
    load_own_code,
    require_same_code,
)
from prunecheck.runs.spec import RunSpec
from prunecheck.training import Acceleration
from prunecheck.training.acceleration import WHERE_IT_PAYS
from prunecheck.user_code import Reference


@dataclass(frozen=True)
class Job:
    """A run to execute.

    Attributes:
        method: what finds it in any process: its name, with the whole path for one in a user's file, or the user's
            object itself.
        dataset: what finds it, likewise.
        places: where data sets lie.
        dependencies: the runs whose weights it uses.
        acceleration: what may make its training faster; like the device, no part of the run.
        own: what comes from outside of prunecheck.
        model: what finds the network, likewise; None for the one that the spec names.
        metric: what finds the metric, likewise.
    """

    spec: RunSpec
    root: Path
    method: str | Reference
    dataset: str | Reference | Dataset
    places: DataPlaces | None
    device: str
    dependencies: tuple[RunSpec, ...] = ()
    acceleration: Acceleration = WHERE_IT_PAYS
    own: OwnCode = ALL_BUILT_IN
    model: str | Reference | None = None
    metric: str | Reference | None = None


def require_portable(jobs: Iterable[Job]) -> None:
    """Raise :class:`InputError` if users' objects that lie in no file cannot be sent to other processes."""
    for job in jobs:
        for given in (job.method, job.model, job.dataset, job.metric):
            if isinstance(given, Reference):
                _ = given.pickled


def require_own_code(job: Job) -> None:
    """Load the code of users' own that a run is made of, so that what this process lacks is found before it begins.

    Raises:
        InputError: a file or module of it is missing here, cannot be imported, or is another than the one that the
            spec was made for.
    """
    load_own_code(job.own)
    find_spec_method(job)
    find_spec_network(job)
    named_dataset(job.dataset)
    if isinstance(job.dataset, Reference):
        _ = job.dataset.value


def find_spec_dataset(job: Job) -> Dataset:
    """Return the data set of a job, varied, normalised and shortened as its spec says.

    Raises:
        InputError: it is not to be found, or another than the one that the spec was made for.
    """
    network = find_model(job.model or job.spec.setting.model)
    dataset = as_read_by(load_dataset(job.dataset, job.places), network.find_tokenizer)
    if dataset.fingerprint != job.spec.setting.dataset_hash:
        raise InputError(
            f"{job.spec.setting.dataset} was changed while its runs were going on: call the command again."
        )
    setting = job.spec.setting
    return as_spec_says(
        dataset,
        setting.augment,
        setting.normalize,
        setting.train_images,
        setting.test_images,
        setting.sequence_length,
    )


def find_spec_method(job: Job) -> Method | None:
    """Return the method of a job, None for a dense network.

    Raises:
        InputError: the user's file is another than the one that the spec was made for.
    """
    if job.spec.method == DENSE:
        return None
    method = find_method(job.method)
    require_same_code(method.argument, method.code, job.own.seen_by_method, job.spec.method_hash)
    return method


def find_spec_network(job: Job) -> Model:
    """Return a job's network, and see that its checks are what the spec was made for.

    Raises:
        InputError: one of them is not.
    """
    checks = " and ".join(dict.fromkeys(check for check in (job.spec.check, job.spec.trained_on) if check))
    if check_hash(job.spec.check, job.spec.trained_on) != job.spec.check_hash:
        raise InputError(f"the check {checks} was changed while its runs were going on: call the command again.")
    setting = job.spec.setting
    model = find_model(job.model or setting.model)
    require_same_code(f"the network {setting.model}", model.code, job.own.seen_by_model, setting.model_hash)
    return model


def find_spec_metric(job: Job) -> Metric | None:
    """Return what a job's run is judged by; None for accuracy, which each result has.

    Raises:
        InputError: it is another than the one that the spec was made for.
    """
    setting = job.spec.setting
    if setting.quantity == ACCURACY and setting.metric_hash is None:
        return None
    metric = find_metric(job.metric or setting.metric)
    require_same_code(f"the metric {setting.metric}", metric.code, job.own.seen_by_metric, setting.metric_hash)
    return metric
