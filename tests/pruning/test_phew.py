from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import allocate, choose_prunable, phew
from prunecheck.pruning.collapse import NOT_FINITE, collapse_of_scores
from prunecheck.pruning.connectivity import effective_masks
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.paths import find_paths
from prunecheck.pruning.phew import _Choices, _Layer, _Ragged

Draw = Callable[[nn.Module, int], nn.Module]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaped(*shape: int, value: float = 0.0) -> list[Batch]:
    return [(torch.full((1, *shape), value), torch.zeros(1, dtype=torch.int64))]


def flat(scores: Scores) -> Tensor:
    return torch.cat([score.flatten() for score in scores.values()])


def with_weights(layer: nn.Linear, rows: list[list[float]]) -> nn.Linear:
    layer.weight.data = torch.tensor(rows)
    return layer


def test_walks_follow_the_only_weights_there_are_in_turn() -> None:
    # From input 0 by unit 1 to output 0, from input 1 by unit 0 to output 1; backwards likewise.
    first = with_weights(nn.Linear(2, 2, bias=False), [[0.0, 3.0], [-2.0, 0.0]])
    second = with_weights(nn.Linear(2, 2, bias=False), [[0.0, 1.0], [5.0, 0.0]])
    scores = phew(
        nn.Sequential(nn.Flatten(), first, nn.ReLU(), second), shaped(1, 1, 2), generator=seeded(), sparsity=0
    )
    assert (scores["1"] > 0).tolist() == [[False, True], [True, False]]
    assert (scores["3"] > 0).tolist() == [[False, True], [True, False]]
    # Walk 0 goes forwards from input 0; the next one over other weights is walk 2, or 3 backwards from output 1.
    by_time = [scores["1"][1, 0], scores["3"][0, 1], scores["1"][0, 1], scores["3"][1, 0]]
    assert by_time == sorted(by_time, reverse=True)
    assert float(by_time[0]) == 1.0


def test_a_choice_is_in_proportion_to_sizes() -> None:
    choices = _Choices.of(numpy.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 4.0]]))
    rows = numpy.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    numbers = numpy.array([0.0, 0.24, 0.25, 0.3, 0.5, 0.9, 0.2, 0.4, 1 - 2**-53])
    assert choices.chosen(rows, numbers).tolist() == [0, 0, 1, 0, 1, 2, 0, 1, 2]


def test_an_item_of_each_list_is_equally_likely() -> None:
    lists = _Ragged.of([[7, 8], [], [9]])
    assert lists.lengths(numpy.array([0, 1, 2])).tolist() == [2, 0, 1]
    assert lists.chosen(numpy.array([0, 0, 2]), numpy.array([0.49, 0.5, 0.99])).tolist() == [7, 8, 9]


def test_a_step_over_a_kernel_chooses_channel_and_position_by_their_sums() -> None:
    # Two groups of two outputs and one input; the sums over the kernels are 1, 3 | 2, 2.
    weight = torch.tensor([[[[1.0, 0.0]]], [[[-1.0, 2.0]]], [[[0.0, 2.0]]], [[[0.5, -1.5]]]])
    layer = _Layer.of(weight, groups=2)
    numbers = numpy.array([[0.2, 0.5, 0, 0], [0.3, 0.3, 0, 0], [0.3, 0.4, 0, 0], [0.6, 0.2, 0, 0]])
    rows, weights = layer.go_forwards(numpy.array([0, 0, 0, 1]), numbers)
    assert rows.tolist() == [0, 1, 1, 3]
    assert weights.tolist() == [0, 2, 3, 6]
    columns, weights = layer.go_backwards(numpy.array([1, 2, 3, 3]), numbers)
    assert columns.tolist() == [0, 1, 1, 1]
    assert weights.tolist() == [3, 5, 7, 6]


def test_the_paths_of_a_residual_network() -> None:
    model = build_model("resnet8", 10, width=2, input_channels=3)
    paths = find_paths(model, (3, 8, 8), "phew")
    assert paths.entries == (("conv1", 0), ("conv1", 1), ("conv1", 2))
    assert paths.exits == tuple(("fc", number) for number in range(10))
    first, shortcut = (
        "layer2.0.conv1",
        next(name for name in paths.groups if name.startswith("layer2.0.") and "conv" not in name),
    )
    # The first block adds its input, which is no way by itself: its second convolution alone leads on.
    assert paths.sources["layer1.0.conv1"][1] == (("conv1", 1),)
    assert paths.sources[first][1] == (("layer1.0.conv2", 1),) == paths.sources[shortcut][1]
    # The second has a shortcut with weights of its own: both lead on.
    assert set(paths.sources["layer3.0.conv1"][3]) == {("layer2.0.conv2", 3), (shortcut, 3)}
    assert paths.onward()["layer1.0.conv2", 0] == {first: [0], shortcut: [0]}


