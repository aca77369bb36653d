"""The tables of a report: the same for its page, Markdown, LaTeX and CSV."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.estimates import Curve, Dose, Estimate, estimate
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import LEVEL, standard_deviation
from prunecheck.analysis.summary import LostTicket
from prunecheck.analysis.verdicts import Verdict
from prunecheck.data.token_datasets import SEQUENCE_LENGTH, holds_tokens
from prunecheck.metrics import ACCURACY, Quantity
from prunecheck.pruning import DENSE
from prunecheck.pruning.dense_parameters import dense_parameters_text
from prunecheck.report.afterwards import afterwards_texts
from prunecheck.report.cells import (
    difference_meaning,
    difference_text,
    family_text,
    in_unit,
    interval_text,
    lost_text,
    p_text,
    summary_text,
    verdict_text,
    why_undecided,
)
from prunecheck.report.contents import AnsweredSetting, ReportContents, measured_when, trained_values, value_text
from prunecheck.report.table import Row, RowGroup, Table, VerdictCell, numbers, one_group, words
from prunecheck.runs.result import Status
from prunecheck.runs.sparsities import sparsity_text

CSV_COLUMNS = (
    *("setting", "method", "sparsity", "against", "is_check", "accuracy", "changed_accuracy", "difference"),
    *("low", "high", "pairs", "p", "p_adjusted", "family", "family_size", "margin", "verdict", "why"),
    *("lost_by_the_change", "lost_without_the_change", "looks", "family_text"),
    *("metric", "unit", "higher_is_better", "value", "changed_value"),
    *("adjusted_low", "adjusted_high", "asked_margin", "asked_baseline", "chosen_afterwards"),
    *("differences_in", "asked_differences_in"),
)


def verdict_table(contents: ReportContents) -> Table:
    """Return every verdict with the numbers that it follows from, below its question and the family of that."""
    groups = []
    for title, answer, comparisons in _by_sparsity(contents):
        rows = tuple(_verdict_row(one, answer.dense_at_chance) for one in comparisons)
        groups.append(RowGroup(rows, f"{title}; {family_text(answer.family, answer.question.paired_by)}"))
    margins, quantity = contents.margins, contents.quantity
    against = f"the margin of {_amounts(margins)}" if len(margins) == 1 else "the margin that is named above them"
    note = (
        f"{_values_meaning(quantity)}, mean ± standard deviation over the {contents.paired_by}s. Difference: "
        f"{_difference_meaning(quantity, contents.paired_by)}, with its 95 % t interval. Verdicts: one-sided t tests "
        f"(two for equivalence) against {against}; p adjusted (Holm) within the family that is named above them, "
        f"decided below {LEVEL:g}."
    )
    columns = (
        *words("tickets"),
        *numbers(quantity.name if quantity else "value", "difference", "95 % interval", "p", "pairs"),
        *words("verdict"),
    )
    return Table("Verdicts", columns, tuple(groups), (note,), kind="cards")


def _amounts(margins: Sequence[tuple[Quantity, float]]) -> str:
    return " and ".join(quantity.amount(margin) for quantity, margin in margins)


def _values_meaning(quantity: Quantity | None) -> str:
    if quantity is None:
        return "Values of the metric that is named above them, in its unit"
    return str(quantity).replace(quantity.name, quantity.title, 1)


def _difference_meaning(quantity: Quantity | None, unit: str) -> str:
    if quantity is None:
        return (
            "by how much the method's tickets are better than the changed, or the other method's, of the same "
            f"{unit}s, in points of what is in percent and else in the metric's unit, or in percent of the method's "
            "own value, where the margin is"
        )
    own, other = "the method's tickets", "the changed, or the other method's,"
    return f"{difference_meaning(quantity, own, other)} of the same {unit}s{in_unit(quantity)}"


def verdict_values(contents: ReportContents) -> Table:
    """Return every comparison with its numbers as they are, for CSV; empty where unknown."""
    rows: list[tuple[object, ...]] = []
    for setting, answer in contents.answers():
        for one in answer.comparisons:
            difference = one.difference
            low, high = difference.interval if difference and difference.interval else (None, None)
            quantity, means = one.quantity, (one.own.mean, one.other.mean)
            adjusted = [end if math.isfinite(end) else None for end in one.adjusted_interval or ()]
            asked = (answer.asked.margin.amount, answer.asked.baseline) if answer.asked else (None, None)
            asked_in = answer.asked and answer.asked.margin.quantity(quantity).unit_of_differences
            rows.append(
                (
                    *(setting.title, one.method, one.sparsity, one.against, one.is_check),
                    *(means if quantity == ACCURACY else (None, None)),
                    *(difference and difference.mean, low, high, len(one.pairs)),
                    *((one.p, one.adjusted_p) if one.is_tested else (None, None)),
                    *(answer.family.scope.value, answer.family.size, one.margin, one.verdict.value),
                    why_undecided(one, answer.dense_at_chance),
                    *(len(one.lost_by_the_change), len(one.lost_without_the_change)),
                    " ".join(map(str, answer.looks)),
                    family_text(answer.family, answer.question.paired_by),
                    *(quantity.name, quantity.unit, quantity.higher_is_better, *means),
                    *(adjusted or (None, None)),
                    *(*asked, " ".join(afterwards_texts(answer))),
                    *(quantity.unit_of_differences, asked_in),
                )
            )
    return Table("Verdicts", words(*CSV_COLUMNS), one_group(rows))


def seed_table(contents: ReportContents) -> Table:
    """Return the difference of each pair and what their mean is shown to be, by the rows of :func:`verdict_table`."""
    groups, unit = [], contents.paired_by
    for title, _, comparisons in _by_sparsity(contents):
        rows = tuple(
            (one.against, interval_text(one.adjusted_interval, one.quantity, "+"), _level(one), _differences_text(one))
            for one in comparisons
            if one.difference
        )
        if rows:
            groups.append(RowGroup(rows, title))
    note = (
        "Adjusted interval: what the mean difference is shown to lie between by one-sided tests at this level, that of "
        "its test within the family (Holm), so that it agrees with the verdict; none where that follows from no test. "
        f"{unit[:1].upper()}{unit[1:]}: {_seed_meaning(contents.quantity, unit)}."
    )
    columns = (*words("tickets"), *numbers("adjusted interval", "level"), *words(f"differences by {unit}"))
    return Table(f"Differences of each {unit}", columns, tuple(groups), (note,), kind="seeds")


def _level(comparison: Comparison) -> str:
    return "-" if comparison.level is None else f"{100 * comparison.level:.3g} %"


def _seed_meaning(quantity: Quantity | None, unit: str) -> str:
    if quantity is None:
        return f"by how much the method's ticket is better than the other of the same {unit}"
    own, other = f"{quantity.name} of the method's ticket", f"that of the other of the same {unit}"
    if not quantity.higher_is_better:
        own, other = "that of the method's ticket", f"{quantity.name} of the other of the same {unit}"
    return f"{difference_meaning(quantity, own, other)}{in_unit(quantity)}"


def _differences_text(comparison: Comparison) -> str:
    costs = comparison.costs
    texts = comparison.quantity.texts(*costs.values(), sign="+")
    return ", ".join(f"{seed}: {text}" for seed, text in zip(costs, texts, strict=True))


def _by_sparsity(contents: ReportContents) -> Iterator[tuple[str, Conclusion, list[Comparison]]]:
    """Yield the comparisons of each question and sparsity, with a title that says whose they are."""
    several_settings, several_margins = len(contents.settings) > 1, len(contents.margins) > 1
    for setting, answer in contents.answers():
        question = answer.question
        for sparsity in sorted({comparison.sparsity for comparison in answer.comparisons}):
            own = answer.found.own[sparsity]
            title = f"{question.method} at sparsity {sparsity_text(sparsity, question.sparsities)}: "
            if own.mean is None:
                title += lost_text(own) or "no ticket"
            else:
                of = "" if contents.quantity else f"{question.quantity.name} "
                title += f"{of}{summary_text(own, question.quantity)} {question.quantity.unit}".rstrip()
            if several_settings:
                title += f" ({setting.title})"
            if several_margins:
                title += f"; margin {question.quantity.amount(question.margin.amount)}"
            yield title, answer, [one for one in answer.comparisons if one.sparsity == sparsity]


def _verdict_row(comparison: Comparison, dense_at_chance: bool) -> Row:
    text = verdict_text(comparison, dense_at_chance)
    if comparison.same_runs and comparison.verdict is Verdict.DOES_NOT_USE:
        text += " (cannot reach it)"
    return (
        comparison.against,
        summary_text(comparison.other, comparison.quantity),
        *difference_text(comparison.difference, comparison.quantity),
        p_text(comparison),
        str(len(comparison.pairs)),
        VerdictCell(text, comparison.verdict),
    )


def value_table(setting: AnsweredSetting) -> Table:
    """Return what a setting's methods are judged by, by sparsity."""
    quantity = setting.quantity
    groups: list[RowGroup] = []
    dense = [setting.result(spec) for spec in setting.dense_runs]
    if found := [result for result in dense if result]:
        values = trained_values(found)
        row = ("dense", "0", *_estimate_cells(values, quantity), f"{len(values)} of {len(found)}")
        groups.append(RowGroup((row,)))
    for tickets in setting.methods():
        rows = []
        for sparsity in tickets.sparsities:
            results = setting.results(tickets, sparsity)
            if results:
                values = trained_values(results)
                trained = f"{len(values)} of {len(results)}"
                at = sparsity_text(sparsity, tickets.sparsities)
                rows.append((tickets.name, at, *_estimate_cells(values, quantity), trained))
        if rows:
            groups.append(RowGroup(tuple(rows)))
    unit = "percent" if quantity.is_percent else quantity.unit
    note = f"Test {quantity.name}{measured_when(setting.answers)}" + (f", {unit}" if unit else "")
    note += "." if setting.chance is None else f"; guessing gives {quantity.with_unit(setting.chance, 1)}."
    counted = "trained" if measured_when(setting.answers) else "tested"
    columns = (*words("tickets"), *numbers("sparsity", "mean", "95 % interval", "std", counted))
    return Table(f"{quantity.title} by sparsity, {setting.title}", columns, tuple(groups), (note,))


