"""What a mask saves, and whether it holds: as tables and as JSON."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prunecheck.audits.costs import FLOPS
from prunecheck.audits.held_masks import HeldLayer, HeldMask
from prunecheck.pruning.patterns import PLAIN, Structure
from prunecheck.report.keep_ratios import mean, ratio_text
from prunecheck.report.table import RowGroup, Table, numbers, words

if TYPE_CHECKING:
    from prunecheck.audits.audit import MethodAudit

DECIMALS = 6


def cost_parts(audit: "MethodAudit") -> Iterator[Table | str]:
    """Yield the table of multiply-adds by layer, and what the mask saves in a sentence."""
    costs, weights = audit.costs, _kept_weights(audit)
    rows = []
    for layer, count in weights.items():
        whole, kept = costs.of_layer(layer, costs.sizes[layer]), costs.of_layer(layer, count)
        ratio = "?" if whole is None or kept is None else ratio_text(kept / whole)
        rows.append((layer, _number(whole), _number(kept), ratio))
    other = costs.multiply_adds - sum(costs.of_layer(layer, size) or 0 for layer, size in costs.sizes.items())
    last = [("everything else", _number(other), _number(other), "1")] if other else []
    kept = costs.kept(weights)
    last.append(("all", _number(costs.multiply_adds), _number(kept), ratio_text(kept / costs.multiply_adds)))
    columns = (*words("layer"), *numbers("multiply-adds", "kept", "ratio"))
    yield Table(
        f"{audit.name}: multiply-adds of {audit.study.setting.example}",
        columns,
        (RowGroup(tuple(rows)), RowGroup(tuple(last))),
    )
    total = sum(costs.sizes.values())
    flops = FLOPS * costs.multiply_adds
    yield (
        f"kept: {_number(sum(weights.values()))} of {total:,} weights, {_number(kept)} of {costs.multiply_adds:,} "
        f"multiply-adds, {_number(FLOPS * kept)} of {flops:,} FLOPs; {_structure(audit).saves}"
    )
    if _structure(audit).can_be_cut:
        yield f"FLOPs that really fall once they are cut out: {_number(flops - FLOPS * kept)} of {flops:,}"


def unit_parts(audit: "MethodAudit") -> Iterator[Table | str]:
    """Yield the table of the units of a pattern that are kept and removed, by pool; nothing for single weights."""
    structure = _structure(audit)
    if structure == PLAIN:
        return
    rows = []
    for pool, (kept, total) in _units(audit).items():
        name = structure.pool_in_words(pool, audit.tickets[0].kept_units[pool])
        rows.append((name, f"{total:,}", _number(kept), _number(total - kept), ratio_text(kept / total)))
    counted = _units(audit).values()
    kept, total = sum(kept for kept, _ in counted), sum(total for _, total in counted)
    last = ("all", f"{total:,}", _number(kept), _number(total - kept), ratio_text(kept / total))
    columns = (*words(structure.counted), *numbers("total", "kept", "removed", "ratio"))
    yield Table(f"{audit.name}: what is removed", columns, (RowGroup(tuple(rows)), RowGroup((last,))))


def unit_json(audit: "MethodAudit") -> list[dict[str, Any]]:
    """Return how many units of each pool are kept, a mean over the seeds; empty for single weights."""
    if _structure(audit) == PLAIN:
        return []
    return [{"pool": pool, "kept": kept, "total": total} for pool, (kept, total) in _units(audit).items()]


def _units(audit: "MethodAudit") -> dict[str, tuple[float, int]]:
    """Return how many units of each pool are kept, a mean over the seeds, and how many there are."""
    tickets = audit.tickets
    return {
        pool: (mean([int(ticket.kept_units[pool].sum()) for ticket in tickets]), units.numel())
        for pool, units in tickets[0].kept_units.items()
    }


def _structure(audit: "MethodAudit") -> Structure:
    return audit.tickets[0].structure


def held_parts(audit: "MethodAudit") -> Iterator[Table | str]:
    """Yield, for each checkpoint, the table of the pruned weights that are no longer 0, and the verdict."""
    for held in audit.held:
        rows = tuple(_held_row(layer, found) for layer, found in held.layers.items())
        columns = (*words("layer"), *numbers("pruned", "not 0", "ratio", "nonzero", "density"))
        title = f"{audit.name} after training: {held.checkpoint}"
        yield Table(title, columns, (RowGroup(rows), RowGroup((_held_row("all", held.all),))))
        yield f"seed {held.seed}: {held.verdict}" if len(audit.held) > 1 else held.verdict
        yield ""


def _held_row(name: str, found: HeldLayer) -> tuple[str, ...]:
    share = ratio_text(found.returned / found.pruned) if found.pruned else "-"
    density = ratio_text(found.nonzero / found.total)
    return name, f"{found.pruned:,}", f"{found.returned:,}", share, f"{found.nonzero:,}", density


def cost_json(audit: "MethodAudit") -> dict[str, Any]:
    """Return what an image costs the network whole, and with the weights that are kept."""
    costs = audit.costs
    kept = costs.kept(_kept_weights(audit))
    return {
        "multiply_adds": costs.multiply_adds,
        "multiply_adds_kept": round(kept, DECIMALS),
        "flops": FLOPS * costs.multiply_adds,
        "flops_kept": round(FLOPS * kept, DECIMALS),
        "flops_cut_out": round(FLOPS * (costs.multiply_adds - kept), DECIMALS) if _structure(audit).can_be_cut else 0,
        "what_it_saves": _structure(audit).saves,
    }


def layer_cost_json(audit: "MethodAudit", layer: str) -> dict[str, Any]:
    """Return the multiply-adds of a layer; None where they are not known."""
    whole = audit.costs.of_layer(layer, audit.costs.sizes[layer])
    kept = audit.costs.of_layer(layer, _kept_weights(audit)[layer])
    return {"multiply_adds": whole, "multiply_adds_kept": None if kept is None else round(kept, DECIMALS)}


def held_json(held: HeldMask) -> dict[str, Any]:
    """Return how much of a mask holds in a trained checkpoint."""
    return {
        "seed": held.seed,
        "checkpoint": held.checkpoint,
        "holds": held.holds,
        "verdict": held.verdict,
        "density": round(held.density, DECIMALS),
        **vars(held.all),
        "layers": [{"layer": layer, **vars(found)} for layer, found in held.layers.items()],
    }


def _kept_weights(audit: "MethodAudit") -> Mapping[str, float]:
    """Return how many weights each layer keeps, a mean over the seeds."""
    return {layer: mean([ticket.layers[layer].kept for ticket in audit.tickets]) for layer in audit.tickets[0].layers}


def _number(count: float | None) -> str:
    return "?" if count is None else f"{count:,.0f}"
