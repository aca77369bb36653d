import numpy
import pytest

from prunecheck.data.readers.labels import require_labels
from prunecheck.errors import InputError


def labels(*values: int) -> numpy.ndarray:
    return numpy.array(values, dtype=numpy.int64)


def test_every_class_in_any_order_passes() -> None:
    require_labels(labels(2, 0, 1, 1), 3, "file")


@pytest.mark.parametrize("every_class", [True, False])
@pytest.mark.parametrize(("wrong", "index"), [(3, 2), (-1, 2)])
def test_label_out_of_range_is_named_with_its_image(wrong: int, index: int, every_class: bool) -> None:
    with pytest.raises(
        InputError, match=rf"^file: image {index} \(the first is 0\) has label {wrong}, expected 0 to 2"
    ):
        require_labels(labels(0, 1, wrong, 2, 7), 3, "file", every_class)


@pytest.mark.parametrize(("values", "absent"), [((1, 2), 0), ((0, 2, 2), 1), ((0, 1), 2), ((), 0), ((0, 10**15), 1)])
def test_class_without_training_image_is_named(values: tuple[int, ...], absent: int) -> None:
    num_classes = max(3, *values, 0) + (max((*values, 0)) > 3)
    with pytest.raises(InputError, match=rf"no training image has label {absent},"):
        require_labels(labels(*values), num_classes, "file")
    require_labels(labels(*values), num_classes, "file", every_class=False)
