"""The tables of a report: the same for its page, Markdown and LaTeX."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from prunecheck.analysis.comparison import Comparison, LostTicket
from prunecheck.analysis.estimates import Curve, Dose, Estimate, estimate
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import LEVEL, standard_deviation
from prunecheck.analysis.verdicts import Verdict
from prunecheck.pruning import DENSE
from prunecheck.report.charts import Ratios
from prunecheck.report.contents import AnsweredSetting, ReportContents, value_text
from prunecheck.report.figures import ratio_cell
from prunecheck.report.terminal import accuracy_text, difference_text, verdict_text
from prunecheck.runs.result import Status

Row = tuple[str, ...]


class Toned(str):
    """A cell that the style sheet colours, by the class ``tone``."""

    tone: str

    def __new__(cls, text: str, tone: str) -> "Toned":
        """Give a text its tone."""
        cell = super().__new__(cls, text)
        cell.tone = tone
        return cell


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes:
        groups: rows below a line that names them, which is empty for all in one.
        words: the columns that hold words, not numbers.
        kind: the class of the style sheet that lays it out.
    """

    caption: str
    headings: Row
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    words: tuple[int, ...] = (0,)
    kind: str = ""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(len(rows) for _, rows in self.groups)


def verdict_table(contents: ReportContents) -> Table:
    """Return every verdict with the numbers that it follows from, below its question and the family of that."""
    groups = []
    for title, answer, comparisons in _by_sparsity(contents):
        family = f"{title}; {100 * LEVEL:g} % over {answer.family}" if answer.family.size else title
        groups.append((family, tuple(_verdict_row(one, answer.dense_at_chance) for one in comparisons)))
    margins = contents.margins
    against = f"the margin of {margins[0]:g} points" if len(margins) == 1 else "the margin that is named above them"
    caption = (
        "Accuracy in percent, mean ± standard deviation over the seeds. Difference: the method's tickets minus the "
        "changed, or the other method's, of the same seeds, in points, with its 95 % t interval. Verdicts: one-sided "
        f"t tests (two for equivalence) against {against}; p adjusted (Holm) within the family that is named above "
        f"them, decided below {LEVEL:g}."
    )
    headings = ("tickets", "accuracy", "difference", "95 % interval", "p", "pairs", "verdict")
    return Table(caption, headings, tuple(groups), words=(0, 6), kind="cards")


def seed_table(contents: ReportContents) -> Table:
    """Return the difference of each pair, by the rows of :func:`verdict_table`."""
    groups = []
    for title, _, comparisons in _by_sparsity(contents):
        rows = tuple((one.against, _differences_text(one)) for one in comparisons if one.pairs)
        if rows:
            groups.append((title, rows))
    caption = "Seed: accuracy of the method's ticket minus that of the other of the same seed, in points."
    return Table(caption, ("tickets", "differences by seed"), tuple(groups), words=(0, 1))


def _differences_text(comparison: Comparison) -> str:
    own, other = comparison.own.accuracies, comparison.other.accuracies
    return ", ".join(f"{seed}: {own[seed] - other[seed]:+.2f}" for seed in comparison.pairs)


def _by_sparsity(contents: ReportContents) -> Iterator[tuple[str, Conclusion, list[Comparison]]]:
    """Yield the comparisons of each question and sparsity, with a title that says whose they are."""
    several_settings, several_margins = len(contents.settings) > 1, len(contents.margins) > 1
    for setting, answer in contents.answers():
        question = answer.question
        for sparsity in sorted({comparison.sparsity for comparison in answer.comparisons}):
            own = accuracy_text(answer.found.own[sparsity])
            title = f"{question.method} at sparsity {sparsity:g}: {own} %"
            if several_settings:
                title += f" ({setting.title})"
            if several_margins:
                title += f"; margin {question.margin:g} points"
            yield title, answer, [one for one in answer.comparisons if one.sparsity == sparsity]


