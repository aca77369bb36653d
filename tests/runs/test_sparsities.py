import pytest

from prunecheck.runs.sparsities import sparsity_text


@pytest.mark.parametrize(
    ("sparsity", "text"),
    [
        *((0.0, "0"), (0.5, "0.5"), (0.98, "0.98"), (0.900003, "0.9"), (0.899998, "0.9"), (0.936901, "0.9369")),
        *((0.99995, "0.99995"), (0.999, "0.999"), (0.998847, "0.99885"), (0.9999999, "0.9999999")),
    ],
)
def test_a_sparsity_has_no_more_digits_than_tell_how_much_is_kept(sparsity: float, text: str) -> None:
    assert sparsity_text(sparsity) == text


def test_different_sparsities_stay_apart_where_they_stand_together() -> None:
    among = (0.9, 0.900003, 0.900004, 0.5)
    assert [sparsity_text(one, among) for one in among] == ["0.9", "0.900003", "0.900004", "0.5"]
    assert sparsity_text(0.3, (0.1 + 0.2,)) != sparsity_text(0.1 + 0.2, (0.3,))
