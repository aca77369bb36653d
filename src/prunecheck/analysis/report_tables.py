"""The tables of a report: the same for its page, Markdown and LaTeX."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from prunecheck.analysis.comparison import COLLAPSED, Comparison, learned_nothing
from prunecheck.analysis.estimates import Curve, Dose, Estimate, estimate
from prunecheck.analysis.evidence import AnsweredSetting, Evidence, value_text
from prunecheck.analysis.figures import Ratios
from prunecheck.analysis.report_figures import ratio_cell
from prunecheck.analysis.statistics import LEVEL, standard_deviation
from prunecheck.analysis.tables import accuracy_text, difference_text, verdict_text
from prunecheck.pruning import DENSE

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes:
        groups: rows below a line that names them, which is empty for all in one.
        words: the columns that hold words, not numbers.
    """

    caption: str
    headings: Row
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    words: tuple[int, ...] = (0,)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(len(rows) for _, rows in self.groups)


def verdict_table(evidence: Evidence) -> Table:
    """Return every verdict with the numbers that it follows from."""
    groups = []
    several = len(evidence.settings) > 1
    for setting, answer in evidence.answers():
        dense_at_chance = learned_nothing(answer.dense, answer.chance, evidence.margin)
        every = [*answer.checks, *answer.baselines]
        for sparsity in dict.fromkeys(sorted(comparison.sparsity for comparison in every)):
            found = [comparison for comparison in every if comparison.sparsity == sparsity]
            tickets = next(one for one in setting.methods() if one.name == answer.study.method.name)
            own = _mean_and_deviation(setting.accuracies(tickets, sparsity))
            title = f"{answer.study.method.name} at sparsity {sparsity:g}: {own} %"
            if several:
                title += f" ({setting.title})"
            groups.append((title, tuple(_verdict_row(comparison, dense_at_chance) for comparison in found)))
    count = sum(len(rows) for _, rows in groups)
    caption = (
        "Accuracy in percent, mean ± standard deviation over the seeds. Difference: the method's tickets minus the "
        "changed, or the other method's, of the same seeds, in points, with its 95 % t interval. Verdicts: one-sided "
        f"t tests (two for equivalence) against the margin of {evidence.margin:g} points; p adjusted for "
        f"{'this verdict alone' if count == 1 else f'all {count} verdicts'} (Holm), decided below {LEVEL:g}."
    )
    headings = ("tickets", "accuracy", "difference", "95 % interval", "p", "pairs", "verdict")
    return Table(caption, headings, tuple(groups), words=(0, 6))


def _verdict_row(comparison: Comparison, dense_at_chance: bool) -> Row:
    return (
        comparison.against,
        accuracy_text(comparison.other),
        *difference_text(comparison.difference),
        _p(comparison),
        str(comparison.difference.n if comparison.difference else 0),
        "does not use it (cannot reach it)" if _cannot_reach(comparison) else verdict_text(comparison, dense_at_chance),
    )


def _cannot_reach(comparison: Comparison) -> bool:
    return comparison.same_runs and comparison.is_check and comparison.verdict != COLLAPSED


def _p(comparison: Comparison) -> str:
    if comparison.same_runs or comparison.verdict == COLLAPSED:
        return "-"
    return "< 0.001" if comparison.p < 0.001 else f"{comparison.p:.3f}"


