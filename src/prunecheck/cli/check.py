"""``prunecheck check`` says which information a pruning method uses."""

from pathlib import Path

from prunecheck.cli.acceleration import read_acceleration
from prunecheck.cli.arguments import read_list, read_numbers, read_workers, require_device
from prunecheck.cli.options import (
    DataOptions,
    EngineOptions,
    Json,
    NetworkOptions,
    Out,
    QuestionOptions,
    Quiet,
    RecipeOptions,
    ScoringOptions,
)
from prunecheck.cli.report import REPORT, require_report_place, write_check_report
from prunecheck.cli.study_runs import answers_to, do_missing_runs, print_answer, print_json


def check(
    method: str,
    /,
    *,
    data: DataOptions = DataOptions(),
    network: NetworkOptions = NetworkOptions(),
    question: QuestionOptions = QuestionOptions(),
    recipe: RecipeOptions = RecipeOptions(),
    scoring: ScoringOptions = ScoringOptions(),
    engine: EngineOptions = EngineOptions(),
    out: Out = Path("runs"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method's tickets beside changed and random ones, and say which information the method uses.

    What is done already is not done again; an interrupted command goes on when it is called again.

    Parameters
    ----------
    method
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a criterion of your own: a function
        (model, batches) that returns {layer name: tensor of scores}, larger = keep.
    """
    workers = read_workers(engine.workers, engine.device)

    from prunecheck.analysis.verdicts import Scope
    from prunecheck.cli.places import data_places
    from prunecheck.report.terminal import answer_json
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.question import QUESTION
    from prunecheck.studies.study import Study

    asked = CheckStudy.with_suggestions(
        method,
        dataset=data.dataset,
        places=data_places(data.data_root),
        train_images=data.train_images,
        test_images=data.test_images,
        model=network.model,
        width=network.width,
        sparsities=read_numbers("sparsity", question.sparsity),
        checks=read_list("checks", question.checks),
        baseline=None if question.baseline == "none" else question.baseline,
        seeds=QUESTION["seeds"].require("seeds", question.seeds),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        samples_per_class=scoring.samples_per_class,
        scoring_rounds=scoring.scoring_rounds,
        margin=question.margin,
    )
    require_device(engine.device)
    allowed = read_acceleration(engine.acceleration, engine.device)
    study = Study(asked.method.name, (asked,))
    study.rehearse()
    store = RunStore(out)
    with store.locked():
        require_report_place(out / REPORT, field="out")
        results = do_missing_runs(study, store, workers, engine.device, allowed, quiet)
    (answer,) = answers_to(study, store, results, Scope.QUESTION)
    if json:
        print_json(answer_json(answer))
    else:
        print_answer(answer)
    write_check_report(answer, results, out, quiet)
