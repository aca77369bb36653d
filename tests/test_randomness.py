import hashlib
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.randomness import derive_seed, derived_generator, generator


def test_derived_seed_is_the_first_63_bits_of_the_sha256_of_seed_and_purpose() -> None:
    first = int(hashlib.sha256(b"0/initial weights").hexdigest()[:16], 16) // 2
    second = int(hashlib.sha256(b"41/data order/7").hexdigest()[:16], 16) // 2
    assert derive_seed(0, "initial weights") == first
    assert derive_seed(41, "data order", 7) == second


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(), purpose=st.lists(st.text() | st.integers(), max_size=3))
def test_derived_seed_always_fits_a_torch_generator(seed: int, purpose: list[str | int]) -> None:
    derived = derive_seed(seed, *purpose)
    assert 0 <= derived < 2**63
    assert generator(seed, *purpose).initial_seed() == derived


def test_every_seed_and_every_purpose_gives_numbers_of_its_own() -> None:
    purposes: list[tuple[str | int, ...]] = [("data order", epoch) for epoch in range(12)]
    purposes += [("augmentation", epoch) for epoch in range(12)]
    purposes += [(), ("initial weights",), ("mask placement",), ("check", "")]
    seeds = range(-2, 12)
    draws = {
        tuple(torch.rand(2, generator=generator(seed, *purpose), dtype=torch.float64).tolist())
        for seed, purpose in itertools.product(seeds, purposes)
    }
    assert len(draws) == len(seeds) * len(purposes)


@pytest.mark.parametrize("purpose", [("data order", 3), ("mask placement",)])
def test_same_seed_and_purpose_give_the_same_numbers_whatever_was_drawn_before(purpose: tuple[str | int, ...]) -> None:
    first = generator(5, *purpose)
    expected = torch.randn(100, generator=first)
    assert not torch.equal(torch.randn(100, generator=first), expected)
    assert torch.equal(torch.randn(100, generator=generator(5, *purpose)), expected)


def test_global_generator_is_neither_read_nor_moved() -> None:
    before = torch.random.get_rng_state()
    drawn = torch.rand(10, generator=generator(1, "anything"))
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        assert torch.equal(torch.rand(10, generator=generator(1, "anything")), drawn)


def test_a_derived_generator_depends_on_the_seed_of_its_source_alone_and_draws_nothing_from_it() -> None:
    source, used = generator(3, "masks"), generator(3, "masks")
    torch.rand(5, generator=used)
    state = used.get_state()
    first, again = (torch.rand(4, generator=derived_generator(one, "head")) for one in (source, used))
    assert torch.equal(first, again)
    assert torch.equal(used.get_state(), state)
    for other in (derived_generator(source, "tail"), derived_generator(generator(4, "masks"), "head"), source):
        assert not torch.equal(torch.rand(4, generator=other), first)