def accuracy_table(setting: AnsweredSetting) -> Table:
    """Return the accuracies of a setting's methods by sparsity."""
    groups: list[tuple[str, tuple[Row, ...]]] = []
    dense = [setting.result(spec) for spec in setting.dense_runs]
    if found := [result for result in dense if result]:
        accuracies = [result.accuracy for result in found if result.accuracy is not None]
        groups.append(("", (("dense", "0", *_estimate_cells(accuracies), f"{len(accuracies)} of {len(found)}"),)))
    for tickets in setting.methods():
        rows = []
        for sparsity in tickets.sparsities:
            results = setting.results(tickets, sparsity)
            if results:
                accuracies = [result.accuracy for result in results if result.accuracy is not None]
                trained = f"{len(accuracies)} of {len(results)}"
                rows.append((tickets.name, f"{sparsity:g}", *_estimate_cells(accuracies), trained))
        if rows:
            groups.append(("", tuple(rows)))
    caption = f"Test accuracy after the last epoch, percent; guessing gives {setting.chance:.1f} %."
    return Table(caption, ("tickets", "sparsity", "mean", "95 % interval", "deviation", "trained"), tuple(groups))


def _estimate_cells(values: Sequence[float]) -> tuple[str, str, str]:
    found = estimate(values)
    if found is None:
        return "-", "-", "-"
    if found.interval is None:
        return f"{found.mean:.2f}", "-", "-"
    return f"{found.mean:.2f}", _ends(found.interval), f"{standard_deviation(values):.2f}"


def _ends(interval: tuple[float, float] | None, sign: str = "") -> str:
    return "-" if interval is None else f"{interval[0]:{sign}.2f} to {interval[1]:{sign}.2f}"


def _mean_and_deviation(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.2f}" + (f" ± {standard_deviation(values):.2f}" if len(values) > 1 else "")


def accuracies_by_method(setting: AnsweredSetting) -> dict[str, dict[float, Estimate]]:
    """Return, per method, the accuracy of its tickets by sparsity; methods without any are left out."""
    found = {}
    for tickets in setting.methods():
        estimates = {sparsity: estimate(setting.accuracies(tickets, sparsity)) for sparsity in tickets.sparsities}
        known = {sparsity: one for sparsity, one in estimates.items() if one}
        if known:
            found[tickets.name] = known
    return found


def keep_ratios(setting: AnsweredSetting, sparsity: float) -> dict[str, dict[str, list[float]]]:
    """Return, per method, the keep ratios of its tickets by layer, a value for each seed."""
    found = {}
    for tickets in setting.methods():
        if sparsity in tickets.sparsities:
            kept = [result.kept for result in setting.results(tickets, sparsity) if result.kept]
            if kept:
                layers = list(kept[0])
                kept = [one for one in kept if list(one) == layers]
                found[tickets.name] = {layer: [one[layer][0] / one[layer][1] for one in kept] for layer in layers}
    return found


def ratio_table(methods: Mapping[str, Ratios]) -> Table:
    """Return keep ratios by layer, a column for each method."""
    layers = next(iter(methods.values()))
    rows = tuple((layer, *(ratio_cell(ratios[layer]) for ratios in methods.values())) for layer in layers)
    return Table("Share of weights kept; mean over the seeds (least to most).", ("layer", *methods), (("", rows),))


def curve_table(curves: Mapping[str, Curve], quantity: str) -> Table:
    """Return curves, a column for each ticket; where all have the same epochs or end early."""
    epochs = sorted({epoch for curve in curves.values() for epoch in curve.epochs})
    columns = {
        name: {epoch: _curve_cell(curve, index) for index, epoch in enumerate(curve.epochs)}
        for name, curve in curves.items()
    }
    rows = tuple((str(epoch), *(cells.get(epoch, "-") for cells in columns.values())) for epoch in epochs)
    return Table(f"{quantity}; mean over the seeds (least to most).", ("epoch", *curves), (("", rows),), words=())


def _curve_cell(curve: Curve, index: int) -> str:
    mean = f"{curve.mean[index]:.4g}"
    return mean if curve.n == 1 else f"{mean} ({curve.low[index]:.4g} to {curve.high[index]:.4g})"


