"""A model's trunk, from the images to the mean over positions, read off its graph as steps."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from prunecheck.pruning.networks_alike import found_once
from prunecheck.training.sparse.convolutions import (
    DenseConvolution,
    SparseConvolution,
    WinogradConvolution,
    has_winograd,
    output_size,
)
from prunecheck.training.sparse.feature_maps import FeatureMap, Norm
from prunecheck.training.sparse.head import Head, head_of, with_positions
from prunecheck.training.sparse.steps import Join, MaxPool, Mean, Step
from prunecheck.training.sparse.trunk import Trunk

Chooses = Callable[[nn.Conv2d, Tensor, int], bool]
"""Whether a convolution with this mask, and so many positions of its output, is computed with its kept weights only."""


class UnsupportedError(Exception):
    """What in a model a trunk cannot do; the message is a clause without a full stop."""


def read_trunk(
    model: nn.Module, masks: Mapping[str, Tensor], image_shape: tuple[int, ...], chooses: Chooses
) -> tuple[Trunk, Head]:
    """Read a model's trunk off its graph; its pruned convolutions then hold their kept weights only.

    Args:
        model: changed in place, by halves if something in it is not supported.
        masks: by layer name, True = kept.
        image_shape: channels, height and width of an image.
        chooses: which convolutions are computed with the kept weights only.

    Returns:
        The trunk, and what makes logits of its features (batch, channels).

    Raises:
        UnsupportedError: it has an operation that a trunk cannot do, or its graph cannot be read.
    """
    _require_plain(model)
    nodes = list(found_once(model, "graph", lambda: _graph(model)).nodes)
    reader = _Reader(model, masks, image_shape, chooses)
    for place, node in enumerate(nodes[:-1]):  # the last only says what is returned
        reader.read(node)
        if isinstance(reader.steps[-1:][0] if reader.steps else None, Mean):
            trunk = Trunk(reader.steps, reader.images, reader.sparse)
            return trunk, _head(model, nodes[place + 1 :], node, reader.keeps_positions)
    raise UnsupportedError("it has no mean over positions")


def _graph(model: nn.Module) -> fx.Graph:
    """Return a model's graph, which must be the same in training and in evaluation, for only one is read."""
    graphs, training = [], model.training
    for mode in (False, True):
        model.train(mode)
        if any(module.training is not mode for module in model.modules()):
            raise UnsupportedError("some of its layers are not told whether it is trained or evaluated")
        try:
            graphs.append(fx.symbolic_trace(model).graph)
        except Exception as error:  # whatever a model's own forward raises when it is traced
            raise UnsupportedError(f"its graph cannot be read ({type(error).__name__})") from error
    model.train(training)
    if str(graphs[0]) != str(graphs[1]):
        raise UnsupportedError("its graph in evaluation is another than in training")
    layers = [model.get_submodule(str(node.target)) for node in graphs[0].nodes if node.op == "call_module"]
    with_weights = [id(layer) for layer in layers if layer.state_dict()]
    if len(set(with_weights)) < len(with_weights):
        raise UnsupportedError("some of its layers are used twice")
    return graphs[0]


def _require_plain(model: nn.Module) -> None:
    parameters = [
        id(parameter)
        for module in model.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    ]
    if len(set(parameters)) < len(parameters):
        raise UnsupportedError("some of its layers share their weights")
    tensors = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
    if len({tensor.dtype for tensor in tensors}) > 1:
        raise UnsupportedError("its weights are of several types")
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            raise UnsupportedError(f"{name or 'it'} has hooks")


def _head(model: nn.Module, nodes: list[fx.Node], mean: fx.Node, keeps_positions: bool) -> Head:
    """Return what makes logits of the features (batch, channels): what comes after the mean."""
    head = fx.Graph()
    features = head.placeholder("features")
    if keeps_positions:
        features = head.call_function(with_positions, (features,))
    copies = {mean: features}
    for node in nodes:
        for used in node.all_input_nodes:
            if used not in copies:
                raise UnsupportedError(f"{node.name} reads {used.name}, which lies before the mean over positions")
        copies[node] = head.node_copy(node, lambda used: copies[used])
    return head_of(model, head)


