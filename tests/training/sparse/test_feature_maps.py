"""Batches of any size in the room that there is, and rooms of gradients that are used again."""

import pytest
import torch

from prunecheck.training.sparse.feature_maps import Batch, BufferPool
from prunecheck.training.sparse.kernels import Normalisation, lanes


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("missing", [0, 1, 3])
def test_whatever_depends_on_the_batch_is_told_its_size(blocks: int, missing: int) -> None:
    block = lanes(torch.float32)
    size, last = blocks * block - missing, block - missing
    batch = Batch(3 * block, torch.float32)
    geometry, shape, norm = batch.geometry(*range(2, 11)), batch.shape(6, 5), Normalisation()
    batch.follow(norm, 6)
    for other in (3 * block, size, 3, size):
        batch.resize(other)
    assert batch.blocks == 3
    for told in (geometry, shape):
        assert (told.blocks, told.last_lanes) == (blocks, last)
    assert norm.count == 6 * size
    assert (geometry.inputs, geometry.padding) == (2, 10)
    assert (shape.positions, shape.channels) == (6, 5)


def test_a_room_is_used_again_once_nobody_holds_it() -> None:
    pool, like, other = BufferPool(), torch.ones(2, 3), torch.ones(3, 2)
    first = pool.take(like)
    assert first.tensor.shape == like.shape
    assert pool.take(like) is not first
    assert pool.share(first) is first
    pool.give_back(first)
    assert pool.take(like) is not first
    pool.give_back(first)
    assert pool.take(other) is not first
    assert pool.take(like) is first
    assert pool.take(like) is not first
    pool.give_back(first)
    assert pool.take(like) is first
