import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, grasp, magnitude, random_scores, register_criterion, snip
from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores, prunable_weights, weight_name

TEMPERATURE = 200
Draw = Callable[[nn.Module, int], nn.Module]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


def test_magnitude_is_the_absolute_value() -> None:
    scores = magnitude(linear([[-3.0, 2.0], [0.0, -0.5]]))
    assert scores[""].tolist() == [[3.0, 2.0], [0.0, 0.5]]


def test_snip_of_four_weights_by_hand() -> None:
    # Equal logits: each class has probability 1/2, so the gradients are -x/2 (the label's row) and x/2.
    x = torch.tensor([[3.0, 1.0]])
    scores = snip(linear([[1.0, -2.0], [1.0, -2.0]]), [(x, torch.tensor([0]))])
    assert scores[""].tolist() == [[1.5, 1.0], [1.5, 1.0]]


def test_snip_averages_over_a_batch_by_hand() -> None:
    # The first sample gives the rows -x/2 and x/2, the second x'/2 and -x'/2; the loss is their mean.
    x = torch.tensor([[3.0, 1.0], [1.0, 0.0]])
    scores = snip(linear([[1.0, -2.0], [1.0, -2.0]]), [(x, torch.tensor([0, 1]))])
    assert scores[""].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_snip_sums_gradients_over_batches_before_the_absolute_value() -> None:
    # Gradients of the first row: -x/2 = (-1.5, -0.5), then +x/2 = (0.5, 0); the second row's are opposite.
    first = (torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    second = (torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    scores = snip(linear([[1.0, -2.0], [1.0, -2.0]]), [first, second])
    assert scores[""].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def flat_weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in prunable_weights(model).values()])


def flat_scores(scores: Scores) -> Tensor:
    return torch.cat([score.flatten() for score in scores.values()])


def loss_of_flat(model: nn.Module, x: Tensor, y: Tensor, temperature: float) -> Callable[[Tensor], Tensor]:
    """Return the loss as a function of all prunable weights in one vector."""
    weights = prunable_weights(model)

    def loss(vector: Tensor) -> Tensor:
        parts = torch.split(vector, [weight.numel() for weight in weights.values()])
        named = {weight_name(layer): p.view_as(w) for (layer, w), p in zip(weights.items(), parts, strict=True)}
        logits: Tensor = functional_call(copy.deepcopy(model).train(), named, (x,))
        return functional.cross_entropy(logits / temperature, y)

    return loss


def test_snip_is_the_gradient_with_respect_to_a_mask_of_ones(small_network: nn.Module, batch: Batch) -> None:
    loss, weights = loss_of_flat(small_network, *batch, temperature=1), flat_weights(small_network)
    mask = torch.ones_like(weights, requires_grad=True)
    (expected,) = torch.autograd.grad(loss(weights * mask), mask)
    torch.testing.assert_close(flat_scores(snip(small_network, [batch])), expected.abs(), rtol=1e-10, atol=1e-14)


