from dataclasses import replace

import numpy
import pytest

from prunecheck.data import DATASETS, Dataset, Images, load_dataset, register_dataset
from prunecheck.errors import InputError


def test_data_set_is_read_once() -> None:
    assert load_dataset("digits") is load_dataset("digits")


def test_unknown_data_set_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"no data set named 'digit'.*did you mean digits\?"):
        load_dataset("digit")


def test_function_registered_by_a_user_is_a_data_set_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DATASETS, "entries", dict(DATASETS.entries))

    @register_dataset("a user's own")
    def upside_down() -> Dataset:
        """Digits on their heads."""
        dataset = load_dataset("digits")
        return replace(dataset, train=Images(dataset.train.pixels[:, :, ::-1].copy(), dataset.train.labels))

    assert "a user's own" in DATASETS.names()
    ours, theirs = load_dataset("digits"), load_dataset("a user's own")
    assert numpy.array_equal(theirs.train.pixels[:, :, 0], ours.train.pixels[:, :, 7])


def test_image_shape_is_channels_height_width() -> None:
    pixels = numpy.zeros((5, 3, 4, 6), dtype=numpy.uint8)
    dataset = replace(load_dataset("digits"), train=Images(pixels, numpy.zeros(5, dtype=numpy.int64)))
    assert dataset.image_shape == (3, 4, 6)
