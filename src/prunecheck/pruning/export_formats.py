"""Forms in which networks are written for other programs, by name."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from prunecheck.data.inputs import InputShape, require_images
from prunecheck.errors import InputError, field_name
from prunecheck.models.saved_transformers import saved_bytes
from prunecheck.pruning.channels.cutting import cut_channels
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.onnx_export import load_weights, onnx_bytes, program_bytes, require_onnx
from prunecheck.pruning.tickets import Ticket, Weights, ticket_bytes
from prunecheck.pruning.tied_weights import TiedWeights
from prunecheck.registry import Registry
from prunecheck.tensors import with_sorted_metadata

TORCH_ENDINGS = (".pt", ".pth", ".pth.tar", ".bin")
"""Of files that ``torch.save`` writes."""

SAFETENSORS_ENDINGS = (".safetensors",)

LOSSLESS = "ticket"
"""The format that holds all that a ticket is made of, and that is read again as it was."""


@dataclass(frozen=True)
class BuiltNetwork:
    """A network and what it takes.

    Attributes:
        model: whose weights may be overwritten.
        image_shape: channels, height, width; or of a sequence of tokens.
        normalization: per channel, the ``mean`` that is subtracted from pixels scaled to [0, 1], or from floats as
            they are, and the ``std`` by which they are divided then; None if it is not known, and of tokens.
    """

    model: nn.Module
    image_shape: InputShape
    normalization: Mapping[str, tuple[float, ...]] | None = None


@dataclass(frozen=True)
class ExportedNetwork:
    """What is written: weights, masks, and what they are.

    Attributes:
        ticket: the weights, masked or not, and the masks; no masks for a dense network.
        description: method, sparsity, seed and the like, as JSON can hold them.
        build: builds the network; None where that is not known. Formats that need none run no code of users.
        tied: per weight that another layer shares under a name of its own, the pruned layer.
    """

    ticket: Ticket
    description: dict[str, object]
    build: Callable[[], BuiltNetwork] | None = None
    tied: TiedWeights = field(default_factory=dict)

    @property
    def masks_by_weight(self) -> Masks:
        """The masks by the name of the weight in the state dict, those of tied weights among them."""
        masks = self.ticket.masks
        own = {weight_name(layer): mask for layer, mask in masks.items()}
        return own | {name: masks[layer] for name, layer in self.tied.items()}

    @property
    def masked_weights(self) -> Weights:
        """The state dict with zeros at pruned weights, each tensor with a storage of its own."""
        masks = self.masks_by_weight
        return {
            name: tensor.masked_fill(~masks[name], 0) if name in masks else tensor.clone()
            for name, tensor in self.ticket.weights.items()
        }

    @property
    def masked(self) -> "ExportedNetwork":
        """The same with zeros at pruned weights."""
        ticket = Ticket(self.masked_weights, self.ticket.masks, structure=self.ticket.structure)
        return replace(self, ticket=ticket)

    def built(self) -> BuiltNetwork:
        """Build the network; raise :class:`ValueError` where it is not known how."""
        if self.build is None:
            raise ValueError("this format needs a network that can be built")
        return self.build()

    @property
    def kept_zeros(self) -> int:
        """How many kept weights are 0, which a form without masks cannot tell from pruned ones."""
        weights, masks = self.ticket.weights, self.ticket.masks
        return sum(int((weights[weight_name(layer)][mask] == 0).sum()) for layer, mask in masks.items())


@dataclass(frozen=True)
class ExportFormat:
    """A form in which a network is written.

    Attributes:
        name: as it is registered.
        write: returns the content of the file.
        endings: of the names of such files; the first is given where nobody chooses one.
        needs_masks: a dense network cannot be written so.
        needs_network: the network is built, which may run code of users.
        keeps_masks: whether a weight that is kept and 0 can be told from a pruned one.
        require: raises :class:`InputError` if what it needs is not installed.
    """

    name: str
    write: Callable[[ExportedNetwork], bytes]
    endings: tuple[str, ...]
    needs_masks: bool = False
    needs_network: bool = False
    keeps_masks: bool = True
    require: Callable[[], None] = lambda: None

    def require_ending(self, path: Path) -> None:
        """Raise :class:`InputError` unless a file's name ends as such files do."""
        if not path.name.lower().endswith(self.endings):
            raise InputError(
                f"{path} does not end in {_alternatives(self.endings)}, as a file of the format {self.name} does: "
                f"give such a name, or another {field_name('format')}.",
                field="format",
            )


EXPORT_FORMATS: Registry[ExportFormat] = Registry("format", "prunecheck.export_formats")

Writer = TypeVar("Writer", bound=Callable[[ExportedNetwork], bytes])


def register_export_format(name: str, endings: tuple[str, ...], **properties: Any) -> Callable[[Writer], Writer]:
    """Register a function ``(exported network) -> bytes`` as a form in which networks are written.

    Args:
        name: by which users name it.
        endings: of the names of such files. The format that was registered first for an ending is the one that a
            file's name means.
        properties: see :class:`ExportFormat`.
    """

    def decorate(write: Writer) -> Writer:
        summary = (write.__doc__ or "").strip().split("\n")[0].rstrip(".")
        EXPORT_FORMATS.add(name, ExportFormat(name, write, endings, **properties), summary)
        return write

    return decorate


def find_format(name: str | None, path: Path | None = None) -> ExportFormat:
    """Return the format that a user names, or that a file's name means, and see that it can be written.

    Args:
        name: None for what the ending says.
        path: of the file; None for one that is named later.

    Raises:
        InputError: there is no such format, the ending is another's or none's, or a package is not installed.
    """
    if name is not None:
        found = EXPORT_FORMATS.get(name)
        if path:
            found.require_ending(path)
    else:
        found = _format_of_ending(path) if path else EXPORT_FORMATS.get(LOSSLESS)
    found.require()
    return found


