import pytest
import torch
from torch import nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.models.vit import SelfAttention, patch_size
from prunecheck.pruning import prunable_shapes


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_is_as_large_as_published() -> None:
    # Two layer norms, four projections of which one has a bias, and a perceptron of twice the width.
    block = 2 * 2 * 256 + 4 * 256 * 256 + 256 + 2 * 256 * 512 + 512 + 256
    around = (3 * 4 * 4 * 256 + 256) + 256 + 65 * 256 + 2 * 256 + (10 * 256 + 10)
    assert count(build_model("vit7", 10)) == 7 * block + around == 3_716_874  # ViT-Lite-7/4: 3.717 M


def test_every_projection_can_be_pruned_by_itself() -> None:
    shapes = prunable_shapes(build_model("vit1", 5, width=8, input_channels=1, image_size=(8, 8)))
    assert shapes == {
        "patches": (8, 1, 2, 2),
        **{f"blocks.0.attention.{name}": (8, 8) for name in ("query", "key", "value", "output")},
        "blocks.0.linear1": (16, 8),
        "blocks.0.linear2": (8, 16),
        "head": (5, 8),
    }


@pytest.mark.parametrize(
    ("size", "patch"), [((32, 32), 4), ((8, 8), 2), ((28, 28), 4), ((64, 64), 8), ((16, 16), 2), ((8, 16), 2)]
)
def test_patches_are_the_smallest_squares_of_which_there_are_64_at_most(size: tuple[int, int], patch: int) -> None:
    assert patch_size(*size) == patch
    model = build_model("vit1", 3, width=4, image_size=size).eval()
    assert model.get_parameter("positions").shape == (1, size[0] * size[1] // patch**2 + 1, 4)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 3)


@pytest.mark.parametrize("size", [(31, 31), (2, 2), (8, 9)])
def test_images_that_cannot_be_cut_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} pixels cannot be cut into"):
        build_model("vit1", 3, width=4, image_size=size)


def test_attention_is_what_torch_computes_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_the_order_of_patches_counts() -> None:
    model = build_model("vit2", 3, width=8, input_channels=1, image_size=(8, 8)).eval()
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    turned = torch.cat([x[..., 4:], x[..., :4]], dim=3)  # the same patches at other places
    assert not torch.allclose(model(x), model(turned), atol=1e-4)
    with torch.no_grad():
        model.get_parameter("positions").zero_()
    torch.testing.assert_close(model(x), model(turned))


def test_initial_weights_have_the_stated_spread() -> None:
    model = build_model("vit1", 10)
    weight = model.get_parameter("blocks.0.linear1.weight")
    assert float(weight.detach().abs().max()) <= (6 / (256 + 512)) ** 0.5
    assert float(weight.detach().std()) == pytest.approx((2 / (256 + 512)) ** 0.5, rel=0.02)
    assert float(model.get_parameter("positions").detach().std()) == pytest.approx(0.2, rel=0.05)
    assert float(model.get_parameter("patches.weight").detach().std()) == pytest.approx(48**-0.5, rel=0.05)
    assert not model.get_parameter("class_token").any()
    assert not model.get_parameter("blocks.0.linear1.bias").any()


def test_heads_have_64_channels() -> None:
    model = build_model("vit1", 10, width=128)
    assert model.get_submodule("blocks.0.attention").heads == 2
    with pytest.raises(InputError, match="of width 96 has no whole number of attention heads of 64 channels"):
        build_model("vit1", 10, width=96)
