"""What checks cost that are done to several shares."""

import re

from prunecheck.analysis.estimates import Dose
from prunecheck.analysis.families import Conclusion
from prunecheck.checks import find_check
from prunecheck.checks.registry import JOINT, SHARE
from prunecheck.errors import InputError


def dose_responses(answer: Conclusion) -> dict[str, dict[float, list[Dose]]]:
    """Return, per check that was done to several shares, what each costs by sparsity.

    A share of 0 of a check that can be done whole is the method's own ticket and costs nothing.
    """
    found: dict[str, dict[float, list[Dose]]] = {}
    for base in dict.fromkeys(_share(comparison.against)[0] for comparison in answer.checks):
        usual = _usual_share(base)
        doses: dict[float, list[Dose]] = {}
        for comparison in answer.checks:
            name, share = _share(comparison.against)
            share = usual if share is None else share
            if name == base and share is not None and comparison.difference:
                difference = comparison.difference
                dose = Dose(share, difference.mean, difference.interval)
                doses.setdefault(comparison.sparsity, []).append(dose)
        if len({dose.share for of_sparsity in doses.values() for dose in of_sparsity}) > 1:
            start = [Dose(0.0, 0.0, None)] if usual == 1 else []
            for sparsity, of_sparsity in doses.items():
                known = [] if any(dose.share == 0 for dose in of_sparsity) else start
                doses[sparsity] = sorted([*known, *of_sparsity], key=lambda dose: dose.share)
            found[base] = doses
    return found


def _share(check: str) -> tuple[str, float | None]:
    """Return a check's name without its share, and that; joined checks have none."""
    match = re.fullmatch(rf"([^{SHARE}{JOINT}]+){SHARE}([0-9.e-]+)", check)
    try:
        return (match[1], float(match[2])) if match else (check, None)
    except ValueError:
        return check, None


def _usual_share(check: str) -> float | None:
    try:
        parts = find_check(check).parts
    except InputError:
        return None
    return parts[0].usual_share if len(parts) == 1 else None
