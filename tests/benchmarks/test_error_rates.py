import json
import math
import sys

import numpy
import pytest
from scipy import stats

from benchmarks import __main__ as benchmarks
from benchmarks.error_rates.populations import MARGIN, OF_IMAGES, POPULATIONS, of_images
from benchmarks.error_rates.rules import RULES, guarded, sign_flips, t_test
from benchmarks.error_rates.simulations import shares_of_looks, shares_of_rules
from prunecheck.analysis.statistics import paired_difference


def drawn(population: str, n: int, studies: int = 200) -> numpy.ndarray:
    return POPULATIONS[population](numpy.random.default_rng(2), (studies, n))


@pytest.mark.parametrize("name", POPULATIONS)
def test_the_mean_of_every_population_is_the_margin(name: str) -> None:
    values = drawn(name, 1, 400_000)
    assert values.mean() == pytest.approx(MARGIN, abs=5 * values.std() / math.sqrt(values.size))


@pytest.mark.parametrize("kind", OF_IMAGES)
@pytest.mark.parametrize("images", [50, 400])
def test_differences_of_images_are_whole_images_whose_mean_is_the_margin(kind: str, images: int) -> None:
    values = of_images(kind, images)(numpy.random.default_rng(3), (100_000, 1))
    assert values.mean() == pytest.approx(MARGIN, abs=5 * values.std() / math.sqrt(values.size))
    counts = values * images / 100
    assert counts == pytest.approx(numpy.round(counts), abs=1e-9)


def test_the_rule_of_verdicts_is_simulated() -> None:
    differences = drawn("lognormal 0.5", 5)
    for images in (None, 50):
        found = guarded(1.0, images)(differences, MARGIN)
        pairs = [paired_difference(row.tolist(), [0.0] * 5, test_images=images) for row in differences]
        assert found == pytest.approx([pair.p_less_than(MARGIN) for pair in pairs], rel=1e-9)


def test_other_rules_are_those_of_scipy() -> None:
    differences = drawn("normal", 6, 30)
    plain = stats.ttest_1samp(differences, MARGIN, axis=1, alternative="less").pvalue
    assert t_test(differences, MARGIN) == pytest.approx(plain, rel=1e-9)
    for row, found in zip(differences, sign_flips(differences, MARGIN), strict=True):
        exact = stats.permutation_test(
            [row - MARGIN], numpy.mean, permutation_type="samples", alternative="less", n_resamples=100
        )
        assert found == pytest.approx(exact.pvalue)
    for rule in ("t, flips", "bootstrap", "guard 0", "guard 1", "guard 2", "guard 1, apart"):
        assert (RULES[rule](differences, MARGIN) >= plain * (1 - 1e-9)).all()


def test_shares_do_not_change_from_call_to_call() -> None:
    first, second = (shares_of_rules(50, [5]) for _ in range(2))
    assert first == second
    assert len(first) == (len(POPULATIONS) + 7) * len(RULES)


def test_adding_seeds_until_there_is_a_verdict_is_wrong_more_often() -> None:
    rows = {(row["looks"], row["rule"]): row["wrong"] for row in shares_of_looks(1500)}
    error = 3 * math.sqrt(0.05 * 0.95 / 1500)
    assert rows["once, at 5", "t"] == pytest.approx(0.05, abs=error)
    assert rows["at 5 and 10", "t"] == pytest.approx(0.08, abs=0.02)
    for rule in ("t", "guard 1"):
        shares = [rows[looks, rule] for looks in ("once, at 5", "at 5 and 10", "at 5, 10, 15 and 20")]
        assert shares[0] < shares[1] < shares[2]  # type: ignore[operator]


def test_the_command_prints_tables_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmarks", "error-rates", "rules", "images", "--repetitions", "40", "--seeds", "3", "5"]
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    benchmarks.main()
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"repetitions", "rules", "images"}
    assert {row["seeds"] for row in found["rules"]} == {3, 5}
    monkeypatch.setattr(sys, "argv", words)
    benchmarks.main()
    shown = capsys.readouterr().out
    (line,) = [
        line for line in shown.splitlines() if line.startswith("wrong: lognormal 1  ") and line.split()[3] == "5"
    ]
    (row,) = [
        row
        for row in found["rules"]
        if (row["population"], row["seeds"], row["rule"]) == ("wrong: lognormal 1", 5, "t")
    ]
    assert line.split()[4:6] == [f"{100 * row['alone']:.1f}", f"{100 * row['among']:.1f}"]


@pytest.mark.parametrize("words", [["nonsense"], ["rules", "--seeds", "2"], ["rules", "--repetitions", "0"]])
def test_what_cannot_be_simulated_is_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "error-rates", *words])
    with pytest.raises(SystemExit) as ended:
        benchmarks.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
