"""Audits as tables and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from prunecheck.audits.agreement import Agreement
from prunecheck.audits.audit import (
    CORRUPTED,
    OTHER_SAMPLES,
    OTHER_SEEDS,
    PERTURBED,
    MaskComparison,
    MethodAudit,
    TicketAudit,
)
from prunecheck.audits.cost_tables import (
    cost_json,
    cost_parts,
    held_json,
    held_parts,
    layer_cost_json,
    unit_json,
    unit_parts,
)
from prunecheck.audits.two_methods import TwoMethods, tables_of_two_methods
from prunecheck.pruning.connectivity import LayerConnectivity
from prunecheck.pruning.dense_parameters import dense_parameters_text
from prunecheck.report.keep_ratios import mean, ratio_text
from prunecheck.report.table import Row, RowGroup, Table, numbers, words

SCHEMA = 1
"""Of the object; raised when a key changes its meaning."""

DECIMALS = 6
"""To which shares are rounded in JSON."""

WORDS = {
    CORRUPTED: "true and corrupted data",
    OTHER_SAMPLES: "other samples, same weights",
    PERTURBED: "weights changed by a millionth",
}


def audit_title(audits: Sequence[MethodAudit]) -> str:
    """Return what was pruned, for the head of a figure."""
    return f"{', '.join(audit.name for audit in audits)} {_what(audits[0])}"


def _what(audit: MethodAudit) -> str:
    study = audit.study
    seeds = f"{len(study.seeds)} {study.question.paired_by}{'s' if len(study.seeds) > 1 else ''}"
    return f"at sparsity {study.sparsities[0]:g} on {study.setting.data}, {study.network}, {seeds}"


def audit_tables(audits: Sequence[MethodAudit], compared: Sequence[TwoMethods]) -> list[Table | str]:
    """Return what ``prunecheck audit`` prints: a table of layers and warnings per method, then the agreements.

    Args:
        audits: of each method.
        compared: the masks of each two of them.
    """
    parts: list[Table | str] = []
    for audit in audits:
        parts += [
            _layer_table(audit),
            _sparsities(audit),
            *_left_dense(audit),
            *_remarks(audit),
            *_collapses(audit),
            "",
        ]
        if units := [*unit_parts(audit)]:
            parts += [*units, ""]
        parts += [*cost_parts(audit), "", *held_parts(audit)]
    parts += _agreements(audits)
    return [*parts, "", *tables_of_two_methods(compared)] if compared else parts


def _layer_table(audit: MethodAudit) -> Table:
    rows = [(name, *_cells([ticket.layers[name] for ticket in audit.tickets])) for name in audit.tickets[0].layers]
    total = audit.tickets[0].total
    kept, effective = _mean_of(audit, "kept"), _known_mean(audit.tickets, "effective")
    everything = ("all", f"{total:,}", _count(kept), ratio_text(kept / total), _count(effective))
    columns = (*words("layer"), *numbers("total", "kept", "ratio", "effective", "dead in", "dead out"))
    return Table(f"{audit.name} {_what(audit)}", columns, (RowGroup(tuple(rows)), RowGroup((everything,))))


def _cells(layers: Sequence[LayerConnectivity]) -> list[str]:
    kept = mean([layer.kept for layer in layers])
    return [
        f"{layers[0].total:,}",
        _count(kept),
        ratio_text(kept / layers[0].total),
        _count(_known_mean(layers, "effective")),
        f"{_count(_known_mean(layers, 'dead_inputs'))}/{layers[0].inputs}",
        f"{_count(_known_mean(layers, 'dead_outputs'))}/{layers[0].outputs}",
    ]


def _known_mean(items: Sequence[object], name: str) -> float | None:
    """Return the mean of an attribute; None if it is not known of all."""
    values = [getattr(item, name) for item in items]
    return None if None in values else mean(values)


def _count(number: float | None) -> str:
    """Return a count, or a mean of counts: with one decimal where it is small and not whole."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def _mean_of(audit: MethodAudit, name: str) -> float:
    return mean([getattr(ticket, name) for ticket in audit.tickets])


