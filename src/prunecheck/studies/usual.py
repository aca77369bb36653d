"""What is asked unless the user says otherwise, by the kind of method and of data."""

from typing import Literal

from prunecheck.checks.registry import JOINT, USUAL_CHECKS
from prunecheck.data import Dataset, TokenDataset
from prunecheck.errors import InputError, field_name
from prunecheck.pruning import DENSE, AnyMethod, Method, find_method
from prunecheck.pruning.method_lookup import names_several

USUAL: Literal["usual"] = "usual"
"""In the place of a baseline: the one that a method is usually compared with."""

OTHER_CORPUS = "other-corpus:"
"""Begins the check of calibration data from elsewhere."""

USUAL_CALIBRATION = 128
"""Sequences of tokens, as in what is published of SparseGPT and Wanda."""

AFTER_TRAINING = (0.5,)
"""Sparsities of methods after training, as in what is published of them."""


def names_of_usual_checks(method: Method, dataset: Dataset) -> tuple[str, ...]:
    """Return the names of checks of a method on a data set: of what its data say, and of which weights it keeps."""
    if method.is_after_training:
        of_mask = "rearrange-mask" if method.has_pattern else "rearrange-rows"
        return ("random-tokens", "shuffled-tokens", "one-sequence", of_mask)
    return ("random-tokens", "rearrange-mask") if isinstance(dataset, TokenDataset) else USUAL_CHECKS


SUITS_ALL = "random-erk"
"""The baseline whose keep ratios need no convolution, and leave no linear layer dense."""


def find_baseline(given: AnyMethod) -> Method:
    """Return the method that tickets are compared with.

    Raises:
        InputError: there is no such method, or several are named.
    """
    if given == DENSE:
        raise InputError(
            f"the dense network is trained for every question, and {field_name('baseline')} names what its tickets are "
            "compared with beside it: leave it out, or name another.",
            field="baseline",
        )
    try:
        return find_method(given)
    except InputError:
        if isinstance(given, str) and names_several(given):
            raise InputError(
                f"{given!r} names several methods, and {field_name('baseline')} takes one: ask once for each, which "
                "trains only what is not trained yet.",
                field="baseline",
            ) from None
        raise


def usual_baseline(method: Method, dataset: Dataset) -> str:
    """Return the name of the method that a method's tickets are compared with."""
    if not method.is_after_training:
        # Smart ratios are those of convolutions.
        return SUITS_ALL if isinstance(dataset, TokenDataset) else "random-smart"
    own = f"magnitude-after-training-{method.pattern}" if method.has_pattern else "magnitude-after-training"
    return own if method.name != own else own.replace("magnitude", "random")


def usual_sparsities(method: Method, others: tuple[float, ...]) -> tuple[float, ...]:
    """Return the sparsities of a method; ``others`` for one that is trained after it pruned."""
    return AFTER_TRAINING if method.is_after_training else others


def checks_of_calibration(dataset: str | None) -> tuple[str, ...]:
    """Return the check that a data set for calibration is asked for by; none where there is no such data set.

    Raises:
        InputError: its name holds what stands between checks.
    """
    if dataset is None:
        return ()
    if JOINT in dataset:
        raise InputError(
            f"{field_name('calibration_data')} {dataset} has a {JOINT} in its name, which stands between checks: "
            "rename it.",
            field="calibration_data",
        )
    return (OTHER_CORPUS + dataset,)
