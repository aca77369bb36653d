"""What a run is: one training of one network, fully described by a frozen, hashable spec."""

import functools
import hashlib
import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from prunecheck.constraints import Constraint, OrNone, WholeNumber
from prunecheck.data.token_datasets import holds_tokens
from prunecheck.declared_types import LEFT_OUT_AT_DEFAULT, json_of, require_declared
from prunecheck.metrics import ACCURACY, Quantity
from prunecheck.pruning.allocations import SPARSITY
from prunecheck.pruning.prunable_layers import PrunableLayers
from prunecheck.pruning.trainings import DENSE
from prunecheck.training.named_recipes import recipe_in_words, recipe_name
from prunecheck.training.recipe import Recipe

FORMAT = 3
"""Raised when the meaning of a field changes, so that old folders are not taken for new runs."""

HASH_LENGTH = 12

LONGEST_NAME = 200
"""Bytes of the readable part of a folder's name."""

LONGEST_CHOICE = 60
"""So many characters of a choice of layers stand in the name of a run's folder."""


@dataclass(frozen=True)
class Setting:
    """What runs must have in common to be compared.

    Attributes:
        dataset: the data set's name, which is read again by it.
        model: the network's name.
        width: channels of the network's first stage; None where it offers no choice.
        recipe: how it is trained.
        train_images: how many training images are used, the first of every class; None for all.
        test_images: how many images are tested on, the first of every class; None for all.
        dataset_hash: SHA-256 of the images, where the set's name does not determine them.
        model_hash: SHA-256 of the network's code from outside of prunecheck, and of what it reads; None for a
            built-in one.
        prunable: names and patterns of the layers that may be pruned; empty for every Conv2d and Linear. Sparsity is a
            share of their weights.
        keep_dense: those of these that are kept whole all the same.
        augment: how training images are varied, as text; None for the data set's own way.
        normalize: how images are normalised, as text; None for the data set's own way.
        sequence_length: tokens that a network is shown at a time; None for the data set's own number, and for images.
        model_is_trained: whether the network comes with trained weights, and its dense run is a test of these.
        metric: the name of what runs are judged by.
        metric_unit: of its values.
        metric_higher_is_better: whether a larger value is the better one.
        metric_hash: SHA-256 of the metric's code from outside of prunecheck, and of what it reads; None for a
            built-in one.
    """

    dataset: str
    model: str
    width: int | None = None
    recipe: Recipe = field(default_factory=Recipe)
    train_images: int | None = None
    test_images: int | None = None
    dataset_hash: str | None = None
    model_hash: str | None = None
    prunable: tuple[str, ...] = field(default=(), metadata=LEFT_OUT_AT_DEFAULT)
    keep_dense: tuple[str, ...] = field(default=(), metadata=LEFT_OUT_AT_DEFAULT)
    augment: str | None = field(default=None, metadata=LEFT_OUT_AT_DEFAULT)
    normalize: str | None = field(default=None, metadata=LEFT_OUT_AT_DEFAULT)

    sequence_length: int | None = field(default=None, metadata=LEFT_OUT_AT_DEFAULT)
    model_is_trained: bool = field(default=False, metadata=LEFT_OUT_AT_DEFAULT)

    @property
    def prunable_layers(self) -> PrunableLayers:
        """Which layers may be pruned."""
        return PrunableLayers.of(self.prunable or None, self.keep_dense)

    metric: str = field(default=ACCURACY.name, metadata=LEFT_OUT_AT_DEFAULT)
    metric_unit: str = field(default=ACCURACY.unit, metadata=LEFT_OUT_AT_DEFAULT)
    metric_higher_is_better: bool = field(default=ACCURACY.higher_is_better, metadata=LEFT_OUT_AT_DEFAULT)
    metric_hash: str | None = field(default=None, metadata=LEFT_OUT_AT_DEFAULT)

    @property
    def quantity(self) -> Quantity:
        """What runs are judged by: its name, unit and direction."""
        return Quantity(self.metric, self.metric_unit, self.metric_higher_is_better)

    @property
    def network(self) -> str:
        """The network in words, with its width where it offers a choice, and with its layers that are not pruned."""
        return network_in_words(self.model, self.width, self.prunable_layers)

    @property
    def data(self) -> str:
        """The data set in words, with the numbers of its images where it was shortened, and :attr:`transforms`."""
        shortened = []
        if self.train_images is not None:
            shortened.append(f"{self.train_images} training {self.examples}")
        if self.test_images is not None:
            shortened.append(f"{self.test_images} test {self.examples}")
        if self.sequence_length is not None:
            shortened.append(f"sequences of {self.sequence_length} tokens")
        return _with_remarks(self.dataset, [*shortened, *self.transforms])

    @property
    def examples(self) -> str:
        """What is trained and tested on, in a word: ``images``, or ``sequences`` of tokens."""
        return "sequences" if holds_tokens(self.dataset) else "images"

    @property
    def example(self) -> str:
        """One of :attr:`examples`, with its article."""
        return "a sequence" if holds_tokens(self.dataset) else "an image"

    @property
    def whole_data(self) -> str:
        """The data set in words, with :attr:`transforms`, however many of its images are used."""
        return _with_remarks(self.dataset, self.transforms)

    @property
    def transforms(self) -> list[str]:
        """How images are varied and normalised in words, where that is not the data set's own way."""
        varied = [] if self.augment is None else [f"augment {self.augment}"]
        return varied + ([] if self.normalize is None else [f"normalize {self.normalize}"])

    @functools.cached_property
    def words_of_folder_names(self) -> tuple[list[str], list[str]]:
        """What stands in the name of a run's folder before what is the run's own, and behind it."""
        words = [self.dataset]
        if self.train_images is not None:
            words.append(f"{self.train_images}images")
        if self.sequence_length is not None:
            words.append(f"{self.sequence_length}tokens")
        if self.augment is not None:
            words.append(f"augment-{self.augment}")
        if self.normalize is not None:
            words.append(f"normalize-{self.normalize.partition('=')[0]}")
        words.append(self.model)
        if self.width is not None:
            words.append(f"width{self.width}")
        if chosen := str(self.prunable_layers):
            words.append(chosen[:LONGEST_CHOICE])
        if str(self.recipe):
            words.append(recipe_name(self.recipe).partition(",")[0])
        return words, [] if self.quantity == ACCURACY else [f"by-{self.metric}"]

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash(VALUES_OF_SETTING(self))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was computed: Python's hashes are another process's own."""
        return {name: getattr(self, name) for name in FLOATS[Setting]}

    def __str__(self) -> str:
        judged = "" if self.quantity == ACCURACY else f", judged by {self.quantity}"
        recipe = "as it comes" if self.model_is_trained else recipe_in_words(self.recipe)
        return f"{self.data}, {self.network}, {recipe}{judged}"


def network_in_words(model: str, width: int | None, layers: PrunableLayers) -> str:
    """Return a network's name, with its width where it offers a choice, and which layers may be pruned if not all."""
    sized = model if width is None else f"{model} of width {width}"
    return f"{sized} ({layers})" if str(layers) else sized


