import tomllib
from pathlib import Path
from typing import Any

import numpy
import pytest

from prunecheck.data import DataPlaces
from prunecheck.errors import InputError
from prunecheck.models import published_width
from prunecheck.paper.published_accuracies import published_accuracies
from prunecheck.paper.tables import FOLDER, FULL, SCALES, SMALL, SMOKE, TABLES, paper_table
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study
from prunecheck.training import Recipe

FILES = [file for name in TABLES for scale in SCALES for file in paper_table(name, scale).files.values()]

SIZES = {"cifar10": (10, 10_000, 5_000), "cifar100": (100, 2_000, 100), "tiny-imagenet": (200, 10_000, 2_000)}
"""Classes, training and test images that the studies need of each data set."""


DATASETS_AT_FULL_SCALE = {table: ["cifar10", "cifar100"] for table in TABLES} | {
    "tiny-imagenet": ["tiny-imagenet"],
    "low-sparsities": ["cifar10"],
    "missing-the-mark": ["cifar10"],
    "dynamic-sparse-training": ["cifar10"],
    "synflow-figure": ["cifar10", "cifar100", "tiny-imagenet"],
}

OF_OTHER_PAPERS = {
    "synflow-figure": "Tanaka et al.",
    "missing-the-mark": "COMP6258",
    "dynamic-sparse-training": "rigl-reproducibility",
}
"""How the sources of their numbers begin, by table."""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> "dict[Path, Study]":
    """Read every study, with black images for those of the data sets, which are too many to have here."""
    folder = tmp_path_factory.mktemp("studies")
    places = DataPlaces((folder,), folder / "cache")
    for dataset, (classes, *counts) in SIZES.items():
        arrays: dict[str, Any] = {}
        for part, count in zip(("train", "test"), counts, strict=True):
            arrays[f"x_{part}"] = numpy.zeros((count, 32, 32, 3), numpy.uint8)
            arrays[f"y_{part}"] = numpy.arange(count) % classes
        numpy.savez_compressed(folder / f"{dataset}.npz", **arrays)
    studies = {}
    for number, file in enumerate(FILES):
        copy = folder / f"{number}.toml"
        before = f'datasets = ["{file.stem}"]'
        text = file.read_text()
        assert before in text
        copy.write_text(text.replace(before, f'datasets = ["npz:{folder / file.stem}.npz"]'))
        studies[file] = read_study(copy, places)
    return studies


def questions(read: "dict[Path, Study]", table: str, scale: str, dataset: str | None = None) -> list[CheckStudy]:
    return [
        question
        for file, study in read.items()
        for question in study.questions
        if file.parts[-3:-1] == (table, scale) and dataset in (None, file.stem)
    ]


def test_every_file_belongs_to_a_table_and_a_scale() -> None:
    assert sorted(FILES) == sorted(FOLDER.rglob("*.toml"))
    for table in TABLES:
        for scale in SCALES:
            assert (
                list(paper_table(table, scale).files) == DATASETS_AT_FULL_SCALE[table][: 1 if scale != FULL else None]
            )


