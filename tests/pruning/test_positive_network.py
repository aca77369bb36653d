"""Which networks SynFlow scores, and that flow is conserved in them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import prunable_weights, synflow
from prunecheck.pruning.layers import Scores


def images(channels: int = 2, size: int = 8) -> list[Batch]:
    return [(torch.zeros(1, channels, size, size), torch.zeros(1, dtype=torch.int64))]


def one_round(model: nn.Module, channels: int = 2, size: int = 8) -> Scores:
    return synflow(model, images(channels, size), sparsity=0.0, rounds=1)


class Of(nn.Module):
    """A layer without weights, of a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Around(nn.Module):
    """Joins what goes around a branch with what comes through it."""

    def __init__(self, branch: nn.Module, join: Callable[[Tensor, Tensor], Tensor] = torch.add) -> None:
        super().__init__()
        self.branch, self.join = branch, join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, self.branch(x))


class ChannelsFirstLayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normalised.permute(0, 3, 1, 2)


class StandardisedConvolution(nn.Conv2d):
    """Its output does not depend on how large its weights are."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight / self.weight.norm(), None, self.stride, self.padding)


class RootedConvolution(nn.Conv2d):
    """Its output grows less than its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight.abs().sqrt(), None, self.stride, self.padding)


class Attention(nn.Module):
    """Over positions, with weights that are normalised: linear in its input, yet not in its queries."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        weights = self.key(tokens)
        attended: Tensor = (weights / weights.sum(1, keepdim=True) * self.value(tokens)).sum(1)
        return attended


def network(*middle: nn.Module, end: tuple[nn.Module, ...] = ()) -> nn.Module:
    layers = [nn.Conv2d(2, 4, 3, padding=1), *middle, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3), *end]
    return nn.Sequential(*layers)


def normalise_by_root_mean_square(x: Tensor) -> Tensor:
    return x / (x.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()


def in_float32(x: Tensor) -> Tensor:
    return x.float()


CHAINS: dict[str, list[nn.Module]] = {
    "batch norm": [nn.BatchNorm2d(4), nn.ReLU()],
    "functional batch norm": [Of(lambda x: functional.batch_norm(x, torch.zeros(4).to(x), torch.ones(4).to(x)))],
    "group norm and leaky ReLU": [nn.GroupNorm(2, 4), nn.LeakyReLU()],
    "instance norm": [nn.InstanceNorm2d(4, affine=True)],
    "depthwise, ReLU6 in place": [nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.ReLU6(inplace=True), nn.Conv2d(4, 4, 1)],
    "GELU": [nn.GELU(), nn.Conv2d(4, 4, 1), nn.SiLU(), nn.Hardswish(), nn.Softplus(), nn.ELU()],
    "pooling and dropout": [nn.MaxPool2d(2), nn.Dropout2d(), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.PReLU()],
    "layer norm": [nn.LayerNorm((4, 8, 8))],
}

BRANCHES: dict[str, list[nn.Module]] = {
    "shortcut": [Around(nn.Conv2d(4, 4, 1))],
    "maximum over branches": [Around(nn.Conv2d(4, 4, 3, padding=1), torch.maximum), nn.MaxPool2d(2)],
    "maximum over positions": [Around(nn.Conv2d(4, 4, 1)), nn.MaxPool2d(3), nn.Conv2d(4, 4, 1)],
    "channels joined": [Around(nn.Conv2d(4, 2, 1), lambda x, y: torch.cat([x, y], 1)), nn.Conv2d(6, 4, 1)],
}

NOT_LINEAR = {
    "RMSNorm": network(nn.RMSNorm([4, 8, 8])),
    "a norm by hand": network(Of(normalise_by_root_mean_square)),
    "a norm by hand on a branch": network(Around(nn.Sequential(Of(normalise_by_root_mean_square), nn.Conv2d(4, 4, 1)))),
    "tanh on a branch": network(nn.BatchNorm2d(4), Around(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh()))),
    "functional GELU": network(Of(functional.gelu)),
    "a small added number": network(Of(lambda x: x + 1e-9)),
    "functional layer norm": network(Of(lambda x: functional.layer_norm(x, x.shape[1:]))),
    "functional group norm": network(Of(lambda x: functional.group_norm(x, 2))),
    "functional instance norm": network(Of(functional.instance_norm)),
    "functional batch norm of the batch": network(Of(lambda x: functional.batch_norm(x, None, None, training=True))),
    "normalize": network(Of(functional.normalize)),
    "local response norm": network(nn.LocalResponseNorm(2, alpha=1.0)),
    "layer norm over channels": network(ChannelsFirstLayerNorm(4)),
    "log_softmax": network(end=(nn.LogSoftmax(1),)),
    "softmax": network(end=(nn.Softmax(1),)),
    "tanh": network(nn.Tanh()),
    "sigmoid": network(nn.Sigmoid(), nn.Conv2d(4, 4, 1)),
    "functional ReLU6": network(Of(functional.relu6)),
    "an added number": network(Of(lambda x: x + 2.0)),
    "a gate": network(Around(nn.Conv2d(4, 4, 1), lambda x, y: x * y)),
    "a gate that saturates": network(Around(nn.Conv2d(4, 4, 1), lambda x, y: x * y.sigmoid())),
    "a gate that is normalised": network(Around(nn.Conv2d(4, 4, 1), lambda x, y: x * normalise_by_root_mean_square(y))),
    "a difference": network(Around(nn.AvgPool2d(3, 1, 1), lambda x, y: y - x), nn.Conv2d(4, 4, 1)),
    "centred channels": network(Of(lambda x: x - x.mean((2, 3), keepdim=True))),
    "standardised weights": network(StandardisedConvolution(4, 4, 1)),
    "roots of weights": network(RootedConvolution(4, 4, 1)),
    "normalised attention": nn.Sequential(nn.Conv2d(2, 4, 3), Attention(), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_layer_of_a_chain_carries_the_same_flow(name: str) -> None:
    sums = [float(score.sum()) for score in one_round(network(*CHAINS[name])).values()]
    assert sums == pytest.approx([sums[0]] * len(sums), rel=1e-9)
    assert 0.5 <= sums[0] < 1


@pytest.mark.parametrize("name", BRANCHES)
def test_layers_that_all_paths_go_through_carry_the_same_flow(name: str) -> None:
    first, *_, last = one_round(network(*BRANCHES[name])).values()
    assert float(first.sum()) == pytest.approx(float(last.sum()), rel=1e-9)


def test_batch_norm_divides_by_the_deviation_of_a_fresh_network() -> None:
    branch = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.21))
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), Around(branch), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.fill_(-1)
    # Of 1 + 1 / 1.1, the branch passes on 1 / 1.1.
    first, second = (float(score.sum()) for score in one_round(model, channels=1).values())
    assert second / first == pytest.approx(1 / 2.1)


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_for_positive_weights_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"synflow cannot score this network, for with all weights positive .*: use"):
        one_round(NOT_LINEAR[name])


def test_a_network_that_leaves_float64_is_refused() -> None:
    with pytest.raises(InputError, match=r"float64, and there it fails .*take conversions such as x.float"):
        one_round(network(Of(in_float32)))


@pytest.mark.parametrize("name", ["resnet20", "vgg11_bn", "resnet56"])
def test_the_paper_s_networks_are_scored(name: str) -> None:
    model = build_model(name, num_classes=10, **({"width": 4} if name.startswith("resnet") else {}))
    scores = one_round(model, channels=3, size=32)
    assert all(bool((score >= 0).all()) and float(score.sum()) > 0 for score in scores.values())


def test_trained_statistics_and_biases_do_not_make_a_network_refused() -> None:
    model = network(nn.BatchNorm2d(4), nn.ReLU())
    before = one_round(model)
    with torch.no_grad():
        model.get_buffer("1.running_mean").fill_(3)
        model.get_parameter("1.bias").fill_(2)
    assert all(torch.equal(score, before[layer]) for layer, score in one_round(model).items())


def test_a_weight_that_two_layers_share_is_scored_for_both() -> None:
    model = network(nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False))
    model.get_submodule("2").weight = model.get_parameter("1.weight")
    first, shared, last = (float(score.sum()) for score in one_round(model).values())
    assert (shared, last) == pytest.approx((2 * first, first))


def test_without_any_path_nothing_is_refused_and_nothing_flows() -> None:
    model = network()
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.zero_()
    assert not any(score.any() for score in one_round(model).values())


def test_scoring_leaves_the_network_as_it_was() -> None:
    model = network(nn.ReLU6(inplace=True), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one_round(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.get_submodule("1").inplace
    assert model.training