def _estimate_cells(values: Sequence[float], quantity: Quantity) -> tuple[str, str, str]:
    found = estimate(values)
    if found is None:
        return "-", "-", "-"
    if found.interval is None:
        return quantity.text(found.mean), "-", "-"
    mean, low, high, std = quantity.texts(found.mean, *found.interval, standard_deviation(values))
    return mean, f"{low} to {high}", std


def values_by_method(setting: AnsweredSetting) -> dict[str, dict[float, Estimate]]:
    """Return, per method, what its tickets are judged by, by sparsity; methods without any are left out."""
    found = {}
    for tickets in setting.methods():
        estimates = {sparsity: estimate(setting.values(tickets, sparsity)) for sparsity in tickets.sparsities}
        known = {sparsity: one for sparsity, one in estimates.items() if one}
        if known:
            found[tickets.name] = known
    return found


def curve_table(curves: Mapping[str, Curve], quantity: str) -> Table:
    """Return curves, a column for each ticket; where all have the same epochs or end early."""
    epochs = sorted({epoch for curve in curves.values() for epoch in curve.epochs})
    columns = {
        name: {epoch: _curve_cell(curve, index) for index, epoch in enumerate(curve.epochs)}
        for name, curve in curves.items()
    }
    rows = tuple((str(epoch), *(cells.get(epoch, "-") for cells in columns.values())) for epoch in epochs)
    note = f"{quantity}; mean over the seeds (least to most)."
    return Table(f"{quantity} by epoch", numbers("epoch", *curves), one_group(rows), (note,), kind="curves")


