"""How long an epoch takes where no run is done that would tell: a stated time a step, or some steps on this machine."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from prunecheck.constraints import Number
from prunecheck.engine.calibration import seconds_a_step, seconds_a_token
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


def stated_rates(study: Study, ms_a_step: float) -> Rates:
    """Return the rates of a step that takes so many milliseconds in all runs; those that train nothing have no steps.

    Raises:
        InputError: it is no such number.
    """
    seconds = MS_A_STEP.require("ms_a_step", ms_a_step) / 1000
    steps = _steps(study)
    return Rates(
        lambda run: None if run.is_evaluated_only else seconds * steps(run),
        are_stated=True,
        words=f"at {ms_a_step:g} ms a step",
    )


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
    def of_setting(setting: Setting) -> int:
        data = question_about(setting).data
        whole, rest = divmod(len(data.train), setting.recipe.batch_size)
        return whole + (rest > 1 or not whole)  # a rest of one joins the last batch, see prunecheck.data.Batches

    return lambda run: of_setting(run.setting)
