"""What pruning takes, by hand, and that too little memory is said beforehand."""

import pytest
import torch

from prunecheck import process_limits
from prunecheck.errors import InputError
from prunecheck.pruning.post_training import POST_TRAINING_METHODS, cost_of, find_stages, prune_after_training
from prunecheck.pruning.post_training.activations import HeldActivations, activations_of
from tests.pruning.post_training.networks import LanguageModel, source, tokens

WEIGHTS = 3 * 3 * 16 * 16
"""Of all blocks."""


def test_memory_is_that_of_the_results_one_block_and_one_layer() -> None:
    stages = find_stages(LanguageModel(), 10)
    results, layer, held = 5 * WEIGHTS, 4 * 3 * 16 * 16, 4 * 7 * 10 * 16
    memory = {
        name: cost_of(stages, POST_TRAINING_METHODS.get(name), 7, 10).memory
        for name in ("random", "wanda", "sparsegpt")
    }
    assert memory["random"] == results + layer
    assert memory["wanda"] == results + layer + held + 8 * 3 * 16 + 4 * 3 * 16
    assert memory["sparsegpt"] == results + layer + held + 8 * 3 * 16 * 16 + 4 * 3 * 16 * 16


def test_arithmetic_by_hand() -> None:
    stages = find_stages(LanguageModel(), 10)
    assert cost_of(stages, POST_TRAINING_METHODS.get("magnitude"), 7, 10).operations == 0
    wanda, sparsegpt = (
        cost_of(stages, POST_TRAINING_METHODS.get(name), 7, 10).operations for name in ("wanda", "sparsegpt")
    )
    assert wanda == 2 * 70 * (2 * WEIGHTS + 9 * 16)
    assert sparsegpt == 2 * 70 * (2 * WEIGHTS + 9 * 16 * 16) + 2 * 9 * (16**3 + 16 * 16 * 16)


def test_the_activations_of_one_block_are_held_whatever_the_number_of_blocks() -> None:
    network = LanguageModel(blocks=4)
    stages = find_stages(network, 10)
    with torch.no_grad():
        activations = activations_of(network.eval(), stages, tokens())
        assert isinstance(activations, HeldActivations)
        for stage in stages.stages:
            assert sum(one.numel() for one in activations.inputs) == 4 * 10 * 16
            before = activations.inputs[0]
            activations.run(stage)
            assert activations.inputs[0] is before
            activations.leave(stage)
            assert activations.inputs[0] is not before


def test_too_little_memory_is_said_beforehand_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_limits, "available_memory", lambda: 2**30)
    with pytest.raises(
        InputError, match=r"pruning by wanda: .* GiB of memory are needed, and 1.0 GiB are free: give fewer"
    ):
        prune_after_training(
            LanguageModel(), tokens(1).expand(2 * 10**6, 10), method="wanda", sparsity=0.5, generator=source()
        )
