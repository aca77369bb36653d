"""Which models are read, and that they train as densely."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.models import build_model
from prunecheck.training.sparse import SparseNetwork
from tests.training.sparse.alone import assert_near
from tests.training.sparse.graphs import Both, in_turns, random_masks, randomised
from tests.training.sparse.own_model import IMAGE, Forward, Own

pytestmark = pytest.mark.usefixtures("kernels")


def train_both(model: nn.Module) -> None:
    randomised(model, 0)
    both = Both(model, IMAGE, random_masks(model, (0.5,), 0), in_turns(True))
    assert both.sparse.sparse_layers
    both.step(19)
    both.check()


def added(a: Tensor, b: Tensor) -> Tensor:
    a += b
    return a


SUPPORTED: dict[str, Forward] = {
    "functional ReLU": lambda m, x: m.head(functional.relu(m.norm(m.conv(x)))),
    "functional ReLU in place": lambda m, x: m.head(functional.relu(m.norm(m.conv(x)), inplace=True)),
    "torch's ReLU in place": lambda m, x: m.head(torch.relu_(m.conv(x))),
    "a tensor's ReLU": lambda m, x: m.head(m.conv(x).relu()),
    "a tensor's ReLU in place": lambda m, x: m.head(m.conv(x).relu_()),
    "torch's mean": lambda m, x: m.linear(torch.mean(m.conv(x), dim=[-1, -2])),
    "a mean that keeps positions": lambda m, x: m.linear(m.conv(x).mean((2, 3), keepdim=True).flatten(1)),
    "adaptive pooling and flatten": lambda m, x: m.linear(torch.flatten(m.pool(m.conv(x)), 1)),
    "adaptive pooling and squeeze": lambda m, x: m.linear(m.pool(m.conv(x)).squeeze(-1).squeeze(-1)),
    "adaptive pooling and a view": lambda m, x: m.linear(m.pool(m.conv(x)).view(-1, 3)),
    "a sum": lambda m, x: m.head(m.second(a := m.conv(x).relu()) + a),
    "torch's sum": lambda m, x: m.head(torch.add(m.second(a := m.conv(x).relu()), a)),
    "a tensor's sum": lambda m, x: m.head(m.second(a := m.conv(x).relu()).add(a)),
    "a sum in place": lambda m, x: m.head(added(m.second(a := m.conv(x).relu()), a)),
    "a tensor's sum in place": lambda m, x: m.head(m.second(a := m.conv(x).relu()).add_(a)),
    "a map and its identity": lambda m, x: m.head(m.identity(a := m.conv(x)) + a),
    "an identity as shortcut": lambda m, x: m.head(m.second(a := m.conv(x).relu()) + m.identity(a)),
    "an identity between": lambda m, x: m.head(m.identity(m.norm(m.identity(m.conv(x)))).relu()),
    "a head of the features by two ways": lambda m, x: m.linear(a := m.conv(x).mean((2, 3))) + a.sum(1, keepdim=True),
    "weights of the head by name": lambda m, x: m.conv(x).mean((2, 3)) @ m.linear.weight.t() + m.linear.bias,
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_model_is_read_however_it_is_written(name: str) -> None:
    train_both(Own(SUPPORTED[name]))


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU(), nn.ReLU(inplace=True), nn.Dropout(0), nn.MaxPool2d(2), nn.MaxPool2d(2, stride=2), nn.MaxPool2d((3, 3))],
    ids=str,
)
def test_layers_between_are_read(layer: nn.Module) -> None:
    train_both(Own(lambda m, x: m.head(m.layer(m.conv(x))), layer=layer))


@pytest.mark.parametrize("pool", [nn.AvgPool2d(5), nn.AdaptiveAvgPool2d((1, 1))], ids=str)
def test_a_pooling_of_everything_is_a_mean(pool: nn.Module) -> None:
    model = Own(lambda m, x: m.linear(m.whole(m.conv(x)).flatten(1)), whole=pool)
    randomised(model, 0)
    both = Both(model, (2, 5, 5), random_masks(model, (0.5,), 0), in_turns(True))
    both.step(5)
    both.check()


class DeepHead(nn.Module):
    """Layers after the mean, pruned ones, dropout and a batch norm among them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.project = nn.Conv2d(5, 8, 1)
        self.head = nn.Sequential(nn.Linear(8, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = torch.relu(self.project(self.pool(x)))
        return self.head(x.flatten(1))  # type: ignore[no-any-return]


def test_a_deep_head_with_dropout_trains_as_densely() -> None:
    model = randomised(DeepHead(), 3)
    masks = random_masks(model, (0.6,), 1)
    both = Both(model, IMAGE, masks, in_turns(True))
    assert both.sparse.sparse_layers == ("conv",)
    for _ in range(3):
        x, y = both.images(20), torch.arange(20) % 3
        logits = []
        for network in (both.dense, both.sparse):
            network.train()
            torch.manual_seed(5)
            logits.append(network(x))
            functional.cross_entropy(logits[-1], y).backward()  # type: ignore[no-untyped-call]
        assert_near(*logits)
        both.dense.step(0.1)
        both.sparse.step(0.1)
    both.check()
    for name, mask in masks.items():
        assert not both.sparse.weights()[f"{name}.weight"][~mask].any()


@pytest.mark.parametrize(
    ("name", "options", "image"),
    [
        ("resnet8", {"width": 4, "input_channels": 1}, (1, 8, 8)),
        ("resnet56", {"width": 2}, (3, 8, 9)),
        ("vgg11_bn", {"width": 4}, (3, 20, 17)),
        ("vgg11", {"width": 4}, (3, 16, 16)),
    ],
)
def test_the_projects_own_models_are_read_and_train_as_densely(
    name: str, options: dict[str, int], image: tuple[int, int, int]
) -> None:
    model = randomised(build_model(name, 10, **options), 0)
    both = Both(model, image, random_masks(model, (0.3,), 0), in_turns(True, True, False))
    both.step(21)
    both.check()


def test_the_model_that_is_given_stays_as_it_was() -> None:
    model = Own(SUPPORTED["a sum"])
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    both = Both(model.double(), IMAGE, random_masks(model, (0.5,), 0), in_turns(True))
    both.step(4)
    assert isinstance(both.sparse, SparseNetwork)
    torch.testing.assert_close(dict(model.float().state_dict()), weights, rtol=0, atol=0)
