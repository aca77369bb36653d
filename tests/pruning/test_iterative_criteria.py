import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import allocate, force, iter_snip, prunable_weights, snip, synflow
from prunecheck.pruning.collapse import NOT_FINITE, collapse_of_scores
from prunecheck.pruning.layers import Masks, Scores

Draw = Callable[[nn.Module, int], nn.Module]
IN_ROUNDS = [synflow, iter_snip, force]


def chain(*rows: list[list[float]]) -> nn.Sequential:
    """Linear layers without biases, of the given weights, in float64."""
    layers = []
    for weight in rows:
        layer = nn.Linear(len(weight[0]), len(weight), bias=False).double()
        layer.weight.data = torch.tensor(weight, dtype=torch.float64)
        layers.append(layer)
    return nn.Sequential(*layers)


def shaped(*shape: int) -> list[Batch]:
    return [(torch.zeros(2, *shape), torch.tensor([0, 1]))]


def flat(tensors: Scores | Masks) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def in_proportion(scores: Scores, expected: list[float]) -> bool:
    values = flat(scores)
    wanted = torch.tensor(expected, dtype=values.dtype)
    return torch.allclose(values / values.sum(), wanted / wanted.sum(), rtol=1e-12, atol=0)


def test_synflow_of_four_weights_by_hand() -> None:
    # Paths: 1*2 + 3*2 through the first layer and on through 2; signs do not count.
    network = chain([[-1.0], [3.0]], [[2.0, -0.5]])
    # Through the weights: 1*2 = 2 and 3*0.5 = 1.5, in both layers.
    assert in_proportion(synflow(network, shaped(1), sparsity=0.0, rounds=1), [2, 1.5, 2, 1.5])


def test_synflow_sees_what_earlier_rounds_removed() -> None:
    # Flows 6, 5 | 6, 5: half of the weights go along the weaker path, though the weight 5 is the largest.
    network = chain([[3.0], [1.0]], [[2.0, 5.0]])
    scores = synflow(network, shaped(1), sparsity=0.5, rounds=4)
    assert flat(allocate(scores, 0.5)).tolist() == [True, False, True, False]
    assert flat(scores)[[0, 2]].tolist() == pytest.approx([0.75, 0.75])
    # 4 - int(4 (1 - 0.5 ** (t / 4))) are left: 4, 3, 3. What was cut off from its path lets nothing through.
    assert (flat(scores)[[1, 3]] <= 0).all()
    assert int((flat(scores) < 0).sum()) == 1


def test_synflow_counts_every_path_of_a_convolution_at_the_edges_too() -> None:
    # One pixel, 3x3 kernel: only its middle meets the pixel.
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=True), nn.Flatten())
    scores = synflow(network, shaped(1, 1, 1), sparsity=0.0, rounds=1)["0"].flatten()
    assert scores.nonzero().flatten().tolist() == [4]


def reference_flow(model: nn.Module, shape: tuple[int, ...], masks: Masks) -> Scores:
    """One round as published, in eval mode, for a network of no biases and fresh batch norm."""
    weights = prunable_weights(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
        for layer, weight in weights.items():
            weight.mul_(masks[layer])
    model(torch.ones(1, *shape, dtype=torch.float64)).sum().backward()
    return {layer: (weight * weight.grad).detach() for layer, weight in weights.items() if weight.grad is not None}


def rounded_up(total: int, density: float) -> int:
    """As many as the published SynFlow leaves, which removes the int((1 - density) N) smallest scores."""
    return total - int((1.0 - density) * total)


def cut_off(total: int, density: float) -> int:
    """As many as the published FORCE and iterative SNIP leave."""
    return int(total * density)


def test_synflow_is_the_published_loop() -> None:
    rounds, sparsity, shape = 9, 0.8, (3, 8, 8)

    def build() -> nn.Module:
        return build_model("resnet8", num_classes=4, width=4).double().eval()

    masks = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(build()).items()}
    for number in range(1, rounds + 1):
        flow = reference_flow(build(), shape, masks)
        total = len(flat(flow))
        last = number == rounds
        count = round(total * 0.2) if last else rounded_up(total, 0.2 ** (number / rounds))
        threshold = flat(flow).kthvalue(total - count).values
        masks = {layer: values > threshold for layer, values in flow.items()}
        assert int(flat(masks).sum()) == count
    ours = allocate(synflow(build(), shaped(*shape), sparsity=sparsity, rounds=rounds), sparsity)
    assert torch.equal(flat(ours), flat(masks))


