"""A study of one question, in which what its data set suggests stands for what is not said."""

from collections.abc import Sequence
from typing import Unpack

from prunecheck.checks import find_asked_check, usual_checks
from prunecheck.data import DataPlaces, load_dataset
from prunecheck.data.datasets import AnyDataset, named_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.metrics import AnyMetric, Margin, find_metric
from prunecheck.models import AnyModel, find_model, published_width
from prunecheck.pruning import AnyMethod, find_method
from prunecheck.pruning.methods_of_masks import starting_from
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.looks import SequentialLooks
from prunecheck.studies.question import USUAL_SPARSITIES, read_margin
from prunecheck.studies.recipes import find_recipe
from prunecheck.studies.usual import (
    USUAL,
    USUAL_CALIBRATION,
    checks_of_calibration,
    find_baseline,
    names_of_usual_checks,
    usual_baseline,
)
from prunecheck.studies.usual import usual_sparsities as sparsities_of
from prunecheck.training.recipe import RecipeFields


def study_with_suggestions(
    method: AnyMethod,
    *,
    dataset: AnyDataset,
    places: DataPlaces | None,
    train_images: int | None,
    test_images: int | None,
    model: AnyModel | None,
    width: int | None,
    sparsities: tuple[float, ...] | None,
    checks: tuple[str, ...] | None,
    baseline: AnyMethod | None,
    seeds: Sequence[int],
    samples_per_class: int,
    scoring_rounds: int,
    prunable: tuple[str, ...] | None = None,
    keep_dense: tuple[str, ...] | None = None,
    augment: str | None = None,
    normalize: str | None = None,
    margin: float | str | Margin | None,
    metric: AnyMetric | None = None,
    usual_sparsities: tuple[float, ...] = USUAL_SPARSITIES,
    start: str | None = None,
    sequential: SequentialLooks | None = None,
    recipe: object = None,
    calibration_sequences: int = USUAL_CALIBRATION,
    calibration_data: str | None = None,
    sequence_length: int | None = None,
    **recipe_fields: Unpack[RecipeFields],
) -> CheckStudy:
    """Return a study in which the data set's suggestion stands for what is None.

    Its width goes with its network; a network that is named has its published width. Without
    ``baseline``, None, tickets are compared with no other method's. A margin of None is the usual one, where there
    is one. Where ``sparsities`` is None, masks in files have their own, and others the usual ones; ``start`` is
    that of :func:`prunecheck.mask_from`; ``calibration_data`` names the data set of the check ``other-corpus``,
    which is then done, too. Where ``checks`` or ``metric`` is None, or ``baseline`` ``usual``, see :mod:`.usual`;
    ``recipe``, and the fields that are to be otherwise, are said at :func:`prunecheck.studies.recipes.find_recipe`.

    What ``method`` and ``baseline`` may be is said at :func:`prunecheck.pruning.find_method`, for ``dataset`` at
    :func:`prunecheck.data.load_dataset`, for ``model`` at :func:`prunecheck.models.find_model`, and for ``metric``
    at :func:`prunecheck.metrics.find_metric`.
    """
    # First the methods: their files may register the networks, data sets and checks that are named beside them.
    found = starting_from(find_method(method), start)
    others = None if baseline in (None, USUAL) else find_baseline(baseline)
    dataset_name, own_dataset = named_dataset(dataset)
    loaded = load_dataset(own_dataset or dataset_name, places)
    if baseline == USUAL:
        others = find_method(usual_baseline(found, loaded))
    suggestion = loaded.suggestion
    if model is None:
        model, width = suggestion.model, suggestion.width if width is None else width
    network = find_model(model)
    loaded = as_read_by(loaded, network.find_tokenizer)
    judged_by = find_metric(loaded.usual_metric if metric is None else metric)
    least = read_margin(judged_by.quantity, margin, judged_by.usual_margin)
    usual = names_of_usual_checks(found, loaded)
    named, left_out = usual_checks(found, usual) if checks is None else (checks, ())
    study = CheckStudy(
        method=found,
        dataset=dataset_name,
        places=places,
        train_images=train_images,
        test_images=test_images,
        model=network.name,
        width=published_width(network) if width is None else width,
        sparsities=sparsities or sparsities_of(found, usual_sparsities),
        checks=tuple(find_asked_check(check).name for check in (*named, *checks_of_calibration(calibration_data))),
        left_out=left_out,
        baseline=others,
        seeds=seeds,
        samples_per_class=samples_per_class,
        scoring_rounds=scoring_rounds,
        recipe=find_recipe(
            recipe, suggestion, {name: value for name, value in recipe_fields.items() if value is not None}
        ),
        margin=least,
        own_model=network if network.reference else None,
        own_dataset=own_dataset,
        prunable=prunable,
        keep_dense=keep_dense,
        augment=augment,
        normalize=normalize,
        metric=judged_by,
        sequential=sequential,
        calibration_sequences=calibration_sequences,
        sequence_length=sequence_length,
    )
    return study.as_files_allow(sparsities is not None)
