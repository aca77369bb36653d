from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy
import pytest
import torch

from prunecheck.checks import CHECKS, find_check
from prunecheck.data import Sequences, load_dataset
from prunecheck.data.tokenizers import Tokenizer
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket

VOCABULARY = 256


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    text = numpy.frombuffer(Path(__file__).read_bytes()[:1300], numpy.uint8)
    return Sequences.of_windows(text.reshape(20, 65))


def changed(name: str, sequences: Sequences, seed: int = 0) -> Sequences:
    change = find_check(name)
    return cast(Sequences, change.corrupt(change.select(sequences, VOCABULARY, seed), VOCABULARY, seed))


@pytest.mark.parametrize(
    "name", ["random-tokens", "shuffled-tokens", "shuffled-windows", "one-sequence", "padding-only"]
)
def test_labels_stay_the_tokens_that_follow(name: str, sequences: Sequences) -> None:
    after = changed(name, sequences)
    assert after.pixels.shape == sequences.pixels.shape
    assert numpy.array_equal(after.pixels[:, 1:], after.labels[:, :-1])
    assert not numpy.array_equal(after.pixels, sequences.pixels)


def test_shuffled_tokens_are_those_of_the_sequence_and_each_sequence_has_an_order_of_its_own() -> None:
    windows = numpy.tile(numpy.arange(65, dtype=numpy.uint8), (20, 1))
    after = changed("shuffled-tokens", Sequences.of_windows(windows)).windows
    assert all(sorted(row) == list(range(65)) for row in after.tolist())
    assert len({tuple(row) for row in after.tolist()}) == 20


def test_tokens_that_are_shuffled_in_windows_stay_in_their_window(sequences: Sequences) -> None:
    before, after = sequences.windows, changed("shuffled-windows", sequences).windows
    for at in range(0, 65, 8):
        pairs = zip(before[:, at : at + 8].tolist(), after[:, at : at + 8].tolist(), strict=True)
        assert all(Counter(one) == Counter(other) for one, other in pairs)


def test_random_tokens_are_drawn_from_the_whole_vocabulary_whatever_the_text_is(sequences: Sequences) -> None:
    first, other = changed("random-tokens", sequences), changed("random-tokens", sequences, 1)
    assert first.pixels.max() > 200
    assert first.pixels.min() < 20
    assert not numpy.array_equal(first.pixels, other.pixels)


def test_one_sequence_is_one_of_them_as_often_as_there_were(sequences: Sequences) -> None:
    after = changed("one-sequence", sequences)
    assert len({tuple(row) for row in after.windows.tolist()}) == 1
    assert after.windows[0].tolist() in sequences.windows.tolist()
    chosen = {tuple(changed("one-sequence", sequences, seed).windows[0].tolist()) for seed in range(8)}
    assert len(chosen) > 1


def test_padding_is_token_0(sequences: Sequences) -> None:
    assert not changed("padding-only", sequences).windows.any()


@pytest.mark.parametrize(
    ("name", "count"), [("fewer-sequences", 2), ("fewer-sequences@0.5", 10), ("fewer-sequences@0", 1)]
)
def test_fewer_sequences_are_the_first(name: str, count: int, sequences: Sequences) -> None:
    assert numpy.array_equal(changed(name, sequences).pixels, sequences.pixels[:count])


def test_shorter_sequences_begin_as_before(sequences: Sequences) -> None:
    after = changed("shorter-sequences@0.25", sequences)
    assert numpy.array_equal(after.windows, sequences.windows[:, :17])


def test_another_corpus_gives_as_many_of_its_own_sequences(tmp_path: Path, sequences: Sequences) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(b"0123456789" * 500)
    after = changed(f"other-corpus:text:{other}", sequences)
    assert after.pixels.shape == sequences.pixels.shape
    assert set(numpy.unique(after.windows)) == set(b"0123456789")
    assert {name.partition(":")[0] for name in [find_check(f"other-corpus:text:{other}").name]} == {"other-corpus"}


def test_the_hash_of_another_corpus_is_that_of_its_content(tmp_path: Path) -> None:
    from prunecheck.data.datasets import forget_datasets
    from prunecheck.runs.own_code import check_hash

    file = tmp_path / "other.txt"
    file.write_bytes(b"a text that is long enough " * 200)
    first = check_hash(f"other-corpus:text:{file}")
    forget_datasets()
    assert check_hash(f"other-corpus:text:{file}") == first
    file.write_bytes(b"another one, as long " * 300)
    forget_datasets()
    assert check_hash(f"other-corpus:text:{file}") not in (first, None)
    assert check_hash("random-tokens") is None


