"""Networks in which a mask or a seed would mean nothing: found before work starts, and no others."""

from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import choose_prunable
from prunecheck.pruning.own_networks import require_masks_to_hold, require_same_when_built_again
from tests.pruning.zoo import ATTENTION, CLASSES, IMAGE_SHAPE, PRUNABLE, Convolutional


class ReadsACopy(Convolutional):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("copy", self.second.weight.detach().clone())

    def logits(self, x: Tensor) -> Tensor:
        copied = self.get_buffer("copy")
        x = functional.conv2d(torch.relu(self.norm(self.first(x))), copied, self.second.bias, stride=2)
        return self.head(torch.relu(x).mean((2, 3)))  # type: ignore[no-any-return]


class ReadsWhatItReadFirst(ReadsACopy):
    """The copy is taken in the first forward."""

    def __init__(self) -> None:
        super().__init__()
        self.is_fresh = True

    def logits(self, x: Tensor) -> Tensor:
        if self.is_fresh:
            self.get_buffer("copy").copy_(self.second.weight.detach())
            self.is_fresh = False
        return super().logits(x)


class HasASpareLayer(Convolutional):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(3, 3)


@pytest.mark.parametrize(
    ("build", "layer"), [(ReadsACopy, "second"), (ReadsWhatItReadFirst, "second"), (HasASpareLayer, "spare")]
)
def test_a_layer_whose_mask_changes_nothing_is_named(build: Callable[[], nn.Module], layer: str) -> None:
    with pytest.raises(InputError, match=rf"^the output of mine does not depend on the weight of layer {layer}, "):
        require_masks_to_hold(build(), IMAGE_SHAPE, "mine")
    require_masks_to_hold(choose_prunable(build(), keep_dense=[layer]), IMAGE_SHAPE, "mine")


class ZeroAtFirst(nn.Module):
    """A branch behind a factor of 0, and a head of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, CLASSES)
        self.norm = nn.BatchNorm2d(4)
        self.factor = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.factor * self.norm(self.branch(torch.relu(x)))
        return self.head(torch.relu(x).mean((2, 3)))  # type: ignore[no-any-return]


class WithoutGradient(Convolutional):
    """Its mask counts, though nothing of the layer is trained."""

    def logits(self, x: Tensor) -> Tensor:
        x = functional.conv2d(torch.relu(self.norm(self.first(x))), self.second.weight.detach(), stride=2)
        return self.head(torch.relu(x).mean((2, 3)))  # type: ignore[no-any-return]


class DropsLayers(Convolutional):
    """Leaves a branch out in training, at random or always."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv2d(4, 4, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = x if self.training else x + self.branch(x)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))  # type: ignore[no-any-return]


SOUND: dict[str, Callable[[], nn.Module]] = {
    **{kind: build for kind, build in PRUNABLE.items() if kind != "frozen"},
    **ATTENTION,
    "zero at first": ZeroAtFirst,
    "without gradient": WithoutGradient,
    "drops layers": DropsLayers,
    "double": lambda: Convolutional().double(),
    "bfloat16": lambda: Convolutional().bfloat16(),
    "resnet": lambda: build_model("resnet14", CLASSES, width=2, input_channels=1),
    "mobilenet": lambda: build_model("mobilenetv2", CLASSES, width=2, input_channels=1),
    "vit": lambda: build_model("vit1", CLASSES, width=4, input_channels=1, image_size=(8, 8)),
}


@pytest.mark.parametrize("kind", SOUND)
def test_sound_networks_pass_and_stay_as_they_were(kind: str) -> None:
    network = SOUND[kind]()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    require_masks_to_hold(network, IMAGE_SHAPE, "mine")
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


class Clips(Convolutional):
    def logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.second.weight.clamp_(-0.1, 0.1)
        return super().logits(x)


class Replaces(Convolutional):
    def logits(self, x: Tensor) -> Tensor:
        if self.training:
            self.second.weight = nn.Parameter(self.second.weight.detach().clone())
        return super().logits(x)


@pytest.mark.parametrize("build", [Clips, Replaces])
def test_a_forward_that_changes_parameters_is_refused_with_the_parameter(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(InputError, match=r"^mine changes its own parameter second.weight in its forward"):
        require_masks_to_hold(build(), IMAGE_SHAPE, "mine")


def test_a_network_of_which_nothing_is_trained_is_refused() -> None:
    with pytest.raises(InputError, match=r"^no parameter of mine is to be trained"):
        require_masks_to_hold(Convolutional().requires_grad_(False), IMAGE_SHAPE, "mine")


def unseeded() -> nn.Module:
    network = Convolutional()
    drawn = torch.from_numpy(numpy.random.default_rng().normal(size=(6, 4, 3, 3)))
    with torch.no_grad():
        network.second.weight.copy_(drawn)
    return network


def test_a_network_that_draws_without_a_seed_is_refused_with_the_parameter() -> None:
    def build(make: Callable[[], nn.Module]) -> nn.Module:
        torch.manual_seed(0)
        return make()

    require_same_when_built_again(build(Convolutional), lambda: build(Convolutional), "mine")
    with pytest.raises(InputError, match=r"^second.weight of mine is another when it is built with the same seed"):
        require_same_when_built_again(build(unseeded), lambda: build(unseeded), "mine")
    grown: list[nn.Module] = []

    def growing() -> nn.Module:
        grown.append(nn.Linear(2, 2))
        return nn.Sequential(*grown)

    with pytest.raises(InputError, match=r"^mine has other parameters when it is built"):
        require_same_when_built_again(build(growing), lambda: build(growing), "mine")