def halves_by_class(batch: Batch) -> list[Batch]:
    x, y = batch
    order = sorted(range(len(y)), key=lambda index: int(y[index]))
    first, second = order[: len(y) // 2], order[len(y) // 2 :]
    return [(x[first], y[first]), (x[second], y[second])]


@pytest.mark.parametrize("count_of_batches", [1, 2])
def test_grasp_is_weight_times_hessian_times_gradient(
    small_network: nn.Module, batch: Batch, count_of_batches: int
) -> None:
    batches = [batch, (batch[0].flip(0)[:5], batch[1][:5])][:count_of_batches]
    weights = flat_weights(small_network)
    losses = [loss_of_flat(small_network, *half, TEMPERATURE) for batch in batches for half in halves_by_class(batch)]
    point = weights.clone().requires_grad_()
    gradient = torch.stack([torch.autograd.grad(loss(point), point)[0] for loss in losses]).sum(0)
    hessians = [torch.autograd.functional.hessian(loss, weights) for loss in losses]  # type: ignore[no-untyped-call]
    expected = weights * (torch.stack(hessians).sum(0) @ gradient)
    scores = flat_scores(grasp(small_network, batches))
    torch.testing.assert_close(scores / expected.abs().max(), expected / expected.abs().max(), rtol=1e-8, atol=1e-12)


def test_shrinking_a_weight_takes_twice_its_grasp_score_from_the_gradient_flow(
    small_network: nn.Module, batch: Batch
) -> None:
    losses = [loss_of_flat(small_network, *half, TEMPERATURE) for half in halves_by_class(batch)]

    def flow(vector: Tensor) -> float:
        point = vector.clone().requires_grad_()
        gradient = torch.stack([torch.autograd.grad(loss(point), point)[0] for loss in losses]).sum(0)
        return float(gradient.square().sum())

    weights, scores = flat_weights(small_network), flat_scores(grasp(small_network, [batch]))
    for index in range(len(weights)):
        step = torch.zeros_like(weights)
        step[index] = weights[index] * 1e-5
        slope = (flow(weights - step) - flow(weights + step)) / 2e-5
        assert slope == pytest.approx(float(-2 * scores[index]), rel=1e-5, abs=1e-5 * float(scores.abs().max()))


def test_grasp_takes_a_batch_of_one_image(small_network: nn.Module, batch: Batch) -> None:
    scores = grasp(small_network, [(batch[0][:1], batch[1][:1])])
    assert all(bool(score.isfinite().all()) for score in scores.values())


@pytest.mark.parametrize("criterion", [snip, grasp])
def test_scoring_is_in_training_mode_whatever_mode_the_network_is_in(
    criterion: Callable[..., Scores], small_network: nn.Module, batch: Batch
) -> None:
    training = criterion(small_network.train(), [batch])
    evaluating = criterion(small_network.eval(), [batch])
    assert all(torch.equal(training[layer], evaluating[layer]) for layer in training)


SPARSITY = 0.5

WITH_DRAWS = ["random", "gem-miner", "grasp", "ntk-sap", "phew"]
"""What they draw stays in its place when weights move."""


def score(name: str, model: nn.Module, batch: Batch, seed: int = 0) -> Scores:
    return CRITERIA.get(name)(model, [batch], seeded(seed), SPARSITY)


def same(first: Scores, second: Scores) -> bool:
    return list(first) == list(second) and all(torch.equal(first[layer], second[layer]) for layer in first)


@pytest.mark.parametrize("name", CRITERIA.names())
def test_every_criterion_scores_every_prunable_weight(name: str, small_network: nn.Module, batch: Batch) -> None:
    scores = score(name, small_network, batch)
    weights = prunable_weights(small_network)
    assert [(layer, s.shape) for layer, s in scores.items()] == [(layer, w.shape) for layer, w in weights.items()]
    assert not any(s.requires_grad or not s.isfinite().all() for s in scores.values())


@pytest.mark.parametrize("name", CRITERIA.names())
def test_every_criterion_is_repeatable_and_leaves_the_global_generator_alone(
    name: str, small_network: nn.Module, batch: Batch
) -> None:
    state = torch.get_rng_state()
    assert same(score(name, small_network, batch), score(name, small_network, batch))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", CRITERIA.names())
def test_a_criterion_reacts_to_other_data_if_and_only_if_it_says_so(
    name: str, small_network: nn.Module, batch: Batch
) -> None:
    other = (batch[0].flip(0), batch[1])
    reacts = not same(score(name, small_network, batch), score(name, small_network, other))
    assert reacts == CRITERIA.get(name).sees_data


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CRITERIA.names())
def test_every_criterion_leaves_the_network_as_it_was(
    name: str, training: bool, small_network: nn.Module, batch: Batch
) -> None:
    small_network.train(training)[1].eval()  # type: ignore[index]
    small_network.get_submodule("0").requires_grad_(False)
    linear_weight = small_network.get_parameter("4.weight")
    linear_weight.grad = torch.ones_like(linear_weight)
    state = copy.deepcopy(small_network.state_dict())
    modes = [module.training for module in small_network.modules()]
    images = batch[0].clone()

    score(name, small_network, batch)

    assert same(small_network.state_dict(), state)
    assert [module.training for module in small_network.modules()] == modes
    frozen = [parameter for parameter, p in small_network.named_parameters() if not p.requires_grad]
    assert frozen == ["0.weight", "0.bias"]
    graded = {parameter: p.grad for parameter, p in small_network.named_parameters() if p.grad is not None}
    assert list(graded) == ["4.weight"]
    assert torch.equal(graded["4.weight"], torch.ones_like(linear_weight))
    assert torch.equal(batch[0], images)


