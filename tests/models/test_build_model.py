from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.errors import InputError
from prunecheck.models import MODELS, build_model, find_model, published_width, register_model, require_input
from prunecheck.pruning import prunable_shapes

SMALL = [("resnet8", {"width": 4}), ("vgg11", {"width": 2}), ("vgg11_bn", {"width": 2})]


def equal(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    assert list(ours) == list(theirs)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_same_seed_gives_the_same_weights_whatever_the_global_generator(name: str, options: dict[str, int]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = build_model(name, 10, seed=3, **options)
        torch.manual_seed(2)
        assert equal(first, build_model(name, 10, seed=3, **options))


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_other_seed_gives_other_weights_in_every_layer(name: str, options: dict[str, int]) -> None:
    first, other = (build_model(name, 10, seed=seed, **options) for seed in (0, 1))
    for ours, theirs in zip(first.modules(), other.modules(), strict=True):
        if isinstance(ours, nn.Conv2d | nn.Linear):
            assert isinstance(theirs, nn.Conv2d | nn.Linear)
            assert not (ours.weight == theirs.weight).any()


@pytest.mark.parametrize(("name", "classes"), [("resnet8", 10), ("resnet9", 10), ("resnet8", 1), ("no-such-model", 2)])
def test_global_generator_is_left_as_it_was_even_if_nothing_is_built(name: str, classes: int) -> None:
    before = torch.random.get_rng_state()
    try:
        build_model(name, classes, width=2)
    except InputError:
        assert (name, classes) != ("resnet8", 10)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_builder_that_fails_is_named_and_the_global_generator_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODELS, "entries", dict(MODELS.entries))

    @register_model("breaks")
    def breaks(num_classes: int) -> nn.Module:
        nn.Linear(3, num_classes)
        raise RuntimeError("half way")

    before = torch.random.get_rng_state()
    with pytest.raises(InputError, match=r"breaks cannot be built \(RuntimeError: half way\)"):
        build_model("breaks", 4)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_generator_of_a_cuda_device_is_left_as_it_was() -> None:
    before = torch.cuda.get_rng_state()
    build_model("resnet8", 10, width=2)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_network_of_a_user_is_built_by_name_with_its_options_and_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "entries", dict(MODELS.entries))

    @register_model("mlp<depth>")
    def mlp(num_classes: int, depth: int, hidden: int = 5) -> nn.Module:
        """Multi-layer perceptron."""
        inside: list[nn.Module] = [nn.Linear(hidden, hidden) for _ in range(depth)]
        return nn.Sequential(*inside, nn.Linear(hidden, num_classes))

    model = build_model("mlp3", 4, seed=1, hidden=6)
    assert [tuple(parameter.shape) for parameter in model.parameters() if parameter.dim() == 2] == [(6, 6)] * 3 + [
        (4, 6)
    ]
    assert equal(model, build_model("mlp3", 4, seed=1, hidden=6))
    assert not equal(model, build_model("mlp3", 4, seed=2, hidden=6))
    assert published_width("mlp3") is None
    require_input("mlp3", model, 1, 1)


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        (1, {}, "at least 2 classes, not 1"),
        (0, {}, "at least 2 classes, not 0"),
        (10, {"width": 0}, "^width takes a whole number, at least 1 and at most 65,536, not 0"),
        (10, {"width": -4}, "^width takes .* not -4"),
        (10, {"input_channels": 0}, "^input_channels takes a whole number, at least 1 and at most 65,536, not 0"),
    ],
)
@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn"])
def test_impossible_numbers_are_refused(name: str, classes: int, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_model(name, classes, **options)


def test_unknown_name_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(InputError, match=r"no model named 'vgg19bn': did you mean vgg19_bn or"):
        build_model("vgg19bn", 10)
    with pytest.raises(InputError, match="no model named 'vgg19bn'"):
        published_width("vgg19bn")


def test_family_without_its_number_is_refused() -> None:
    with pytest.raises(InputError, match=r"resnet<depth> is a family"):
        build_model("resnet<depth>", 10)


@pytest.mark.parametrize(("name", "width"), [("resnet32", 32), ("vgg19_bn", 64)])
def test_published_width_is_what_a_network_has_unless_told_otherwise(name: str, width: int) -> None:
    assert published_width(name) == width
    first = next(module for module in build_model(name, 10).modules() if isinstance(module, nn.Conv2d))
    assert first.out_channels == width


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (32, 32)])
def test_resnet_takes_images_of_every_size(size: tuple[int, int]) -> None:
    model = build_model("resnet8", 10, width=2).eval()
    require_input("resnet8", model, *size)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 10)


def test_a_width_in_the_name_is_not_overruled_by_an_option(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n\n"
        "def build(num_classes, width=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.Linear(width, num_classes))\n"
    )
    model = find_model(f"{file}:build?width=6")
    assert published_width(model) == 6
    assert prunable_shapes(build_model(model, 10, width=6)) == {"1": (6, 192), "2": (10, 6)}
    with pytest.raises(InputError, match=r"net\.py:build\?width=6 has width 6 in its name, and not 5: give one"):
        build_model(model, 10, width=5)
