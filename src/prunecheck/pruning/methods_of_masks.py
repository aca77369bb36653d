"""The method that takes its masks from files: ``mask:PATH``, or :func:`mask_from` in Python."""

import re
from dataclasses import replace

from torch import nn

from prunecheck.data.datasets import OF_PATH
from prunecheck.errors import InputError, field_name
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.mask_files import INITIAL, KIND, START, MaskFiles, Paths
from prunecheck.pruning.mask_reading import read_ticket
from prunecheck.pruning.methods import METHODS, Method, method_of_function
from prunecheck.pruning.patterns import UNSTRUCTURED
from prunecheck.pruning.tickets import Weights
from prunecheck.user_code import Code
from prunecheck.user_code.call_arguments import read_arguments

PATHS_AND_ARGUMENTS = re.compile(r"(?P<paths>.*?)(\?(?P<arguments>[A-Za-z_]\w*=.*))?", re.DOTALL)


def mask_from(paths: Paths, *, start: str = INITIAL, pattern: str = UNSTRUCTURED) -> Method:
    """Return the method whose masks lie in files of any tool, as ``mask:PATH`` does in commands.

    Args:
        paths: a file: a ticket of ours, masks by layer or weight, a state dict with masks beside its weights
            (``torch.nn.utils.prune``, Synaptic-Flow) or zeros in them, a folder of open_lth; a path with ``{seed}`` in
            it, or a folder or list of files by seed.
        start: ``initial``: training starts from the run's initial weights; ``file``: from the file's own.
        pattern: what the masks have in common with all masks of their kind, and checks leave as it is: ``2:4``,
            ``channels``, ...; masks that do not have it are refused.

    Raises:
        InputError: there is no such file or pattern, or ``start`` is another word. What is in a file is looked at when
            its network is known.
    """
    return _method_of(MaskFiles.find(paths, start, pattern))


@METHODS.register(KIND + OF_PATH)
def _of_text(text: str) -> Method:
    """Your own masks: a ticket, mask file or pruned checkpoint of any tool; <path> may have {seed} in it."""
    found = PATHS_AND_ARGUMENTS.fullmatch(text)
    assert found
    arguments = found["arguments"]
    given = read_arguments(f"{KIND}:{found['paths']}", mask_from, arguments, ("paths",)) if arguments else {}
    start, pattern = (str(given.get(name, usual)) for name, usual in (("start", INITIAL), ("pattern", UNSTRUCTURED)))
    return mask_from(found["paths"], start=start, pattern=pattern)


def starting_from(method: Method, start: str | None) -> Method:
    """Return a method whose masks lie in files, started from other weights.

    Args:
        method: the method.
        start: see :func:`mask_from`; None for what the method says.

    Raises:
        InputError: it is another word, or the method takes no masks from files.
    """
    if start is None:
        return method
    START.require("start", start)
    if method.files is None or method.ratios_of:
        raise InputError(
            f"{method.name} says itself which weights training starts from: leave {field_name('start')} out, which is "
            f"for {KIND}:PATH.",
            field="start",
        )
    return _method_of(replace(method.files, start=start))


def _method_of(files: MaskFiles) -> Method:
    def tickets(model: nn.Module, seed: int) -> Masks | tuple[Weights, Masks]:
        found = read_ticket(files, model, seed)
        return found.masks if files.start == INITIAL else (found.weights, found.masks)

    made = method_of_function(files.name, tickets)
    return replace(made, own_files=files, pattern=files.pattern, code=Code((), values=files.contents))