def _with_remarks(name: str, remarks: list[str]) -> str:
    return name + (f" ({', '.join(remarks)})" if remarks else "")


@dataclass(frozen=True)
class RunSpec:
    """One run.

    Attributes:
        setting: the data, the network and the recipe.
        method: a method's name, or ``dense``.
        sparsity: share of weights removed; 0 for ``dense``.
        seed: of every random draw of the run, each through a generator of its own.
        check: the check's name; None for the unchanged ticket.
        trained_on: the checks that corrupt the training data, for a training whose weights a
            method uses; None for the true data.
        samples_per_class: how many training images of each class the criterion sees at a time; 0 if
            it sees no samples.
        scoring_rounds: how many times it sees so many; 0 if it sees no samples.
        method_hash: SHA-256 of the method's code from outside of prunecheck, and of what it reads; None for a
            built-in one.
        check_hash: SHA-256 of the code of checks from outside of prunecheck, and of the data that they bring.
        calibration_sequences: how many sequences of tokens a method after training sees; 0 if it sees none.
        is_evaluated_only: whether its weights come from a training that is done, and nothing is trained.
    """

    setting: Setting
    method: str = DENSE
    sparsity: float = 0.0
    seed: int = 0
    check: str | None = None
    trained_on: str | None = None
    samples_per_class: int = 0
    scoring_rounds: int = 0
    method_hash: str | None = None
    check_hash: str | None = None
    calibration_sequences: int = field(default=0, metadata=LEFT_OUT_AT_DEFAULT)
    is_evaluated_only: bool = field(default=False, metadata=LEFT_OUT_AT_DEFAULT)

    @property
    def epochs(self) -> int:
        """How many epochs it is trained for: those of its recipe, or none."""
        return 0 if self.is_evaluated_only else self.setting.recipe.epochs

    def changed(self, **changes: Any) -> "RunSpec":
        """Return the run with other values of its fields, or of its setting's."""
        of_setting = {name: changes.pop(name) for name in FLOATS[Setting] if name in changes}
        return replace(self, setting=replace(self.setting, **of_setting), **changes)

    def described(self) -> dict[str, Any]:
        """Return the values of :data:`DESCRIBED`: all that it is, but for its recipe."""
        return {name: getattr(self.setting if name in FLOATS[Setting] else self, name) for name in DESCRIBED}

    def canonical(self) -> str:
        """Return the spec as JSON that is the same for equal specs, with sorted keys."""
        return self._canonical

    @functools.cached_property
    def _canonical(self) -> str:
        own = _as_declared(self)
        return ENCODER.encode({"format": FORMAT, **own, **_setting_as_declared(self.setting)})

    @functools.cached_property
    def hash(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of the canonical spec."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:HASH_LENGTH]

    @functools.cached_property
    def folder_name(self) -> str:
        """A readable name and the hash."""
        first, last = self.setting.words_of_folder_names
        parts = [*first, self.method]
        if self.method != DENSE:
            parts.append(f"{self.sparsity:g}")
        if self.calibration_sequences:
            parts.append(f"{self.calibration_sequences}sequences")
        if self.check:
            parts.append(self.check)
        if self.trained_on:
            parts.append(f"trained-on-{self.trained_on}")
        readable = re.sub(r"[^\w.+@-]+", "_", "-".join([*parts, *last, f"seed{self.seed}"]))
        return f"{_shortened(readable)}-{self.hash}"

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash(VALUES_OF_SPEC(self))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was computed: Python's hashes are another process's own."""
        return {name: getattr(self, name) for name in FLOATS[RunSpec]}

    @staticmethod
    def from_json(text: str) -> "RunSpec":
        """Read a canonical spec.

        Raises:
            ValueError: the text is not a spec of this format.
        """
        values = json_of(text)
        if values.pop("format", None) != FORMAT:
            raise ValueError(f"not a spec of format {FORMAT}")
        recipe = values.pop("recipe", None)
        if not isinstance(recipe, dict) or not REQUIRED <= values.keys() <= DESCRIBED.keys():
            raise ValueError("not the fields of a spec")
        if not recipe.keys() >= REQUIRED_OF_RECIPE:
            raise ValueError("not the fields of a recipe")
        of_setting = {name: values.pop(name) for name in FLOATS[Setting] if name in values}
        require_declared(RunSpec, values, but=("setting",))
        _require_possible(values)
        return RunSpec(_setting_of(json.dumps((of_setting, recipe))), **values)


@functools.lru_cache(maxsize=64)
def _setting_of(text: str) -> Setting:
    """Return the setting of what its fields and those of its recipe are as JSON; many runs have the same one.

    Raises:
        ValueError, InputError: they are not the fields of a setting, or of a recipe.
    """
    of_setting, recipe = json.loads(text)
    require_declared(Setting, of_setting, but=("recipe",))
    require_declared(Recipe, recipe)
    _require_possible(of_setting)
    return Setting(**_tuples(of_setting), recipe=Recipe(**_tuples(recipe)))


COUNT = WholeNumber(at_least=0)

POSSIBLE: Mapping[str, Constraint[Any]] = {
    "sparsity": SPARSITY,
    "seed": COUNT,
    "samples_per_class": COUNT,
    "scoring_rounds": COUNT,
    "calibration_sequences": COUNT,
    "width": OrNone(WholeNumber()),
    "train_images": OrNone(WholeNumber()),
    "test_images": OrNone(WholeNumber()),
    "sequence_length": OrNone(WholeNumber()),
}
"""What numbers in a spec may be, but for those of its recipe, which sees to its own."""


def _require_possible(values: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` if a number in a spec is none that a run can have."""
    for name in POSSIBLE.keys() & values.keys():
        try:
            POSSIBLE[name].read(values[name])
        except ValueError as error:
            raise ValueError(f"the field {name} takes {error}") from error


def _shortened(name: str) -> str:
    """Return the beginning of a name: arguments may be long, and file systems take no more than 255 bytes."""
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


VALUES_OF_SETTING = operator.attrgetter(*(one.name for one in fields(Setting)))

VALUES_OF_SPEC = operator.attrgetter(*(one.name for one in fields(RunSpec)))

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

FLOATS = {kind: {one.name: one.type is float for one in fields(kind)} for kind in (RunSpec, Setting, Recipe)}
"""The fields of specs, and whether they are declared as floats; thousands of specs are hashed at a time."""

DESCRIBED = {
    one.name: one.type for one in (*fields(Setting), *fields(RunSpec)) if one.name not in ("setting", "recipe")
}
"""The fields of a spec and their types, without those of its recipe.

In JSON and in tables a spec is flat: the fields of its setting stand beside its own.
"""

DEFAULTS = {
    kind: {one.name: one.default for one in fields(kind) if one.metadata.get("left out at default")}
    for kind in (RunSpec, Setting, Recipe)
}
"""The fields that are left out where they have these values; see :data:`LEFT_OUT_AT_DEFAULT`."""

REQUIRED = DESCRIBED.keys() - DEFAULTS[RunSpec].keys() - DEFAULTS[Setting].keys()
"""The fields that every spec has, but for its recipe."""

REQUIRED_OF_RECIPE = FLOATS[Recipe].keys() - DEFAULTS[Recipe].keys()


def _as_declared(values: RunSpec | Setting | Recipe) -> dict[str, Any]:
    """Return the fields, but for the setting and the recipe: numbers as floats where they are declared so.

    0 and 0.0 are equal and one run.
    """
    declared = {}
    left_out = DEFAULTS[type(values)]
    for name, is_float in FLOATS[type(values)].items():
        value = getattr(values, name)
        if name in ("setting", "recipe") or (name in left_out and value == left_out[name]):
            continue
        declared[name] = float(value) if is_float else value
    return declared


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with what JSON made lists of as the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@functools.lru_cache(maxsize=64)
def _setting_as_declared(setting: Setting) -> dict[str, Any]:
    return {**_as_declared(setting), "recipe": _as_declared(setting.recipe)}