@pytest.mark.parametrize("criterion", [snip, grasp])
def test_frozen_parameters_are_scored_too(
    criterion: Callable[..., Scores], small_network: nn.Module, batch: Batch
) -> None:
    expected = criterion(small_network, [batch])
    assert same(criterion(small_network.requires_grad_(False), [batch]), expected)


@pytest.mark.parametrize("criterion", [snip, grasp])
def test_a_criterion_that_needs_data_says_so(criterion: Callable[..., Scores], small_network: nn.Module) -> None:
    with pytest.raises(InputError, match="given none"):
        criterion(small_network, [])


def test_random_scores_depend_on_the_generator_alone(small_network: nn.Module, draw: Draw) -> None:
    first = random_scores(small_network, generator=seeded(1))
    assert same(first, random_scores(draw(small_network, 8), generator=seeded(1)))
    assert not same(first, random_scores(small_network, generator=seeded(2)))
    values = flat_scores(first).tolist()
    assert len(set(values)) == len(values)


def test_a_criterion_is_given_the_generator_only_if_it_takes_one(small_network: nn.Module, batch: Batch) -> None:
    def with_generator(model: nn.Module, batches: list[Batch], generator: torch.Generator) -> Scores:
        return random_scores(model, generator=generator)

    def without(model: nn.Module, batches: list[Batch]) -> Scores:
        return magnitude(model)

    def with_sparsity(model: nn.Module, batches: list[Batch], sparsity: float) -> Scores:
        return {layer: score * sparsity for layer, score in magnitude(model).items()}

    drawn = Criterion("with", with_generator)(small_network, [batch], seeded(4), 0.5)
    assert same(drawn, random_scores(small_network, generator=seeded(4)))
    plain = Criterion("without", without)(small_network, [batch], seeded(4), 0.5)
    assert same(plain, magnitude(small_network))
    eighths = Criterion("sparsity", with_sparsity)(small_network, [batch], seeded(4), 0.125)
    assert same(eighths, {layer: score / 8 for layer, score in plain.items()})


def doubled(model: nn.Module, batches: list[Batch], *, generator: torch.Generator, times: int = 2) -> Scores:
    return {layer: score * times for layer, score in magnitude(model).items()}


def shifted(model: nn.Module, batches: list[Batch], *, by: float = 0.5) -> Scores:
    return {layer: score + by for layer, score in magnitude(model).items()}


def test_an_argument_is_bound_under_a_name_that_says_it(small_network: nn.Module, batch: Batch) -> None:
    criterion = Criterion("doubled", doubled, sees="nothing", argument="times")
    bound = criterion.with_argument("12")
    assert (bound.name, bound.sees, bound.argument) == ("doubled@12", "nothing", None)
    plain = magnitude(small_network)
    assert same(bound(small_network, [batch], seeded(0), 0.5), {layer: 12 * score for layer, score in plain.items()})
    assert same(criterion(small_network, [batch], seeded(0), 0.5), {layer: 2 * score for layer, score in plain.items()})
    with pytest.raises(InputError, match=r"doubled@12 takes no argument: leave @3 out\.$"):
        bound.with_argument("3")


