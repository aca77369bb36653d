import json
import re
from dataclasses import replace
from io import StringIO
from itertools import combinations
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from prunecheck.audits import audit as audit_module
from prunecheck.audits.agreement import agreement, overlaps
from prunecheck.audits.audit import (
    CORRUPTED,
    OTHER_SAMPLES,
    OTHER_SEEDS,
    PERTURBED,
    MethodAudit,
    audit_method,
    require_untrained,
)
from prunecheck.audits.tables import _count, audit_json, audit_tables, audit_title
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.pruning import Collapse, Criterion, prunable_weights, random_scores
from prunecheck.pruning.collapse import ALL_EQUAL, NOT_FINITE
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.scoring import BatchSource
from prunecheck.randomness import generator
from prunecheck.report.keep_ratios import mean, ratio_text
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.suggestions import study_with_suggestions

SEEDS = 3


def study_of(method: str, **changes: Any) -> CheckStudy:
    values: dict[str, Any] = {
        "dataset": "digits",
        "places": None,
        "train_images": None,
        "test_images": None,
        "model": "resnet8",
        "width": 4,
        "sparsities": (0.9,),
        "checks": (CORRUPTED,),
        "baseline": None,
        "seeds": range(SEEDS),
        "epochs": None,
        "batch_size": None,
        "learning_rate": None,
        "samples_per_class": 3,
        "scoring_rounds": 1,
        "margin": 1.0,
    }
    return study_with_suggestions(method, **(values | changes))


@pytest.fixture(scope="module")
def snip() -> MethodAudit:
    return audit_method(study_of("snip"))


@pytest.fixture(scope="module")
def random_tickets() -> MethodAudit:
    return audit_method(study_of("random-smart"))


def masks_of(study: CheckStudy, seed: int, check: str | None = None, data_seed: int | None = None) -> Masks:
    run = study.method_run(study.sparsities[0], check, seed)
    network = build_network(run, study.data)
    seen = run if data_seed is None else replace(run, seed=data_seed)
    return build_ticket(seen, study.data, network, study.method).masks


def perturbed_masks(study: CheckStudy, seed: int) -> Masks:
    run = study.method_run(study.sparsities[0], None, seed)
    network = build_network(run, study.data)
    draws = generator(seed, "perturbed-weights")
    with torch.no_grad():
        for weight in prunable_weights(network).values():
            weight.mul_(1 + 1e-6 * torch.randn(weight.shape, generator=draws, dtype=torch.float64))
    return build_ticket(run, study.data, network, study.method).masks


def test_the_tickets_are_those_that_the_runs_train(snip: MethodAudit) -> None:
    for seed, ticket in enumerate(snip.tickets):
        masks = masks_of(snip.study, seed)
        assert ticket.seed == seed
        assert {layer: found.kept for layer, found in ticket.layers.items()} == {
            layer: int(mask.sum()) for layer, mask in masks.items()
        }
        assert ticket.kept == sum(int(mask.sum()) for mask in masks.values())
        assert ticket.sparsity == pytest.approx(0.9, abs=1e-3)


def test_effective_sparsity_is_no_less_than_sparsity(snip: MethodAudit, random_tickets: MethodAudit) -> None:
    for audit in (snip, random_tickets):
        for ticket in audit.tickets:
            assert ticket.effective is not None
            assert ticket.effective_sparsity is not None
            assert ticket.effective_sparsity >= ticket.sparsity
            assert ticket.effective_sparsity == pytest.approx(1 - ticket.effective / ticket.total)
            assert all((layer.effective or 0) <= layer.kept <= layer.total for layer in ticket.layers.values())
    # Of 4 channels, random masks leave some without a path.
    assert any((ticket.effective or 0) < ticket.kept for ticket in random_tickets.tickets)


