"""A training and a test part as users have them: arrays, data sets and data loaders of torch, and their likes."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from prunecheck.data.datasets import Images
from prunecheck.data.image_stack import ImageStack, as_array
from prunecheck.data.readers.arrays import KEYS, images_of
from prunecheck.data.readers.huggingface import TEST_SPLITS
from prunecheck.errors import InputError

FORMS = (
    f"the four arrays ({', '.join(KEYS)}), a pair (train, test) of data sets or data loaders of torch, a mapping of "
    f"either, or a Dataset"
)

LOGGER = logging.getLogger(__name__)

READ_TWICE = 8
"""So many images are read a second time, to see whether they are the same."""

SEED = 0
"""Of a data loader's own generator while it is read."""

Arrays = tuple[NDArray[Any], NDArray[Any]]


def read_parts(name: str, given: Any, verb: str) -> tuple[Images, Images]:
    """Read a training and a test part into memory.

    Args:
        name: of the data set, for messages.
        given: four arrays or tensors; a pair ``(train, test)``, each of which is a ``torch.utils.data.Dataset``, a
            ``DataLoader``, a list of items, or a pair of arrays; or a mapping with the keys :data:`KEYS`, or ``train``
            and ``test``. An item is an image and a label, as a pair or a mapping.
        verb: what the name did or is, such as "returned".

    Returns:
        Training and test images; a data set in its order, a data loader in that of one epoch.

    Raises:
        InputError: it is something else, or does not hold images of one shape and labels.
    """
    if isinstance(given, Mapping):
        arrays = _of_mapping(name, given, verb)
    elif isinstance(given, tuple | list) and len(given) == len(KEYS):
        arrays = _four_arrays(name, dict(zip(KEYS, given, strict=True)))
    elif isinstance(given, tuple | list) and len(given) == 2:
        arrays = _two_parts(name, given[0], given[1])
    else:
        is_several = isinstance(given, tuple | list)
        kind = f"{len(given)} of them" if is_several else f"an object of type {type(given).__name__}"
        raise InputError(f"the data set {name} {verb} {kind}: expected {FORMS}.")
    return images_of(arrays, name)


def _of_mapping(name: str, given: Mapping[Any, Any], verb: str) -> dict[str, NDArray[Any]]:
    test = next((key for key in TEST_SPLITS if key in given), None)
    if "train" in given and test:
        return _two_parts(name, given["train"], given[test])
    if missing := [key for key in KEYS if key not in given]:
        raise InputError(
            f"the data set {name} {verb} no {missing[0]}: expected {FORMS}, and it has {', '.join(map(str, given))}."
        )
    return _four_arrays(name, given)


def _four_arrays(name: str, given: Mapping[Any, Any]) -> dict[str, NDArray[Any]]:
    return {key: _array(given[key], f"{key} in {name}", key.startswith("y_")) for key in KEYS}


def _array(value: Any, where: str, are_labels: bool) -> NDArray[Any]:
    return numpy.asarray(value) if are_labels and isinstance(value, list | tuple) else as_array(value, where)


def _two_parts(name: str, train: Any, test: Any) -> dict[str, NDArray[Any]]:
    parts = (*_part(train, f"train in {name}"), *_part(test, f"test in {name}"))
    return dict(zip(KEYS, parts, strict=True))


def _part(part: Any, where: str) -> Arrays:
    """Return the images and labels of a part.

    Raises:
        InputError: it cannot be read, or can be read only once.
    """
    if isinstance(part, tuple | list) and len(part) == 2 and isinstance(part[0], numpy.ndarray | Tensor):
        return _array(part[0], f"x of {where}", False), _array(part[1], f"y of {where}", True)
    if isinstance(part, DataLoader):
        return _of_loader(part, where)
    if hasattr(part, "__next__"):
        raise InputError(
            f"{where} is a {type(part).__name__}, which can be gone through only once: give a list, or a data set of "
            f"torch."
        )
    is_array = isinstance(part, numpy.ndarray | Tensor | str | bytes | Mapping)
    is_listed = hasattr(part, "__getitem__") and hasattr(part, "__len__") and not isinstance(part, IterableDataset)
    if is_array or not (is_listed or hasattr(part, "__iter__")):
        lack = " without a length" if isinstance(part, TorchDataset) else ""
        raise InputError(
            f"{where} is a {type(part).__name__}{lack}: expected a data set (with __getitem__ and __len__, or "
            f"__iter__) or a data loader of torch, or a pair of arrays (images, labels)."
        )
    stack = ImageStack(where, len(part) if is_listed else None)
    first: list[NDArray[Any]] = []
    for item in _items(part):
        pixels = stack.add_item(item)
        if len(first) < READ_TWICE:
            first.append(pixels.copy())
    _say_if_random(part, where, first)
    return stack.arrays()


def _items(part: Any) -> Iterator[Any]:
    """Go through the items of a data set: by their numbers where it has them, which ends where its length says."""
    if hasattr(part, "__getitem__") and hasattr(part, "__len__") and not isinstance(part, IterableDataset):
        return (part[index] for index in range(len(part)))
    return iter(part)


def _say_if_random(part: Any, where: str, first: Sequence[NDArray[Any]]) -> None:
    """Read the first images again, and say so if they are others now."""
    again = ImageStack(where)
    pairs = zip(first, map(again.add_item, _items(part)), strict=False)
    if not all(numpy.array_equal(before, now, equal_nan=now.dtype.kind == "f") for before, now in pairs):
        LOGGER.warning(
            "%s returns another image each time: it is read once, and stays so; take random transforms out of it, and "
            "give the augmentation beside it (augment), such as crop=4,flip.",
            where,
        )


def _of_loader(loader: "DataLoader[Any]", where: str) -> Arrays:
    """Read a data loader for one epoch, in this process, with a seed of its own if it shuffles."""
    stack = ImageStack(where, _length(loader.dataset))
    is_batched = loader.batch_size is not None or loader.batch_sampler is not None
    with _seeded(loader) as seeded:
        for item in seeded:
            (stack.add_batch if is_batched else stack.add_item)(item)
    pixels, labels = stack.arrays()
    left_out = (_length(loader.sampler) or 0) - len(labels) if loader.drop_last else 0
    if left_out > 0:
        LOGGER.warning("%s leaves out %d images, for its last batch is not full (drop_last).", where, left_out)
    if isinstance(loader.dataset, TorchDataset):
        items = islice(_items(loader.dataset), READ_TWICE)
        _say_if_random(loader.dataset, where, [ImageStack(where).add_item(item) for item in items])
    return pixels, labels


@contextmanager
def _seeded(loader: "DataLoader[Any]") -> Iterator["DataLoader[Any]"]:
    """Yield a data loader that starts no processes, which would draw other numbers, and put its generator back."""
    here = copy.copy(loader)
    # Some of them a data loader forbids to be set, because processes may run already, which a copy has none of.
    vars(here).update(num_workers=0, timeout=0, pin_memory=False, persistent_workers=False)
    source = loader.generator
    state = None if source is None else source.get_state()
    if source is not None:
        source.manual_seed(SEED)
    try:
        yield here
    finally:
        if source is not None and state is not None:
            source.set_state(state)


def _length(part: Any) -> int | None:
    """Return how many items there are; None if that is not known."""
    try:
        return len(part)
    except (TypeError, NotImplementedError):
        return None