class _Reader:
    """Makes steps of a graph's nodes.

    Attributes:
        steps: made so far.
        sparse: those that compute with kept weights only, by layer name.
        images: what the first step reads.
        keeps_positions: whether the mean left height and width 1.
    """

    def __init__(
        self, model: nn.Module, masks: Mapping[str, Tensor], image_shape: tuple[int, ...], chooses: Chooses
    ) -> None:
        self.steps: list[Step] = []
        self.sparse: dict[str, SparseConvolution] = {}
        self.images = FeatureMap(*image_shape)
        self.images.plain, self.images.needs_gradient = True, False
        self.keeps_positions = False
        self._model, self._masks, self._chooses = model, masks, chooses
        self._maps: dict[fx.Node, FeatureMap] = {}

    def read(self, node: fx.Node) -> None:
        """Read one node."""
        if node.op == "placeholder" and not self._maps:
            self._maps[node] = self.images
            return
        module = self._model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if module is not None and not all(parameter.requires_grad for parameter in module.parameters()):
            raise UnsupportedError(f"{node.target} has weights that are not to be trained")
        kind: Any = type(module) if module is not None else node.target
        sources = [self._maps[used] for used in node.all_input_nodes if used in self._maps]
        handler = _HANDLERS.get(kind) if node.op in ("call_module", "call_function", "call_method") else None
        made = handler(self, node, module, sources) if handler and sources and len(node.users) else None
        if made is None:
            raise UnsupportedError(f"{node.target} ({node.name}) is not among what it knows")
        self._maps[node] = made

    def _add(self, step: Step) -> FeatureMap:
        self.steps.append(step)
        return step.output

    def convolution(self, node: fx.Node, module: nn.Conv2d, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a convolution."""
        square = all(
            isinstance(sizes, tuple) and sizes[0] == sizes[1]
            for sizes in (module.kernel_size, module.stride, module.padding, module.dilation)
        )
        plain = module.groups == 1 and module.dilation[0] == 1 and module.padding_mode == "zeros"
        if not square or not plain or int(module.padding[0]) >= module.kernel_size[0]:
            return None
        name, (source,) = str(node.target), sources
        mask = self._masks.get(name)
        if mask is None:
            mask = torch.ones_like(module.weight, dtype=torch.bool)
        if not self._chooses(module, mask, math.prod(output_size(module, source))):
            return self._add((WinogradConvolution if has_winograd(module) else DenseConvolution)(module, source))
        self.sparse[name] = SparseConvolution(module, source, mask)
        return self._add(self.sparse[name])

    def batch_norm(self, node: fx.Node, module: nn.BatchNorm2d, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a batch norm, which must follow a convolution that nothing else reads."""
        (source,) = sources
        usual = module.affine and module.track_running_stats and module.momentum is not None
        if not usual or source.norm or source.relu or source.plain or not self._alone(node):
            return None
        source.norm = Norm(module)
        return source

    def relu(self, node: fx.Node, module: nn.Module | None, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a ReLU of something that nothing else reads."""
        (source,) = sources
        if source is self.images or source.relu or not self._alone(node) or source.consumers:
            return None
        source.relu = True
        return source

    def join(self, node: fx.Node, module: nn.Module | None, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read the sum of two feature maps."""
        if len(sources) != 2 or len(node.args) != 2 or node.kwargs:
            return None
        first, second = sources
        in_place = node.target in (operator.iadd, "add_")
        if (in_place and not self._alone(node)) or first.size != second.size:
            return None
        return self._add(Join(first, second))

    def max_pool(self, node: fx.Node, module: nn.MaxPool2d, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a pooling of windows that lie side by side."""
        (source,) = sources
        size, usual = _single(module.kernel_size), _single(module.padding) == 0 and _single(module.dilation) == 1
        if size is None or size != _single(module.stride) or not usual or module.ceil_mode or module.return_indices:
            return None
        return self._add(MaxPool(source, size)) if size <= min(source.height, source.width) else None

    def mean(self, node: fx.Node, module: nn.Module | None, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a mean over height and width."""
        arguments = {**dict(zip(("input", "dim", "keepdim"), node.args, strict=False)), **node.kwargs}
        dimensions = arguments.get("dim")
        if not isinstance(dimensions, tuple | list) or {int(d) % 4 for d in dimensions} != {2, 3}:
            return None
        if arguments.keys() - {"input", "dim", "keepdim"}:
            return None
        self.keeps_positions = bool(arguments.get("keepdim", False))
        return self._add(Mean(*sources))

    def average_pool(self, node: fx.Node, module: nn.Module, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read a pooling to one position."""
        (source,) = sources
        if isinstance(module, nn.AdaptiveAvgPool2d):
            whole = _single(module.output_size) == 1
        else:
            usual = _single(module.padding) == 0 and not module.divisor_override
            whole = usual and _single(module.kernel_size) == source.height == source.width
        self.keeps_positions = True
        return self._add(Mean(source)) if whole else None

    def _alone(self, node: fx.Node) -> bool:
        """Say whether a node is the only one that reads its first argument, by whatever name."""
        source = self._maps[node.all_input_nodes[0]]
        return all(len(named.users) == 1 for named, made in self._maps.items() if made is source)

    def nothing(self, node: fx.Node, module: nn.Module, sources: list[FeatureMap]) -> FeatureMap | None:
        """Read what changes nothing."""
        return sources[0] if getattr(module, "p", 0) == 0 else None


def _single(size: Any) -> int | None:
    """Return the size that height and width have in common."""
    if isinstance(size, tuple):
        return size[0] if len(set(size)) == 1 else None
    return int(size) if size is not None else None


_HANDLERS: dict[Any, Callable[..., FeatureMap | None]] = {
    nn.Conv2d: _Reader.convolution,
    nn.BatchNorm2d: _Reader.batch_norm,
    **dict.fromkeys(
        (nn.ReLU, torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_"), _Reader.relu
    ),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _Reader.join),
    nn.MaxPool2d: _Reader.max_pool,
    **dict.fromkeys((torch.mean, "mean"), _Reader.mean),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AvgPool2d), _Reader.average_pool),
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout2d), _Reader.nothing),
}