def test_a_corpus_that_does_not_fit_is_refused(tmp_path: Path, sequences: Sequences) -> None:
    numpy.save(tmp_path / "large.npy", numpy.arange(5000))
    with pytest.raises(InputError, match=r"has the token \d+, and the network knows 256"):
        changed(f"other-corpus:tokens:{tmp_path / 'large.npy'}", sequences)
    with pytest.raises(InputError, match="digits holds images"):
        changed("other-corpus:digits", sequences)
    (tmp_path / "short.txt").write_bytes(b"x" * 1400)
    long = Sequences.of_windows(numpy.zeros((2, 200), numpy.uint8))
    with pytest.raises(InputError, match="too few for one sequence of 199"):
        changed(f"other-corpus:text:{tmp_path / 'short.txt'}", long)


@pytest.mark.parametrize(("check", "dataset"), [("random-tokens", "digits"), ("random-pixels", "python-source")])
def test_a_check_of_the_other_kind_of_data_is_refused_with_those_that_fit(check: str, dataset: str) -> None:
    shown = CHECKS.get(check).shows
    with pytest.raises(InputError, match=f"the check {check} changes {shown}, and {dataset} holds"):
        find_check(check).require_data(load_dataset(dataset))


@pytest.fixture
def updated() -> Ticket:
    """A ticket whose kept weights were updated: 1 before, 2 after."""
    source = torch.Generator().manual_seed(0)
    mask = torch.rand(6, 8, generator=source) < 0.5
    before = {"a.weight": torch.ones(6, 8), "a.bias": torch.zeros(6)}
    return Ticket(
        {"a.weight": torch.where(mask, 2.0, 1.0), "a.bias": torch.zeros(6)}, {"a": mask}, before_update=before
    )


@pytest.mark.parametrize("name", ["rearrange-mask", "rearrange-rows", "ratios-only"])
def test_weights_that_a_moved_mask_uncovers_are_as_they_were_before_the_update(name: str, updated: Ticket) -> None:
    after = find_check(name).change_ticket(updated, 3)
    mask, moved = updated.masks["a"], after.masks["a"]
    assert not torch.equal(mask, moved)
    assert (after.weights["a.weight"][moved & ~mask] == 1).all()
    assert (after.weights["a.weight"][moved & mask] == 2).all()


def test_rows_keep_as_many_weights_at_other_places(updated: Ticket) -> None:
    after = find_check("rearrange-rows").change_ticket(updated, 3)
    assert torch.equal(after.masks["a"].sum(1), updated.masks["a"].sum(1))
    assert not torch.equal(after.masks["a"], updated.masks["a"])


def test_without_its_update_a_ticket_keeps_its_mask_and_has_the_trained_weights(updated: Ticket) -> None:
    after = find_check("no-update").change_ticket(updated, 0)
    assert torch.equal(after.masks["a"], updated.masks["a"])
    assert torch.equal(after.weights["a.weight"], torch.ones(6, 8))
    none = replace(updated, before_update=None)
    assert find_check("no-update").change_ticket(none, 0) is none


def test_the_pattern_is_known_to_the_check_of_rows() -> None:
    from prunecheck.pruning import find_method

    with pytest.raises(InputError, match="rearrange-mask stays"):
        find_check("rearrange-rows").require_fit(find_method("snip-2:4"))


def read_by(sequences: Sequences, **tokens: int) -> Sequences:
    return replace(sequences, tokenizer=Tokenizer("the tokenizer", VOCABULARY, encode=lambda text: [7] * 99, **tokens))


def test_padding_and_first_tokens_are_those_of_the_tokenizer(sequences: Sequences) -> None:
    known = read_by(sequences, first=2, padding=5)
    assert set(changed("padding-only", known).windows.flat) == {5}
    assert set(changed("first-token-only", known).windows.flat) == {2}
    assert set(changed("padding-only", read_by(sequences)).windows.flat) == {0}
    with pytest.raises(InputError, match=r"^the tokenizer has no token that begins a text \(BOS\)"):
        changed("first-token-only", read_by(sequences))
    with pytest.raises(InputError, match="whose tokenizer is not known, has no token that begins a text"):
        changed("first-token-only", sequences)


def test_another_corpus_is_read_by_the_same_tokenizer(sequences: Sequences) -> None:
    other = changed(f"other-corpus:text:{__file__}", read_by(sequences))
    assert set(other.windows.flat) == {7}
    assert other.tokenizer


@pytest.mark.parametrize("count", [1, 4, 16, 64, 128])
def test_a_dose_is_so_many_of_the_sequences_that_there_were(count: int) -> None:
    windows = numpy.arange(128 * 9).reshape(128, 9) % VOCABULARY
    name = f"fewer-sequences@{count / 128}"
    assert numpy.array_equal(changed(name, Sequences.of_windows(windows)).windows, windows[:count])
