"""NTK-SAP: a criterion that looks at neither data nor weights, but at how a network of any weights answers noise."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.given_parameters import WithParameters
from prunecheck.pruning.layers import Masks, Scores, weight_name
from prunecheck.pruning.logits import logits_of
from prunecheck.pruning.rounds import count_weights, remove_for_good, require_schedule, rounded_up
from prunecheck.pruning.scoring import BatchSource, copy_for_scoring, image_shape_of
from prunecheck.pruning.tickets import Weights
from prunecheck.randomness import derived_generator

PERTURBATION = 0.01
"""Standard deviation of what is added to the weights."""

INPUTS_PER_CLASS = 10
BATCH_SIZE = 256

LEAST_DRAWS = 5
"""Of weights in a round: as published for CIFAR-10, whose 100 inputs are one batch."""


@register_criterion("ntk-sap", sees="nothing", argument="rounds")
def ntk_sap(
    model: nn.Module,
    batches: BatchSource,
    *,
    generator: torch.Generator,
    sparsity: float,
    draw_weights: Callable[[int], Weights] | None = None,
    rounds: int = 20,
) -> Scores:
    """What a weight is to the neural tangent kernel, averaged over random weights and inputs; in 20 rounds.

    NTK-SAP (Wang et al., ICLR 2023, arXiv:2304.02840, algorithm 1): |gradient with respect to the mask| of the squared
    distance between the outputs of a network and of the same with N(0, 0.01^2) added to its prunable weights, summed
    over draws of initial weights and of N(0, 1) inputs. As in the published code each draw normalises by the
    statistics of its own inputs, each batch of 256 inputs (10 for each class in all) has weights of its own, and there
    are at least 5 draws in a round.

    Args:
        model: the network; its weights are not looked at, if ``draw_weights`` is given. It is left as it was.
        batches: only the shape of its images counts.
        generator: from whose seed inputs, perturbations and seeds of weights are drawn, on the CPU.
        sparsity: what the rounds lead to, in [0, 1).
        draw_weights: given a seed, returns initial weights by the names of the state dict. None: those of the
            model, in every draw, which the paper calls the kernel of fixed weights.
        rounds: at least 1.

    Raises:
        InputError: no batch is given to take the shape of, no rounds, or no such sparsity.
    """
    require_schedule(sparsity, rounds)
    network, weights = copy_for_scoring(model, batches)
    _take_statistics_of_one_batch(network)
    shape = image_shape_of(batches)
    numbers = iter(range(rounds))

    def score(masks: Masks) -> Scores:
        draws = _draws(network, shape, weights, derived_generator(generator, "ntk-sap", next(numbers)), draw_weights)
        total = [torch.zeros_like(weight) for weight in weights.values()]
        for draw in draws:
            torch._foreach_add_(total, draw.gradient(network, masks))
        return {layer: gradient.abs() * masks[layer] for layer, gradient in zip(weights, total, strict=True)}

    dense = {layer: weight.detach() for layer, weight in weights.items()}
    return remove_for_good(score, dense, rounded_up(count_weights(dense), sparsity, rounds))


def _take_statistics_of_one_batch(network: nn.Module) -> None:
    """Make batch norm in evaluation mode that of the last batch in training mode."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0


@dataclass(frozen=True)
class _Draw:
    """Random weights and inputs, on the network's device.

    Attributes:
        parameters: all of the network, by the names of the state dict.
        perturbations: what is added to each prunable weight, by layer.
        inputs: (N, channels, height, width).
    """

    parameters: Mapping[str, Tensor]
    perturbations: Mapping[str, Tensor]
    inputs: Tensor

    def gradient(self, network: nn.Module, masks: Masks) -> list[Tensor]:
        """Return the gradient of the squared distance of outputs with respect to the mask of each layer."""
        leaves = {layer: mask.to(self.perturbations[layer].dtype).requires_grad_() for layer, mask in masks.items()}
        network.train()
        with torch.no_grad():
            self._output(network, leaves, is_perturbed=False)
        network.eval()
        difference = self._output(network, leaves, is_perturbed=False) - self._output(
            network, leaves, is_perturbed=True
        )
        found = torch.autograd.grad(difference.square().sum(), list(leaves.values()), materialize_grads=True)
        return list(found)

    def _output(self, network: nn.Module, masks: Mapping[str, Tensor], *, is_perturbed: bool) -> Tensor:
        given = dict(self.parameters)
        for layer, mask in masks.items():
            weight = given[weight_name(layer)]
            given[weight_name(layer)] = (weight + self.perturbations[layer] if is_perturbed else weight) * mask
        return logits_of(WithParameters(network, given), self.inputs)


def _draws(
    network: nn.Module,
    image_shape: tuple[int, ...],
    weights: Mapping[str, Tensor],
    generator: torch.Generator,
    draw_weights: Callable[[int], Weights] | None,
) -> Iterator[_Draw]:
    """Yield the draws of one round."""
    own = {name: parameter.detach() for name, parameter in network.named_parameters()}
    for count in _batch_sizes(_count_classes(network, image_shape)):
        parameters = own
        if draw_weights:
            drawn = draw_weights(int(torch.randint(2**62, (), generator=generator)))
            parameters = {name: drawn[name].to(parameter) for name, parameter in own.items()}
        inputs = torch.randn(count, *image_shape, generator=generator)
        perturbations = {
            layer: (PERTURBATION * torch.randn(weight.shape, generator=generator)).to(weight)
            for layer, weight in weights.items()
        }
        yield _Draw(parameters, perturbations, inputs)


@torch.no_grad()
def _count_classes(network: nn.Module, image_shape: tuple[int, ...]) -> int:
    device = next(network.parameters()).device
    return logits_of(network.eval(), torch.zeros(1, *image_shape, device=device)).shape[1]


def _batch_sizes(num_classes: int) -> list[int]:
    """Return how many inputs each draw of a round has."""
    whole, rest = divmod(INPUTS_PER_CLASS * num_classes, BATCH_SIZE)
    sizes = [BATCH_SIZE] * whole + [rest] * (rest > 0)
    return sizes * (LEAST_DRAWS if len(sizes) == 1 else 1)
