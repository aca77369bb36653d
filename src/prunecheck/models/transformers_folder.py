"""Trained causal language models of ``transformers``, from a folder on this machine: ``transformers:PATH``."""

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.data.datasets import OF_PATH
from prunecheck.data.tokenizers import FindTokenizer, Tokenizer
from prunecheck.declared_types import json_of
from prunecheck.errors import InputError
from prunecheck.extras import extra
from prunecheck.models.registry import MODELS, Model
from prunecheck.plain_files import read_plain_text
from prunecheck.process_limits import require_memory
from prunecheck.user_code import Code, Reference, content_hash
from prunecheck.user_code.failures import SHORT_OF_MEMORY, failure_named

KIND = "transformers"
"""Begins the name of such a network, and is the extra that it needs."""

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""One of these is in a folder with a tokenizer."""

WITH_TURNED_LAYERS = ("gpt2", "openai-gpt")
"""The ``model_type`` of causal language models with layers that :func:`with_linear_layers` replaces."""

TURNED = ("Conv1D", "nn.Linear")
"""What is in the hash of such a model; to be changed when other layers are put in their place."""

BYTES = 4
"""Of a weight in memory: half precision is loaded as float32."""


class CausalLanguageModel(nn.Module):
    """A model of ``transformers`` as a network of tokens: int64 (N, T) to logits, float32 (N, T, V).

    Attributes:
        model: the model.
        turned: the names of its layers in whose place :func:`with_linear_layers` has put others.
        vocabulary: V.
        maximum_length: the largest T; None where there is no limit.
    """

    takes_tokens = True

    def __init__(self, model: Any, turned: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.turned = tuple(turned)
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self.maximum_length = getattr(model.config.get_text_config(), "max_position_embeddings", None)

    def require_vocabulary(self, count: int) -> None:
        """Raise :class:`InputError` if data have more tokens than the model.

        Once, where the network is built for them: to look at the tokens of each step would wait for the device.
        """
        if count > self.vocabulary:
            raise InputError(
                f"this model has {self.vocabulary} tokens, and these data have {count}: put its own tokenizer into its "
                "folder, with which text is read then, or give data that this tokenizer made (tokens:PATH)."
            )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the next token at each place; the tokens are numbers below :attr:`vocabulary`."""
        if self.maximum_length is not None and tokens.shape[1] > self.maximum_length:
            raise InputError(
                f"this model takes at most {self.maximum_length} tokens in a sequence, and these have "
                f"{tokens.shape[1]}: give shorter sequences."
            )
        return self.model(input_ids=tokens, use_cache=False).logits  # type: ignore[no-any-return]


@MODELS.register(KIND + OF_PATH)
def of_folder(path: Path) -> Model:
    """A trained causal language model of transformers: a folder that save_pretrained wrote."""
    folder = Folder.find(path)

    def build(num_classes: int) -> CausalLanguageModel:
        network = load_folder(folder.path)
        network.require_vocabulary(num_classes)
        return network

    name = f"{KIND}:{folder.path.name}"
    code = Code((), values=folder.contents, folder=folder.path)  # known by its content wherever it lies
    reference = Reference("model", name, code, f"{KIND}:{folder.path}", build)
    return Model(name, build, is_trained=True, find_tokenizer=folder.find_tokenizer, reference=reference, code=code)


@dataclass(frozen=True)
class Folder:
    """A folder that ``save_pretrained`` of ``transformers`` wrote.

    Attributes:
        path: absolute.
        config: of the model.
        files: with weights, sorted.
    """

    path: Path
    config: Mapping[str, Any]
    files: tuple[Path, ...]

    @staticmethod
    def find(path: Path) -> "Folder":
        """Return what a folder holds, without loading any weight.

        Raises:
            InputError: it is missing, holds no model or one that is quantised, in pickles, or made by code of its own.
        """
        folder = path.expanduser().resolve()
        if not (folder / CONFIG).is_file():
            raise InputError(
                f"{folder} has no {CONFIG}: {KIND}:PATH takes a folder on this machine that save_pretrained of "
                "transformers wrote, and downloads nothing."
            )
        config = _json(folder / CONFIG)
        if "quantization_config" in config:
            how = dict(config["quantization_config"] or {}).get("quant_method", "a few bits")
            raise InputError(
                f"the model in {folder} is quantised ({how}), so that its weights cannot be pruned one by one: give "
                "the model in float32, bfloat16 or float16."
            )
        if "auto_map" in config:
            raise InputError(
                f"the model in {folder} is made by code that lies beside it (auto_map in {CONFIG}), which is not run: "
                "give a model of an architecture that transformers has, or build it in a file of yours, FILE.py:NAME."
            )
        return Folder(folder, config, tuple(_files_of_weights(folder)))

    @property
    def find_tokenizer(self) -> FindTokenizer | None:
        """What loads the tokenizer that lies beside the model, once in a process; None if there is none."""
        if not any((self.path / name).is_file() for name in TOKENIZERS):
            return None
        return functools.partial(_tokenizer_of, self.path)

    @property
    def parameters(self) -> int:
        """How many weights the files hold, by their headers."""
        return sum(_numbers_in(file) for file in self.files)

    def contents(self) -> list[tuple[str, str]]:
        """Return the SHA-256 of each file that decides what the model computes, by its name.

        Of models with turned layers also how these are built, since that decides what a pruned row is.
        """
        turned = [TURNED] if self.config.get("model_type") in WITH_TURNED_LAYERS else []
        return [*((file.name, content_hash(str(file))) for file in (self.path / CONFIG, *self.files)), *turned]


