"""What ``plan`` and ``--dry-run`` print: tables, sentences, or JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecheck.report.table import Table
    from prunecheck.runs.spec import RunSpec
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.plan import Plan, Shared, Standing


def print_plan(plan: "Plan", out: Path, workers: int | None, device: str | None, *, as_json: bool) -> None:
    """Print what a study is going to do.

    Args:
        plan: of the study.
        out: where its runs are, or will be.
        workers: how many do the runs at the same time; None if that is not said.
        device: where they are done; None if that is not said.
        as_json: one JSON object instead of tables and sentences.
    """
    from prunecheck.cli.output import print_out
    from prunecheck.cli.study_runs import print_json

    if as_json:
        print_json(_as_json(plan) | _cost_json(plan, workers, device))
        return
    sentences = (*_sentences(plan, out), *_cost_sentences(plan, workers, device), *_expected_sentences(plan))
    print_out(*_tables(plan), "\n".join((*sentences, *_data_sentences(plan))))


def _tables(plan: "Plan") -> "Iterator[Table]":
    yield _question_table(plan)
    if plan.subtotals:
        yield _subtotal_table(plan)
    if plan.shared:
        yield _shared_table(plan.shared)


def _question_table(plan: "Plan") -> "Table":
    from prunecheck.report.table import RowGroup, Table, numbers, words

    rows = [
        (question.method.name, _setting(question), *_counts(standing))
        for question, standing in zip(plan.study.questions, plan.questions, strict=True)
    ]
    if plan.subtotals:  # what several studies ask stands in each
        asked = [RowGroup(tuple(rows[place] for place in one.questions), one.name) for one in plan.subtotals]
    else:
        asked = [RowGroup(tuple(rows))]
    together = "together, each run once" if len(plan.questions) > 1 else "together"
    columns = (*words("method", "on"), *numbers("runs", "done", "failed", "begun", "epochs to go"))
    groups = (*asked, RowGroup(((together, "", *_counts(plan.total)),)))
    return Table(f"{plan.study.name} ({plan.study.hash})", columns, groups)


def _subtotal_table(plan: "Plan") -> "Table":
    from prunecheck.report.table import RowGroup, Table, numbers, words

    rows = tuple(
        (one.name, *_counts(one.standing), _time(one.seconds, one.unknown_epochs, one.standing.epochs_to_go))
        for one in plan.subtotals
    )
    estimate = plan.estimate
    time = _time(estimate.seconds, estimate.unknown_epochs, plan.total.epochs_to_go)
    columns = (*words("study"), *numbers("runs", "done", "failed", "begun", "epochs to go", "of one worker"))
    groups = (RowGroup(rows), RowGroup((("together, each run once", *_counts(plan.total), time),)))
    return Table("each study by itself", columns, groups)


def _time(seconds: float, unknown_epochs: int, epochs_to_go: int) -> str:
    if unknown_epochs and unknown_epochs == epochs_to_go:
        return "unknown"
    return ("over " if unknown_epochs else "") + (_duration(seconds) if epochs_to_go else "nothing")


def _shared_table(shared: "tuple[Shared, ...]") -> "Table":
    from prunecheck.report.table import Table, numbers, one_group, words

    rows = (
        (_trained_ticket(one.run), _network(one.run), f"{one.networks:,}", f"{one.done:,}", f"{one.tickets:,}")
        for one in shared
    )
    columns = (*words("network", "of"), *numbers("networks", "done", "tickets"))
    return Table("networks that tickets are made of", columns, one_group(rows))


def _setting(question: "CheckStudy") -> str:
    return f"{question.setting.whole_data}, {question.network}, {_recipe(question.dense_run(question.seeds[0]))}"


def _trained_ticket(run: "RunSpec") -> str:
    at = f" at sparsity {run.sparsity:g}" if run.sparsity else ""
    return f"{run.method}{at}" + (f", trained on {run.trained_on}" if run.trained_on else "")


def _network(run: "RunSpec") -> str:
    return f"{run.setting.whole_data}, {run.setting.network}, {_recipe(run)}"


def _recipe(run: "RunSpec") -> str:
    recipe = run.setting.recipe
    return f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''} at learning rate {recipe.learning_rate:g}"


def _counts(standing: "Standing") -> tuple[str, ...]:
    counts = (standing.runs, standing.done, standing.failed, standing.begun, standing.epochs_to_go)
    return tuple(f"{count:,}" for count in counts)


def _sentences(plan: "Plan", out: Path) -> Iterator[str]:
    total, estimate = plan.total, plan.estimate
    if total.failed:
        yield f"{total.failed} failed: `prunecheck run --retry-failed` does them again."
    if total.done + total.failed == total.runs:
        yield "Nothing is left to do."
        return
    if estimate.devices or estimate.by_rates:
        there = [f"as measured in {out} on {' and '.join(estimate.devices)}"] if estimate.devices else []
        there += [estimate.by_rates] if estimate.by_rates else []
        more = " of those that are known" if estimate.unknown_epochs else ""
        yield f"Time: about {_duration(estimate.seconds)} of one worker{more}, {' or '.join(there)}."
    if estimate.unknown_epochs:
        settings = (f"{run.setting.dataset} with {run.setting.network}" for run in estimate.unknown)
        unknown = " and ".join(dict.fromkeys(settings))
        yield (
            f"Time: unknown for {estimate.unknown_epochs:,} epochs, until one run of {unknown} is done in {out}; "
            "--calibrate times some steps on this machine, and --ms-a-step states what a step takes."
        )
    yield f"Disk: about {_size(estimate.bytes)} more in {out}."
    yield from _memory_sentences(plan)


def _memory_sentences(plan: "Plan") -> Iterator[str]:
    """Say what a run after training needs at its peak; of what is trained nothing is said."""
    if plan.memory is None:
        return
    method, memory = plan.memory
    beside = "what the method itself needs is not known" if memory.pruning is None else _size(memory.pruning)
    yield (
        f"Memory: about {_size(memory.peak)} for each worker, at the peak of {method}: {_size(memory.networks)} for "
        f"copies of the network; beside it, to prune one block after the other, {beside}, and then to test, "
        f"{_size(memory.test)}."
    )


def _cost_sentences(plan: "Plan", workers: int | None, device: str | None) -> Iterator[str]:
    """Say how long it takes with several workers, and what it costs on GPUs, of what is known."""
    estimate = plan.estimate
    if not estimate.seconds:
        return
    if workers is not None:
        limit = ", which is that of the longest run" if estimate.wall_seconds(workers) == estimate.longest else ""
        count = f"{workers} worker{'s' * (workers > 1)}"
        yield f"With {count}: about {_duration(estimate.wall_seconds(workers))}{limit}."
    if _is_on_gpus(plan, device):
        yield f"GPU hours: about {estimate.seconds / 3600:.1f}, one run at a time on each GPU."


def _is_on_gpus(plan: "Plan", device: str | None) -> bool:
    devices = plan.estimate.devices if device is None else (device,)
    return bool(devices) and all(one.startswith("cuda") for one in devices)


def _cost_json(plan: "Plan", workers: int | None, device: str | None) -> dict[str, Any]:
    estimate = plan.estimate
    is_known = not estimate.unknown_epochs
    return {
        "workers": workers,
        "device": device,
        "by_rates": estimate.by_rates or None,
        "wall_seconds": round(estimate.wall_seconds(workers), 1) if workers is not None and is_known else None,
        "gpu_hours": round(estimate.seconds / 3600, 3) if _is_on_gpus(plan, device) and is_known else None,
        "data_sets_not_here": _not_here(plan),
    }


def _not_here(plan: "Plan") -> list[str]:
    return sorted({question.data.name for question in plan.study.questions if question.data.is_stand_in})


def _data_sentences(plan: "Plan") -> Iterator[str]:
    if names := _not_here(plan):
        yield (
            f"Not on this machine: {', '.join(names)}. What hangs on their content is not looked at, such as scores of "
            "your own criteria."
        )


def _expected_sentences(plan: "Plan") -> Iterator[str]:
    """Say what is expected where seeds are added until a question is decided; all other numbers are of the most."""
    if (expected := _expected(plan)) is None:
        return
    left = f", {expected['runs_to_go']} of them still to do" if plan.total.done else ""
    most = max(len(question.seeds) for question in plan.study.questions if question.sequential)
    yield (
        f"Seeds are added until it is decided: at least {expected['least_runs']:,} runs, about {expected['runs']:,} "
        f"expected{left} (if changes cost nothing, and differences have a standard deviation of half the margin), at "
        f"most {plan.total.runs:,}, with {most} seeds. What stands above is the most."
    )
    if expected["seconds"]:
        yield f"Time expected: about {_duration(expected['seconds'])} of one worker."


def _expected(plan: "Plan") -> dict[str, Any] | None:
    """Return what is expected of a study whose seeds are added until it is decided; None of others."""
    from prunecheck.analysis.expected_runs import ASSUMED_STD, chances_of_runs

    if not any(question.sequential for question in plan.study.questions):
        return None
    chances = chances_of_runs(plan.study)
    to_go = [chance for run, chance in chances.items() if run not in plan.ended]
    share = sum(to_go) / len(to_go) if to_go else 0.0
    return {
        "std_over_margin": ASSUMED_STD,
        "least_runs": sum(chance == 1.0 for chance in chances.values()),
        "runs": round(sum(chances.values())),
        "runs_to_go": round(sum(to_go)),
        "seconds": None if plan.estimate.unknown_epochs else round(plan.estimate.seconds * share, 1),
    }


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(round(seconds), 1)} s"


def _size(count: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 10**6:.0f} MB" if count >= 10**6 else f"{count / 10**6:.1g} MB"


def _as_json(plan: "Plan") -> dict[str, Any]:
    from dataclasses import asdict

    estimate = plan.estimate
    return {
        "schema": 1,
        "study": plan.study.name,
        "hash": plan.study.hash,
        **asdict(plan.total),
        "seconds": None if estimate.unknown_epochs else round(estimate.seconds, 1),
        "seconds_of_measured": round(estimate.seconds, 1),
        "epochs_of_unknown_time": estimate.unknown_epochs,
        "measured_on": list(estimate.devices),
        "bytes": estimate.bytes,
        "studies": [
            {
                "study": one.name,
                **asdict(one.standing),
                "seconds": None if one.unknown_epochs else round(one.seconds, 1),
            }
            for one in plan.subtotals
        ],
        "memory": plan.memory and {"method": plan.memory[0], "peak": plan.memory[1].peak, **asdict(plan.memory[1])},
        "expected": _expected(plan),
        "questions": [
            _question_json(question) | asdict(standing)
            for question, standing in zip(plan.study.questions, plan.questions, strict=True)
        ],
        "shared": [
            {
                "method": group.run.method,
                "sparsity": group.run.sparsity,
                "trained_on": group.run.trained_on,
                "dataset": group.run.setting.dataset,
                "augment": group.run.setting.augment,
                "normalize": group.run.setting.normalize,
                "model": group.run.setting.model,
                "width": group.run.setting.width,
                "prunable": list(group.run.setting.prunable),
                "keep_dense": list(group.run.setting.keep_dense),
                "epochs": group.run.setting.recipe.epochs,
                "networks": group.networks,
                "done": group.done,
                "tickets": group.tickets,
            }
            for group in plan.shared
        ],
    }


def _question_json(question: "CheckStudy") -> dict[str, Any]:
    return {
        "method": question.method.name,
        "dataset": question.dataset,
        "augment": question.setting.augment,
        "normalize": question.setting.normalize,
        "model": question.model,
        "width": question.width,
        "prunable": list(question.prunable_layers.prunable),
        "keep_dense": list(question.prunable_layers.keep_dense),
        "sparsities": list(question.sparsities),
        "checks": list(question.checks),
        "baseline": question.baseline.name if question.baseline else None,
        "seeds": list(question.seeds),
        "looks": [look.seeds for look in question.question.looks] if question.sequential else None,
        "epochs": question.recipe.epochs,
        "learning_rate": question.recipe.learning_rate,
    }
