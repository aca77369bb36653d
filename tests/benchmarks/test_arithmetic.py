import torch
from torch import Tensor, nn

from benchmarks.training.arithmetic import StepWork, count_work


class SmallNetwork(nn.Module):
    """Of images of 2 x 4 x 4: outputs of 3 x 4 x 4, 4 x 2 x 2 and 5 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.second = nn.Conv2d(3, 4, 1, stride=2)
        self.last = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.second(torch.relu_(self.first(x))))
        return self.last(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def test_all_weights_forward_and_twice_backward() -> None:
    """The first layer's input needs no gradient."""
    first, second, last = 3 * 2 * 9 * 16, 4 * 3 * 4, 4 * 5

    assert count_work(SmallNetwork(), {}, (2, 4, 4), batch_size=7) == StepWork(
        multiply_adds=7 * (2 * first + 3 * second + 3 * last),
        least_multiply_adds=7 * (2 * first // 4 + 3 * second + 3 * last),
        activations=7 * (3 * 16 + 4 * 4 + 5),
        image_values=7 * 2 * 16,
        weights=54 + (12 + 4) + (20 + 5),
    )


def test_kept_weights_only() -> None:
    network = SmallNetwork()
    masks = {"first": torch.zeros(3, 2, 3, 3, dtype=torch.bool), "second": torch.zeros(4, 3, 1, 1, dtype=torch.bool)}
    masks["first"].view(-1)[:10] = True
    masks["second"][1, 2] = True

    work = count_work(network, masks, (2, 4, 4), batch_size=1)

    assert work.multiply_adds == work.least_multiply_adds == 2 * 10 * 16 + 3 * 1 * 4 + 3 * 20
    assert work.weights == 10 + (1 + 4) + (20 + 5)
    assert work.activations == 3 * 16 + 4 * 4 + 5


def test_groups_see_only_their_own_channels() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, bias=False))

    assert count_work(network, {}, (4, 5, 5), batch_size=1).multiply_adds == 2 * 8 * 1 * 9 * 9


def test_a_layer_that_keeps_more_than_a_quarter_takes_at_least_winograds_products() -> None:
    network = SmallNetwork()
    mask = torch.zeros(3, 2, 3, 3, dtype=torch.bool)
    mask.view(-1)[:20] = True

    work = count_work(network, {"first": mask}, (2, 4, 4), batch_size=1)

    assert work.multiply_adds - work.least_multiply_adds == 2 * (20 * 16 - 54 * 16 // 4)


def test_only_a_3x3_convolution_of_stride_1_has_fewer_products() -> None:
    for layer in (nn.Conv2d(2, 3, 3, stride=2), nn.Conv2d(2, 3, 5), nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, dilation=2)):
        work = count_work(nn.Sequential(layer), {}, (2, 8, 8), batch_size=1)
        assert work.least_multiply_adds == work.multiply_adds


def test_what_a_cache_does_not_hold_goes_to_memory_and_comes_back() -> None:
    """Activations, images, weights and their momentum; weights stay float32."""
    work = StepWork(multiply_adds=1, least_multiply_adds=1, activations=100, image_values=30, weights=7)

    assert work.moved_bytes(cache=0) == 2 * 4 * (100 + 30 + 2 * 7)
    assert work.moved_bytes(cache=16, activation_bytes=2) == 2 * (2 * (100 + 30) + 4 * 2 * 7 - 16)
    assert work.moved_bytes(cache=10_000) == 0


def test_the_network_is_left_as_it_was() -> None:
    network = SmallNetwork()
    count_work(network, {}, (2, 4, 4), batch_size=2)

    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