def load_folder(path: Path) -> CausalLanguageModel:
    """Load a trained causal language model on the CPU, in float32 and evaluation mode.

    Only safetensors are read, no code beside the weights is run, and nothing is downloaded.

    Args:
        path: of a folder that ``save_pretrained`` of ``transformers`` wrote.

    Raises:
        InputError: ``transformers`` is not installed; see :meth:`Folder.find`; there is too little memory, the model is
            no causal language model, or its files lack weights.
    """
    folder = Folder.find(path)
    require_memory(f"the model in {folder.path}", BYTES * folder.parameters, "give a smaller model")
    with extra(KIND, f"{KIND}:{path}"):
        import transformers
    with (
        without_messages(transformers),
        failure_named(f"the model in {folder.path} cannot be loaded", beside=SHORT_OF_MEMORY),
    ):
        model = _loaded(transformers, folder)
    turned = with_linear_layers(model, transformers.pytorch_utils.Conv1D)
    return CausalLanguageModel(model, turned).eval()


@contextlib.contextmanager
def without_messages(transformers: Any) -> Iterator[None]:
    """Have the package print errors alone, and no progress."""
    messages = transformers.utils.logging
    level, has_bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if has_bars:
            messages.enable_progress_bar()


def with_linear_layers(model: nn.Module, turned: type[nn.Module]) -> list[str]:
    """Put ``nn.Linear`` in the place of layers that store their weight as (inputs, outputs), in place.

    So all that is asked of rows, or of neighbouring inputs, is asked of every model alike; the weights of GPT-2 have
    the shape (outputs, inputs) then.

    Args:
        model: whose layers are replaced.
        turned: ``Conv1D`` of ``transformers``.

    Returns:
        The names of the layers that were replaced.
    """
    replaced = []
    for path, module in list(model.named_modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, turned):
                weight = layer.get_parameter("weight").detach().t().contiguous()
                linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta", dtype=weight.dtype)
                linear.weight, linear.bias = nn.Parameter(weight), layer.get_parameter("bias")
                setattr(module, name, linear)
                replaced.append(f"{path}.{name}" if path else name)
    return replaced


def _loaded(transformers: Any, folder: Folder) -> nn.Module:
    """Return the model of a folder, all of whose weights came from its files."""
    config = transformers.AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    kinds = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    named = list(config.architectures or [])
    if config.is_encoder_decoder or not set(named) & set(kinds):
        raise InputError(
            f"the model in {folder.path} is {' and '.join(named) or 'of no named architecture'}, and no causal "
            "language model, which says of each token what comes next: give one whose architecture ends with "
            "ForCausalLM or LMHeadModel."
        )
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder.path,
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    lacking = sorted(report["missing_keys"]) or sorted(map(str, report.get("mismatched_keys", ())))
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise InputError(
            f"the files in {folder.path} lack the weights {lacking[0]}{more}, or have them in other shapes, so that "
            "they would be random: save the whole model anew."
        )
    assert isinstance(model, nn.Module)
    return model


@functools.cache
def _tokenizer_of(folder: Path) -> Tokenizer:
    """Return the tokenizer that lies beside a model."""
    with extra(KIND, f"{KIND}:{folder}"):
        import transformers
    with failure_named(f"the configuration in {folder} cannot be read"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    vocabulary = int(config.get_text_config().vocab_size)
    found = load_tokenizer(folder, vocabulary)

    def encode(text: str) -> Any:
        with failure_named(f"the tokenizer in {folder} fails on a text", beside=SHORT_OF_MEMORY):
            return found(text, add_special_tokens=False, verbose=False)["input_ids"]

    return Tokenizer(f"the tokenizer in {folder}", vocabulary, encode, found.bos_token_id, found.pad_token_id)


def load_tokenizer(path: Path, vocabulary: int) -> Any:
    """Return the tokenizer that lies beside a model, if it has one that fits.

    Args:
        path: of the folder of a model, or of another one with a tokenizer.
        vocabulary: how many tokens the model has.

    Returns:
        A fast tokenizer of ``transformers``; ``tokenizer(text)["input_ids"]`` are its tokens.

    Raises:
        InputError: ``transformers`` is not installed, the folder holds no tokenizer, or it has tokens that the model
            does not have.
    """
    folder = path.expanduser().resolve()
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise InputError(
            f"{folder} holds no tokenizer ({', '.join(TOKENIZERS)}): give the folder of one, as save_pretrained of a "
            "tokenizer writes it."
        )
    with extra(KIND, f"the tokenizer in {path}"):
        import transformers
    with failure_named(f"the tokenizer in {folder} cannot be loaded"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= vocabulary:
        raise InputError(
            f"the tokenizer in {folder} has tokens up to number {largest}, and the model has {vocabulary}: give the "
            "tokenizer that the model was trained with."
        )
    return tokenizer


def _files_of_weights(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        files = sorted({folder / str(name) for name in dict(_json(folder / INDEX).get("weight_map", {})).values()})
        if missing := [file for file in files if not file.is_file() or file.parent != folder]:
            raise InputError(f"{folder} lacks {missing[0].name}, which {INDEX} names: copy the whole folder.")
        if files:
            return files
    if any((folder / name).is_file() for name in PICKLES):
        raise InputError(
            f"the weights in {folder} are pickles, which can run code and are not read: write them as safetensors, "
            "with save_pretrained(..., safe_serialization=True)."
        )
    raise InputError(f"{folder} has no {WEIGHTS} and no {INDEX}: give the folder of a whole model.")


def _json(file: Path) -> dict[str, Any]:
    try:
        return json_of(read_plain_text(file))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a JSON object ({error}): copy or save the model anew.") from error


def _numbers_in(file: Path) -> int:
    """Return how many numbers a safetensors file holds, by its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is no whole safetensors file ({error}): copy or save the model anew.") from error
