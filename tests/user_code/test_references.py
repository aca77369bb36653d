"""Methods, networks and data sets of users, as text and as objects: what they are called, and what identifies them."""

import functools
import importlib
import linecache
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from prunecheck.data import Dataset, load_dataset
from prunecheck.engine.execution import execute
from prunecheck.errors import InputError
from prunecheck.models import build_model, find_model
from prunecheck.pruning import Method, find_method, snip
from prunecheck.pruning.criteria import CRITERIA
from prunecheck.runs.result import RunResult
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.suggestions import study_with_suggestions

SOURCE = """
from torch import nn
from prunecheck.pruning import magnitude
{imports}

FACTOR = 2.0

def helper(value):
    return FACTOR * value

def score(model, batches):
    return {{name: helper(value) for name, value in magnitude(model).items()}}

def build(num_classes, input_channels, width=2):
    return nn.Sequential(
        nn.Conv2d(input_channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(4 * width, num_classes),
    )

def load():
    from prunecheck.data import load_dataset
    digits = load_dataset("digits")
    return digits.train.pixels, digits.train.labels, digits.test.pixels, digits.test.labels
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_dataset("digits")  # what it imports is not to be watched


Cell = Callable[[str], dict[str, Any]]


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Execute text as a notebook does: in ``__main__``, with lines that are known and lie in no file."""
    names: dict[str, Any] = {"__name__": "__main__"}

    def run(text: str) -> dict[str, Any]:
        file = f"<cell {len(linecache.cache)}>"
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        exec(compile(text, file, "exec", dont_inherit=True), names)
        return names

    return run


def study(method: Any, model: Any, dataset: Any) -> CheckStudy:
    return study_with_suggestions(
        method,
        dataset=dataset,
        places=None,
        train_images=None,
        test_images=None,
        model=model,
        width=None,
        sparsities=(0.5,),
        checks=(),
        baseline=None,
        seeds=(0,),
        epochs=1,
        batch_size=None,
        learning_rate=None,
        samples_per_class=1,
        scoring_rounds=1,
        margin=2.0,
    )


def done(asked: CheckStudy, root: Path, sent: bool = False) -> list[RunResult]:
    root.mkdir(exist_ok=True)
    asked.validate()
    jobs = asked.jobs(lambda run: True, root, "cpu")
    if sent:
        jobs = pickle.loads(pickle.dumps(jobs))
    return [execute(job, lambda epoch, accuracy: None) for job in jobs]


@pytest.mark.parametrize("text", ["own.py:{}", "own:{}", "own_package.inner:{}"])
def test_each_kind_is_found_by_text_and_trained(tmp_path: Path, text: str) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "own_package" / "inner.py").write_text(SOURCE.format(imports="from . import beside"))
    (tmp_path / "own_package" / "beside.py").touch()
    (tmp_path / "own.py").write_text(SOURCE.format(imports=""))
    asked = study(*(text.format(name) for name in ("score", "build", "load")))
    run = asked.method_run(0.5, None, 0)
    assert (run.method, run.setting.model, run.setting.dataset) == tuple(
        text.format(name) for name in ("score", "build", "load")
    )
    assert run.method_hash
    assert run.setting.model_hash
    assert run.setting.dataset_hash
    assert [result.status for result in done(asked, tmp_path / "runs")] == ["trained", "trained"]


def test_an_object_of_a_file_is_what_its_text_is(tmp_path: Path) -> None:
    (tmp_path / "own_objects.py").write_text(SOURCE.format(imports=""))
    sys.path.insert(0, str(tmp_path))
    own = importlib.import_module("own_objects")
    by_object = study(own.score, own.build, own.load)
    by_text = study(*(f"own_objects.py:{name}" for name in ("score", "build", "load")))
    assert by_object.runs() == by_text.runs()
    assert by_object.jobs(lambda run: True, tmp_path, "cpu") == by_text.jobs(lambda run: True, tmp_path, "cpu")


@pytest.mark.parametrize("sent", [False, True], ids=["here", "sent to another process"])
def test_objects_of_a_notebook_are_trained(tmp_path: Path, cell: Cell, sent: bool) -> None:
    own = cell(SOURCE.format(imports=""))
    asked = study(own["score"], own["build"], own["load"])
    run = asked.method_run(0.5, None, 0)
    assert (run.method, run.setting.model, run.setting.dataset) == ("__main__:score", "__main__:build", "__main__:load")
    assert [result.status for result in done(asked, tmp_path / "runs", sent)] == ["trained", "trained"]


def test_what_is_sent_has_the_same_identity_and_no_source_is_asked_for(cell: Cell) -> None:
    method = find_method(cell(SOURCE.format(imports=""))["score"])
    sent = pickle.loads(pickle.dumps(method.given))
    linecache.clearcache()
    assert find_method(sent).source_hash == method.source_hash