def test_each_comparison_is_of_the_masks_that_it_names(snip: MethodAudit) -> None:
    study = snip.study
    own = {seed: masks_of(study, seed) for seed in range(SEEDS)}
    expected = {
        CORRUPTED: [((s, s), overlaps(own[s], masks_of(study, s, check=CORRUPTED))) for s in own],
        OTHER_SAMPLES: [((s, s), overlaps(own[s], masks_of(study, s, data_seed=SEEDS + s))) for s in own],
        PERTURBED: [((s, s), overlaps(own[s], perturbed_masks(study, s))) for s in own],
        OTHER_SEEDS: [((a, b), overlaps(own[a], own[b])) for a, b in combinations(own, 2)],
    }
    assert [comparison.against for comparison in snip.comparisons] == list(expected)
    for comparison in snip.comparisons:
        pairs = expected[comparison.against]
        assert [(pair.seeds, pair.overlap) for pair in comparison.pairs] == pairs
        assert comparison.agreement == agreement([overlap for _, overlap in pairs])
        assert comparison.left_out == ()


def test_other_samples_are_other_samples_and_the_same_weights(snip: MethodAudit) -> None:
    by_name = {comparison.against: comparison.agreement for comparison in snip.comparisons}
    same, others = by_name[OTHER_SAMPLES], by_name[OTHER_SEEDS]
    assert same is not None
    assert others is not None
    assert others.observed < same.observed < 1  # with the weights given, masks are more alike


def test_random_tickets_agree_as_much_as_chance_says(random_tickets: MethodAudit) -> None:
    floor, comparison = random_tickets.comparisons
    found = comparison.agreement
    assert found is not None
    assert (floor.against, comparison.against) == (PERTURBED, OTHER_SEEDS)
    assert floor.agreement is not None
    assert floor.agreement.observed == 1
    assert len(comparison.pairs) == SEEDS * (SEEDS - 1) // 2
    assert abs(found.observed - found.chance) < 4 * found.std
    assert found.most == 1


def test_a_method_that_sees_no_data_is_the_same_for_every_data() -> None:
    audit = audit_method(study_of("magnitude", seeds=range(1), sparsities=(0.5,)))
    assert [comparison.against for comparison in audit.comparisons] == [PERTURBED]
    assert len(audit.tickets) == 1


def test_the_floor_of_a_chaotic_method_is_low_and_that_of_a_stable_one_high() -> None:
    floors = {}
    for name in ("iter-snip@20", "snip", "magnitude"):
        audit = audit_method(study_of(name, seeds=range(1)))
        (floor,) = (comparison.agreement for comparison in audit.comparisons if comparison.against == PERTURBED)
        assert floor is not None
        floors[name] = floor.observed
    assert floors["iter-snip@20"] < 0.95
    assert floors["snip"] > 0.99
    assert floors["magnitude"] > 0.99


def test_other_samples_leave_the_draws_of_a_criterion_as_they_are() -> None:
    def score(model: nn.Module, batches: BatchSource, *, generator: torch.Generator) -> Scores:
        return random_scores(model, generator=generator)

    study = study_of("snip", seeds=range(1))
    study = replace(study, method=replace(study.method, criterion=Criterion("drawn", score)))
    (found,) = (one.agreement for one in audit_method(study).comparisons if one.against == OTHER_SAMPLES)
    assert found is not None
    assert found.observed == 1


def test_a_method_that_trains_is_refused() -> None:
    with pytest.raises(InputError, match=r"^lt prunes a trained network.*use `prunecheck check lt`, which does\.$"):
        require_untrained(study_of("lt"))
    with pytest.raises(InputError, match="prunecheck check lt"):
        audit_method(study_of("lt"))
    with pytest.raises(InputError, match=r"gem-miner.* learns its scores.*use `prunecheck check gem-miner"):
        require_untrained(study_of("gem-miner"))
    require_untrained(study_of("snip"))


