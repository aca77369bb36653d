"""``prunecheck check`` says which information a pruning method uses."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import (
    Whole,
    available_cores,
    read_list,
    read_numbers,
    require_at_least_one,
    require_device,
)

if TYPE_CHECKING:
    from prunecheck.analysis import CheckAnswer
    from prunecheck.studies import CheckStudy, RunStore

BYTES_PER_RUN = 200_000
"""Of log, spec, result, metrics and curves; weights come on top."""

BYTES_PER_WEIGHT = 4 + 1 + 2 * 4 + 2 * 4
"""Starting weight, mask, checkpoint with momentum, and a checkpoint that is being written."""


def check(
    method: str,
    /,
    *,
    dataset: str = "digits",
    model: Annotated[str | None, Parameter(show_default=False)] = None,
    width: Annotated[Whole | None, Parameter(show_default=False)] = None,
    sparsity: str = "0.9,0.95",
    seeds: Whole = 5,
    checks: str = "corrupted-data,rearrange-mask",
    epochs: Annotated[Whole | None, Parameter(show_default=False)] = None,
    batch_size: Annotated[Whole | None, Parameter(show_default=False)] = None,
    learning_rate: Annotated[float | None, Parameter(show_default=False)] = None,
    samples_per_class: Whole = 10,
    margin: float = 2.0,
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    device: str = "cpu",
    out: Path = Path("runs"),
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Train a method's tickets beside changed and random ones, and say which information the method uses.

    What is done already is not done again; an interrupted command goes on when it is called again.

    Parameters
    ----------
    method
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a criterion of your own: a function
        (model, batches) that returns {layer name: tensor of scores}, larger = keep.
    dataset
        Data set (see `prunecheck list`).
    model
        Network (see `prunecheck list`). [default: the data set's own, resnet8 of width 16 for digits]
    width
        Channels of the network's first stage. [default: as published, for a --model that you name]
    sparsity
        Shares of weights to remove, in [0, 1), with commas between them.
    seeds
        How many seeds: 0 to N-1.
    checks
        Checks (see `prunecheck list`), with commas between them.
    epochs
        Epochs of each training; the learning rate falls at 1/2 and 3/4 of them. [default: 20 for digits]
    batch_size
        Images in a batch. [default: 64 for digits]
    learning_rate
        Initial learning rate. [default: 0.2 for digits]
    samples_per_class
        How many training images of each class the criterion sees.
    margin
        Points of accuracy that make no practical difference, stated before the runs.
    workers
        Single-thread processes that train at the same time. [default: one per core; 1 on a GPU]
    device
        cpu, cuda or cuda:N.
    out
        Where the run folders and results.csv are written.
    json
        Print one JSON object instead of the table.
    quiet
        Show no progress.
    """
    sparsities = read_numbers("--sparsity", sparsity)
    names = read_list("--checks", checks)
    require_at_least_one("--seeds", seeds)
    if workers is None:
        workers = available_cores() if device == "cpu" else 1
    require_at_least_one("--workers", workers)

    from prunecheck.studies import CheckStudy, RunStore

    study = CheckStudy.with_suggestions(
        method,
        dataset=dataset,
        model=model,
        width=width,
        sparsities=sparsities,
        checks=names,
        seeds=range(seeds),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        samples_per_class=samples_per_class,
        margin=margin,
    )
    require_device(device)
    study.rehearse()
    store = RunStore(out)
    with store.locked():
        _do_runs(study, store, workers, device, quiet)
    _print(study, store, json)


def _do_runs(study: "CheckStudy", store: "RunStore", workers: int, device: str, quiet: bool) -> None:
    from prunecheck.cli.progress import Progress
    from prunecheck.studies import execute_all

    missing = [run for run in study.runs() if store.result(run) is None]
    store.require_space(len(missing) * (BYTES_PER_RUN + BYTES_PER_WEIGHT * study.parameter_count()))
    try:
        with Progress(missing, total=len(study.runs()), quiet=quiet) as progress:
            execute_all(study.jobs(missing, store.root, device), workers, progress.update)
    finally:
        store.write_results()


def _print(study: "CheckStudy", store: "RunStore", as_json: bool) -> None:
    from prunecheck.analysis import analyse

    answer = analyse(study, store.result)
    if as_json:
        import json

        from prunecheck.analysis import answer_json

        print(json.dumps(answer_json(answer), indent=2, allow_nan=False))
    else:
        _print_table(answer)


def _print_table(answer: "CheckAnswer") -> None:
    from rich.console import Console

    from prunecheck.analysis import answer_table, reading

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False)
    console.print(answer_table(answer))
    console.print()
    console.print(reading(answer), soft_wrap=not sys.stdout.isatty())


WIDTH = 110
"""Columns of a table that is not printed to a terminal."""