def is_name_of_file(path: Path) -> bool:
    """Say whether a name ends as a file of some format does."""
    return any(path.name.lower().endswith(entry.item.endings) for entry in EXPORT_FORMATS)


def _format_of_ending(path: Path) -> ExportFormat:
    formats = [entry.item for entry in EXPORT_FORMATS]
    for found in formats:
        if path.name.lower().endswith(found.endings):
            return found
    firsts = list(dict.fromkeys(ending for one in formats for ending in one.endings[:1]))
    raise InputError(
        f"{path} does not say what it is to be: end it in {_alternatives(firsts)}, or give a "
        f"{field_name('format')} and its ending.",
        field="format",
    )


def _alternatives(endings: tuple[str, ...] | list[str]) -> str:
    return " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))


@register_export_format("ticket", SAFETENSORS_ENDINGS)
def ticket_file(network: ExportedNetwork) -> bytes:
    """Safetensors of weights/NAME and masks/LAYER (True = kept), which prunecheck reads again as it was."""
    return ticket_bytes(network.ticket, network.description)


@register_export_format("state-dict", TORCH_ENDINGS, keeps_masks=False)
def state_dict(network: ExportedNetwork) -> bytes:
    """What torch.save(model.state_dict()) writes; pruned weights are 0."""
    return _saved(network.masked_weights)


@register_export_format("state-dict-safetensors", SAFETENSORS_ENDINGS, keeps_masks=False)
def state_dict_safetensors(network: ExportedNetwork) -> bytes:
    """The same as safetensors, for safetensors.torch.load_file and load_model."""
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in network.masked_weights.items()}
    metadata = {"format": "pt", "prunecheck": json.dumps(network.description, sort_keys=True)}
    return with_sorted_metadata(save(tensors, metadata=metadata))


@register_export_format("torch-prune", TORCH_ENDINGS, needs_masks=True)
def torch_prune(network: ExportedNetwork) -> bytes:
    """A state dict with weight_orig and weight_mask, as torch.nn.utils.prune keeps them."""
    masks = network.masks_by_weight
    content: Weights = {}
    for name, tensor in network.ticket.weights.items():
        if name in masks:
            content[f"{name}_orig"] = tensor.clone()
            # Of the weight's type, as torch keeps it.
            content[f"{name}_mask"] = masks[name].to(tensor.dtype)
        else:
            content[name] = tensor.clone()
    return _saved(content)


@register_export_format("onnx", (".onnx",), needs_network=True, keeps_masks=False, require=require_onnx)
def onnx(network: ExportedNetwork) -> bytes:
    """ONNX, of any batch size; pruned weights are 0. Needs prunecheck[onnx]."""
    built = network.built()
    description = network.description | {"normalization": built.normalization}
    return onnx_bytes(built.model, network.masked_weights, built.image_shape, description)


@register_export_format("cut-state-dict", TORCH_ENDINGS, needs_masks=True, needs_network=True, keeps_masks=False)
def cut_state_dict(network: ExportedNetwork) -> bytes:
    """A state dict without the channels that the masks remove, of a smaller network."""
    smaller, _ = _without_channels(network)
    return _saved(smaller.state_dict())


@register_export_format("cut-program", (".pt2",), needs_masks=True, needs_network=True, keeps_masks=False)
def cut_program(network: ExportedNetwork) -> bytes:
    """The network without the channels that the masks remove, for torch.export.load(FILE).module()."""
    smaller, built = _without_channels(network)
    return program_bytes(smaller, built.image_shape)


@register_export_format(
    "cut-onnx", (".onnx",), needs_masks=True, needs_network=True, keeps_masks=False, require=require_onnx
)
def cut_onnx(network: ExportedNetwork) -> bytes:
    """ONNX of the network without the channels that the masks remove. Needs prunecheck[onnx]."""
    smaller, built = _without_channels(network)
    description = network.description | {"normalization": built.normalization}
    return onnx_bytes(smaller, smaller.state_dict(), built.image_shape, description)


@register_export_format("transformers", SAFETENSORS_ENDINGS, needs_network=True, keeps_masks=False)
def transformers_file(network: ExportedNetwork) -> bytes:
    """model.safetensors as save_pretrained of transformers writes it; pruned weights are 0."""
    built = network.built()
    load_weights(built.model, network.masked_weights)
    return saved_bytes(built.model, network.description)


def _without_channels(network: ExportedNetwork) -> tuple[nn.Module, BuiltNetwork]:
    """Return the smaller network, and what the whole one takes."""
    built = network.built()
    require_images(built.image_shape, "cutting channels")
    load_weights(built.model, network.masked_weights)
    return cut_channels(built.model, network.ticket.masks, built.image_shape), built


def _saved(content: Weights) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def export_bytes(network: ExportedNetwork, form: ExportFormat) -> bytes:
    """Return a network as a file.

    Raises:
        InputError: the format needs masks and the network is dense, or torch cannot write the network so.
    """
    if form.needs_masks and not network.ticket.masks:
        raise InputError(
            f"a dense network has no masks, which the format {form.name} is made of: choose another "
            f"{field_name('format')}, such as state-dict.",
            field="format",
        )
    return form.write(network)


def export_remarks(network: ExportedNetwork, form: ExportFormat) -> list[str]:
    """Return what a reader of the file cannot know."""
    zeros = 0 if form.keeps_masks else network.kept_zeros
    if not zeros:
        return []
    are = "1 kept weight is" if zeros == 1 else f"{zeros:,} kept weights are"
    return [f"{are} 0, which this format cannot tell from pruned: ticket and torch-prune can"]
