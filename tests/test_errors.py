import pickle

import pytest

from prunecheck.errors import InputError, errors_spelled, field_name

ERROR = InputError(
    f"{{braces}} stay: {field_name('train_images')} needs {field_name('out')}, 50 %.", field="train_images"
)


def test_python_spells_fields_by_their_names() -> None:
    assert str(ERROR) == "{braces} stay: train_images needs out, 50 %."
    assert ERROR.field == "train_images"
    assert InputError("one").field is None


def test_each_front_end_spells_the_fields_that_it_took_and_leaves_the_others() -> None:
    spelled = ERROR.spelled({"train_images": "--train_images"}.get)
    assert str(spelled) == "{braces} stay: --train_images needs out, 50 %."
    assert str(spelled.spelled(lambda field: f"--{field}")) == "{braces} stay: --train_images needs --out, 50 %."
    assert spelled.field == "train_images"


def test_what_an_error_happened_in_stands_before_it_and_its_fields_can_still_be_spelled() -> None:
    within = ERROR.within("lt on digits")
    assert str(within.spelled({"out": "--save_dir"}.get)).startswith(
        "lt on digits: {braces} stay: train_images needs --s"
    )
    assert within.field == "train_images"


def test_an_error_comes_whole_from_another_process() -> None:
    there = pickle.loads(pickle.dumps(ERROR))
    assert (str(there), there.field, there.args) == (str(ERROR), ERROR.field, ERROR.args)


def test_errors_of_a_block_are_spelled_and_others_pass() -> None:
    with pytest.raises(InputError, match="--train_images needs --out") as caught, errors_spelled("--{}".format):
        raise ERROR
    assert caught.value.field == "train_images"
    with pytest.raises(KeyError), errors_spelled("--{}".format):
        raise KeyError
