"""Study files: TOML in which lists multiply, with what more to ask and what to leave out."""

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prunecheck.checks import find_asked_check, usual_checks
from prunecheck.constraints import ListOf, Name
from prunecheck.data import DATASETS, DataPlaces, load_dataset
from prunecheck.data.datasets import named_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.errors import InputError
from prunecheck.metrics import Margin, Metric, find_metric
from prunecheck.models import find_model, published_width
from prunecheck.models.registry import CHANNELS
from prunecheck.pruning import DENSE, Method, find_method
from prunecheck.pruning.methods_of_masks import starting_from
from prunecheck.registry import nearest_names, unknown_name
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.exclusion import Asked, Exclude, without
from prunecheck.studies.question import QUESTION, SEEDS_OR_AUTO, USUAL_SPARSITIES, read_margin, read_seeds
from prunecheck.studies.recipes import ENDING, SUGGESTED, TABLE, find_recipe, recipe_of_table
from prunecheck.studies.study import Study, canonical_question
from prunecheck.studies.study_keys import KEY_OF, Constraints, Keys, NameOrTable, StudyText, Unread
from prunecheck.studies.study_paths import placed
from prunecheck.studies.toml_lines import KeyPath
from prunecheck.studies.usual import USUAL as USUAL_BASELINE
from prunecheck.studies.usual import (
    USUAL_CALIBRATION,
    checks_of_calibration,
    find_baseline,
    names_of_usual_checks,
    usual_baseline,
    usual_sparsities,
)
from prunecheck.training import Recipe
from prunecheck.training.named_recipes import RECIPES

NONE = "none"
"""As a baseline: nothing."""

MULTIPLIED: Constraints = {
    "methods": ListOf(NameOrTable(), "names", '["snip", "grasp"]'),
    "datasets": ListOf(NameOrTable(), "names", '["digits"]'),
    "models": ListOf(NameOrTable(), "names", '["resnet8"]'),
    "widths": ListOf(CHANNELS, "whole numbers", "[16]"),
    "recipes": ListOf(Name(), "names", '["published"]'),
    **{KEY_OF[field]: QUESTION[field] for field in ("sparsity", "checks", "seeds")},
}
"""Lists; there is a run for every combination."""

SEEDS: Constraints = {"seeds": SEEDS_OR_AUTO, "max_seeds": QUESTION["max_seeds"]}
"""By which runs are paired."""

LAYERS: Constraints = {field: QUESTION[field] for field in ("prunable", "keep_dense")}
"""Which layers may be pruned."""

AMOUNTS: Constraints = {
    "samples_per_class": QUESTION["samples_per_class"],
    "scoring_rounds": QUESTION["scoring_rounds"],
    "train_images": QUESTION["train_images"],
    "test_images": QUESTION["test_images"],
    "augment": QUESTION["augment"],
    "normalize": QUESTION["normalize"],
    "calibration_sequences": QUESTION["calibration_sequences"],
    "calibration_data": QUESTION["calibration_data"],
    "sequence_length": QUESTION["sequence_length"],
}

GRID: Constraints = {
    **MULTIPLIED,
    **AMOUNTS,
    **LAYERS,
    "metric": Name(),
    "margin": Unread(),
    **SEEDS,
    "start": QUESTION["start"],
    "baseline": NameOrTable(),
}

OF_DATASET: Constraints = {key: GRID[key] for key in ("models", "widths", "recipes", *AMOUNTS, *LAYERS)}

EXAMPLES = {"methods": '["snip", "grasp"]', "datasets": '["digits"]'}

USUAL: dict[str, Any] = {
    "models": (None,),
    "widths": (None,),
    "recipes": (SUGGESTED,),
    "sparsities": None,
    "start": None,
    "checks": None,
    "seeds": range(5),
    "max_seeds": None,
    "samples_per_class": 10,
    "scoring_rounds": 1,
    "train_images": None,
    "test_images": None,
    "prunable": None,
    "keep_dense": None,
    "augment": None,
    "normalize": None,
    "calibration_sequences": USUAL_CALIBRATION,
    "calibration_data": None,
    "sequence_length": None,
    "metric": None,
    "margin": None,
    "baseline": USUAL_BASELINE,
}
"""What stands for a key that is left out, as in ``prunecheck check`` but for the seeds, whose number is fixed; None for
what data set, method or metric suggest, of checks for :func:`prunecheck.checks.usual_checks`, and of sparsities for
those of masks in files, else for :data:`USUAL_SPARSITIES`."""


