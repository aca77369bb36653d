"""Pruning after training: which activations are seen, exact counts, and what stays as it was."""

import copy
import logging

import pytest
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning import choose_prunable
from prunecheck.pruning.post_training import POST_TRAINING_METHODS, prune_after_training, register_post_training_method
from prunecheck.pruning.post_training.activations import HeldActivations, RepeatedActivations, activations_of
from prunecheck.pruning.post_training.stages import find_stages
from tests.pruning.post_training.networks import Block, LanguageModel, WithSomethingBetween, seeded, source, tokens

METHODS = ["magnitude", "magnitude-per-row", "wanda", "sparsegpt", "random"]

Pruned = tuple[dict[str, Tensor], dict[str, Tensor]]


def pruned(network: nn.Module, method: str, *, calibration: Tensor | None = None, seed: int = 0,
           sparsity: float = 0.5, pattern: str | None = None) -> Pruned:  # fmt: skip
    return prune_after_training(
        network,
        tokens() if calibration is None else calibration,
        method=method,
        sparsity=sparsity,
        pattern=pattern,
        generator=source(seed),
    )


def equal(first: Pruned, second: Pruned) -> bool:
    return all(
        mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
        for mine, other in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return seeded(LanguageModel())


@pytest.mark.parametrize("method", METHODS)
def test_counts_are_exact_in_every_layer(network: nn.Module, method: str) -> None:
    weights, masks = pruned(network, method, sparsity=0.7)
    assert list(masks) == [f"blocks.{b}.{layer}.weight" for b in range(3) for layer in ("first", "second", "output")]
    parameters = dict(network.named_parameters())
    per_row = method in ("magnitude-per-row", "wanda")
    for name, mask in masks.items():
        assert mask.dtype == torch.bool
        assert mask.shape == parameters[name].shape == weights[name].shape
        assert int(mask.sum()) == (16 * round(16 * 0.3) if per_row else round(16 * 16 * 0.3))
        if per_row:
            assert set(mask.sum(1).tolist()) == {5}


@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:2"])
@pytest.mark.parametrize("method", METHODS)
def test_n_of_every_m_are_kept(network: nn.Module, method: str, pattern: str) -> None:
    kept, of = map(int, pattern.split(":"))
    for mask in pruned(network, method, pattern=pattern)[1].values():
        for row in mask.tolist():
            for start in range(0, 16, of):
                assert sum(row[start : start + of]) == kept


@pytest.mark.parametrize("method", METHODS)
def test_only_an_update_changes_weights_and_only_kept_ones(network: nn.Module, method: str) -> None:
    parameters = dict(network.named_parameters())
    changed = 0
    for name, weight in pruned(network, method)[0].items():
        mask = pruned(network, method)[1][name]
        assert torch.equal(weight[~mask], parameters[name][~mask])
        changed += int((weight != parameters[name]).sum())
        assert weight.data_ptr() != parameters[name].data_ptr()
    assert (changed > 0) == (method == "sparsegpt")


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_the_network_is_left_as_it_was(method: str) -> None:
    network = seeded(LanguageModel()).train()
    network.dropout.eval()
    state = copy.deepcopy(network.state_dict())
    parameters = dict(network.named_parameters())
    pruned(network, method)
    with pytest.raises(InputError):
        pruned(network, method, calibration=tokens() + 1000)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter is parameters[name] for name, parameter in network.named_parameters())
    assert network.training
    assert not network.dropout.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def by_a_plain_loop(network: nn.Module, calibration: Tensor, sparsity: float) -> dict[str, Tensor]:
    """Wanda as it is written down: all of the network is run for each block, one sequence at a time, in float64."""
    changed = copy.deepcopy(network).eval()
    masks = {}
    for number in range(3):
        inputs: dict[str, list[Tensor]] = {layer: [] for layer in ("first", "second", "output")}
        block = changed.get_submodule(f"blocks.{number}")
        handles = [
            block.get_submodule(layer).register_forward_hook(lambda _, x, y, seen=seen: seen.append(x[0]))
            for layer, seen in inputs.items()
        ]
        with torch.no_grad():
            for sequence in calibration:
                changed(sequence[None])
        for handle in handles:
            handle.remove()
        for layer, seen in inputs.items():
            weight = block.get_parameter(f"{layer}.weight")
            norm = torch.cat([one.flatten(0, 1) for one in seen]).double().norm(dim=0)
            order = (weight.detach().double().abs() * norm).argsort(dim=1)
            mask = torch.ones_like(weight, dtype=torch.bool)
            mask.scatter_(1, order[:, : round(16 * sparsity)], False)
            masks[f"blocks.{number}.{layer}.weight"] = mask
            with torch.no_grad():
                weight.mul_(mask)
    return masks


