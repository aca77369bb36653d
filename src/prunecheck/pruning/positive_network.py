"""The network that SynFlow scores: positive, and linear in its input and in the weights of each layer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from prunecheck.data.inputs import require_images
from prunecheck.errors import InputError
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.scoring import only_weights_have_gradients
from prunecheck.randomness import generator

INPUT_EXPONENTS = (0, -800, 800)
"""The input is tried at these powers of 2, until the output is a positive float64."""

PROBED_AT = (2.0**-100, 2.0**100)
"""Scales of the input at which the flows of a linear network are the same. What saturates, is normalised or added
counts for nothing at one of them."""

LARGE_EXPONENT = 1000
"""2 to this power, and to its negative, is a float64 still."""

TOLERANCE = 1e-6
"""Share of the output to which sums of flows must agree; float64 leaves errors far below it."""

NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm)

ACTIVATIONS = (nn.Hardtanh, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.ELU, nn.CELU, nn.SELU, nn.Softplus)
"""Those that are the identity for large inputs, and ReLU6, a kind of Hardtanh: ReLU stands in for them."""


def positive_copy(model: nn.Module) -> nn.Module:
    """Return a float64 copy with positive parameters and no biases, whose known modules are linear for positive input.

    Batch norm, instance norm, group norm and layer norm multiply by their weight; GELU, SiLU, ReLU6 and
    their like are ReLU. In evaluation mode, where dropout is the identity.
    """
    network = float64_copy(model).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.rpartition(".")[2] == "bias":
                parameter.zero_()
            else:
                parameter.abs_()
    for module in network.modules():
        if not _has_the_forward_of_torch(module):
            continue
        if isinstance(module, NORMALISATIONS):
            module.register_forward_hook(_multiply_by_weight)
        elif isinstance(module, ACTIVATIONS):
            module.inplace = False  # The hook needs the input as it was.
            module.register_forward_hook(_rectify)
    return network


def float64_copy(model: nn.Module) -> nn.Module:
    """Return a copy whose parameters and buffers are float64."""
    return copy_network(model).double()


def _has_the_forward_of_torch(module: nn.Module) -> bool:
    """Say whether a module computes what its class of torch does, and not something of a user's subclass."""
    return type(module).forward.__module__.startswith("torch.")


