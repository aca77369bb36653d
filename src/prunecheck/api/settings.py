"""What is asked of one method, asked of several, and in several settings: other recipes, networks and data sets."""

import itertools
from collections.abc import Sequence
from typing import Any

from prunecheck.api.answers import Answers
from prunecheck.api.calls import call_text
from prunecheck.api.questions import (
    DatasetLike,
    MethodLike,
    ModelLike,
    RecipeLike,
    asked_study,
    require_one_method,
    run,
)
from prunecheck.errors import InputError, field_name
from prunecheck.studies.question import Scope
from prunecheck.studies.study import Study, canonical_question
from prunecheck.studies.usual import USUAL

OF_RUNNING = ("workers", "device", "acceleration", "out", "retry_failed", "track", "on_event", "quiet")
"""Arguments that say how runs are done, and not what is asked."""

ONE_OF = {"recipes": "recipe", "models": "model", "datasets": "dataset"}
"""What is varied, and the argument that has one of it."""


def check_settings(
    method: MethodLike | Sequence[MethodLike],
    *,
    recipes: Sequence[RecipeLike] | None = None,
    models: Sequence[ModelLike] | None = None,
    datasets: Sequence[DatasetLike] | None = None,
    family: str = Scope.REPORT,
    **question: Any,
) -> Answers:
    """Ask what :func:`check` asks of several methods, or in several settings, and say whether verdicts hang on these.

    There is a question for each method with each recipe and network on each data set; all of their comparisons are one
    family.
    ``answers.robustness`` says in a sentence what follows, and ``answers.across_settings`` holds it.

    Args:
        method: see :func:`check`; one, or a list of several.
        recipes: see there, at ``recipe``; None for that one.
        models: see there, at ``model``; None for that one, or for what each data set suggests.
        datasets: see there, at ``dataset``; None for that one.
        family: the comparisons over which verdicts are wrong together in 5 % at most: those of all settings
            (``report``), or of each by itself (``question``).
        question: what else :func:`check` takes.

    Raises:
        InputError: an argument is wrong, or there is only one question; nothing has been trained then.
        TypeError: an argument is one that :func:`check` does not take.
        KeyboardInterrupt: it was interrupted; what is finished stays.
    """
    given = call_text(check_settings, locals())
    varied = {"recipes": recipes, "models": models, "datasets": datasets}
    running = {name: question.pop(name) for name in OF_RUNNING if name in question}
    for name, values in varied.items():
        if values is not None and question.get(ONE_OF[name]) is not None:
            raise InputError(
                f"{field_name(name)} and {field_name(ONE_OF[name])} say the same: give one of them.", field=name
            )
    axes = {ONE_OF[name]: _listed(name, values) for name, values in varied.items() if values is not None}
    usual: dict[str, Any] = {"dataset": "digits", "sparsity": None, "seeds": 5, "model": None}
    usual |= {"checks": None, "baseline": USUAL}
    methods = _listed("method", method) if isinstance(method, list | tuple) else (method,)
    for one in methods:
        require_one_method(one, "check_settings takes several as a list of single methods")
    studies = [
        asked_study(one, **usual | question | dict(zip(axes, chosen, strict=True)))
        for chosen in itertools.product(*axes.values())
        for one in methods
    ]
    unique = tuple({canonical_question(study): study for study in studies}.values())
    if len(unique) < 2:
        raise InputError(
            "there is one question here: give several methods, recipes, models or datasets, or ask of one in one only."
        )
    names = ", ".join(dict.fromkeys(study.method.name for study in unique))
    return run(Study(names, unique), family=family, **running).told_as(given)


def _listed(name: str, values: Any) -> tuple[Any, ...]:
    """Return what is varied as a tuple; one value alone, which may be a module that can be gone through, as one."""
    found = tuple(values) if isinstance(values, list | tuple) else (values,)
    if not found:
        raise InputError(f"{field_name(name)} names nothing: name at least one, or leave it out.", field=name)
    return found
