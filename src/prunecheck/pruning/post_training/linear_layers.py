"""The linear layers of a network as matrices of outputs by inputs, however they store their weight."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import require_plain_weight, weight_name

QUANTISED_KINDS = ("torch.ao.nn.quantized", "torch.nn.quantized", "bitsandbytes", "torchao", "auto_gptq", "awq", "hqq")
"""Packages whose layers hold weights of a few bits."""


@dataclass(frozen=True)
class LinearLayer:
    """A layer that multiplies its inputs by a matrix.

    Attributes:
        name: of the layer in the network.
        module: its weight is (outputs, inputs), or turned.
        is_turned: whether the weight is (inputs, outputs), as in ``Conv1D`` of ``transformers``.
    """

    name: str
    module: nn.Module
    is_turned: bool

    @property
    def parameter_name(self) -> str:
        """The name of its weight in the network's state dict."""
        return weight_name(self.name)

    @property
    def weight(self) -> nn.Parameter:
        """Its weight.

        Raises:
            InputError: it is computed from others, or its numbers cannot be pruned.
        """
        return require_plain_weight(self.name, self.module)

    def matrix(self, weight: Tensor) -> Tensor:
        """Return a tensor of the weight's shape as (outputs, inputs), and the other way round."""
        return weight.t() if self.is_turned else weight

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return int(self.matrix(self.weight).shape[1])

    @property
    def outputs(self) -> int:
        """How many features it returns."""
        return int(self.matrix(self.weight).shape[0])


def linear_layers(network: nn.Module) -> Iterator[LinearLayer]:
    """Yield the linear layers in the order of the network's modules: ``nn.Linear``, and ``Conv1D`` of ``transformers``.

    Raises:
        InputError: a layer is quantised.
    """
    for name, module in network.named_modules():
        if _is_quantised(module):
            raise InputError(
                f"layer {name} ({type(module).__name__}) is quantised, so that its weights cannot be pruned one by "
                "one: give the network in float32, bfloat16 or float16."
            )
        if isinstance(module, nn.Linear):
            yield LinearLayer(name, module, is_turned=False)
        elif _is_conv1d(module):
            yield LinearLayer(name, module, is_turned=True)


def _is_conv1d(module: nn.Module) -> bool:
    """Say so without importing ``transformers``, which need not be installed."""
    return any(
        kind.__name__ == "Conv1D" and kind.__module__.partition(".")[0] == "transformers"
        for kind in type(module).__mro__
    )


def _is_quantised(module: nn.Module) -> bool:
    kinds = [kind.__module__ for kind in type(module).__mro__]
    if any(kind == package or kind.startswith(f"{package}.") for kind in kinds for package in QUANTISED_KINDS):
        return True
    weight = module._parameters.get("weight")
    is_linear = isinstance(module, nn.Linear) or _is_conv1d(module)
    return is_linear and weight is not None and (weight.is_quantized or _has_few_bits(weight))


def _has_few_bits(weight: Tensor) -> bool:
    """Say whether numbers are whole ones, or floats of a byte or less."""
    return not weight.is_complex() and (not weight.is_floating_point() or weight.element_size() < 2)
