"""How long an epoch takes where no run is done that would tell: a stated time a step, or some steps on this machine."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from prunecheck.checks import find_check
from prunecheck.constraints import Number
from prunecheck.engine.calibration import seconds_a_step, seconds_a_token
from prunecheck.errors import InputError, field_name
from prunecheck.registry import unknown_name
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.training import Recipe

MS_A_STEP = Number(above=0, what="milliseconds")
"""What a stated time of a step may be."""


@dataclass(frozen=True)
class Rates:
    """What is known of the time of an epoch beside finished runs.

    Attributes:
        seconds_an_epoch: of a run, or of the whole of one that is not trained; None where nothing is known, of runs or
            of this one.
        are_stated: whether they count before those of finished runs.
        words: what they are, as a plan says it.
        device: the kind of device (``cpu``, ``cuda``) on which finished runs count; None for any.
    """

    seconds_an_epoch: Callable[[RunSpec], float | None] | None = None
    are_stated: bool = False
    words: str = ""
    device: str | None = None

    def is_of(self, device: str) -> bool:
        """Say whether a run that was done there counts."""
        return self.device is None or device.partition(":")[0].partition(" ")[0] == self.device.partition(":")[0]


MEASURED = Rates()
"""Nothing but what finished runs took."""


def read_ms_a_step(text: str) -> dict[str | None, float]:
    """Return the milliseconds of a step by the network's name, None standing for all others.

    Args:
        text: ``70`` for all, ``resnet32=70,vgg19=55`` for each network, or both: ``resnet32=70,12``.

    Raises:
        InputError: it is no such text, or says two things of one network.
    """
    found: dict[str | None, float] = {}
    for part in text.split(","):
        name, sign, number = part.rpartition("=")
        network = name.strip() if sign else None
        try:
            milliseconds = float(number)
        except ValueError:
            raise InputError(
                f"{field_name('ms_a_step')} takes milliseconds, 70, or those of each network, "
                f"resnet32=70,vgg19=55, not {text!r}.",
                field="ms_a_step",
            ) from None
        if network in found:
            of = f"of {network}" if network else "of all other networks"
            raise InputError(f"{field_name('ms_a_step')} says twice what a step {of} takes.", field="ms_a_step")
        found[network] = MS_A_STEP.require("ms_a_step", milliseconds)
    return found


def stated_rates(study: Study, ms_a_step: Mapping[str | None, float]) -> Rates:
    """Return the rates of steps that take so many milliseconds; runs that train nothing have no steps.

    Args:
        study: whose runs they are.
        ms_a_step: milliseconds by the network's name; under None, of all others, of which nothing is known without it.

    Raises:
        InputError: a network is not one of the study's.
    """
    networks = dict.fromkeys(question.setting.model for question in study.questions)
    for name in ms_a_step:
        if name is not None and name not in networks:
            raise unknown_name("network in these studies", name, networks, field="ms_a_step")
    steps = _steps(study)

    def of_run(run: RunSpec) -> float | None:
        milliseconds = ms_a_step.get(run.setting.model, ms_a_step.get(None))
        return None if run.is_evaluated_only or milliseconds is None else milliseconds / 1000 * steps(run)

    words = (f"{number:g} ms a step" + (f" of {name}" if name else "") for name, number in ms_a_step.items())
    return Rates(of_run, are_stated=True, words=f"at {' and '.join(words)}")


def calibrated_rates(study: Study, device: str) -> Rates:
    """Return rates that are found by some steps on this machine, for each setting and sparsity that is asked for.

    Of runs that train nothing a sequence is timed, and the rest follows from the arithmetic of their method.
    """
    question_about = _questions(study)
    steps = _steps(study)

    @functools.cache
    def of_kind(setting: Setting, sparsity: float) -> float:
        question = question_about(setting)
        run = replace(question.dense_run(0), setting=setting, sparsity=sparsity)
        return seconds_a_step(run, question.data, question.builder, device)

    @functools.cache
    def of_token(setting: Setting) -> float:
        question = question_about(setting)
        return seconds_a_token(question.dense_run(0), question.data, question.builder, device)

    def of_run(run: RunSpec) -> float | None:
        if not run.is_evaluated_only:
            return of_kind(run.setting, run.sparsity) * steps(run)
        tokens = tokens_of_run(study, run)
        return None if tokens is None else of_token(run.setting) * tokens

    words = f"as some steps on this machine ({device}) took"
    return Rates(of_run, words=words, device=device)


def tokens_of_run(study: Study, run: RunSpec) -> float | None:
    """Return how many tokens a run takes as long as: those of the test, and those that its pruning is worth.

    Pruning is worth as many as the network computes in the time of so many multiplications and additions.

    Args:
        study: whose method, network and data the run has.
        run: one that trains nothing.

    Returns:
        None where the method is a function of the user's, of which nothing is known.
    """
    methods = {
        method.name: (method, question)
        for question in study.questions
        for method in (question.method, question.baseline)
        if method is not None and question.setting == run.setting
    }
    if run.method not in methods:
        (question,) = [one for one in study.questions if one.setting == run.setting][:1]
        return float(question.data.test.labels.size)
    method, question = methods[run.method]
    memory = study.validation.memory_of_run(run, method, question.data, question.builder)
    if memory.pruning is None:
        return None
    size = study.validation.network(question.dense_run(0), question.data, question.builder)
    return float(question.data.test.labels.size) + memory.operations / (2 * size.parameters)


def _questions(study: Study) -> Callable[[Setting], CheckStudy]:
    """Return what finds a question with a setting's data and network.

    Its recipe may be another: tickets start from networks trained for a few epochs, of which nothing is asked.
    """
    asked = {_without_recipe(question.setting): question for question in study.questions}
    return lambda setting: asked[_without_recipe(setting)]


def _without_recipe(setting: Setting) -> Setting:
    return replace(setting, recipe=Recipe())


def _steps(study: Study) -> Callable[[RunSpec], int]:
    """Return what says how many steps an epoch of a run has."""
    question_about = _questions(study)

    @functools.cache
    def of_setting(setting: Setting, trained_on: str | None) -> int:
        data = question_about(setting).data
        images = data.train
        if trained_on:
            with contextlib.suppress(InputError):  # of a user's check of data that are not here
                images = find_check(trained_on).select(images, data.num_classes, 0)
        whole, rest = divmod(len(images), setting.recipe.batch_size)
        return whole + (rest > 1 or not whole)  # a rest of one joins the last batch, see prunecheck.data.Batches

    return lambda run: of_setting(run.setting, run.trained_on)