def _verdict_row(comparison: Comparison, dense_at_chance: bool) -> Row:
    text = verdict_text(comparison, dense_at_chance)
    if comparison.same_runs and comparison.verdict is Verdict.DOES_NOT_USE:
        text += " (cannot reach it)"
    return (
        comparison.against,
        accuracy_text(comparison.other),
        *difference_text(comparison.difference),
        p_text(comparison),
        str(len(comparison.pairs)),
        Toned(text, comparison.verdict.tone),
    )


def p_text(comparison: Comparison) -> str:
    """Return the p value within the family; a dash where nothing is tested."""
    if not comparison.is_tested or comparison.adjusted_p is None:
        return "-"
    return "< 0.001" if comparison.adjusted_p < 0.001 else f"{comparison.adjusted_p:.3f}"


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
    return Table(caption, ("tickets", "sparsity", "mean", "95 % interval", "std", "trained"), tuple(groups))


def _estimate_cells(values: Sequence[float]) -> tuple[str, str, str]:
    found = estimate(values)
    if found is None:
        return "-", "-", "-"
    if found.interval is None:
        return f"{found.mean:.2f}", "-", "-"
    return f"{found.mean:.2f}", _ends(found.interval), f"{standard_deviation(values):.2f}"


def _ends(interval: tuple[float, float] | None, sign: str = "") -> str:
    return "-" if interval is None else f"{interval[0]:{sign}.2f} to {interval[1]:{sign}.2f}"


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
    """Return, per method, the keep ratios of its tickets by layer, in the network's order, a value for each seed."""
    found = {}
    for tickets in setting.methods():
        kept = [result.kept for result in setting.results(tickets, sparsity) if result.kept]
        if kept:
            found[tickets.name] = {
                layer: [one[layer][0] / one[layer][1] for one in kept if layer in one] for layer in layer_order(kept)
            }
    return found


def layer_order(kept: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the layers of tickets in the network's order, as far as any of them has it.

    A ticket that was read from a file may list its layers by name.
    """
    orders = [list(one) for one in kept]
    first = next((order for order in orders if order != sorted(order)), orders[0])
    return list(dict.fromkeys([*first, *(layer for order in orders for layer in order)]))


def of_the_same_layers(methods: Mapping[str, Ratios]) -> list[dict[str, Ratios]]:
    """Divide methods into those that have the same layers, so that they can stand in one table."""
    divided: dict[frozenset[str], dict[str, Ratios]] = {}
    for name, ratios in methods.items():
        divided.setdefault(frozenset(ratios), {})[name] = ratios
    return [
        {name: {layer: ratios[layer] for layer in layer_order(same.values())} for name, ratios in same.items()}
        for same in divided.values()
    ]


def ratio_table(methods: Mapping[str, Ratios]) -> Table:
    """Return keep ratios by layer, a column for each method."""
    layers = next(iter(methods.values()))
    rows = tuple((layer, *(ratio_cell(ratios[layer]) for ratios in methods.values())) for layer in layers)
    counts = ", ".join(f"{name} {len(next(iter(ratios.values())))}" for name, ratios in methods.items())
    caption = f"Share of weights kept; mean over the seeds (least to most); tickets: {counts}."
    return Table(caption, ("layer", *methods), (("", rows),))


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


def lost_table(contents: ReportContents) -> Table | None:
    """Return the tickets that collapsed, diverged or failed; None if there are none."""
    rows: list[Row] = []
    for setting in contents.settings:
        for spec, run in setting.runs.items():
            result = run.result
            if result and result.status is not Status.TRAINED:
                ticket = DENSE if spec.method == DENSE else f"{spec.method} {spec.sparsity:g}"
                name = " + ".join(filter(None, (ticket, spec.check)))
                lost = LostTicket.of(spec.seed, result)
                rows.append((name, str(spec.seed), lost.status.value, lost.layer or "-", lost.reason, setting.title))
    if not rows:
        return None
    columns: Row = ("tickets", "seed", "status", "layer", "reason", "setting")
    if len(contents.settings) == 1:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("They are counted, and in no mean.", columns, (("", tuple(rows)),), words=(0, 2, 3, 4, 5))


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
