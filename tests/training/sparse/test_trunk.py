"""Trunks of whatever graph, forward and backward, against autograd in float64."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.sparse.graphs import (
    Both,
    Convolution,
    Graph,
    Operation,
    Pool,
    Size,
    Sum,
    graphs,
    in_turns,
    random_masks,
    randomised,
)

pytestmark = pytest.mark.usefixtures("kernels")


def block(read: int, *, norm: bool = True, relu: bool = True, stride: int = 1, outputs: int = 3) -> Convolution:
    return Convolution(read, outputs, 3, stride, 1, False, norm, relu)


IDENTITY: list[Operation] = [block(0), block(1), block(2, relu=False), Sum(3, 1, True)]
DOWNSAMPLE: list[Operation] = [
    block(0),
    block(1, stride=2),
    block(2, relu=False),
    Convolution(1, 3, 1, 2, 0, False, True, False),
    Sum(3, 4, True),
]
GRAPHS: dict[str, list[Operation]] = {
    "an identity": IDENTITY,
    "an identity, added the other way round": [*IDENTITY[:3], Sum(1, 3, True)],
    "an identity without ReLU": [*IDENTITY[:3], Sum(3, 1, False)],
    "a shortcut with a convolution": DOWNSAMPLE,
    "two blocks": [*IDENTITY, block(4), block(5, relu=False), Sum(6, 4, True)],
    "three summands": [
        *(block(0), block(1, relu=False), block(1, relu=False), block(1, relu=False)),
        *(Sum(2, 3, False), Sum(5, 4, True)),
    ],
    "a chain of joins that all read one map": [
        *(block(0), block(1, relu=False), Sum(2, 1, False), Sum(3, 1, False), Sum(4, 1, True)),
    ],
    "a chain of joins whose maps are read by convolutions": [
        *(block(0), block(1, relu=False), Sum(2, 1, False), block(3, relu=False), Sum(4, 3, False)),
        *(block(5, relu=False), Sum(6, 5, False), block(7), Sum(8, 7, False)),
    ],
    "a map read by two convolutions and a join": [
        *(block(0), block(1, relu=False), block(1, relu=False), Sum(2, 1, True), Sum(4, 3, True)),
    ],
    "a map read by a join before the convolution that reads it": [
        *(block(0), block(0, relu=False), Sum(1, 2, True), block(1, relu=False), Sum(4, 3, True)),
    ],
    "a join of two maps that others read": [
        *(block(0), block(1), block(2, relu=False), Sum(1, 2, False), Sum(4, 3, True)),
    ],
    "a convolution's output read twice": [block(0, relu=False), block(1, relu=False), Sum(1, 2, True)],
    "two convolutions' outputs, nothing else": [block(0, relu=False), block(0, relu=False), Sum(1, 2, False)],
    "the images in a join": [block(0, relu=False), Sum(1, 0, True)],
    "a join of poolings": [block(0), Pool(1, False), Pool(1, True), Sum(2, 3, True)],
    "a ReLU after pooling": [block(0, relu=False), Pool(1, True), block(2), Sum(3, 2, False)],
    "joins without batch norm": [
        *(
            block(0, norm=False),
            block(1, norm=False, relu=False),
            Sum(2, 1, True),
            block(3, norm=False),
            Sum(4, 3, True),
        )
    ],
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("choices", [(True,), (False,), (True, False)])
def test_a_trunk_of_this_shape_trains_as_by_autograd(name: str, choices: tuple[bool, ...]) -> None:
    train_both((3, 7, 6), GRAPHS[name], (0.5, 0.9, 0.2), choices, 21)


def train_both(
    image: Size,
    operations: list[Operation],
    densities: tuple[float, ...],
    choices: tuple[bool, ...],
    samples: int,
    seed: int = 0,
) -> None:
    model = randomised(Graph(image, operations), seed)
    both = Both(model, image, random_masks(model, densities, seed), in_turns(*choices))
    both.step(samples)
    both.check()
    # A smaller batch, for which there is room, and one for which there is none.
    both.step(max(2, samples - 5))
    both.step(samples + 17)
    both.check()


@settings(max_examples=100, deadline=None)
@given(
    graphs(),
    st.lists(st.sampled_from([0.0, 0.3, 0.7, 1.0]), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.integers(2, 36),
    st.integers(0, 2**16),
)
def test_a_trunk_of_any_shape_trains_as_by_autograd(
    graph: tuple[Size, list[Operation]], densities: list[float], choices: list[bool], samples: int, seed: int
) -> None:
    train_both(*graph, tuple(densities), tuple(choices), samples, seed)