CHANGES = {
    "its source": ("def score(model, batches):\n    return 1\n", True),
    "what it calls": ("def helper(value):\n    return -value\n", True),
    "a value": ("FACTOR = 2.5\n", True),
    "a tensor": ("FACTOR = __import__('torch').ones(2)\n", True),
    "what it does not name": ("OTHER = 3\n", False),
    "nothing": ("FACTOR = 2.0\ndef helper(value):\n    return FACTOR * value\n", False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_notebook_s_function_is_known_by_its_source_and_all_that_it_names(cell: Cell, change: str) -> None:
    text, makes_another = CHANGES[change]
    first = find_method(cell(SOURCE.format(imports=""))["score"]).source_hash
    again = find_method(cell(text)["score"]).source_hash
    assert (first != again) == makes_another


@pytest.mark.parametrize(
    "values", ["[1, (2, 3)]", "{'a': {1, 2}}", "numpy.arange(3)", "torch.ones(2)", "nn.Linear(1, 1)"]
)
def test_a_value_that_is_changed_in_place_is_another(cell: Cell, values: str) -> None:
    own = cell(
        f"import numpy, torch\nfrom torch import nn\nVALUES = {values}\ndef score(model, batches):\n    return VALUES\n"
    )
    reference = find_method(own["score"]).given
    assert not isinstance(reference, str)
    assert reference.code.hash
    assert reference.code.changed() == []
    cell(
        "if isinstance(VALUES, list): VALUES.append(1)\nelif isinstance(VALUES, dict): VALUES['a'].add(3)\n"
        "elif isinstance(VALUES, nn.Module): torch.nn.init.zeros_(VALUES.weight)\nelse: VALUES[0] = 7\n"
    )
    assert reference.code.changed() == ["object VALUES"]


def test_a_class_of_a_notebook_is_known_by_its_methods_and_bases(cell: Cell) -> None:
    text = """
from torch import nn
class Base(nn.Module):
    SIZE = 2
class Net(Base):
    def __init__(self, num_classes, input_channels):
        super().__init__()
        self.head = nn.Linear(input_channels, num_classes)
"""
    hashes = [find_model(cell(changed)["Net"]).code for changed in (text, text, text.replace("SIZE = 2", "SIZE = 3"))]
    first, again, other = (code.hash if code else None for code in hashes)
    assert first == again != other


def test_lambdas_of_one_line_and_arguments_of_partials_are_told_apart(cell: Cell) -> None:
    own = cell("pair = [lambda m, b: 1, lambda m, b: 2]\ndef score(model, batches, power=1):\n    return power\n")
    first, second = (find_method(function) for function in own["pair"])
    assert (first.name, second.name) == ("__main__:lambda", "__main__:lambda")
    assert first.source_hash != second.source_hash
    squared, cubed = (find_method(functools.partial(own["score"], power=power)) for power in (2, 3))
    assert squared.name == "__main__:score(power=2)"
    assert squared.source_hash != cubed.source_hash


def test_a_lambda_does_not_depend_on_what_else_stands_in_its_line(cell: Cell) -> None:
    hashes = {find_method(cell(f"f = (lambda m, b: 1), {seeds}\n")["f"][0]).source_hash for seeds in (3, 5)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [("object()", "it holds a value of type builtins.object"), ("[].append", "a method of a value")],
)
def test_what_cannot_be_told_is_refused_with_its_name(cell: Cell, value: str, reason: str) -> None:
    own = cell(f"VALUE = {value}\ndef score(model, batches):\n    return VALUE\n")
    with pytest.raises(InputError, match=rf"__main__:score cannot be told .*VALUE: .*{reason}.*: write it into a file"):
        find_method(own["score"])


def test_a_function_without_source_is_refused() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("def score(model, batches):\n    return {}\n", names)
    with pytest.raises(InputError, match=r"there is no source of score.*: write it into a file"):
        find_method(names["score"])


def test_what_prunecheck_defines_is_found_under_its_name() -> None:
    assert find_method(snip).name == "snip"
    assert find_method(find_method("synflow@5")).source_hash is None
    assert load_dataset(load_dataset("digits")) is load_dataset("digits")


def test_a_method_that_a_user_composes_is_told_apart_by_its_parts() -> None:
    methods = [Method("mine", CRITERIA.get(name), "global") for name in ("magnitude", "snip", "magnitude")]
    first, other, again = (find_method(method).source_hash for method in methods)
    assert first == again != other
    assert first is not None


def test_data_that_a_user_has_changed_are_known_by_their_content() -> None:
    from dataclasses import replace

    digits = load_dataset("digits")
    pixels = digits.train.pixels.copy()
    pixels[0] = 0
    changed: Dataset = replace(digits, train=replace(digits.train, pixels=pixels))
    assert load_dataset("digits").fingerprint != load_dataset(changed).fingerprint
    assert load_dataset(replace(changed)).fingerprint == load_dataset(changed).fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.py:build", "there is no file nowhere.py"),
        ("own_package_x.y:build", "there is no module own_package_x"),
        ("math:nothing", "does not define a function nothing"),
        ("wrong.py:NUMBER", "a model is a function or a class, and wrong.py:NUMBER is an int"),
        ("wrong.py:asks", "the model wrong.py:asks asks for depth, and a model is given num_classes, input_channels"),
        (
            "wrong.py:returns",
            "the model wrong.py:returns returned an object of type int: have it return",
        ),
        (nn.Linear(1, 1), "this Linear is built already"),
        (3, "a model is a function or a class, and __main__:int is an int"),
    ],
)
def test_a_wrong_model_is_answered_in_a_sentence(tmp_path: Path, given: Any, message: str) -> None:
    (tmp_path / "wrong.py").write_text("NUMBER = 3\ndef asks(depth): ...\ndef returns(num_classes):\n    return 3\n")
    with pytest.raises(InputError) as refused:
        build_model(given, 10, input_channels=1)
    assert message in str(refused.value)


