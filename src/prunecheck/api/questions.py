"""Questions asked from Python: about one method, or those of a study."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Unpack

from torch import Tensor, nn

from prunecheck.analysis.recorded import NO_BASELINE
from prunecheck.api import arguments
from prunecheck.api.answers import Answer, Answers
from prunecheck.api.calls import call_text
from prunecheck.api.places import data_places
from prunecheck.api.study_runs import Execution, OnEvent, conclusions, study_results
from prunecheck.api.tracking import read_services
from prunecheck.data import Dataset
from prunecheck.errors import InputError, field_name
from prunecheck.printable import for_terminal
from prunecheck.pruning import Method, find_method
from prunecheck.pruning.method_lookup import names_several
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.question import AUTO, USUAL_SPARSITIES, Scope
from prunecheck.studies.same_data import as_recorded, renamed_data
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study
from prunecheck.studies.suggestions import study_with_suggestions
from prunecheck.studies.usual import USUAL, USUAL_CALIBRATION
from prunecheck.training import Recipe
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration
from prunecheck.training.recipe import RecipeFields

MethodLike = Method | Callable[..., Any] | str
ModelLike = Callable[..., nn.Module] | nn.Module | str
DatasetLike = Dataset | Callable[..., Any] | str | Mapping[str, Any] | Sequence[Any]
RecipeLike = Recipe | str | Path
MetricLike = Callable[[Tensor, Tensor], Any] | str


def check(
    method: MethodLike,
    *,
    model: ModelLike | None = None,
    dataset: DatasetLike = "digits",
    sparsity: float | Iterable[float] | Literal["sweep"] | None = None,
    start: str | None = None,
    seeds: int | Iterable[int] | str = AUTO,
    max_seeds: int | None = None,
    checks: str | Iterable[str] | None = None,
    baseline: str | None = USUAL,
    metric: MetricLike | None = None,
    margin: float | str | None = None,
    recipe: RecipeLike | None = None,
    width: int | None = None,
    prunable: str | Iterable[str] | None = None,
    keep_dense: str | Iterable[str] | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    augment: str | None = None,
    normalize: str | None = None,
    samples_per_class: int = 10,
    scoring_rounds: int = 1,
    calibration_sequences: int = USUAL_CALIBRATION,
    calibration_data: str | None = None,
    sequence_length: int | None = None,
    data_root: str | Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    acceleration: Acceleration = WHERE_IT_PAYS,
    out: str | Path | None = "runs",
    retry_failed: bool = False,
    track: str | Iterable[str] = (),
    on_event: OnEvent | None = None,
    quiet: bool = False,
    family: str = Scope.QUESTION,
    **recipe_fields: Unpack[RecipeFields],
) -> Answer:
    """Train a method's tickets beside changed and random ones, and say which information the method uses.

    What is done already is not done again: a call that was interrupted goes on where it was when it is made again, and
    one that is repeated answers at once. In a notebook the cell shows how far it is; interrupt it, and what is going on
    is saved after its epoch (twice: at once).

    Args:
        method: a name (see ``prunecheck list``), ``FILE.py:FUNCTION``, with arguments or not
            (``my.py:score?alpha=2``), or such a function or :class:`Method` itself: it takes the network, and the
            batches or whatever else it names, and returns ``{layer name: tensor}`` of scores, larger = keep, or of
            boolean masks, or ``(weights, masks)``; ``mask:PATH``, or what :func:`prunecheck.mask_from` returns,
            for masks in files of any tool.
        model: a name, ``FILE.py:FUNCTION``, with arguments likewise, or a function ``(num_classes, **options)`` that
            returns a module, or a module with a method ``draw_weights(generator)``, which is copied for each seed; None
            for what the data set suggests, resnet8 of width 16 for digits.
        dataset: a name, ``folder:PATH`` of images, ``npz:FILE``, ``huggingface:FOLDER``, ``FILE.py:FUNCTION``, or a
            function that returns four arrays, a pair ``(train, test)`` of data sets or data loaders of torch, a mapping
            of either, or a :class:`Dataset`; or what it returns itself.
        sparsity: shares of weights to remove, in [0, 1): one or several, or ``"sweep"`` for nine from 0.5 to 0.999;
            None for that of masks in files, else for 0.9 and 0.95.
        start: which weights training starts from where the method is masks in files: ``initial`` or the ``file``'s own;
            None for what the method says.
        seeds: how many, from 0, or which; runs are paired by them. ``auto``: the results are looked at with 5 seeds,
            and with 8, 12, 20, ..., until each comparison is decided; the 5 % of wrong verdicts are divided over these
            looks beforehand, and runs are added only for what is not decided yet.
        max_seeds: the most that ``auto`` may take; None for 20. It may be raised later without a cost to the verdicts.
        checks: names of checks, one, several or none; ``random-labels@0.25`` is done to a share,
            ``rearrange-mask+reinit`` are two at once. None for ``corrupted-data`` (of text ``random-tokens``) and
            ``rearrange-mask``; of a method after training for ``random-tokens``, ``shuffled-tokens``, ``one-sequence``
            and ``rearrange-rows``.
        baseline: the method whose tickets the method's are compared with; None for nothing, ``usual`` for
            ``random-smart`` (of text ``random-erk``), of a method after training for ``magnitude-after-training``.
        metric: what runs are judged by: a name, ``FILE.py:FUNCTION``, or a function
            ``(logits, labels) -> number`` below :func:`prunecheck.metric`, which says its unit and direction. None for
            accuracy, of text bits per byte.
        margin: what makes no practical difference, stated before the runs: in the unit of the metric, or ``"1%"`` of
            its value, of which differences are percentages then; None for 2 points of what is measured in percent and
            0.02 bits per byte, and has to be given for what is neither.
        recipe: how networks are trained: a name (``published``, ``short``, ``adamw``), a path of a ``.toml`` file, or a
            :class:`Recipe`; None for what the data set suggests.
        width: channels of the network's first stage; None for the published or suggested one.
        prunable: which layers may be pruned, by name, by the name of a module around them, by pattern (``"layer3.*"``),
            or as ``"first"`` or ``"last"``: one or several; None for every Conv2d and Linear. Sparsity is a share of
            their weights.
        keep_dense: which of these are kept whole all the same, likewise.
        train_images: train with so many images, the first of every class; None for all.
        test_images: test on so many, likewise.
        augment: how training images are varied: ``crop=4`` (moved by up to 4 pixels over zeros), ``flip`` (mirrored
            half of the time), ``crop=4,flip``, or ``none``; None for the data set's own way.
        normalize: what images are normalised by: ``dataset`` (mean and standard deviation of the training part),
            ``mean=0.5,0.5,0.5 std=0.2,0.2,0.2`` (of each channel, or one of all; uint8 is scaled to [0, 1] first), or
            ``none``; None for the data set's own way.
        samples_per_class: how many training images of each class the criterion sees at a time.
        scoring_rounds: how many times it sees so many.
        calibration_sequences: how many sequences of tokens a method after training sees.
        calibration_data: a data set of text; it adds the check ``other-corpus`` with as many sequences of it.
        sequence_length: tokens of a sequence; None for 128.
        data_root: folder that holds data sets; None for ``PRUNECHECK_DATA`` and the cache.
        workers: single-thread processes that train at the same time; with 1 everything happens in this one.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        acceleration: what may make training faster.
        out: where the run folders and ``results.csv`` are written; None for a temporary folder, which goes with the
            answer, so that nothing is kept and nothing is gone on with.
        retry_failed: do failed runs again, and those that could not be done because of them.
        track: services that are sent the curves of runs, beside TensorBoard's files: ``wandb``, ``mlflow``, with a
            project behind a colon or not, ``wandb:my-project``; one or several.
        on_event: called in this thread with an :class:`EpochDone` or :class:`RunDone` for every epoch and run that is
            done, in the place of the progress that is shown otherwise.
        quiet: show no progress.
        family: the comparisons over which verdicts are wrong together in 5 % at most; of one question, ``question``
            and ``report`` are the same.
        recipe_fields: what is to be otherwise than in the recipe: fields of a :class:`Recipe`, such as ``epochs=40``,
            to which its schedule is stretched, ``batch_size``, ``learning_rate``, ``optimizer="adamw"``.

    Raises:
        InputError: an argument is wrong, in one sentence that says what to do; nothing has been trained then.
        KeyboardInterrupt: it was interrupted; what is finished stays.
    """
    given = call_text(check, locals())
    require_one_method(method, "check takes one, and check_settings takes a list of several")
    study = asked_study(
        method,
        model=model,
        dataset=dataset,
        sparsity=sparsity,
        start=start,
        seeds=seeds,
        max_seeds=max_seeds,
        checks=checks,
        baseline=baseline,
        metric=metric,
        margin=margin,
        recipe=recipe,
        width=width,
        prunable=prunable,
        keep_dense=keep_dense,
        train_images=train_images,
        test_images=test_images,
        augment=augment,
        normalize=normalize,
        samples_per_class=samples_per_class,
        scoring_rounds=scoring_rounds,
        calibration_sequences=calibration_sequences,
        calibration_data=calibration_data,
        sequence_length=sequence_length,
        data_root=data_root,
        **recipe_fields,
    )
    answers = run(
        Study(study.method.name, (study,)),
        workers=workers,
        device=device,
        acceleration=acceleration,
        out=out,
        retry_failed=retry_failed,
        track=track,
        on_event=on_event,
        quiet=quiet,
        family=family,
    )
    return answers.told_as(given)[0]


def require_one_method(method: Any, instead: str) -> None:
    """Raise :class:`InputError` where several methods stand in the place of one.

    Args:
        method: what was given for one.
        instead: what to do.
    """
    if isinstance(method, list | tuple | set | frozenset):
        raise InputError(f"a {type(method).__name__} is not one method: {instead}.", field="method")
    if not isinstance(method, str) or not names_several(method):
        return
    try:
        find_method(method)
    except InputError:
        raise InputError(f"{method!r} names several methods: {instead}.", field="method") from None


def asked_study(
    method: Any,
    *,
    model: Any,
    dataset: Any,
    sparsity: Any,
    seeds: Any,
    max_seeds: Any = None,
    usual_sparsities: tuple[float, ...] = USUAL_SPARSITIES,
    start: Any = None,
    checks: Any = (),
    baseline: Any = None,
    metric: Any = None,
    margin: Any = None,
    recipe: Any = None,
    width: Any = None,
    prunable: Any = None,
    keep_dense: Any = None,
    train_images: Any = None,
    test_images: Any = None,
    augment: Any = None,
    normalize: Any = None,
    samples_per_class: Any = 10,
    scoring_rounds: Any = 1,
    calibration_sequences: Any = USUAL_CALIBRATION,
    calibration_data: Any = None,
    sequence_length: Any = None,
    data_root: str | Path | None = None,
    **recipe_fields: Any,
) -> CheckStudy:
    """Return the study behind the arguments of :func:`check`; raise :class:`InputError` for a wrong one."""
    listed, sequential = arguments.read_seeds(seeds, max_seeds)
    read = arguments.read_all(
        train_images=train_images,
        test_images=test_images,
        augment=augment,
        normalize=normalize,
        width=width,
        prunable=prunable,
        keep_dense=keep_dense,
        checks=checks,
        samples_per_class=samples_per_class,
        scoring_rounds=scoring_rounds,
        start=start,
        calibration_sequences=calibration_sequences,
        calibration_data=calibration_data,
        sequence_length=sequence_length,
    )
    return study_with_suggestions(
        method,
        dataset=dataset,
        places=data_places(None if data_root is None else Path(data_root)),
        model=model,
        sparsities=None if sparsity is None else arguments.read("sparsity", sparsity),
        usual_sparsities=usual_sparsities,
        baseline=None if baseline in (None, NO_BASELINE) else baseline,
        metric=metric,
        margin=margin,
        recipe=recipe,
        seeds=listed,
        sequential=sequential,
        **read,
        **arguments.read_recipe_fields(recipe_fields),
    )


def run(
    study: Study | str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    out: str | Path | None = "runs",
    data_root: str | Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    dashboard: str | None = None,
    device: str = "cpu",
    acceleration: Acceleration = WHERE_IT_PAYS,
    retry_failed: bool = False,
    track: str | Iterable[str] = (),
    on_event: OnEvent | None = None,
    quiet: bool = False,
    family: str = Scope.QUESTION,
) -> Answers:
    """Do the runs of a study and answer each of its questions.

    What is done already is not done again, for whichever study or check it was done; see :func:`check` for what
    happens when it is interrupted.

    Args:
        study: a study file, or a :class:`Study`.
        set: values by key in the place of those in the study file: ``{"seeds": 10, "recipe.short.epochs": 20}``.
        out: see :func:`check`, as for the arguments that are not listed here.
        data_root: folder that holds the data sets of a study file.
        workers: single-thread processes of this machine; a scheduler has its own.
        scheduler: ``tcp://HOST:PORT`` or ``tls://HOST:PORT`` of a dask scheduler, or the file that
            ``dask scheduler --scheduler-file`` writes: its workers do the runs.
        dashboard: ``HOST:PORT`` where the engine shows its dashboard meanwhile.
        device: see there.
        acceleration: see there.
        retry_failed: do failed runs again, and those that could not be done because of them.
        track: see there.
        on_event: see there.
        quiet: see there.
        family: the comparisons over which verdicts are wrong together in 5 % at most: those of each question by itself
            (``question``), or of all of the study's (``report``).

    Raises:
        InputError: the study, or an argument, is wrong; nothing has been trained then.
        KeyboardInterrupt: it was interrupted; what is finished stays.
    """
    given = call_text(run, locals())
    if scheduler is not None and (workers != 1 or dashboard is not None):
        raise InputError("a scheduler has workers and a dashboard of its own: leave workers and dashboard out.")
    scope = arguments.read_family(family)
    execution = Execution(
        workers=arguments.read("workers", workers),
        device=arguments.read_device(device, acceleration, is_here=scheduler is None),
        acceleration=acceleration,
        scheduler=scheduler,
        dashboard=dashboard,
        on_event=on_event,
        quiet=quiet,
        track=read_services(track),
    )
    # Of what is kept nowhere, the answer holds the folder, which goes with it.
    temporary = TemporaryDirectory(prefix="prunecheck-") if out is None else None
    root = Path(temporary.name if temporary else out or ".")
    asked = as_recorded(_read(study, set, data_root), root)
    asked.validate()
    if not quiet and on_event is None:
        for line in (*asked.left_out_checks(), *asked.left_dense(), *renamed_data(asked)):
            print(for_terminal(line), file=sys.stderr)
    results, recorded = study_results(asked, root, execution, retry_failed=retry_failed, family=scope)
    concluded = tuple(conclusions(asked, root, results, scope))
    return Answers(results, root, given, temporary, asked.name, asked.hash, concluded, recorded=recorded)


def _read(study: Study | str | Path, given: Mapping[str, Any] | None, data_root: str | Path | None) -> Study:
    if not isinstance(study, Study):
        return read_study(Path(study), data_places(None if data_root is None else Path(data_root)), given or {})
    if given:
        raise InputError(
            f"{field_name('set')} gives keys of a study file, and this is a study: make it as it is to be.", field="set"
        )
    return study
