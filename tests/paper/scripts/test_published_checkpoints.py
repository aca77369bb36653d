from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.paper.scripts.checkpoints import momentum_for, optimizer_state


@pytest.fixture
def model() -> torch.nn.Module:
    return build_model("resnet8", 10, seed=1)


def buffers(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(p.shape, generator=source) for name, p in model.named_parameters()}


def test_the_optimizer_is_one_that_torch_goes_on_with(model: torch.nn.Module) -> None:
    given = buffers(model, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.load_state_dict(optimizer_state(model, 0.01, 0.9, 0.0, buffers(model, 3)))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, before[name] - 0.01 * 0.9 * given[name])


def test_momentum_is_read_by_the_order_of_parameters_whatever_their_numbers(model: torch.nn.Module) -> None:
    given = buffers(model, 3)
    names = list(given)
    numbers = {name: 140_000_000 - index for index, name in enumerate(names)}  # addresses, as once
    state = {numbers[name]: {"momentum_buffer": given[name]} for name in sorted(names)[1:]}
    content = {
        "optimizer": {"state": state, "param_groups": [{"lr": 0.1, "params": [numbers[name] for name in names]}]}
    }
    found = momentum_for(model, content, Path("checkpoint.pth.tar"))
    assert list(found) == names
    for name in names:
        assert torch.equal(found[name], given[name] if name != sorted(names)[0] else torch.zeros_like(given[name]))


@pytest.mark.parametrize("model_of", ["resnet8", "resnet14", "nothing"])
def test_an_optimizer_of_another_network_is_refused(model: torch.nn.Module, model_of: str) -> None:
    content: dict[str, Any] = {}
    if model_of != "nothing":
        other = build_model(model_of, 100)
        content["optimizer"] = optimizer_state(other, 0.1, 0.9, 0.0, buffers(other, 3))
    with pytest.raises(InputError, match="no state of an optimizer that fits"):
        momentum_for(model, content, Path("checkpoint.pth.tar"))