def _sparsities(audit: MethodAudit) -> str:
    direct, effective = _mean_of(audit, "sparsity"), _known_mean(audit.tickets, "effective_sparsity")
    working = _known_mean(audit.tickets, "effective")
    if effective is None or working is None:
        why = next(ticket.not_known for ticket in audit.tickets if ticket.not_known)
        return f"sparsity {direct:.4f}; which kept weights have a part in the output is not known: {why}"
    idle = _mean_of(audit, "kept") - working
    return (
        f"sparsity {direct:.4f}, effective sparsity {effective:.4f}: {_count(idle) if idle else 'none'} of "
        f"{_count(_mean_of(audit, 'kept'))} kept weights lie on no path from the input to the output"
    )


def _left_dense(audit: MethodAudit) -> list[str]:
    return [f"left dense: {dense_parameters_text(audit.left_dense)}"] if audit.left_dense else []


def _remarks(audit: MethodAudit) -> list[str]:
    return [f"seed {ticket.seed}: {remark}" for ticket in audit.tickets for remark in ticket.remarks]


def _collapses(audit: MethodAudit) -> list[str]:
    own = [f"collapsed, seed {ticket.seed}: {ticket.collapse}" for ticket in audit.tickets if ticket.collapse]
    changed = [
        f"collapsed, seed {seed}, {_changed(change)}: {collapse}"
        for (change, seed), collapse in audit.changed_collapses.items()
    ]
    return own + changed


def _changed(change: str) -> str:
    return {CORRUPTED: "corrupted data", OTHER_SAMPLES: "other samples", PERTURBED: WORDS[PERTURBED]}.get(
        change, change
    )


def _agreements(audits: Sequence[MethodAudit]) -> Iterator[Table | str]:
    """Yield the table of methods whose masks have others to be compared with, and why the rest have none."""
    if compared := [audit for audit in audits if audit.comparisons]:
        yield _agreement_table(compared)
    for audit in audits:
        if not audit.comparisons:
            yield _why_alone(audit)


def _why_alone(audit: MethodAudit) -> str:
    """Say why nothing is compared with a method's masks."""
    files = audit.study.method.own_files
    if files and not files.are_by_seed:
        return f"{audit.name} is one mask in a file, which has nothing to be compared with."
    why = "; ".join(cell for row in _agreement_rows(audit) for cell in row)
    return f"the masks of {audit.name} have nothing to be compared with: {why}" if why else ""


def _agreement_table(audits: Sequence[MethodAudit]) -> Table:
    note = (
        "agreement: share of the kept weights that both masks keep, of a pattern that of its units; chance: what masks "
        "drawn at random within the "
        "same layerwise ratios have in common, mean and standard deviation; at most: what these ratios allow; weights "
        "changed by a millionth: the floor: where nothing that counts has changed, no other change can be told from it"
    )
    columns = (*words("masks"), *numbers("pairs", "agreement", "chance", "at most"))
    groups = (RowGroup(tuple(_agreement_rows(audit)), audit.name) for audit in audits)
    return Table("agreement of masks", columns, tuple(groups), (note,))


def _agreement_rows(audit: MethodAudit) -> Iterator[Row]:
    files = audit.study.method.own_files
    if files:
        yield ("in files: nothing can change them any more",)
    elif not audit.study.method.sees_data:
        yield ("sees no data",)
    for comparison in audit.comparisons:
        yield (_compared(audit, comparison.against), str(len(comparison.pairs)), *comparison.shares)
    if len(audit.tickets) == 1 and not (files and not files.are_by_seed):
        unit = audit.study.question.paired_by
        yield (f"other {unit}s: needs 2 {unit}s or more",)


def _compared(audit: MethodAudit, against: str) -> str:
    """Return in words which masks are compared with the method's own."""
    if against == OTHER_SEEDS:
        return f"other {audit.study.question.paired_by}s"
    return WORDS.get(against, against)