def test_names_tell_the_studies_apart() -> None:
    names = [tomllib.loads(file.read_text())["name"] for file in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_every_ticket_of_every_study_can_be_made(read: "dict[Path, Study]") -> None:
    # The figure's large networks stand, with another number of classes, in other studies too: once is enough.
    twice = [("synflow-figure", FULL, f"{dataset}.toml") for dataset in ("cifar10", "cifar100")]
    studies = [study for file, study in read.items() if file.parts[-3:] not in twice]
    Study("all", tuple(question for study in studies for question in study.questions)).validate()


@pytest.mark.parametrize("table", [table for table in TABLES if table not in OF_OTHER_PAPERS])
def test_full_scale_is_the_published_one(read: "dict[Path, Study]", table: str) -> None:
    recipe = Recipe(epochs=300, milestones=(150, 225)) if table == "tiny-imagenet" else Recipe()
    for file, study in read.items():
        if file.parts[-3:-1] != (table, FULL):
            continue
        assert {(question.model, question.width) for question in study.questions} == {
            ("vgg19_bn", 64),
            ("resnet32", 32),
        }
        for question in study.questions:
            assert question.recipe == recipe
            assert (question.train_images, question.test_images) == (None, None)
            assert (question.samples_per_class, question.scoring_rounds) == (10, 1)
            assert question.sparsities == ((0.4, 0.6, 0.8) if table == "low-sparsities" else (0.9, 0.95, 0.98))
            assert len(question.seeds) == 5


@pytest.mark.parametrize(("table", "source"), OF_OTHER_PAPERS.items())
def test_what_is_known_of_other_papers_recipes_is_done_at_full_scale(
    read: "dict[Path, Study]", table: str, source: str
) -> None:
    numbers = [number for number in published_accuracies() if number.recipe and number.source.startswith(source)]
    assert numbers
    for number in numbers:
        asked = [one for one in questions(read, table, FULL, number.dataset) if one.model == number.model]
        assert asked
        for question in asked:
            assert (question.recipe, question.normalize) == (number.recipe, number.normalize)
            assert question.width == published_width(number.model)


@pytest.mark.parametrize("table", TABLES)
def test_the_scales_ask_the_same_of_less(read: "dict[Path, Study]", table: str) -> None:
    def asked(scale: str) -> set[tuple[str, tuple[str, ...], str]]:
        return {
            (
                question.method.name.partition("@")[0],
                question.checks,
                question.baseline.name if question.baseline else "",
            )
            for question in questions(read, table, scale)
        }

    def images_seen(scale: str) -> int:
        """Count images that pass through the networks of a scale in training."""
        studies = [study for file, study in read.items() if file.parts[-3:-1] == (table, scale)]
        whole = {"cifar10": 50_000, "cifar100": 50_000, "tiny-imagenet": 100_000}
        return sum(
            (run.setting.train_images or max(whole.values())) * run.setting.recipe.epochs
            for study in studies
            for run in study.runs()
        )

    assert asked(FULL) == asked(SMALL) == asked(SMOKE)
    assert images_seen(SMOKE) < 500_000 < images_seen(SMALL) < 200_000_000 < images_seen(FULL)


def test_the_tables_are_about_what_they_say(read: "dict[Path, Study]") -> None:
    def methods(table: str) -> list[str]:
        return list(dict.fromkeys(question.method.name for question in questions(read, table, FULL)))

    def checks(table: str) -> set[tuple[str, ...]]:
        return {question.checks for question in questions(read, table, FULL)}

    def baselines(table: str) -> set[str]:
        return {question.baseline.name for question in questions(read, table, FULL) if question.baseline}

    initial = ["lt", "snip", "grasp"]
    assert methods("random-tickets") == methods("initial-tickets") == methods("half-data") == initial
    assert checks("initial-tickets") == {("corrupted-data", "rearrange-mask")}
    assert checks("half-data") == {("half-data",)}
    assert methods("partially-trained-tickets") == ["lr-rewinding", "weight-rewinding@5"]
    assert checks("partially-trained-tickets") == {("rearrange-mask", "shuffle-weights")}
    assert (methods("hybrid"), baselines("hybrid")) == (["hybrid"], {"lr-rewinding"})
    ratios = ["smart-linear", "smart-cubic", "smart-ascend", "uniform"]
    assert methods("smart-ratio-ablations") == [f"random-{name}" for name in ratios]
    assert methods("low-sparsities") == ["snip", "grasp"]
    assert checks("low-sparsities") == checks("initial-tickets")
    at_initialisation = ["magnitude", "snip", "grasp-without-redraw", "synflow"]
    assert methods("missing-the-mark") == at_initialisation
    assert checks("missing-the-mark") == {("reinit", "rearrange-mask", "invert-scores")}
    assert methods("synflow-figure") == ["random", *at_initialisation]
    assert methods("dynamic-sparse-training") == ["set-uniform-first-dense", "set-erk", "rigl", "rigl-erk", "gmp"]
    assert checks("dynamic-sparse-training") == {("freeze-topology",)}
    assert [baselines(table) for table in OF_OTHER_PAPERS] == [set(), set(), {"random-uniform-first-dense"}]
    of_this_paper = [table for table in TABLES if table not in OF_OTHER_PAPERS and table != "hybrid"]
    assert {name for table in of_this_paper for name in baselines(table)} == {"random-smart"}


def test_tables_of_one_scale_share_their_runs(read: "dict[Path, Study]") -> None:
    for scale in SCALES:
        one, other = (
            {run for question in questions(read, table, scale, "cifar10") for run in question.runs()}
            for table in ("random-tickets", "initial-tickets")
        )
        at_same_sparsities = {run for run in one if run.sparsity in {of_other.sparsity for of_other in other}}
        assert at_same_sparsities
        assert at_same_sparsities <= other


def test_a_part_of_a_table_is_about_the_chosen_data_sets() -> None:
    table = paper_table("hybrid", FULL)
    part = table.of_datasets(["cifar100"])
    assert part.files == {"cifar100": table.files["cifar100"]}
    with pytest.raises(InputError, match="hybrid at full scale is about cifar10 and cifar100, not digits"):
        table.of_datasets(["cifar10", "digits"])


@pytest.mark.parametrize(
    ("name", "scale", "said"),
    [
        ("random-ticket", "full", "no table named 'random-ticket': did you mean random-tickets"),
        ("hybrid", "tiny", "no scale named 'tiny': choose one of smoke, small, full"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, scale: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        paper_table(name, scale)