def dose_table(doses: Mapping[float, Sequence[Dose]], check: str) -> Table:
    """Return what the shares of a check cost."""
    rows = tuple(
        (f"{sparsity:g}", f"{dose.share:g}", f"{dose.cost:+.2f}", _ends(dose.interval, "+"))
        for sparsity, of_sparsity in doses.items()
        for dose in of_sparsity
    )
    caption = f"Points of accuracy that {check} costs, done to a share; paired by seed."
    return Table(caption, ("sparsity", "share", "cost", "95 % interval"), (("", rows),), words=())


def lost_table(evidence: Evidence) -> Table | None:
    """Return the tickets that collapsed, diverged or failed; None if there are none."""
    rows: list[Row] = []
    for setting in evidence.settings:
        for spec, run in setting.runs.items():
            result = run.result
            if result and result.status != "trained":
                ticket = DENSE if spec.method == DENSE else f"{spec.method} {spec.sparsity:g}"
                name = " + ".join(filter(None, (ticket, spec.check)))
                why = run.reason or f"the loss was not finite in epoch {result.epochs}"
                rows.append((name, str(spec.seed), result.status, why, setting.title))
    if not rows:
        return None
    columns: Row = ("tickets", "seed", "status", "where and why", "setting")
    if len(evidence.settings) == 1:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("They are counted, and in no mean.", columns, (("", tuple(rows)),), words=(0, 2, 3, 4))


def setting_table(settings: Sequence[AnsweredSetting]) -> Table:
    """Return data, network, recipe, seeds and versions, a column for each setting."""
    rows: list[Row] = [
        ("data set", *(one.setting.dataset for one in settings)),
        ("hash of the data", *((one.setting.dataset_hash or "by its name")[:12] for one in settings)),
        ("training images", *(_size(one.setting.train_images) for one in settings)),
        ("test images", *(_size(one.setting.test_images) for one in settings)),
        ("network", *(one.setting.model for one in settings)),
        ("width", *("as it is" if one.setting.width is None else str(one.setting.width) for one in settings)),
    ]
    for field in fields(settings[0].setting.recipe):
        values = [getattr(one.setting.recipe, field.name) for one in settings]
        rows.append((field.name.replace("_", " "), *map(value_text, values)))
    rows.append(("samples a class that criteria see", *(_samples(one) for one in settings)))
    rows.append(("seeds", *(_seeds(one) for one in settings)))
    rows.append(("runs", *(f"{len(one.runs):,}" for one in settings)))
    for name in ("prunecheck", "python", "torch"):
        rows.append((name, *(_listed(result.versions.get(name) for result in one.all_results) for one in settings)))
    rows.append(("device", *(_listed(result.device for result in one.all_results) for one in settings)))
    titles = [one.title for one in settings] if len(settings) > 1 else ["value"]
    return Table(
        "What all runs of a setting have in common.",
        ("", *titles),
        (("", tuple(rows)),),
        words=(0, *range(1, len(settings) + 1)),
    )


def _size(images: int | None) -> str:
    return "all" if images is None else f"{images:,}"


def _samples(setting: AnsweredSetting) -> str:
    found = {(spec.samples_per_class, spec.scoring_rounds) for spec in setting.runs if spec.samples_per_class}
    return (
        _listed(f"{samples}" + (f" in {rounds} rounds" if rounds > 1 else "") for samples, rounds in sorted(found))
        or "none"
    )


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


def run_table(settings: Sequence[AnsweredSetting]) -> Table:
    """Return every run's name, the hash of its spec in it, and how it ended."""
    groups = []
    for setting in settings:
        rows = []
        for spec, run in sorted(setting.runs.items(), key=lambda item: item[0].folder_name):
            assert run.result
            accuracy = "-" if run.result.accuracy is None else f"{run.result.accuracy:.2f}"
            rows.append((spec.folder_name.removesuffix(f"-{spec.hash}"), spec.hash, run.result.status, accuracy))
        groups.append((setting.title if len(settings) > 1 else "", tuple(rows)))
    return Table(
        "The hash is of all that a run was.", ("run", "hash", "status", "accuracy"), tuple(groups), words=(0, 1, 2)
    )