def _curve_cell(curve: Curve, index: int) -> str:
    mean = f"{curve.mean[index]:.4g}"
    return mean if curve.n == 1 else f"{mean} ({curve.low[index]:.4g} to {curve.high[index]:.4g})"


def dose_table(
    doses: Mapping[float, Sequence[Dose]], quantity: Quantity, check: str, method: str, where: str, paired_by: str
) -> Table:
    """Return what the shares of a check cost, done to a method in a setting."""
    rows = tuple(
        (
            sparsity_text(sparsity, doses),
            f"{dose.share:g}",
            quantity.text(dose.cost, "+"),
            interval_text(dose.interval, quantity, "+"),
        )
        for sparsity, of_sparsity in doses.items()
        for dose in of_sparsity
    )
    lost = quantity.differences_of
    note = f"{lost[:1].upper()}{lost[1:]} that {check} costs, done to a share; paired by {paired_by}."
    columns = numbers("sparsity", "share", "cost", "95 % interval")
    return Table(f"{method} by share of {check}, {where}", columns, one_group(rows), (note,))


def lost_table(contents: ReportContents) -> Table | None:
    """Return the tickets that collapsed, diverged or failed; None if there are none."""
    rows: list[Row] = []
    for setting in contents.settings:
        for spec, run in setting.runs.items():
            result = run.result
            if result and result.status is not Status.TRAINED:
                at = sparsity_text(spec.sparsity, setting.sparsities)
                ticket = DENSE if spec.method == DENSE else f"{spec.method} {at}"
                name = " + ".join(filter(None, (ticket, spec.check)))
                lost = LostTicket.of(spec.seed, result)
                rows.append((name, str(spec.seed), lost.status.value, lost.layer or "-", lost.reason, setting.title))
    if not rows:
        return None
    columns = (*words("tickets"), *numbers("seed"), *words("status", "layer", "reason", "setting"))
    if len(contents.settings) == 1:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    title, note = "Collapsed, diverged and failed tickets", "They are counted, and in no mean."
    return Table(title, columns, one_group(rows), (note,))


