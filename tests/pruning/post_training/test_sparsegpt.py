"""SparseGPT and the choice of weights on single matrices: by hand, and against least squares."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from prunecheck.errors import InputError
from prunecheck.pruning.patterns import PLAIN
from prunecheck.pruning.patterns.n_of_m import NOfM
from prunecheck.pruning.post_training import Target, prune_after_training, sparsegpt
from prunecheck.pruning.post_training.choosing import largest_of_each
from prunecheck.pruning.post_training.methods import wanda
from tests.pruning.post_training.networks import LanguageModel, seeded, source, tokens


def unstructured(sparsity: float) -> Target:
    return Target(sparsity, PLAIN, source())


def problem(outputs: int, inputs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return a weight, and products of correlated inputs, in float64."""
    drawn = torch.randn(3 * inputs, inputs, generator=source(seed), dtype=torch.float64)
    mixed = drawn @ torch.randn(inputs, inputs, generator=source(seed + 1), dtype=torch.float64)
    return torch.randn(outputs, inputs, generator=source(seed + 2), dtype=torch.float64), mixed.t() @ mixed / len(mixed)


def damped(products: Tensor) -> Tensor:
    return products + 0.01 * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)


def least_squares(weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
    """Return, row by row, the weights under a mask whose outputs are nearest to those of a weight."""
    nearest = torch.zeros_like(weight)
    for row, kept in enumerate(mask):
        right = (hessian @ weight[row])[kept]
        nearest[row, kept] = torch.linalg.solve(hessian[kept][:, kept], right)
    return nearest


def test_two_weights_by_hand() -> None:
    # Damping adds 0.01 * 2 to the diagonal. The first weight's cost is w^2 / [H^-1]_00 = w^2 (h00 - h01^2 / h11), and
    # the second's is w^2 h11, since the first column is settled by then.
    products = torch.tensor([[3.0, 1.0], [1.0, 1.0]])
    weight = torch.tensor([[1.0, 2.0]])
    after, mask = sparsegpt(weight, products, unstructured(0.5))
    assert 1 * (3.02 - 1 / 1.02) < 4 * 1.02
    assert mask.tolist() == [[False, True]]
    assert after[0, 0] == 0
    assert float(after[0, 1]) == pytest.approx(2 + 1 * 1 / 1.02)


def test_the_later_of_two_weights_leaves_no_column_to_make_up_for_it() -> None:
    products = torch.tensor([[3.0, 1.0], [1.0, 1.0]])
    after, mask = sparsegpt(torch.tensor([[2.0, 1.0]]), products, unstructured(0.5))
    assert mask.tolist() == [[True, False]]
    assert after.tolist() == [[2.0, 0.0]]


def test_where_the_first_columns_leave_the_others_are_a_least_squares_solution() -> None:
    weight, products = problem(3, 40)
    weight[:, :20] *= 1e-6
    after, mask = sparsegpt(weight, products, unstructured(0.5))
    assert not mask[:, :20].any()
    assert torch.allclose(after, least_squares(weight, mask, damped(products)), rtol=1e-9)


def by_the_definition(weight: Tensor, products: Tensor, target: Target, width: int = 128) -> tuple[Tensor, Tensor]:
    """SparseGPT by its definition: the inverse of the Hessian of the columns that are left is made anew at each."""
    hessian = damped(products)
    weight, mask = weight.clone(), torch.ones_like(weight, dtype=torch.bool)
    inputs = weight.shape[1]
    first_of = [torch.linalg.inv(hessian[column:, column:])[0] for column in range(inputs)]
    for column in range(inputs):
        inverse = first_of[column]
        if isinstance(target.structure, NOfM):
            of = target.structure.of
            if column % of == 0:
                costs = torch.stack([weight[:, c].square() / first_of[c][0] for c in range(column, column + of)], 1)
                mask[:, column : column + of].scatter_(1, costs.argsort(1)[:, : of - target.structure.kept], False)
        elif column % width == 0:
            last = min(column + width, inputs)
            costs = torch.stack([weight[:, c].square() / first_of[c][0] for c in range(column, last)], 1)
            rows = weight.shape[0]
            kept = round(rows * last * (1 - target.sparsity)) - round(rows * column * (1 - target.sparsity))
            removed = costs.flatten().argsort()[: costs.numel() - kept]
            mask[:, column:last] = torch.ones(costs.numel(), dtype=torch.bool).scatter(0, removed, False).view_as(costs)
        error = weight[:, column].masked_fill(mask[:, column], 0) / inverse[0]
        weight[:, column:] -= error[:, None] * inverse
    return weight * mask, mask


@pytest.mark.parametrize(
    "target", [unstructured(0.37), Target(0.5, NOfM(2, 4), source()), Target(0.5, NOfM(3, 6), source())]
)
def test_it_is_what_its_definition_says_over_several_blocks(target: Target) -> None:
    weight, products = problem(4, 300)
    expected, expected_mask = by_the_definition(weight, products, target)
    after, mask = sparsegpt(weight, products, target)
    assert torch.equal(mask, expected_mask)
    assert torch.allclose(after, expected, rtol=1e-7, atol=1e-9)
    if isinstance(target.structure, NOfM):
        assert set(mask.view(4, -1, target.structure.of).sum(2).flatten().tolist()) == {target.structure.kept}
    else:
        assert int(mask.sum()) == round(4 * 300 * 0.63)


def test_the_update_makes_outputs_change_less() -> None:
    weight, products = problem(16, 64)
    after, mask = sparsegpt(weight, products, unstructured(0.5))

    def error(changed: Tensor) -> float:
        return float(((changed - weight) @ products * (changed - weight)).sum())

    assert error(after) < error(weight * mask)


def test_the_scale_of_the_inputs_does_not_matter() -> None:
    weight, products = problem(8, 40)
    products[7], products[:, 7] = 0, 0
    after, mask = sparsegpt(weight, products, unstructured(0.6))
    after_scaled, mask_scaled = sparsegpt(weight, 1e4 * products, unstructured(0.6))
    assert torch.equal(mask, mask_scaled)
    assert torch.allclose(after, after_scaled)
    squares = products.diagonal()
    keep = unstructured(0.6).keep
    assert torch.equal(keep(wanda(weight, squares), "row"), keep(wanda(weight, 1e4 * squares), "row"))


def test_features_that_are_always_zero_lose_their_weights_first() -> None:
    weight, products = problem(4, 12)
    products[3], products[:, 3] = 0, 0
    after, mask = sparsegpt(weight, products, unstructured(0.5))
    assert not mask[:, 3].any()
    after, mask = sparsegpt(weight, products, unstructured(0.0))
    assert bool(mask.all())
    assert after[:, 3].tolist() == [0] * 4


def test_a_hessian_without_an_inverse_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be inverted"):
        sparsegpt(torch.ones(1, 2), torch.tensor([[1.0, 5.0], [5.0, 1.0]]), unstructured(0.5))


def test_wanda_by_hand() -> None:
    weight = torch.tensor([[4.0, -3.0, 2.0, 1.0], [1.0, 1.0, 1.0, -4.0]])
    squares = torch.tensor([1.0, 4.0, 16.0, 9.0])
    scores = wanda(weight, squares)
    assert scores.tolist() == [[4, 6, 8, 3], [1, 2, 4, 12]]
    assert unstructured(0.5).keep(scores, "row").int().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert unstructured(0.5).keep(scores, "layer").sum() == 4
    assert unstructured(0.75).keep(scores, "layer").int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 9),
    share=st.floats(0, 1),
    values=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_as_many_as_asked_for_stay_in_each_row_and_none_that_was_removed_is_larger(
    rows: int, columns: int, share: float, values: int, seed: int
) -> None:
    scores = torch.randint(values, (rows, columns), generator=source(seed)).float()
    count = round(share * columns)
    kept = largest_of_each(scores, count, source(seed + 1))
    assert kept.sum(1).tolist() == [count] * rows
    least = scores.masked_fill(~kept, torch.inf).amin(1)
    assert bool((scores.masked_fill(kept, -torch.inf).amax(1) <= least).all())


def test_ties_are_drawn_and_what_is_decided_is_not() -> None:
    scores = torch.tensor([[5.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    found = [largest_of_each(scores, 2, source(seed)).int().tolist() for seed in range(30)]
    assert {tuple(rows[0]) for rows in found} == {(1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)}
    assert {tuple(rows[1]) for rows in found} == {(0, 0, 1, 1)}


@pytest.mark.parametrize("seed", range(5))
def test_random_tokens_serve_worse_than_those_of_the_text_that_outputs_are_compared_on(seed: int) -> None:
    network = seeded(LanguageModel(), seed).eval()
    narrow = torch.Generator().manual_seed(seed)
    text, later = (torch.randint(4, (8, 10), generator=narrow) for _ in range(2))

    def change_of_outputs(calibration: Tensor) -> float:
        weights, masks = prune_after_training(
            network, calibration, method="sparsegpt", sparsity=0.5, generator=torch.Generator().manual_seed(0)
        )
        pruned = {name: weight * masks[name] for name, weight in weights.items()}
        with torch.no_grad():
            changed: Tensor = functional_call(network, pruned, later) - network(later)
        return changed.square().mean().item()

    assert change_of_outputs(text) < change_of_outputs(tokens(8, 10, seed))