class Branches(nn.Module):
    """A sum of two convolutions, joined with the image, by a depthwise one into a linear layer of 2x2 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(3)
        self.depthwise = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.last = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.left(x) + self.right(x), x], dim=1)
        pooled = torch.nn.functional.max_pool2d(self.depthwise(self.norm(joined).relu()), 2)
        found: Tensor = self.last(pooled.flatten(1))
        return found


def test_the_paths_through_branches_groups_and_positions() -> None:
    paths = find_paths(Branches(), (1, 4, 4), "phew")
    assert paths.groups == {"left": 1, "right": 1, "depthwise": 3, "last": 1}
    assert paths.entries == (("left", 0), ("right", 0), ("depthwise", 2))
    assert paths.sources["depthwise"] == ((("left", 0), ("right", 0)), (("left", 1), ("right", 1)), ())
    assert paths.onward()["depthwise", 1] == {"last": [4, 5, 6, 7]}
    assert paths.exits == (("last", 0), ("last", 1))


def test_layers_that_are_kept_dense_are_walked_through() -> None:
    model = choose_prunable(build_model("resnet8", 10, width=4, input_channels=1), keep_dense=["first", "last"])
    scores = phew(model, shaped(1, 8, 8), generator=seeded(), sparsity=0.9)
    assert not {"conv1", "fc"} & scores.keys()
    assert int((flat(scores) > 0).sum()) >= round(0.1 * len(flat(scores)))


def test_whole_paths_are_kept() -> None:
    # Where 99 % are gone every weight that is left has a part in the output, but for those of the last walk.
    model = build_model("resnet8", 10, 1, width=8, input_channels=3)
    scores = phew(model, shaped(3, 32, 32), generator=seeded(), sparsity=0.99)
    masks = allocate(scores, 0.99)
    assert int(flat(masks).sum()) == round(0.01 * len(flat(masks)))
    effective = effective_masks(model, masks, (3, 32, 32))
    assert effective is not None
    assert int((flat(masks) & ~flat(effective)).sum()) < len(masks)


def test_no_image_has_a_part_in_it_and_weights_do(draw: Draw) -> None:
    model = draw(build_model("resnet8", 4, width=4, input_channels=1), 0)
    before = flat(phew(model, shaped(1, 8, 8), generator=seeded(), sparsity=0.9))
    assert torch.equal(flat(phew(model, shaped(1, 8, 8, value=2.0), generator=seeded(), sparsity=0.9)), before)
    assert not torch.equal(flat(phew(model, shaped(1, 8, 8), generator=seeded(1), sparsity=0.9)), before)
    draw(model, 1)
    assert not torch.equal(flat(phew(model, shaped(1, 8, 8), generator=seeded(), sparsity=0.9)), before)


def test_walking_is_given_up_where_hardly_any_weight_is_new(draw: Draw) -> None:
    model = draw(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)), 2)
    model.get_parameter("1.weight").data[0, 0] = 0.0  # is never walked over
    scores = phew(model, shaped(1, 4, 4), generator=seeded(), sparsity=0.0)
    assert float(scores["1"][0, 0]) == 0.0
    assert int((flat(scores) > 0).sum()) > 0.9 * len(flat(scores))


def test_weights_that_are_not_finite_choose_nothing(draw: Draw) -> None:
    model = draw(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), 2)
    model.get_parameter("1.weight").data[0, 0] = torch.nan
    scores = phew(model, shaped(1, 4, 4), generator=seeded(), sparsity=0.5)
    collapse = collapse_of_scores(scores, allocate(scores, 0.5))
    assert collapse is not None
    assert collapse.reason == NOT_FINITE


class Mixing(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.first, self.last = how, nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        if self.how == "softmax":
            x = x.softmax(1)
        elif self.how == "twice":
            x = self.first(x)
        else:
            x = x * self.first.weight.sum()
        found: Tensor = self.last(x)
        return found


@pytest.mark.parametrize(
    ("how", "said"), [("softmax", "is not known"), ("twice", "used twice"), ("otherwise", "used otherwise")]
)
def test_a_network_whose_paths_cannot_be_followed_is_refused(how: str, said: str) -> None:
    with pytest.raises(InputError, match=f"paths through this network cannot be followed.*{said}.*synflow"):
        phew(Mixing(how), shaped(1, 4, 4), generator=seeded(), sparsity=0.5)
