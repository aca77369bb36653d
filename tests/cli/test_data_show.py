from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

Call = Callable[..., Any]
Refused = Callable[..., str]


def size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def test_the_sheet_is_written_and_the_same_again(call: Call) -> None:
    ended = call("data", "show", "digits", "-o", "one.png")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "wrote one.png\n", "")
    written = Path("one.png").read_bytes()
    assert call("data", "show", "digits", "-o", "one.png").code == 0  # the same content may be written over
    assert Path("one.png").read_bytes() == written
    assert sorted(Path().iterdir()) == [Path("one.png")]


def test_named_checks_are_rows_and_all_that_change_data_unless_named(call: Call) -> None:
    for name, checks in (("all", None), ("one", "random-labels"), ("two", "random-labels@0.5,half-data+random-pixels")):
        assert (
            call("data", "show", "digits", *([f"--checks={checks}"] if checks else []), "-o", f"{name}.png").code == 0
        )
    (width, one), (_, two), (same, everything) = (size(f"{name}.png") for name in ("one", "two", "all"))
    assert width == same
    assert two - one > 100
    assert everything - two > 5 * (two - one)


def test_seed_columns_and_train_images_change_what_is_shown(call: Call) -> None:
    for number, options in enumerate(([], ["--seed=1"], ["--train-images=10"], ["--columns=4"])):
        assert call("data", "show", "digits", "--checks=random-labels", *options, f"-o={number}.png").code == 0
    assert size("3.png")[0] < size("0.png")[0] - 500
    sheets = [numpy.asarray(Image.open(f"{number}.png")) for number in range(3)]
    assert sheets[0].shape == sheets[1].shape == sheets[2].shape
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (sheets[first] != sheets[second]).mean() > 0.02


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digit"], "there is no data set named 'digit': did you mean digits?"),
        (["digits", "--checks", "random-label"], "did you mean random-labels"),
        (["digits", "--checks", "reinit"], "reinit does not change the data: choose among"),
        (["digits", "--checks", "random-labels,"], "--checks takes one or more values"),
        (["digits", "--checks", "random-labels@2"], "random-labels@2 names no share"),
        (["digits", "--columns", "0"], "--columns takes a whole number, at least 1 and at most 100, not 0."),
        (["digits", "--columns", "101"], "at most 100, not 101."),
        (["digits", "--columns", "1.5"], "--columns takes a whole number"),
        (["digits", "--seed", "-1"], "--seed takes a whole number, at least 0"),
        (["digits", "--train-images", "0"], "--train-images takes a whole number, at least 1, not 0."),
        (["digits", "--train-images", "15"], "--train-images takes a multiple of 10, not 15."),
        (["digits", "--train-images", "6400"], "--train-images 6400 needs 640 of each class: give 640 or less."),
        (["digits", "-o", "sheet.jpg"], "sheet.jpg does not end in .png"),
        (["digits", "-o", "none/sheet.png"], "there is no folder none: make it"),
        (["digits", "--data-root", "none"], "none is not a folder"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("data", "show", *arguments)


def test_a_file_that_holds_something_else_is_left_alone(call: Call, refused: Refused) -> None:
    Path("sheet.png").write_text("mine")
    assert "sheet.png exists and holds something else" in refused("data", "show", "digits")
    assert Path("sheet.png").read_text() == "mine"
    Path("folder.png").mkdir()
    assert "folder.png is a folder" in refused("data", "show", "digits", "-o", "folder.png")