@pytest.mark.parametrize(("text", "value"), [("0.25", 0.25), ("2", 2.0), ("-1.5", -1.5), ("1e3", 1000.0), (".5", 0.5)])
def test_an_argument_that_is_a_float_is_read_as_one(small_network: nn.Module, text: str, value: float) -> None:
    bound = Criterion("shifted", shifted, argument="by").with_argument(text)
    assert bound.name == f"shifted@{value}"
    expected = {layer: score + value for layer, score in magnitude(small_network).items()}
    assert same(bound(small_network, [], seeded(0), 0.5), expected)


@pytest.mark.parametrize("text", ["0", "-3", "03", "2.5", "x", "", " 5", "1_0", "\u0663"])
@pytest.mark.parametrize("name", ["synflow", "iter-snip", "force", "gem-miner", "ntk-sap", "prospr"])
def test_an_argument_that_is_no_count_is_refused(name: str, text: str) -> None:
    with pytest.raises(
        InputError, match=rf"the argument of {name} \((rounds|epochs|steps)\) must be an integer of at least 1"
    ):
        CRITERIA.get(name).with_argument(text)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "one", "", "1,5"])
def test_an_argument_that_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"must be a finite number, such as shifted@0\.5, not"):
        Criterion("shifted", shifted, argument="by").with_argument(text)


@pytest.mark.parametrize("name", ["magnitude", "random", "snip", "grasp", "grasp-without-redraw"])
def test_a_criterion_without_an_argument_says_so(name: str) -> None:
    with pytest.raises(InputError, match=rf"the criterion {name} takes no argument: leave @50 out\.$"):
        CRITERIA.get(name).with_argument("50")


@pytest.mark.parametrize("argument", ["absent", "generator"])
def test_an_argument_without_a_number_for_its_default_cannot_be_registered(argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        register_criterion("never registered", argument=argument)(doubled)
    assert "never registered" not in CRITERIA.names()


def test_criteria_say_what_they_look_at() -> None:
    assert {entry.name: entry.item.sees for entry in CRITERIA} == {
        "magnitude": "nothing",
        "random": "nothing",
        "snip": "samples",
        "grasp": "samples",
        "grasp-without-redraw": "samples",
        "synflow": "nothing",
        "iter-snip": "samples",
        "force": "samples",
        "gem-miner": "training set",
        "ntk-sap": "nothing",
        "phew": "nothing",
        "prospr": "samples",
    }


@pytest.mark.parametrize("name", [name for name in CRITERIA.names() if name not in WITH_DRAWS])
def test_permuting_the_output_channels_of_a_layer_permutes_its_scores(
    name: str, small_network: nn.Module, batch: Batch
) -> None:
    order = torch.tensor([1, 0])
    permuted = copy.deepcopy(small_network)
    for parameter in ("0.weight", "0.bias", "1.weight", "1.bias"):
        permuted.get_parameter(parameter).data = small_network.get_parameter(parameter).data[order]
    per_channel = small_network.get_parameter("4.weight").data.view(3, 2, 4)
    permuted.get_parameter("4.weight").data = per_channel[:, order].reshape(3, 8)
    expected, scores = score(name, small_network, batch), score(name, permuted, batch)
    torch.testing.assert_close(scores["0"], expected["0"][order], rtol=1e-6, atol=1e-9)
    moved = expected["4"].view(3, 2, 4)[:, order].reshape(3, 8)
    torch.testing.assert_close(scores["4"], moved, rtol=1e-6, atol=1e-9)


def test_every_criterion_has_a_summary() -> None:
    assert all(entry.summary and entry.name == entry.item.name for entry in CRITERIA)


class WithSpareLayer(nn.Module):
    def __init__(self, used: nn.Module) -> None:
        super().__init__()
        self.used = used
        self.spare = nn.Linear(2, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("criterion", [snip, grasp])
def test_a_layer_that_the_forward_pass_leaves_out_scores_zero(
    criterion: Callable[[nn.Module, list[Batch]], Scores], small_network: nn.Module, batch: Batch
) -> None:
    scores = criterion(WithSpareLayer(small_network), [batch])
    assert not scores["spare"].any()
    alone = criterion(small_network, [batch])
    assert all(torch.equal(scores[f"used.{layer}"], score) for layer, score in alone.items())