def test_every_layer_of_a_chain_carries_the_same_flow_through_normalisation_and_biases(draw: Draw) -> None:
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 3), nn.Flatten()]
    model = draw(nn.Sequential(*layers, nn.LayerNorm(12), nn.Linear(12, 5), nn.LayerNorm(5, bias=False)), 2)
    scores = synflow(model, shaped(2, 6, 6), sparsity=0.0, rounds=1)
    sums = [float(score.sum()) for score in scores.values()]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-12)
    assert 0.5 <= sums[0] < 1


def test_synflow_is_blind_to_batch_statistics_biases_and_signs(draw: Draw) -> None:
    model = draw(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)), 1)
    before = synflow(model, shaped(1, 4, 4), sparsity=0.5, rounds=7)
    with torch.no_grad():
        model.get_buffer("1.running_mean").fill_(50)
        model.get_buffer("1.running_var").fill_(9)
        for name, parameter in model.named_parameters():
            parameter.mul_(-3 if name.endswith("bias") else -1)
    after = synflow(model, shaped(1, 4, 4), sparsity=0.5, rounds=7)
    assert torch.equal(flat(before), flat(after))


@pytest.mark.parametrize("weight", [1e-12, 1.0, 1e12])
def test_no_depth_and_no_size_of_weights_leaves_the_range_of_numbers(weight: float) -> None:
    # 40 layers: products reach 1e480, or 1e-480, which float64 does not hold.
    network = chain(*[[[weight, 2 * weight], [weight, weight]]] * 40)
    expected = flat(synflow(chain(*[[[1.0, 2.0], [1.0, 1.0]]] * 40), shaped(2), sparsity=0.0, rounds=1))
    scores = flat(synflow(network, shaped(2), sparsity=0.0, rounds=1))
    assert bool(scores.isfinite().all())
    torch.testing.assert_close(scores / scores.sum(), expected / expected.sum(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["resnet32", "resnet110"])
def test_every_weight_of_a_deep_network_carries_flow(name: str) -> None:
    scores = synflow(build_model(name, num_classes=10, width=2), shaped(3, 16, 16), sparsity=0.0, rounds=1)
    assert bool((flat(scores) > 0).all())
    first, *_, last = scores.values()
    assert float(first.sum()) == pytest.approx(float(last.sum()), rel=1e-9)


def test_without_any_path_all_flows_are_zero() -> None:
    assert not flat(synflow(chain([[0.0]], [[1.0]]), shaped(1), sparsity=0.0, rounds=1)).any()


def test_synflow_needs_the_shape_of_the_images() -> None:
    with pytest.raises(InputError, match="the shape of the images"):
        synflow(chain([[1.0]]), [], sparsity=0.5)


def masked_sensitivity(model: nn.Module, batch: Batch, masks: Masks) -> Scores:
    """|mask gradient| for every weight: the loss's slope in a mask that is 0 where a weight was removed."""
    layers = {name: module for name, module in model.named_modules() if name in masks}
    dense = {name: module.weight.detach().clone() for name, module in layers.items()}
    leaves = {name: mask.double().requires_grad_() for name, mask in masks.items()}
    named = {f"{name}.weight": dense[name] * leaf for name, leaf in leaves.items()}
    logits = torch.func.functional_call(model.train(), named, (batch[0],))
    slopes = torch.autograd.grad(nn.functional.cross_entropy(logits, batch[1]), list(leaves.values()))
    return {name: slope.abs() for name, slope in zip(leaves, slopes, strict=True)}


@pytest.mark.parametrize("criterion", [iter_snip, force])
@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_rounds_of_sensitivity_are_those_of_a_mask_kept_by_hand(
    criterion: Callable[..., Scores], sparsity: float, small_network: nn.Module, batch: Batch
) -> None:
    rounds = 6
    masks = {n: torch.ones_like(w, dtype=torch.bool) for n, w in prunable_weights(small_network).items()}
    total = len(flat(masks))
    came_back = False
    for number in range(1, rounds + 1):
        scores = masked_sensitivity(small_network, batch, masks)
        if criterion is iter_snip:
            scores = {name: torch.where(masks[name], score, -1.0) for name, score in scores.items()}
        count = (
            round(total * (1 - sparsity)) if number == rounds else cut_off(total, (1 - sparsity) ** (number / rounds))
        )
        order = flat(scores).argsort(descending=True, stable=True)[:count]
        chosen = torch.zeros(total, dtype=torch.bool)
        chosen[order] = True
        came_back |= bool((chosen & ~flat(masks)).any())
        parts = torch.split(chosen, [mask.numel() for mask in masks.values()])
        masks = {name: part.view_as(masks[name]) for name, part in zip(masks, parts, strict=True)}
    ours = allocate(criterion(small_network, [batch], sparsity=sparsity, rounds=rounds), sparsity)
    assert torch.equal(flat(ours), flat(masks))
    assert not (came_back and criterion is iter_snip)


def test_force_lets_a_removed_weight_come_back_and_iter_snip_does_not(draw: Draw, batch: Batch) -> None:
    model = draw(nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3)).double(), 0)
    halfway, rounds, sparsity = 1 - math.sqrt(0.1), 8, 0.9
    # After 4 rounds of 8 to 0.9, what is gone is what 4 rounds to 1 - sqrt(0.1) remove.
    returned = {}
    for criterion in (force, iter_snip):
        earlier = flat(allocate(criterion(model, [batch], sparsity=halfway, rounds=rounds // 2), halfway))
        last = flat(allocate(criterion(model, [batch], sparsity=sparsity, rounds=rounds), sparsity))
        returned[criterion] = int((last & ~earlier).sum())
    assert returned[iter_snip] == 0 < returned[force]


@pytest.mark.parametrize("criterion", [iter_snip, force])
def test_one_round_is_snip(criterion: Callable[..., Scores], small_network: nn.Module, batch: Batch) -> None:
    batches = [batch, (batch[0].flip(0), batch[1])]
    scores = criterion(small_network, batches, sparsity=0.7, rounds=1)
    torch.testing.assert_close(flat(scores), flat(snip(small_network, batches)), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("criterion", "left"), [(synflow, rounded_up), (iter_snip, cut_off)])
@settings(max_examples=25, deadline=None)
@given(sparsity=st.sampled_from([0.0, 0.07, 0.3, 0.5, 0.77, 0.9]), rounds=st.integers(1, 9), seed=st.integers(0, 1000))
def test_the_earlier_a_weight_is_removed_the_lower_it_ends(
    criterion: Callable[..., Scores], left: Callable[[int, float], int], sparsity: float, rounds: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = chain(torch.randn(4, 5, generator=generator).tolist(), torch.randn(3, 4, generator=generator).tolist())
    x = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    scores = flat(criterion(model, [(x, torch.arange(6) % 3)], sparsity=sparsity, rounds=rounds))
    survived = [32, *(left(32, round(1 - sparsity, 12) ** (number / rounds)) for number in range(1, rounds))]
    # Counted from below: those of round 1, then those of round 2, ...
    for number in range(1, rounds):
        assert int((scores < number - rounds).sum()) == 32 - survived[number]
    assert int((scores >= 0).sum()) == survived[-1]
    # What is asked for in the end is counted as everywhere.
    kept = flat(allocate({"all": scores}, sparsity))
    assert int(kept.sum()) == round(32 * (1 - sparsity))


@pytest.mark.parametrize("criterion", IN_ROUNDS)
def test_no_rounds_are_refused(criterion: Callable[..., Scores], small_network: nn.Module, batch: Batch) -> None:
    with pytest.raises(InputError, match="at least 1 round, not 0"):
        criterion(small_network, [batch], sparsity=0.5, rounds=0)


@pytest.mark.parametrize("criterion", IN_ROUNDS)
def test_a_sparsity_that_is_none_is_refused(
    criterion: Callable[..., Scores], small_network: nn.Module, batch: Batch
) -> None:
    with pytest.raises(InputError, match="less than 1, not 1"):
        criterion(small_network, [batch], sparsity=1.0)


@pytest.mark.parametrize("criterion", [iter_snip, force])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_scores_that_are_reported(
    criterion: Callable[..., Scores], value: float, small_network: nn.Module, batch: Batch
) -> None:
    scores = criterion(small_network, [(batch[0] * value, batch[1])], sparsity=0.5, rounds=3)
    masks = {layer: torch.ones_like(score, dtype=torch.bool) for layer, score in scores.items()}
    collapse = collapse_of_scores(scores, masks)
    assert collapse is not None
    assert collapse.reason == NOT_FINITE


def test_weights_that_are_not_finite_leave_flows_that_are_reported(small_network: nn.Module, batch: Batch) -> None:
    small_network.get_parameter("0.weight").data[0, 0, 0, 0] = math.nan
    assert not flat(synflow(small_network, [batch], sparsity=0.5, rounds=3)).isfinite().all()


@pytest.mark.parametrize("criterion", [iter_snip, force])
def test_sensitivity_in_rounds_needs_data(criterion: Callable[..., Scores], small_network: nn.Module) -> None:
    with pytest.raises(InputError, match="given none"):
        criterion(small_network, [], sparsity=0.5)