@pytest.mark.parametrize("kind", [LanguageModel, WithSomethingBetween])
def test_wanda_sees_the_activations_of_the_pruned_blocks_before(kind: type[LanguageModel]) -> None:
    network = seeded(kind())
    expected = by_a_plain_loop(network, tokens(), 0.5)
    masks = pruned(network, "wanda")[1]
    assert all(torch.equal(masks[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_held_and_repeated_activations_prune_alike(method: str) -> None:
    held, repeated = seeded(LanguageModel()), seeded(WithSomethingBetween())
    stages = find_stages(repeated, 10)
    with torch.no_grad():
        assert isinstance(activations_of(repeated, stages, tokens()), RepeatedActivations)
        assert isinstance(activations_of(held, find_stages(held, 10), tokens()), HeldActivations)
    assert equal(pruned(held, method), pruned(repeated, method))


class ByTokens(LanguageModel):
    """Blocks that are given something else that depends on the tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, (tokens % 3).unsqueeze(-1).float())
        return self.head(x)  # type: ignore[no-any-return]


def test_blocks_whose_arguments_depend_on_the_tokens_see_those_of_each_sequence() -> None:
    network = seeded(ByTokens())
    with torch.no_grad():
        assert isinstance(activations_of(network, find_stages(network, 10), tokens()), RepeatedActivations)
    expected = by_a_plain_loop(network, tokens(), 0.5)
    masks = pruned(network, "wanda")[1]
    assert all(torch.equal(masks[name], mask) for name, mask in expected.items())


class WithDropout(LanguageModel):
    def between(self, x: Tensor, tokens: Tensor) -> Tensor:
        return self.dropout(x)  # type: ignore[no-any-return]


def test_networks_in_training_mode_are_pruned_in_evaluation_mode() -> None:
    network = seeded(WithDropout())
    assert equal(pruned(network.eval(), "wanda"), pruned(network.train(), "wanda"))
    assert equal(pruned(network, "wanda"), pruned(seeded(LanguageModel()), "wanda"))


class InPlace(Block):
    """A block that adds to its inputs in place."""

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return x.copy_(super().forward(x, scale))


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_blocks_that_change_their_inputs_in_place_are_pruned_alike(method: str) -> None:
    network = LanguageModel()
    network.blocks = nn.ModuleList(InPlace(16) for _ in range(3))
    network = seeded(network)
    with torch.no_grad():
        assert isinstance(activations_of(network, find_stages(network, 10), tokens()), HeldActivations)
    assert equal(pruned(network, method), pruned(seeded(LanguageModel()), method))


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_the_order_of_the_sequences_changes_nothing_and_the_sequences_do(network: nn.Module, method: str) -> None:
    calibration = tokens(8)
    found = pruned(network, method, calibration=calibration)
    assert equal(found, pruned(network, method, calibration=calibration[torch.randperm(8, generator=source(3))]))
    assert not equal(found, pruned(network, method, calibration=tokens(8, seed=1)))


@pytest.mark.parametrize("method", ["magnitude", "magnitude-per-row", "random"])
def test_methods_that_see_no_data_do_not(network: nn.Module, method: str) -> None:
    assert not POST_TRAINING_METHODS.get(method).sees_data
    assert equal(pruned(network, method), pruned(network, method, calibration=tokens(2, 7, seed=5)))


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_what_the_caller_has_switched_on_changes_nothing(network: nn.Module, method: str) -> None:
    found = pruned(network, method)
    with torch.inference_mode():
        assert equal(found, pruned(network, method))
    with torch.autocast("cpu", torch.bfloat16):
        assert equal(found, pruned(network, method))


def test_random_masks_follow_the_seed_and_differ_between_layers(network: nn.Module) -> None:
    first = pruned(network, "random")
    assert equal(first, pruned(network, "random"))
    assert not equal(first, pruned(network, "random", seed=1))
    assert not torch.equal(first[1]["blocks.0.first.weight"], first[1]["blocks.1.first.weight"])


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_computed_in_float32(method: str) -> None:
    network = seeded(LanguageModel(blocks=1))
    half = copy.deepcopy(network).to(torch.bfloat16)
    again = copy.deepcopy(half).to(torch.float32)
    weights, masks = pruned(half, method)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    share = [float((masks[name] == mask).float().mean()) for name, mask in pruned(again, method)[1].items()]
    assert min(share) > 0.95  # activations are rounded in one of them, scores in neither


def test_layers_that_no_token_comes_to_are_pruned_by_magnitude_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = seeded(LanguageModel(blocks=2))
    network.get_submodule("blocks.1").register_module("expert", nn.Linear(16, 16))
    seeded(network)
    with caplog.at_level(logging.WARNING):
        masks = pruned(network, "wanda")[1]
    assert "No token of the calibration sequences came to blocks.1.expert: " in caplog.text
    name = "blocks.1.expert.weight"
    assert torch.equal(masks[name], pruned(network, "magnitude-per-row")[1][name])


def test_layers_that_are_kept_dense_are_left_out_and_still_run(network: nn.Module) -> None:
    chosen = choose_prunable(copy.deepcopy(network), keep_dense=["blocks.0", "blocks.1.first"])
    masks = pruned(chosen, "sparsegpt")[1]
    assert set(masks) == {
        f"blocks.{name}.weight" for name in ("1.second", "1.output", "2.first", "2.second", "2.output")
    }
    with pytest.raises(InputError, match="no Conv2d or Linear layer of this network is called so"):
        pruned(choose_prunable(copy.deepcopy(network), keep_dense=["head"]), "wanda")


def test_a_score_of_a_users_own_is_a_method(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POST_TRAINING_METHODS, "entries", dict(POST_TRAINING_METHODS.entries))

    @register_post_training_method("most-active-inputs", within="row")
    def most_active(weight: Tensor, squares: Tensor) -> Tensor:
        """The weights of the most active inputs."""
        return squares.expand_as(weight)

    masks = pruned(network, "most-active-inputs")[1]
    assert all(torch.equal(mask, mask[:1].expand_as(mask)) for mask in masks.values())

    with pytest.raises(InputError, match="is given weight, generator and one of squares and products"):

        @register_post_training_method("wrong")
        def wrong(weight: Tensor, inputs: Tensor) -> Tensor:
            """Ask for what there is not."""
            return weight

    @register_post_training_method("wrong-shape")
    def wrong_shape(weight: Tensor) -> Tensor:
        """Return too few."""
        return weight[0]

    with pytest.raises(InputError, match=r"returned scores of shape \(16,\) for a weight of shape \(16, 16\)"):
        pruned(network, "wrong-shape")


class NotFinite(LanguageModel):
    def between(self, x: Tensor, tokens: Tensor) -> Tensor:
        return x * torch.inf


@pytest.mark.parametrize(
    ("network", "arguments", "words"),
    [
        (LanguageModel(), {"method": "wnada"}, "did you mean wanda"),
        (LanguageModel(), {"sparsity": 1.0}, "sparsity"),
        (LanguageModel(), {"pattern": "channels"}, "the patterns unstructured and N:M, and not channels"),
        (LanguageModel(), {"pattern": "blocks-2x2"}, "and not blocks-2x2"),
        (LanguageModel(), {"pattern": "2:4", "sparsity": 0.9}, "keeps 2 of every 4 weights, a sparsity of 0.5"),
        (LanguageModel(width=18), {"pattern": "2:4"}, "the 18 input channels of layer blocks.0.first"),
        (LanguageModel(), {"calibration": tokens().int()}, r"torch.int32 and shape \(4, 10\) are no tokens"),
        (LanguageModel(), {"calibration": tokens()[0]}, "are no tokens"),
        (LanguageModel(), {"calibration": tokens()[:0]}, "at least one"),
        (LanguageModel(), {"calibration": tokens() + 100}, "fails on tokens of shape"),
        (seeded(NotFinite()), {}, "what comes into layer blocks.0.first is not finite"),
        (nn.Embedding(3, 3), {}, "nothing to prune after training: it has no linear layer"),
        (nn.Sequential(nn.Embedding(24, 4), nn.Flatten(), nn.Linear(40, 24)), {}, "have it return logits of shape"),
        (nn.Sequential(nn.Embedding(24, 4), nn.Linear(4, 24)), {}, r"\(1 gives the logits\)"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(network: nn.Module, arguments: dict[str, object], words: str) -> None:
    given = {"method": "wanda", **arguments}
    with pytest.raises(InputError, match=words):
        pruned(network, **given)  # type: ignore[arg-type]
