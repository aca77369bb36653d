"""Why other models are not read."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.training.sparse.tracing import UnsupportedError, read_trunk
from tests.training.sparse.graphs import in_turns, random_masks
from tests.training.sparse.own_model import IMAGE, Forward, Own

pytestmark = pytest.mark.usefixtures("kernels")


def branch_on_numbers(m: Own, x: Tensor) -> Tensor:
    x = m.conv(x)
    return m.head(x if x.sum() > 0 else -x)


def ignored_result(m: Own, x: Tensor) -> Tensor:
    x = m.conv(x)
    x.relu_()
    return m.head(x)


def relu_beside_another_reader(m: Own, x: Tensor) -> Tensor:
    a = m.conv(x)
    return m.head(a.relu() + a)


def relu_of_another_name(m: Own, x: Tensor) -> Tensor:
    a = m.conv(x)
    b: Tensor = m.identity(a)
    return m.head(b.relu() + a)


def norm_of_another_name(m: Own, x: Tensor) -> Tensor:
    a = m.conv(x)
    return m.head(m.norm(m.identity(a)) + a)


def sum_in_place_of_another_name(m: Own, x: Tensor) -> Tensor:
    a = m.conv(x)
    b = m.second(a)
    return m.head(m.identity(b).add_(a) + b)


def early_features(m: Own, x: Tensor) -> Tensor:
    a: Tensor = m.conv(x)
    return m.head(a) + a.amax((1, 2, 3))[:, None]


UNKNOWN = "is not among what it knows"
UNSUPPORTED: dict[str, tuple[Forward, str]] = {
    "control flow": (branch_on_numbers, r"its graph cannot be read \(TraceError\)"),
    "an error of its own": (lambda m, x: m.other.no_such_layer(x), r"its graph cannot be read \(AttributeError\)"),
    "functional convolution": (lambda m, x: m.head(functional.conv2d(x, m.conv.weight)), UNKNOWN),
    "functional pooling": (lambda m, x: m.head(functional.max_pool2d(m.conv(x), 2)), UNKNOWN),
    "another activation": (lambda m, x: m.head(functional.gelu(m.conv(x))), r"gelu.*is not among what it knows"),
    "a product": (lambda m, x: m.head(m.conv(x) * 2), UNKNOWN),
    "a number added": (lambda m, x: m.head(m.conv(x) + 1), UNKNOWN),
    "a scaled sum": (lambda m, x: m.head(torch.add(a := m.conv(x), m.second(a), alpha=2)), UNKNOWN),
    "a map twice in a sum": (lambda m, x: m.head((a := m.conv(x)) + a), UNKNOWN),
    "a sum of other sizes": (lambda m, x: m.head((a := m.conv(x)) + m.second(a).mean((1,), keepdim=True)), UNKNOWN),
    "a reshaped map": (lambda m, x: m.head(m.conv(x).flip(3)), UNKNOWN),
    "a result in place that is not used": (ignored_result, UNKNOWN),
    "a ReLU beside another reader": (relu_beside_another_reader, UNKNOWN),
    "a ReLU of a map of two names": (relu_of_another_name, UNKNOWN),
    "a batch norm of a map of two names": (norm_of_another_name, UNKNOWN),
    "a sum in place of a map of two names": (sum_in_place_of_another_name, UNKNOWN),
    "a ReLU of the images": (lambda m, x: m.head(m.conv(x.relu())), UNKNOWN),
    "a batch norm after a ReLU": (lambda m, x: m.head(m.norm(m.conv(x).relu())), UNKNOWN),
    "two batch norms": (lambda m, x: m.head(m.norm(m.other(m.conv(x)))), UNKNOWN),
    "no mean": (lambda m, x: m.conv(x), "it has no mean over positions"),
    "the maximum instead": (lambda m, x: m.linear(m.conv(x).amax((2, 3))), r"amax .*is not among what it knows"),
    "a mean of other dimensions": (lambda m, x: m.conv(x).mean((1, 2)), UNKNOWN),
    "a mean in another type": (lambda m, x: m.linear(m.conv(x).mean((2, 3), dtype=torch.float32)), UNKNOWN),
    "a map read after the mean": (
        lambda m, x: m.head(a := m.conv(x)) + a[:, :1, 0, 0],
        "reads conv, which lies before the mean over positions",
    ),
    "a map read by two means": (early_features, "reads conv, which lies before the mean over positions"),
    "a layer used twice": (lambda m, x: m.head(m.second(m.second(m.conv(x)))), "some of its layers are used twice"),
    "a batch norm used twice": (
        lambda m, x: m.head(m.norm(m.second(m.norm(m.conv(x)).relu()))),
        "some of its layers are used twice",
    ),
    "dropout by function": (
        lambda m, x: m.linear(functional.dropout(m.conv(x).mean((2, 3)), 0.5, m.training)),
        "its graph in evaluation is another than in training",
    ),
    "another head in evaluation": (
        lambda m, x: m.head(m.conv(x)) * (2 if m.training else 1),
        "its graph in evaluation is another than in training",
    ),
}


def a_sum(m: Own, x: Tensor) -> Tensor:
    """What is supported, if the layers are."""
    a = m.conv(x).relu()
    return m.head(m.second(a) + a)


def read(model: nn.Module, image: tuple[int, int, int] = IMAGE) -> None:
    read_trunk(model, random_masks(model, (0.5,), 0), image, in_turns(True))


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_a_trunk_cannot_do_is_said(name: str) -> None:
    forward, sentence = UNSUPPORTED[name]
    with pytest.raises(UnsupportedError, match=sentence) as caught:
        read(Own(forward, other=nn.BatchNorm2d(3)))
    assert not str(caught.value).endswith(".")  # a clause, which others make a sentence of


def through(layer: nn.Module) -> Own:
    """Return a model with a layer after the convolution."""
    return Own(lambda m, x: m.head(m.layer(m.conv(x))), layer=layer)


class Doubled(nn.Conv2d):
    """A convolution of the user's own."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class FineTuned(Own):
    """Its batch norm keeps its statistics."""

    def train(self, mode: bool = True) -> "FineTuned":
        super().train(mode)
        self.norm.eval()
        return self


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 3, 3, padding=1, groups=3),
        nn.Conv2d(3, 3, 3, padding=2, dilation=2),
        nn.Conv2d(3, 3, (1, 3)),
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 3, 1, padding=1),
        nn.Conv2d(3, 3, 3, stride=(1, 2), padding=1),
        Doubled(3, 3, 1),
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.BatchNorm2d(3, momentum=None),
        nn.GroupNorm(1, 3),
        nn.Dropout(0.1),
        nn.Dropout2d(0.1),
        nn.ReLU6(),
        nn.MaxPool2d(3, stride=2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((1, 2)),
        nn.MaxPool2d(6),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.AdaptiveAvgPool2d((1, None)),
    ],
    ids=str,
)
def test_layers_that_a_trunk_does_not_know_are_named(layer: nn.Module) -> None:
    with pytest.raises(UnsupportedError, match=UNKNOWN):
        read(through(layer))


