"""Sanity checks for pruning methods, which say what information a method really uses.

``prunecheck.check("snip")`` trains a method's tickets beside changed and random ones and returns an :class:`Answer`;
the commands of the same names call what is listed here. Nothing is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecheck.analysis.comparison import Comparison
    from prunecheck.analysis.families import Family
    from prunecheck.analysis.verdicts import Verdict
    from prunecheck.api.answers import Answer, Answers, RecordedAnswers
    from prunecheck.api.audits import Audit, audit
    from prunecheck.api.housekeeping import clean, merge
    from prunecheck.api.questions import check, run
    from prunecheck.api.recorded import load_answers
    from prunecheck.api.results import load_results
    from prunecheck.api.settings import check_settings
    from prunecheck.checks import find_check, rearrange_mask, register_check, reinit, shuffle_weights
    from prunecheck.data import Batches, DataPlaces, Dataset, Images, load_dataset, register_dataset, scoring_samples
    from prunecheck.engine.events import EpochDone, RunDone
    from prunecheck.errors import InputError
    from prunecheck.metrics import metric, register_metric
    from prunecheck.models import build_model, register_model
    from prunecheck.pruning import (
        Criterion,
        Method,
        Ticket,
        allocate,
        choose_prunable,
        dense_ticket,
        find_method,
        force,
        grasp,
        iter_snip,
        keep_ratios,
        load_ticket,
        magnitude,
        make_ticket,
        mask_from,
        prunable_shapes,
        prunable_weights,
        random_scores,
        register_allocation,
        register_criterion,
        register_method,
        save_ticket,
        snip,
        sparsity_of,
        synflow,
    )
    from prunecheck.pruning.channels.cutting import cut_channels
    from prunecheck.pruning.gem_miner import gem_miner
    from prunecheck.pruning.ntk_sap import ntk_sap
    from prunecheck.pruning.phew import phew
    from prunecheck.pruning.prospr import prospr
    from prunecheck.runs.clean import Removable
    from prunecheck.runs.merge import Merged
    from prunecheck.runs.result import RunResult, Status
    from prunecheck.runs.spec import RunSpec, Setting
    from prunecheck.studies.study import Study
    from prunecheck.studies.study_file import read_study
    from prunecheck.training import Acceleration, Recipe, step_schedule, train

__version__ = "0.1.0"

__all__ = [
    "Acceleration",
    "allocate",
    "choose_prunable",
    "Answer",
    "Answers",
    "Audit",
    "audit",
    "Batches",
    "build_model",
    "check",
    "check_settings",
    "clean",
    "Comparison",
    "Criterion",
    "cut_channels",
    "DataPlaces",
    "Dataset",
    "dense_ticket",
    "EpochDone",
    "Family",
    "find_check",
    "find_method",
    "force",
    "gem_miner",
    "grasp",
    "Images",
    "InputError",
    "iter_snip",
    "keep_ratios",
    "load_answers",
    "load_dataset",
    "load_results",
    "load_ticket",
    "magnitude",
    "make_ticket",
    "mask_from",
    "merge",
    "Merged",
    "Method",
    "metric",
    "ntk_sap",
    "phew",
    "prospr",
    "prunable_shapes",
    "prunable_weights",
    "random_scores",
    "read_study",
    "rearrange_mask",
    "Recipe",
    "RecordedAnswers",
    "register_allocation",
    "register_check",
    "register_criterion",
    "register_dataset",
    "register_method",
    "register_metric",
    "register_model",
    "reinit",
    "Removable",
    "run",
    "RunDone",
    "RunResult",
    "RunSpec",
    "save_ticket",
    "scoring_samples",
    "Setting",
    "shuffle_weights",
    "snip",
    "sparsity_of",
    "Status",
    "step_schedule",
    "Study",
    "synflow",
    "Ticket",
    "train",
    "Verdict",
]

_MODULES = {
    "prunecheck.analysis.comparison": ("Comparison",),
    "prunecheck.analysis.families": ("Family",),
    "prunecheck.analysis.verdicts": ("Verdict",),
    "prunecheck.api.answers": ("Answer", "Answers", "RecordedAnswers"),
    "prunecheck.api.audits": ("Audit", "audit"),
    "prunecheck.api.housekeeping": ("clean", "merge"),
    "prunecheck.api.questions": ("check", "run"),
    "prunecheck.api.settings": ("check_settings",),
    "prunecheck.api.recorded": ("load_answers",),
    "prunecheck.api.results": ("load_results",),
    "prunecheck.checks": ("find_check", "register_check", "rearrange_mask", "reinit", "shuffle_weights"),
    "prunecheck.data": (
        "Batches",
        "DataPlaces",
        "Dataset",
        "Images",
        "load_dataset",
        "register_dataset",
        "scoring_samples",
    ),
    "prunecheck.engine.events": ("EpochDone", "RunDone"),
    "prunecheck.errors": ("InputError",),
    "prunecheck.metrics": ("metric", "register_metric"),
    "prunecheck.models": ("build_model", "register_model"),
    "prunecheck.pruning": (
        "Criterion",
        "Method",
        "Ticket",
        "allocate",
        "choose_prunable",
        "dense_ticket",
        "find_method",
        "force",
        "grasp",
        "iter_snip",
        "keep_ratios",
        "load_ticket",
        "magnitude",
        "make_ticket",
        "mask_from",
        "prunable_shapes",
        "prunable_weights",
        "random_scores",
        "register_allocation",
        "register_criterion",
        "register_method",
        "save_ticket",
        "snip",
        "sparsity_of",
        "synflow",
    ),
    "prunecheck.pruning.channels.cutting": ("cut_channels",),
    "prunecheck.pruning.gem_miner": ("gem_miner",),
    "prunecheck.pruning.ntk_sap": ("ntk_sap",),
    "prunecheck.pruning.phew": ("phew",),
    "prunecheck.pruning.prospr": ("prospr",),
    "prunecheck.runs.clean": ("Removable",),
    "prunecheck.runs.merge": ("Merged",),
    "prunecheck.runs.result": ("RunResult", "Status"),
    "prunecheck.runs.spec": ("RunSpec", "Setting"),
    "prunecheck.studies.study": ("Study",),
    "prunecheck.studies.study_file": ("read_study",),
    "prunecheck.training": ("Acceleration", "Recipe", "step_schedule", "train"),
}
"""Where the names are defined."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # type checkers know the names, and say which are not among them

    def __getattr__(name: str) -> Any:
        """Import what is asked for."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