def _rectify(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return inputs[0].relu()


def _multiply_by_weight(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Stand in for a normalisation: per channel, or for layer norm per last positions.

    Batch norm does what it does in a fresh network, whose running mean is 0 and variance 1.
    """
    x = inputs[0]
    if isinstance(module, _BatchNorm):
        x = x / math.sqrt(1 + module.eps)
    weight = module._parameters.get("weight")
    if weight is None:
        return x
    is_per_channel = not isinstance(module, nn.LayerNorm)
    return x * (weight.view(-1, *(1,) * (x.dim() - 2)) if is_per_channel else weight)


@dataclass(frozen=True)
class Flow:
    """What passes through a network, all of it times one power of 2 that keeps it in the range of float64.

    Attributes:
        through: per leaf, number by number: leaf x gradient of the summed output.
        output: the summed output, in [0.5, 1) as far as powers of 2 reach, or 0 without any path.
        input_scale: the power of 2 that the image was multiplied by.
        output_scale: the power of 2 that the output was multiplied by.
    """

    through: list[Tensor]
    output: float
    input_scale: float
    output_scale: float


def flow_through(leaves: list[Tensor], network: nn.Module, image: Tensor) -> Flow:
    """Return how much of the output passes through each number of the leaves.

    Args:
        leaves: weights of the network, or its image; they require gradients.
        network: see :func:`positive_copy`.
        image: the input, float64.

    Raises:
        InputError: the network fails in float64.
    """
    total, input_scale = _output_in_range(network, image)
    exponent = int(torch.frexp(total.detach()).exponent.clamp(-LARGE_EXPONENT, LARGE_EXPONENT))
    seed = torch.full_like(total, 2.0**-exponent)
    gradients = torch.autograd.grad(total, leaves, seed, materialize_grads=True)
    through = [leaf.detach() * gradient for leaf, gradient in zip(leaves, gradients, strict=True)]
    return Flow(through, float(total.detach() * seed), input_scale, float(seed))


def _output_in_range(network: nn.Module, image: Tensor) -> tuple[Tensor, float]:
    """Return the summed output, of an input times a power of 2 that leaves it finite and positive, and that power.

    Where none does, the first that leaves it finite is taken, if any.
    """
    found: list[tuple[Tensor, float]] = []
    for exponent in INPUT_EXPONENTS:
        scale = 2.0**exponent
        total = _output(network, image * scale)
        if bool(total.isfinite()) and float(total.detach()) > 0:
            return total, scale
        found.append((total, scale))
    return next((pair for pair in found if bool(pair[0].isfinite())), found[0])


def _output(network: nn.Module, image: Tensor) -> Tensor:
    try:
        total: Tensor = network(image).sum()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"synflow runs the network in float64, and there it fails ({type(error).__name__}: {reason}): take "
            "conversions such as x.float() out of its forward, or choose another method."
        ) from error
    return total


def require_linear(model: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` unless flow is conserved in the positive network of ``model``.

    What SynFlow rests on (arXiv:2006.05467, theorem 1) holds where the output R is homogeneous in the
    input, x dR/dx = R, and where the flow through a layer, the sum of w dR/dw, is what the output loses
    without that layer (or more, where a maximum takes another path then), none of it negative. A softmax,
    a normalisation that is none of the modules known here, tanh, a product of two features or a
    difference violate one of these.

    Args:
        model: with its weights; it is left as it was.
        image_shape: channels, height and width.
    """
    require_images(image_shape, "the criterion synflow")
    network = positive_copy(model)
    weights = only_weights_have_gradients(network)
    # Not an image of ones, of which a network that subtracts the mean would see nothing.
    drawn = torch.rand(
        1, *image_shape, generator=generator(0, "image of the synflow probe"), dtype=torch.float64, device="cpu"
    )
    image = (drawn + 0.5).to(next(network.parameters()).device).requires_grad_()
    flow = flow_through([image, *weights.values()], network, image)
    of_input, *of_layers = flow.through
    slack = TOLERANCE * max(abs(flow.output), float(of_input.abs().sum()))
    if not slack > 0 or not math.isfinite(slack):
        return  # No path at all, or weights that are not finite: the scores say so.
    if not abs(float(of_input.sum()) - flow.output) <= slack or not _is_alike_at_all_scales(network, weights, image):
        raise _not_linear("its output is not in proportion to its input")
    for (layer, weight), through in zip(weights.items(), of_layers, strict=True):
        if not float(through.abs().sum() - through.sum()) <= slack:
            raise _not_linear(f"weights of layer {layer} lessen its output")
        without = _output_without(weight, network, image * flow.input_scale) * flow.output_scale
        if not -slack <= flow.output - without <= float(through.sum()) + slack:
            raise _not_linear(f"its output is not in proportion to the weights of layer {layer}")


def _is_alike_at_all_scales(network: nn.Module, weights: dict[str, Tensor], image: Tensor) -> bool:
    """Say whether each layer passes on the same share of the output, whatever the input is multiplied by."""
    shares = []
    for scale in PROBED_AT:
        flow = flow_through(list(weights.values()), network, image * scale)
        shares.append(torch.stack([through.sum() for through in flow.through]) / flow.output)
    small, large = shares
    return torch.allclose(small, large, rtol=TOLERANCE, atol=0)


@torch.no_grad()
def _output_without(weight: Tensor, network: nn.Module, image: Tensor) -> float:
    """Return the summed output of a network in which one layer's weights are 0."""
    kept = weight.clone()
    weight.zero_()
    total = float(_output(network, image))
    weight.copy_(kept)
    return total


def _not_linear(what: str) -> InputError:
    return InputError(
        f"synflow cannot score this network, for with all weights positive {what}: use modules that it takes as "
        "linear (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.ReLU, nn.GELU, pooling) in the place of other "
        "normalisations, softmax, tanh, products and differences, or choose another method."
    )