OWN_WAY = "the data set's own"
"""How images are varied and normalised where nothing else is said."""

NOTHING = "-"
"""Where a setting has no such thing."""


def setting_table(settings: Sequence[AnsweredSetting]) -> Table:
    """Return data, network, recipe, seeds and versions, a column for each setting, without what none of them has."""
    kinds = sorted({one.setting.examples for one in settings})
    examples = " or ".join(kinds)
    rows: list[Row] = [
        ("data set", *(one.setting.dataset for one in settings)),
        ("hash of the data", *((one.setting.dataset_hash or "by its name")[:12] for one in settings)),
        (f"training {examples}", *(_size(one.setting.train_images) for one in settings)),
        (f"test {examples}", *(_size(one.setting.test_images) for one in settings)),
        ("sequence length", *(_sequence_length(one) for one in settings)),
        ("augment", *(_of_images(one, one.setting.augment) for one in settings)),
        ("normalize", *(_of_images(one, one.setting.normalize) for one in settings)),
        ("network", *(one.setting.model for one in settings)),
        ("width", *("as it is" if one.setting.width is None else str(one.setting.width) for one in settings)),
        ("prunable layers", *(str(one.setting.prunable_layers) or _every_layer(one) for one in settings)),
    ]
    rows.append(("left dense", *(_left_dense(one) for one in settings)))
    rows.append(("judged by", *(f"test {one.quantity}" for one in settings)))
    for field in fields(settings[0].setting.recipe):
        values = [
            NOTHING if one.setting.model_is_trained else getattr(one.setting.recipe, field.name) for one in settings
        ]
        rows.append((field.name.replace("_", " "), *map(value_text, values)))
    rows.append(("samples a class that criteria see", *(_samples(one) for one in settings)))
    rows.append(("calibration sequences", *(_calibration_sequences(one) for one in settings)))
    units = {one.paired_by for one in settings}
    rows.append((f"{units.pop()}s" if len(units) == 1 else "seeds", *(_seeds(one) for one in settings)))
    rows.append(("runs", *(f"{len(one.runs):,}" for one in settings)))
    for name in ("prunecheck", "python", "torch"):
        rows.append((name, *(_listed(result.versions.get(name) for result in one.all_results) for one in settings)))
    rows.append(("device", *(_listed(result.device for result in one.all_results) for one in settings)))
    titles = [one.title for one in settings] if len(settings) > 1 else ["value"]
    note = "What all runs of a setting have in common."
    known = [row for row in rows if set(row[1:]) != {NOTHING}]
    return Table("How all were made", words("", *titles), one_group(known), (note,), kind="made")


def _left_dense(one: AnsweredSetting) -> str:
    found = next((result.left_dense for result in one.all_results if result.left_dense), ())
    return dense_parameters_text(found) or "no matrix"


def _sequence_length(one: AnsweredSetting) -> str:
    return str(one.setting.sequence_length or SEQUENCE_LENGTH) if holds_tokens(one.setting.dataset) else NOTHING


def _of_images(one: AnsweredSetting, given: str | None) -> str:
    return NOTHING if holds_tokens(one.setting.dataset) else given or OWN_WAY


def _every_layer(one: AnsweredSetting) -> str:
    """Say which layers may be pruned where nothing is chosen."""
    is_pruned_after_training = any(spec.is_evaluated_only and spec.method != DENSE for spec in one.runs)
    return "linear layers, but none that gives the logits" if is_pruned_after_training else "every Conv2d and Linear"


def _size(images: int | None) -> str:
    return "all" if images is None else f"{images:,}"


def _samples(setting: AnsweredSetting) -> str:
    found = {(spec.samples_per_class, spec.scoring_rounds) for spec in setting.runs if spec.samples_per_class}
    return _listed(
        f"{samples}" + (f" in {rounds} rounds" if rounds > 1 else "") for samples, rounds in sorted(found)
    ) or (NOTHING if holds_tokens(setting.setting.dataset) else "none")


def _calibration_sequences(one: AnsweredSetting) -> str:
    found = sorted({spec.calibration_sequences for spec in one.runs if spec.calibration_sequences})
    return ", ".join(map(str, found)) or NOTHING


def _seeds(setting: AnsweredSetting) -> str:
    seeds = sorted({spec.seed for spec in setting.runs})
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], seed]
        else:
            ranges.append([seed])
    return ", ".join(" to ".join(map(str, one)) for one in ranges)


def _listed(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({value for value in values if value}))