def read_study(file: Path, places: DataPlaces | None, given: Mapping[str, Any] = MappingProxyType({})) -> Study:
    """Read a study file.

    Args:
        file: TOML; ``docs/studies.md`` lists the keys.
        places: where data sets lie.
        given: values by key, in the place of those in the file; see :mod:`prunecheck.studies.overrides`.

    Raises:
        InputError: what is wrong, with the file, the line and the key where it stands: no TOML,
            unknown keys and names, values of a wrong type or size, a study without runs.
    """
    return _StudyReader(StudyText.read(file, given), places).study()


class _StudyReader:
    """Reads one file; what it says on one line may be needed for many questions."""

    def __init__(self, text: StudyText, places: DataPlaces | None) -> None:
        self._text = text
        self._places = places
        tables = dict.fromkeys(("recipe", "dataset", "include", "exclude"), Unread())
        for key in ("recipes", "datasets"):
            if isinstance(text.content.get(key), dict):
                raise text.error((key,), f"{key} takes a list of names: describe one of them in [{key[:-1]}.NAME].")
        self._top = Keys.read(text, (), text.content, {**GRID, "name": Name(), **tables})
        self._recipes = self._tables_by_name("recipe", TABLE)
        self._datasets = self._tables_by_name("dataset", OF_DATASET)
        self._includes = list(self._tables("include", GRID))
        self._excludes = list(self._tables("exclude", MULTIPLIED))
        self._method = functools.cache(self._find_method)
        self._model = functools.cache(find_model)
        self._metric = functools.cache(find_metric)
        self._dataset = functools.cache(named_dataset)

    def _tables_by_name(self, kind: str, constraints: Constraints) -> dict[str, Keys]:
        tables = self._top.values.get(kind, {})
        if not isinstance(tables, dict):
            example = f'[{kind}.NAME], and lists of names are written {kind}s = ["NAME"]'
            raise self._text.error((kind,), f"{kind} takes tables, written {example}.")
        folder = self._text.file.parent
        return {
            placed(key, folder) if kind == "dataset" else key: Keys.read(self._text, (kind, key), table, constraints)
            for key, table in tables.items()
        }

    def _tables(self, kind: str, constraints: Constraints) -> Iterator[Keys]:
        tables = self._top.values.get(kind, [])
        if not isinstance(tables, list):
            raise self._text.error((kind,), f"{kind} is written with two brackets on each side: [[{kind}]].")
        for number_, table in enumerate(tables):
            path = (kind, number_)
            for nested in {"include", "exclude"} & set(table if isinstance(table, dict) else ()):
                raise self._text.error((*path, nested), f"an {kind} has no {nested} of its own: write it beside it.")
            yield Keys.read(self._text, path, table, constraints)

    def study(self) -> Study:
        """Return the study."""
        asked: dict[str, Asked] = {}
        tables = [table for table in (self._top, *self._includes) if self._asks(table)]
        for table in tables:
            for one in self._grid(table):
                asked.setdefault(canonical_question(one.question), one)
        if not tables:
            missing = next((key for key in ("methods", "datasets") if key not in self._top.values), "methods")
            raise InputError(f"{self._text.file} has no {missing}: name them, as in {missing} = {EXAMPLES[missing]}.")
        self._refuse_foreign_datasets([one.question.dataset for one in asked.values()])
        self._refuse_unused_recipes({one.recipe for one in asked.values()})
        return Study(self._top.values.get("name", self._text.file.stem), tuple(self._left(list(asked.values()))))

    def _asks(self, table: Keys) -> bool:
        """Say whether a table is a grid; without methods or data sets the top is what includes have in common."""
        needed = [key for key in ("methods", "datasets") if not self._has(table, key)]
        if needed and table is not self._top:
            raise self._text.error(table.path, f"this include has no {needed[0]}, and there are none at the top.")
        return not needed

    def _has(self, table: Keys, key: str) -> bool:
        return key in table.values or key in self._top.values

    def _refuse_foreign_datasets(self, used: Sequence[str]) -> None:
        for dataset in self._datasets:
            if self._dataset(dataset)[0] not in used and dataset not in DATASETS.names():
                error = unknown_name("data set", dataset, dict.fromkeys([*used, *DATASETS.names()]))
                raise self._text.error(("dataset", dataset), error)

    def _refuse_unused_recipes(self, used: Collection[str]) -> None:
        """Refuse a recipe that nothing is trained by, unless others were asked for beside the file."""
        for recipe in self._recipes:
            of_recipe = [path for path in self._text.given if path[:2] == ("recipe", recipe)]
            if recipe in used or not (of_recipe or ("recipes",) not in self._text.given):
                continue
            near = nearest_names(recipe, [*used, *self._recipes.keys() - {recipe}])
            what = f"did you mean {' or '.join(near)}?" if near else f'name it, as in recipes = ["{recipe}"].'
            path = of_recipe[0] if of_recipe else ("recipe", recipe)
            raise self._text.error(path, f"no question of this study has the recipe {recipe}: {what}")

    def _grid(self, table: Keys) -> Iterator[Asked]:
        datasets, path = self._value(table, None, "datasets")
        for dataset in datasets:
            with self._text.errors_at(path):
                load_dataset(dataset, self._places)
            value = functools.partial(self._value, table, dataset)
            axes = [value(key) for key in ("models", "widths", "recipes", "methods")]
            for chosen in itertools.product(*(values for values, _ in axes)):
                model, width, recipe, method = zip(chosen, (path for _, path in axes), strict=True)
                yield self._question(value, dataset, model, width, recipe, method)

    def _question(
        self,
        value: "functools.partial[tuple[Any, KeyPath]]",
        dataset: str,
        model: tuple[str | None, KeyPath],
        width: tuple[int | None, KeyPath],
        recipe: tuple[str, KeyPath],
        method: tuple[str, KeyPath],
    ) -> Asked:
        dataset_name, own_dataset = self._dataset(dataset)
        loaded = load_dataset(own_dataset or dataset_name, self._places)
        suggestion = loaded.suggestion
        with self._text.errors_at(model[1]):
            network = self._model(suggestion.model if model[0] is None else model[0])
            usual = suggestion.width if model[0] is None else published_width(network)
            loaded = as_read_by(loaded, network.find_tokenizer)
        baseline, baseline_path = value("baseline")
        checks, checks_path = value("checks")
        own_method = self._method(*method)  # first, for its file may register what is named beside it
        start, start_path = value("start")
        with self._text.errors_at(start_path):
            own_method = starting_from(own_method, start)
        asked_usually = names_of_usual_checks(own_method, loaded)
        named, left_out = (
            usual_checks(own_method, asked_usually) if checks is None else (self._checks(checks, checks_path), ())
        )
        sparsities, _ = value("sparsities")
        corpus, corpus_path = value("calibration_data")
        with self._text.errors_at(corpus_path):
            more = checks_of_calibration(corpus)
        baseline = usual_baseline(own_method, loaded) if baseline == USUAL_BASELINE else baseline
        metric, margin = self._judged_by(value, loaded.usual_metric)
        (seeds, _), (most, most_path) = value("seeds"), value("max_seeds")
        with self._text.errors_at(most_path):
            seeds, sequential = read_seeds(seeds, most)
        question = CheckStudy(
            method=own_method,
            dataset=dataset_name,
            places=self._places,
            train_images=value("train_images")[0],
            test_images=value("test_images")[0],
            model=network.name,
            width=usual if width[0] is None else width[0],
            sparsities=sparsities or usual_sparsities(own_method, USUAL_SPARSITIES),
            checks=(*named, *self._checks(more, corpus_path)),
            left_out=left_out,
            baseline=None if baseline == NONE else self._baseline(baseline, baseline_path),
            seeds=seeds,
            sequential=sequential,
            samples_per_class=value("samples_per_class")[0],
            scoring_rounds=value("scoring_rounds")[0],
            recipe=self._recipe(*recipe, dataset),
            margin=margin,
            metric=metric,
            own_model=network if network.reference else None,
            own_dataset=own_dataset,
            prunable=value("prunable")[0],
            keep_dense=value("keep_dense")[0],
            augment=value("augment")[0],
            normalize=value("normalize")[0],
            calibration_sequences=value("calibration_sequences")[0],
            sequence_length=value("sequence_length")[0],
        )
        try:
            _ = question.data
        except InputError as error:
            if error.field is None:
                raise
            with self._text.errors_at(value(KEY_OF[error.field])[1]):
                raise
        with self._text.errors_at(method[1]):
            question = question.as_files_allow(sparsities is not None)
        return Asked(question, recipe[0])

    def _value(self, table: Keys, dataset: str | None, key: str) -> tuple[Any, KeyPath]:
        """Return the value of a key and where it stands: the nearest of include, data set and top that has it."""
        of_dataset = self._datasets.get(dataset) if dataset is not None else None
        includes = [] if table is self._top else [table]
        for keys in (*includes, *([of_dataset] if of_dataset else []), self._top):
            if key in keys.values:
                return keys.values[key], (*keys.path, key)
        return USUAL.get(key), table.path

    def _judged_by(self, value: "functools.partial[tuple[Any, KeyPath]]", usual_name: str) -> tuple[Metric, Margin]:
        """Return the metric and the margin, which is never taken for one in another unit than where it stands."""
        (name, path), (margin, margin_path) = value("metric"), value("margin")
        name = usual_name if name is None else name
        with self._text.errors_at(path):
            metric = self._metric(name)
        usual = self._metric(self._top.values.get("metric", usual_name)).quantity
        is_amount = margin is not None and not isinstance(margin, str)  # percentages are of any metric
        if is_amount and len(margin_path) < len(path) and usual.unit != metric.quantity.unit:
            raise self._text.error(
                path,
                f"values of {name} have the unit {metric.quantity.unit or '1'}, and the margin at the top is one of "
                f"{usual}: give this include a margin of its own.",
            )
        try:
            return metric, read_margin(metric.quantity, margin, metric.usual_margin)
        except InputError as error:
            where = path if margin is None else margin_path
            raise self._text.error(where, error.spelled({"margin": "margin"}.get)) from error

    def _find_method(self, text: str, path: KeyPath) -> Method:
        with self._text.errors_at(path):
            if text == DENSE:
                raise InputError("the dense network is trained for every question: leave it out.")
            return find_method(text)

    def _baseline(self, text: str, path: KeyPath) -> Method:
        with self._text.errors_at(path):
            return find_baseline(text)

    def _checks(self, checks: Sequence[str], path: KeyPath) -> tuple[str, ...]:
        with self._text.errors_at(path):
            found = tuple(find_asked_check(check).name for check in checks)
            for check in found:
                if found.count(check) > 1:
                    raise InputError(f"the check {check} is given twice: name it once.")
        return found

    def _recipe(self, recipe: str, path: KeyPath, dataset: str) -> Recipe:
        if recipe in self._recipes:
            return recipe_of_table(self._recipes[recipe], load_dataset(dataset, self._places).suggestion)
        with self._text.errors_at(path):
            if not recipe.endswith(ENDING) and recipe not in (known := [*RECIPES.names(), SUGGESTED]):
                raise unknown_name("recipe", recipe, [*self._recipes, *known])
            return find_recipe(recipe, load_dataset(dataset, self._places).suggestion)

    def _left(self, asked: Sequence[Asked]) -> list[CheckStudy]:
        """Return the questions without what is excluded.

        Raises:
            InputError: an exclude that excludes nothing, or nothing that is left.
        """
        excludes = [self._exclude(keys) for keys in self._excludes]
        left = [question for one in asked for question in without(one, excludes)]
        for keys, exclude in zip(self._excludes, excludes, strict=True):
            if not exclude.has_excluded:
                raise self._text.error(keys.path, "this exclude matches no run: correct it, or leave it out.")
        if not left:
            raise self._text.error(self._excludes[0].path, "everything is excluded: no run is left.")
        return left

    def _exclude(self, keys: Keys) -> Exclude:
        """Return an exclude with names as questions have them."""
        if not keys.values:
            raise self._text.error(keys.path, "this exclude names nothing: say which runs to leave out.")
        allowed = {key: frozenset(values) for key, values in keys.values.items()}
        if "methods" in allowed:
            path = (*keys.path, "methods")
            allowed["methods"] = frozenset(self._method(text, path).name for text in keys.values["methods"])
        if "datasets" in allowed:
            with self._text.errors_at((*keys.path, "datasets")):
                allowed["datasets"] = frozenset(self._dataset(text)[0] for text in keys.values["datasets"])
        if "models" in allowed:
            with self._text.errors_at((*keys.path, "models")):
                allowed["models"] = frozenset(self._model(text).name for text in keys.values["models"])
        if "checks" in allowed:
            allowed["checks"] = frozenset(self._checks(keys.values["checks"], (*keys.path, "checks")))
        return Exclude(allowed)