def audit_json(audits: Sequence[MethodAudit], compared: Sequence[TwoMethods]) -> dict[str, Any]:
    """Return the object that ``prunecheck audit`` prints as JSON.

    Shares are in [0, 1]; counts of layers are means over the seeds.

    Args:
        audits: of each method.
        compared: the masks of each two of them.
    """
    study = audits[0].study
    return {
        "schema": SCHEMA,
        "dataset": study.data.name,
        "train_images": len(study.data.train),
        "augment": study.setting.augment,
        "normalize": study.setting.normalize,
        "model": study.model,
        "width": study.width,
        "prunable": list(study.prunable_layers.prunable),
        "keep_dense": list(study.prunable_layers.keep_dense),
        "sparsity": study.sparsities[0],
        "seeds": list(study.seeds),
        "samples_per_class": study.samples_per_class,
        "scoring_rounds": study.scoring_rounds,
        "sequence_length": study.setting.sequence_length,
        "calibration_sequences": study.question.own.calibration_sequences,
        "methods": [_method_json(audit) for audit in audits],
        "between_methods": [
            {"methods": [two.first, two.second], **_comparison_json(two.comparison, list(audits[0].tickets[0].layers))}
            for two in compared
        ],
    }


def _method_json(audit: MethodAudit) -> dict[str, Any]:
    return {
        "method": audit.name,
        "sees_data": audit.study.method.sees_data,
        "total": audit.tickets[0].total,
        "kept": _rounded(_mean_of(audit, "kept")),
        "effective": _rounded(_known_mean(audit.tickets, "effective")),
        "sparsity": _rounded(_mean_of(audit, "sparsity")),
        "effective_sparsity": _rounded(_known_mean(audit.tickets, "effective_sparsity")),
        "left_dense": [asdict(parameter) for parameter in audit.left_dense],
        "tickets": [_ticket_json(ticket) for ticket in audit.tickets],
        "changed_collapsed": [
            {"change": change, "seed": seed, "collapse": str(collapse)}
            for (change, seed), collapse in audit.changed_collapses.items()
        ],
        "layers": [_layer_json(audit, layer) for layer in audit.tickets[0].layers],
        "pattern": audit.tickets[0].structure.name,
        "units": unit_json(audit),
        "costs": cost_json(audit),
        "after": [held_json(held) for held in audit.held],
        "agreements": [_comparison_json(comparison, list(audit.tickets[0].layers)) for comparison in audit.comparisons],
    }


def _ticket_json(ticket: TicketAudit) -> dict[str, Any]:
    return {
        "seed": ticket.seed,
        "kept": ticket.kept,
        "effective": ticket.effective,
        "sparsity": _rounded(ticket.sparsity),
        "effective_sparsity": _rounded(ticket.effective_sparsity),
        "collapse": str(ticket.collapse) if ticket.collapse else None,
        "remarks": list(ticket.remarks),
        "not_known": ticket.not_known,
    }


COUNTED = ("kept", "effective", "dead_inputs", "dead_outputs", "empty_inputs", "empty_outputs")


def _layer_json(audit: MethodAudit, layer: str) -> dict[str, Any]:
    layers = [ticket.layers[layer] for ticket in audit.tickets]
    ratios = audit.keep_ratios[layer]
    counts = {name: _rounded(_known_mean(layers, name)) for name in COUNTED}
    return {
        "layer": layer,
        "total": layers[0].total,
        "inputs": layers[0].inputs,
        "outputs": layers[0].outputs,
        "keep_ratio": mean(ratios),
        "keep_ratios": list(ratios),
        **counts,
        **layer_cost_json(audit, layer),
    }


def _comparison_json(comparison: MaskComparison, layers: Sequence[str]) -> dict[str, Any]:
    pools = list(comparison.pairs[0].overlap) if comparison.pairs else layers
    return {
        "against": comparison.against,
        **_agreement_json(comparison.agreement),
        "pairs": [
            {"seeds": list(pair.seeds), **_agreement_json(MaskComparison(comparison.against, (pair,)).agreement)}
            for pair in comparison.pairs
        ],
        "layers": [{"layer": layer, **_agreement_json(comparison.of_layer(layer).agreement)} for layer in pools],
        "left_out": [list(seeds) for seeds in comparison.left_out],
    }


def _agreement_json(found: Agreement | None) -> dict[str, float | None]:
    if found is None:
        return dict.fromkeys(("agreement", "chance", "chance_deviation", "most"))
    return {
        "agreement": _rounded(found.observed),
        "chance": _rounded(found.chance),
        "chance_deviation": _rounded(found.std),
        "most": _rounded(found.most),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