def test_a_pooling_of_a_part_is_no_mean() -> None:
    with pytest.raises(UnsupportedError, match=r"layer \(layer\) is not among"):
        read(Own(lambda m, x: m.linear(m.layer(m.conv(x)).flatten(1)), layer=nn.AvgPool2d(5)))  # of images of 6 x 5


def test_hooks_are_found() -> None:
    model = Own(a_sum)
    for module, register in (
        (model, "register_forward_hook"),
        (model.conv, "register_forward_hook"),
        (model.conv, "register_forward_pre_hook"),
        (model.conv, "register_full_backward_hook"),
        (model.conv, "register_full_backward_pre_hook"),
    ):
        handle = getattr(module, register)(lambda *_: None)
        with pytest.raises(UnsupportedError, match=f"{'conv' if module is model.conv else 'it'} has hooks"):
            read(model)
        handle.remove()
    read(model)


def test_shared_weights_are_found() -> None:
    model = Own(a_sum, other=nn.Conv2d(3, 3, 3, padding=1))
    model.other.weight = model.second.weight
    with pytest.raises(UnsupportedError, match="some of its layers share their weights"):
        read(model)


def test_weights_that_are_not_to_be_trained_are_found() -> None:
    model = Own(a_sum)
    model.second.weight.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="second has weights that are not to be trained"):
        read(model)


def test_layers_that_are_never_told_of_training_are_found() -> None:
    with pytest.raises(UnsupportedError, match="not told whether it is trained or evaluated"):
        read(FineTuned(lambda m, x: m.head(m.norm(m.conv(x)))))


def test_weights_of_several_types_are_found() -> None:
    with pytest.raises(UnsupportedError, match="its weights are of several types"):
        read(through(nn.BatchNorm2d(3).double()))


class TwoInputs(Own):
    """Wants something beside the images."""

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        return self.head(self.conv(x)) + (0 if other is None else other)


def test_a_second_input_is_found() -> None:
    with pytest.raises(UnsupportedError, match=r"other \(other\) is not among what it knows"):
        read(TwoInputs(branch_on_numbers))


@pytest.mark.parametrize("mode", [True, False])
def test_reading_leaves_the_mode_as_it_was(mode: bool) -> None:
    model = Own(a_sum).train(mode)
    read(model)
    assert all(module.training is mode for module in model.modules())
