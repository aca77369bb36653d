"""``prunecheck data show``: a picture of a data set as methods see it, with and without each corruption."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole, read_list
from prunecheck.cli.options import OUT, Augment, DataRoot, Normalize, TrainImages
from prunecheck.constraints import WholeNumber
from prunecheck.errors import InputError
from prunecheck.io import require_output, write_output

if TYPE_CHECKING:
    from prunecheck.checks import Change
    from prunecheck.data.contact_sheet import Shown

COLUMNS = WholeNumber(at_most=100)


def show(
    name: str,
    /,
    *,
    data_root: DataRoot = None,
    checks: Annotated[str | None, Parameter(show_default=False)] = None,
    out: Annotated[Path, Parameter(name=OUT)] = Path("sheet.png"),
    seed: Whole = 0,
    columns: Whole = 10,
    train_images: TrainImages = None,
    augment: Augment = None,
    normalize: Normalize = None,
) -> None:
    """Draw training images as methods see them, plain and with every check that changes the data.

    Below each image stands the number of its class, or "3 as 7" where a check labels class 3 as 7. What images are
    normalised by is said, and not drawn.

    Parameters
    ----------
    name
        Data set (see `prunecheck list`).
    checks
        Checks that change the data, with commas between them. [default: all of them]
    out
        The PNG file that is written.
    seed
        Of the images chosen, their augmentation, and the checks.
    columns
        Images in a row.
    """
    COLUMNS.require("columns", columns)
    require_output(out, ending=".png")
    changes = _changes(None if checks is None else read_list("checks", checks))
    from prunecheck.api.places import data_places
    from prunecheck.data import load_dataset
    from prunecheck.data.contact_sheet import contact_sheet
    from prunecheck.data.inputs import require_images
    from prunecheck.data.transforms import as_spec_says
    from prunecheck.studies.question import QUESTION, SEED

    SEED.require("seed", seed)
    QUESTION["train_images"].require("train_images", train_images)
    augment = QUESTION["augment"].require("augment", augment)
    normalize = QUESTION["normalize"].require("normalize", normalize)
    dataset = as_spec_says(load_dataset(name, data_places(data_root)), augment, normalize, train_images, None)
    require_images(dataset.image_shape, "the picture of a data set")
    shown = [_shown(change, dataset.num_classes, seed) for change in changes]
    write_output(contact_sheet(dataset, shown, seed, columns), out)
    print(f"wrote {out}")


def _changes(names: tuple[str, ...] | None) -> list["Change"]:
    """Return the changes named, or each check that changes data; refuse one that changes none."""
    from prunecheck.checks import CHECKS, find_check
    from prunecheck.checks.registry import DATA

    of_data = [entry.name for entry in CHECKS if entry.item.changes in DATA and entry.item.shows != "tokens"]
    changes = [find_check(name) for name in (of_data if names is None else names)]
    for change in changes:
        if not change.of_data.parts:
            raise InputError(f"{change.name} does not change the data: choose among {', '.join(of_data)}.")
    return [change.of_data for change in changes]


def _shown(change: "Change", num_classes: int, seed: int) -> "Shown":
    from prunecheck.data.contact_sheet import Shown

    return Shown(
        title=change.name.replace("+", " + "),
        note=f"Takes away {change.information}",
        select=lambda images: change.select(images, num_classes, seed),
        corrupt=lambda images: change.corrupt(images, num_classes, seed),
    )
