"""Networks that are not finished when their constructor has run: lazy layers, and weights that they draw themselves."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models import build_model, find_model

OPTIONS: dict[str, Any] = {"input_channels": 1, "image_size": (8, 8)}


def lazy(num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.LazyLinear(num_classes)
    )


class Drawing(nn.Module):
    """Draws its weights in a way of its own."""

    def __init__(self, spread: float = 1.0) -> None:
        super().__init__()
        self.spread = spread
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]

    def draw_weights(self, generator: torch.Generator) -> None:
        self.linear.weight.normal_(0, self.spread, generator=generator)


def weights(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def test_lazy_layers_have_shapes_and_weights_of_the_seed() -> None:
    first, again, other = (build_model(lazy, 10, seed, **OPTIONS) for seed in (0, 0, 1))
    assert first.get_parameter("0.weight").shape == (4, 1, 3, 3)
    assert first.get_parameter("5.weight").shape == (10, 4 * 6 * 6)
    assert all(map(torch.equal, weights(first), weights(again)))
    assert not torch.equal(first.get_parameter("5.weight"), other.get_parameter("5.weight"))
    assert first.training
    assert not first.get_buffer("1.running_mean").any()  # no statistics are taken of the blank batch
    assert int(first.get_buffer("1.num_batches_tracked")) == 0


def test_a_lazy_layer_that_is_not_used_is_named() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.LazyLinear(10), nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x.flatten(1))  # type: ignore[no-any-return]

    with pytest.raises(InputError, match=r"spare.weight of .*Unused is lazy, and has no shape after a batch"):
        build_model(Unused, 10, **OPTIONS)


def test_a_lazy_network_that_fails_says_so() -> None:
    def failing() -> nn.Module:
        return nn.Sequential(nn.LazyConv2d(4, 9), nn.Flatten(), nn.LazyLinear(10))

    with pytest.raises(InputError, match=r"fails on two blank images of shape \(1, 8, 8\), which give its lazy layers"):
        build_model(failing, 10, **OPTIONS)


def test_a_network_draws_its_weights_with_a_generator_of_the_seed() -> None:
    state = torch.get_rng_state()
    first, again, other = (build_model(Drawing, 10, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, weights(first), weights(again)))
    assert not torch.equal(weights(first)[0], weights(other)[0])
    assert float(weights(first)[0].std()) == pytest.approx(1, rel=0.1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_that_is_built_already_is_copied_for_each_seed() -> None:
    given = Drawing(spread=3.0)
    before = copy.deepcopy(given.state_dict())
    first, again, other = (build_model(given, 10, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, weights(first), weights(again)))
    assert not torch.equal(weights(first)[0], weights(other)[0])
    assert float(weights(first)[0].std()) == pytest.approx(3, rel=0.1)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


def test_it_is_known_by_its_class_and_its_state() -> None:
    one, other = Drawing(), Drawing()
    other.load_state_dict(one.state_dict())
    assert find_model(one).name.endswith("Drawing")
    hashes = [code.hash for code in (find_model(one).code, find_model(other).code) if code]
    assert hashes[0] == hashes[1]
    with torch.no_grad():
        other.linear.bias.add_(1)  # which draw_weights leaves alone
    code = find_model(other).code
    assert code and code.hash != hashes[0]


def test_a_network_without_the_method_is_refused_with_its_name() -> None:
    with pytest.raises(InputError, match=r"this Linear is built already.*give it a method draw_weights\(generator\)"):
        build_model(nn.Linear(64, 10), 10)


def test_parameters_on_another_device_are_named() -> None:
    def elsewhere() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, device="meta"))

    with pytest.raises(InputError, match=r"^1.weight of .*elsewhere is on the device meta: have the network built"):
        build_model(elsewhere, 10, **OPTIONS)


def test_a_default_device_of_the_caller_changes_nothing() -> None:
    with torch.device("meta"):
        model = build_model("resnet8", 10, width=2)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_a_builder_that_sets_the_default_device_is_refused_and_that_is_put_back(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\n\ndef build(num_classes):\n"
        "    torch.set_default_device('meta')\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, num_classes))\n"
    )
    with pytest.raises(InputError, match=r"^1.weight of net.py:build is on the device meta"):
        build_model(f"{file}:build", 10, **OPTIONS)
    assert torch.empty(0).device.type == "cpu"
    build_model("resnet8", 10, width=2)
