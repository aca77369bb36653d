"""``prunecheck check`` says which information a pruning method uses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prunecheck.api.report_files import require_report
from prunecheck.cli.acceleration import read_acceleration
from prunecheck.cli.arguments import read_list, read_optional_list, read_sparsities, read_workers, require_device
from prunecheck.cli.known_names import require_known
from prunecheck.cli.options import (
    CalibrationOptions,
    DataOptions,
    EngineOptions,
    FailOn,
    Json,
    NetworkOptions,
    Out,
    QuestionOptions,
    Quiet,
    RetryFailed,
    ScoringOptions,
    SettingsOptions,
)
from prunecheck.cli.recipe import RecipeOptions
from prunecheck.cli.study_runs import (
    begin_workers,
    exit_unless_answered,
    print_json,
    print_rendered,
    read_fail_on,
    write_report,
)

if TYPE_CHECKING:
    from prunecheck import Answer, Answers


def check(
    methods: Annotated[str, Parameter(name="METHOD")],
    /,
    *,
    data: DataOptions = DataOptions(),
    network: NetworkOptions = NetworkOptions(),
    question: QuestionOptions = QuestionOptions(),
    recipe: RecipeOptions = RecipeOptions(),
    settings: SettingsOptions = SettingsOptions(),
    scoring: ScoringOptions = ScoringOptions(),
    calibration: CalibrationOptions = CalibrationOptions(),
    engine: EngineOptions = EngineOptions(),
    out: Out = Path("runs"),
    retry_failed: RetryFailed = False,
    fail_on: FailOn = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method's tickets beside changed and random ones, and say which information the method uses.

    What is done already is not done again; an interrupted command goes on when it is called again. Of several methods,
    or in several settings, all verdicts are one family unless --family question is given.

    Parameters
    ----------
    methods
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a method of your own: a function that takes the
        network and returns {layer name: tensor} of scores, larger = keep, or of boolean masks, or (weights, masks).
        With arguments: my.py:score?alpha=2. Or mask:PATH, a mask or pruned checkpoint of any tool. Or several, with
        commas between them: snip,grasp,my.py:score.
    """
    names = read_list("methods", methods)
    workers = read_workers(engine.workers, engine.device)
    require_device(engine.device)
    checks = read_optional_list("checks", question.checks)
    varied: dict[str, Any] = {
        name: read_list(name, text)
        for name in ("recipes", "models", "datasets")
        if (text := getattr(settings, name)) is not None
    }
    require_known(
        methods=names,
        baseline=question.baseline,
        checks=checks,
        model=network.model,
        dataset=data.dataset,
        metric=question.metric,
        models=varied.get("models"),
        datasets=varied.get("datasets"),
    )

    begin_workers(workers, out)
    failing = read_fail_on(fail_on)
    require_report(out)

    import prunecheck

    asked: dict[str, Any] = {
        "data_root": data.data_root,
        "train_images": data.train_images,
        "test_images": data.test_images,
        "augment": data.augment,
        "normalize": data.normalize,
        "width": network.width,
        "prunable": read_optional_list("prunable", network.prunable),
        "keep_dense": read_optional_list("keep_dense", network.keep_dense),
        "sparsity": None if question.sparsity is None else read_sparsities(question.sparsity),
        "start": question.start,
        "seeds": question.seeds,
        "max_seeds": question.max_seeds,
        "checks": checks,
        **recipe.given(),
        "samples_per_class": scoring.samples_per_class,
        "scoring_rounds": scoring.scoring_rounds,
        **({} if question.baseline is None else {"baseline": question.baseline}),
        "calibration_sequences": calibration.calibration_sequences,
        "calibration_data": calibration.calibration_data,
        "sequence_length": calibration.sequence_length,
        "metric": question.metric,
        "margin": question.margin,
        "workers": workers,
        "device": engine.device,
        "acceleration": read_acceleration(engine.acceleration, engine.device),
        "out": out,
        "retry_failed": retry_failed,
        "track": read_optional_list("track", engine.track) or (),
        "quiet": quiet,
    }
    one: dict[str, Any] = {"dataset": data.dataset, "model": network.model, "recipe": recipe.recipe}
    answer: Answer | Answers
    if varied or len(names) > 1:
        if "datasets" in varied and one["dataset"] == DataOptions().dataset:
            del one["dataset"]
        answer = prunecheck.check_settings(names, **varied, **one, **asked, family=settings.family or "report")
    else:
        answer = prunecheck.check(names[0], **one, **asked, family=settings.family or "question")
    if json:
        print_json(answer.to_dict())
    else:
        print_rendered(answer)
    write_report(answer, out, quiet=quiet)
    exit_unless_answered(answer, failing)