def test_progress_names_every_ticket_before_it_is_made() -> None:
    told: list[tuple[int, str]] = []
    audit_method(study_of("snip", seeds=range(2), samples_per_class=1), on_ticket=lambda *step: told.append(step))
    assert told == [(seed, change) for seed in range(2) for change in ("", CORRUPTED, OTHER_SAMPLES, PERTURBED)]


def test_the_number_of_threads_is_left_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        audit_method(study_of("random-smart", seeds=range(1)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("reason", "is_left_out"), [(NOT_FINITE, True), (ALL_EQUAL, True), ("no weight is left", False)]
)
def test_masks_that_no_score_chose_are_left_out(reason: str, is_left_out: bool) -> None:
    mask = {"a": torch.tensor([True, False])}
    chosen = audit_module._Made(mask, None, ())
    other = audit_module._Made(mask, Collapse("a", reason), ())
    for first, second in ((chosen, other), (other, chosen)):
        found = audit_module._compare(OTHER_SEEDS, [((0, 1), first, second), ((0, 2), chosen, chosen)])
        assert found.left_out == (((0, 1),) if is_left_out else ())
        assert [pair.seeds for pair in found.pairs] == ([(0, 2)] if is_left_out else [(0, 1), (0, 2)])
    nothing = audit_module._compare(
        OTHER_SEEDS, [((0, 1), chosen, audit_module._Made(mask, Collapse("a", NOT_FINITE), ()))]
    )
    assert nothing.agreement is None


def printed(audits: list[MethodAudit], width: int) -> str:
    text = StringIO()
    Console(file=text, width=width, markup=False, highlight=False).print(*audit_tables(audits, ()), sep="\n")
    return text.getvalue()


def test_the_table_says_what_the_json_says(snip: MethodAudit, random_tickets: MethodAudit) -> None:
    text = printed([snip, random_tickets], 110)
    found = json.loads(json.dumps(audit_json([snip, random_tickets], ()), allow_nan=False))
    tables = re.split(r"^(?=\S+ at sparsity)", text, flags=re.MULTILINE)[1:]
    assert len(tables) == 2
    for table, method in zip(tables, found["methods"], strict=True):
        assert table.startswith(f"{method['method']} at sparsity 0.9 on digits, resnet8 of width 4, 3 seeds")
        for layer in method["layers"]:
            row, cost = re.findall(rf"^ *{re.escape(layer['layer'])} +(.*)$", table, re.MULTILINE)
            multiply_adds, multiply_adds_kept, _ = cost.replace(",", "").split()
            assert int(multiply_adds) == layer["multiply_adds"]
            assert float(multiply_adds_kept) == pytest.approx(layer["multiply_adds_kept"], abs=0.5)
            total, kept, ratio, effective, dead_in, dead_out = row.replace(",", "").split()
            assert int(total) == layer["total"]
            assert float(kept) == pytest.approx(layer["kept"], abs=0.5)
            assert ratio == ratio_text(layer["keep_ratio"]) == ratio_text(mean(layer["keep_ratios"]))
            assert float(effective) == pytest.approx(layer["effective"], abs=0.5)
            assert float(dead_in.partition("/")[0]) == pytest.approx(layer["dead_inputs"], abs=0.5)
            assert float(dead_out.partition("/")[0]) == pytest.approx(layer["dead_outputs"], abs=0.5)
            assert int(dead_in.partition("/")[2]) == layer["inputs"]
            assert int(dead_out.partition("/")[2]) == layer["outputs"]
        assert f"effective sparsity {method['effective_sparsity']:.4f}" in table
    comparisons = [comparison for method in found["methods"] for comparison in method["agreements"]]
    rows = re.findall(r"(\d+) +([\d.]+) % +([\d.]+) ± ([\d.]+) % +([\d.]+) %", text)
    assert len(rows) == len(comparisons) == 6
    for row, comparison in zip(rows, comparisons, strict=True):
        names = ("agreement", "chance", "chance_deviation", "most")
        assert row == (str(len(comparison["pairs"])), *(f"{100 * comparison[name]:.1f}" for name in names))


def test_small_means_keep_a_decimal_and_large_ones_none() -> None:
    numbers = {0.0: "0", 1.0: "1", 1.5: "1.5", 1 / 3: "0.3", 9.5: "9.5", 10.6: "11", 1234.4: "1,234"}
    assert {number: _count(number) for number in numbers} == numbers


def test_the_json_adds_up(snip: MethodAudit) -> None:
    (method,) = audit_json([snip], ())["methods"]
    assert method["kept"] == pytest.approx(sum(layer["kept"] for layer in method["layers"]), abs=1e-3)
    assert method["total"] == sum(layer["total"] for layer in method["layers"])
    assert method["kept"] == pytest.approx(mean([ticket["kept"] for ticket in method["tickets"]]))
    for comparison in method["agreements"]:
        shares = [pair["agreement"] for pair in comparison["pairs"]]
        assert comparison["agreement"] == pytest.approx(mean(shares), abs=1e-5)
        assert [layer["layer"] for layer in comparison["layers"]] == [layer["layer"] for layer in method["layers"]]
        assert all(layer["agreement"] <= layer["most"] <= 1 for layer in comparison["layers"])


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit(snip: MethodAudit, random_tickets: MethodAudit, width: int) -> None:
    text = printed([snip, random_tickets], width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text


def test_empty_layers_and_what_is_not_known_are_said(snip: MethodAudit) -> None:
    ticket = snip.tickets[0]
    layers = {
        name: replace(layer, effective=None, dead_inputs=None, dead_outputs=None)
        for name, layer in ticket.layers.items()
    }
    remark = "no weight is left in layer2.0.downsample.0"
    other = replace(ticket, layers=layers, remarks=(remark,), not_known="it computes out of sight")
    audit = replace(snip, tickets=(other,))
    text = printed([audit], 160)
    assert "which kept weights have a part in the output is not known: it computes out of sight" in text
    assert f"seed {ticket.seed}: {remark}" in text
    assert re.search(r"^ all +[\d,]+ +[\d,]+ +\S+ +\? *$", text, re.MULTILINE)
    (method,) = audit_json([audit], ())["methods"]
    assert (method["effective"], method["effective_sparsity"]) == (None, None)
    assert (method["tickets"][0]["remarks"], method["tickets"][0]["not_known"]) == ([remark], other.not_known)


def test_collapsed_tickets_are_named_with_what_was_changed() -> None:
    audit = audit_method(study_of("snip", sparsities=(0.998,), seeds=range(1)))
    assert audit.tickets[0].collapse
    text = printed([audit], 110)
    assert f"collapsed, seed 0: {audit.tickets[0].collapse}" in text
    assert set(audit.changed_collapses) == {(CORRUPTED, 0), (OTHER_SAMPLES, 0), (PERTURBED, 0)}
    assert f"collapsed, seed 0, corrupted data: {audit.changed_collapses[CORRUPTED, 0]}" in text
    assert f"collapsed, seed 0, other samples: {audit.changed_collapses[OTHER_SAMPLES, 0]}" in text
    assert "other seeds: needs 2 seeds or more" in text
    (method,) = audit_json([audit], ())["methods"]
    assert method["tickets"][0]["collapse"] == str(audit.tickets[0].collapse)
    assert [entry["change"] for entry in method["changed_collapsed"]] == [CORRUPTED, OTHER_SAMPLES, PERTURBED]


def test_the_title_names_all_methods(snip: MethodAudit, random_tickets: MethodAudit) -> None:
    title = audit_title([snip, random_tickets])
    assert title == "snip, random-smart at sparsity 0.9 on digits, resnet8 of width 4, 3 seeds"


def test_a_study_without_checks_compares_masks_under_no_change_of_the_data() -> None:
    audit = audit_method(study_of("snip", checks=(), seeds=range(1)))
    assert [one.against for one in audit.comparisons] == [OTHER_SAMPLES, PERTURBED]
