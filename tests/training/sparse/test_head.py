"""What makes logits of features."""

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from prunecheck.training.sparse.head import GraphHead, Head, LinearHead, head_of, with_positions


class OtherLinear(nn.Linear):
    """Computes something else."""

    def forward(self, input: Tensor) -> Tensor:
        """Return twice the outputs."""
        return 2 * super().forward(input)


def read(model: nn.Module) -> Head:
    return head_of(model, fx.symbolic_trace(model, {}).graph)


def frozen() -> nn.Module:
    linear = nn.Linear(3, 2)
    linear.bias.requires_grad_(False)
    return nn.Sequential(linear)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (nn.Sequential(nn.Linear(3, 2)), LinearHead),
        (nn.Sequential(nn.Linear(3, 2, bias=False)), LinearHead),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), LinearHead),
        (nn.Sequential(nn.Flatten(0), nn.Linear(3, 2)), GraphHead),
        (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), GraphHead),
        (nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), GraphHead),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), GraphHead),
        (nn.Sequential(OtherLinear(3, 2)), GraphHead),
        (nn.Sequential(nn.Flatten()), GraphHead),
        (frozen(), GraphHead),
    ],
)
def test_only_one_trained_linear_layer_goes_without_autograd(model: nn.Module, kind: type[Head]) -> None:
    assert type(read(model)) is kind


class KeepsPositions(nn.Module):
    """Takes positions away in a way of its own, before its one linear layer or after it."""

    def __init__(self, flatten: str) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.flatten = flatten

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        features = with_positions(features)
        flat = features.flatten(1) if self.flatten == "method" else torch.flatten(features, 1)
        logits: Tensor = self.fc(flat)
        return logits


@pytest.mark.parametrize("flatten", ["method", "function"])
def test_positions_that_are_given_and_taken_away_change_nothing(flatten: str) -> None:
    model = KeepsPositions(flatten)
    graph = fx.Tracer(autowrap_functions=(with_positions,)).trace(model)
    head = head_of(model, graph)
    features = torch.randn(5, 3)
    assert type(head) is LinearHead
    torch.testing.assert_close(head(features, None), model(features), rtol=0, atol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("after", [(), (nn.Softmax(1),)])
def test_gradients_are_those_of_autograd(bias: bool, after: tuple[nn.Module, ...]) -> None:
    source = torch.Generator().manual_seed(0)
    linear = nn.Linear(7, 4, bias).double()
    model = nn.Sequential(linear, *after)
    features, labels = torch.randn(9, 7, generator=source, dtype=torch.float64), torch.arange(9) % 4
    expected = features.clone().requires_grad_()
    functional.cross_entropy(model(expected), labels).backward()  # type: ignore[no-untyped-call]
    meant = [parameter.grad for parameter in linear.parameters()]
    for parameter in linear.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan) if not after else None  # written over, not added to
    went_back: list[Tensor] = []
    head = read(model)
    functional.cross_entropy(head(features.clone(), went_back.append), labels).backward()  # type: ignore[no-untyped-call]
    assert expected.grad is not None
    torch.testing.assert_close(went_back, [expected.grad])
    torch.testing.assert_close([parameter.grad for parameter in linear.parameters()], meant)
    assert [id(one) for one in head.parameters()] == [id(one) for one in ([] if after else linear.parameters())]