def test_a_builder_is_given_what_its_signature_takes(tmp_path: Path) -> None:
    text = (
        "from torch import nn\ndef build({0}):\n    built = nn.Linear(1, 1)\n    built.given = {1}\n    return built\n"
    )
    given = []
    for number, signature in enumerate(("num_classes", "image_size", "input_channels, width=3", "num_classes, **more")):
        names = "num_classes" if "num" in signature else signature.replace("=3", "")
        (tmp_path / f"own{number}.py").write_text(text.format(signature, f"[{names}]"))
        given.append(build_model(f"own{number}.py:build", 4, input_channels=5, image_size=(8, 8)).given)
    assert given == [[4], [8], [5, 3], [4]]


IMAGES, LABELS = numpy.zeros((4, 8, 8), numpy.uint8), numpy.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((IMAGES, LABELS), "train in mine.py:load is a ndarray: expected a data set (with __getitem__ and __len__"),
        ((IMAGES,) * 3, "returned 3 of them: expected the four arrays (x_train, y_train, x_test, y_test)"),
        (3, "returned an object of type int"),
        ((IMAGES, LABELS[:3], IMAGES, LABELS), "4 images in x_train and 3 labels in y_train"),
        ((IMAGES * 1.0, LABELS, IMAGES, LABELS), "images in mine.py:load are float32 in x_train and uint8 in x_test"),
        ((IMAGES, LABELS, IMAGES[:, :4], LABELS), "(1, 8, 8) in x_train and (1, 4, 8) in x_test"),
        (("x", LABELS, IMAGES, LABELS), "x_train in mine.py:load is a str: expected a numpy array or a torch tensor"),
        ({"x_train": IMAGES}, "returned no y_train"),
    ],
)
def test_a_wrong_data_set_is_answered_in_a_sentence(tmp_path: Path, returned: Any, message: str) -> None:
    (tmp_path / "mine.py").write_text("import pickle\ndef load():\n    return pickle.load(open('data.pickle', 'rb'))\n")
    (tmp_path / "data.pickle").write_bytes(pickle.dumps(returned))
    with pytest.raises(InputError) as refused:
        load_dataset("mine.py:load")
    assert message in str(refused.value)


def test_tensors_and_what_a_function_reads_make_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import torch\ndef load():\n    return torch.load('data.pt')\n")
    found = []
    for shade in (1, 2):
        images = torch.full((4, 3, 8, 8), shade, dtype=torch.uint8)
        torch.save((images, torch.tensor([0, 1, 0, 1]), images, torch.tensor([0, 1, 0, 1])), tmp_path / "data.pt")
        found.append(load_dataset("mine.py:load"))
    assert [dataset.image_shape for dataset in found] == [(3, 8, 8)] * 2
    assert found[0].fingerprint != found[1].fingerprint
    assert load_dataset("mine.py:load") is found[1]


def test_a_module_that_was_changed_after_it_was_imported_is_refused_until_it_is_loaded_anew(tmp_path: Path) -> None:
    package = tmp_path / "own_changing"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(SOURCE.format(imports=""))
    sys.path.insert(0, str(tmp_path))
    inner = importlib.import_module("own_changing.inner")
    (package / "inner.py").write_text(SOURCE.format(imports="# moved\n# down"))
    with pytest.raises(InputError, match=r"own_changing.inner:score was changed after it was imported"):
        find_method(inner.score)
    assert find_method(importlib.reload(inner).score).name == "own_changing.inner:score"
