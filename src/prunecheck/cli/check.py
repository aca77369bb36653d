"""``prunecheck check`` says which information a pruning method uses."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.acceleration import WHERE_IT_PAYS, AccelerationFlags, read_acceleration
from prunecheck.cli.arguments import (
    Whole,
    read_list,
    read_numbers,
    read_workers,
    require_at_least_one,
    require_device,
)
from prunecheck.cli.report import REPORT, require_report_place, write_check_report
from prunecheck.cli.study_runs import answers_to, do_missing_runs, print_answer, print_json


def check(
    method: str,
    /,
    *,
    dataset: str = "digits",
    data_root: Annotated[Path | None, Parameter(show_default=False)] = None,
    train_images: Annotated[Whole | None, Parameter(show_default=False)] = None,
    test_images: Annotated[Whole | None, Parameter(show_default=False)] = None,
    model: Annotated[str | None, Parameter(show_default=False)] = None,
    width: Annotated[Whole | None, Parameter(show_default=False)] = None,
    sparsity: str = "0.9,0.95",
    seeds: Whole = 5,
    checks: str = "corrupted-data,rearrange-mask",
    epochs: Annotated[Whole | None, Parameter(show_default=False)] = None,
    batch_size: Annotated[Whole | None, Parameter(show_default=False)] = None,
    learning_rate: Annotated[float | None, Parameter(show_default=False)] = None,
    samples_per_class: Whole = 10,
    scoring_rounds: Whole = 1,
    baseline: str = "random-smart",
    margin: float = 2.0,
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    device: str = "cpu",
    acceleration: AccelerationFlags = WHERE_IT_PAYS,
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
        Data set (see `prunecheck list`), folder:PATH of images, or npz:FILE.
    data_root
        Folder that holds data sets (see `prunecheck data list`). [default: PRUNECHECK_DATA, then the cache]
    train_images
        Train with so many images, the first of every class. [default: all]
    test_images
        Measure accuracy on so many images, the first of every class. [default: all]
    model
        Network (see `prunecheck list`). [default: the data set's own, resnet8 of width 16 for digits]
    width
        Channels of the network's first stage. [default: as published, for a --model that you name]
    sparsity
        Shares of weights to remove, in [0, 1), with commas between them.
    seeds
        How many seeds: 0 to N-1.
    checks
        Checks (see `prunecheck list`), with commas between them; random-labels@0.25 is done to a share,
        rearrange-mask+reinit are two at once.
    epochs
        Epochs of each training; the learning rate falls at 1/2 and 3/4 of them. [default: 20 for digits]
    batch_size
        Images in a batch. [default: 64 for digits]
    learning_rate
        Initial learning rate. [default: 0.2 for digits]
    samples_per_class
        How many training images of each class the criterion sees at a time.
    scoring_rounds
        How many times it sees so many, for more images than memory holds at once.
    baseline
        Method whose tickets the method's are compared with; none for nothing.
    margin
        Points of accuracy that make no practical difference, stated before the runs.
    workers
        Single-thread processes that train at the same time. [default: one per core; 1 on a GPU]
    device
        cpu, cuda or cuda:N.
    acceleration
        What may make training faster.
    out
        Where the run folders, results.csv and report.html are written.
    json
        Print one JSON object instead of the table.
    quiet
        Show no progress.
    """
    sparsities = read_numbers("--sparsity", sparsity)
    names = read_list("--checks", checks)
    require_at_least_one("--seeds", seeds)
    workers = read_workers(workers, device)

    from prunecheck.analysis.verdicts import Scope
    from prunecheck.cli.places import data_places
    from prunecheck.report.answer_json import answer_json
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.study import Study

    question = CheckStudy.with_suggestions(
        method,
        dataset=dataset,
        places=data_places(data_root),
        train_images=train_images,
        test_images=test_images,
        model=model,
        width=width,
        sparsities=sparsities,
        checks=names,
        baseline=None if baseline == "none" else baseline,
        seeds=range(seeds),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        samples_per_class=samples_per_class,
        scoring_rounds=scoring_rounds,
        margin=margin,
    )
    require_device(device)
    allowed = read_acceleration(acceleration, device)
    study = Study(question.method.name, (question,))
    study.rehearse()
    store = RunStore(out)
    with store.locked():
        require_report_place(out / REPORT, option="--out")
        results = do_missing_runs(study, store, workers, device, allowed, quiet)
    (answer,) = answers_to(study, store, results, Scope.QUESTION)
    if json:
        print_json(answer_json(answer))
    else:
        print_answer(answer)
    write_check_report(answer, results, out, quiet)
