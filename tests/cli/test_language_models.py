"""Text, networks of tokens and methods after training, as a user types them wrongly."""

from collections.abc import Callable

import pytest

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["wanda"], "wanda prunes networks of tokens, and digits holds images"),
        (["wanda-2:4", "--dataset", "python-source", "--sparsity", "0.7"], "2:4 keeps 2 of every 4 weights"),
        (
            ["wanda", "--dataset", "python-source", "--baseline", "random-erk"],
            "tickets of wanda are not trained after it, and those of random-erk are otherwise: choose another "
            "baseline, such as magnitude-after-training",
        ),
        (
            ["snip", "--dataset", "python-source", "--checks", "random-pixels"],
            "changes images, and python-source holds",
        ),
        (["snip", "--checks", "random-tokens"], "changes tokens, and digits holds images"),
        (["snip", "--dataset", "python-source", "--model", "resnet8"], "resnet8 fails on 2 sequences of 128 tokens"),
        (["snip", "--model", "byte-transformer"], "byte-transformer reads tokens, and these data are images"),
        (["snip", "--sequence-length", "16"], "--sequence-length is about tokens, and digits holds images"),
        (["snip", "--dataset", "python-source", "--augment", "flip"], "--augment is about images, and python-source"),
        (["wanda", "--dataset", "python-source", "--sequence-length", "40000"], "too few for one sequence of 40000"),
        (["wanda", "--dataset", "python-source", "--calibration-data", "a+b"], "--calibration-data a+b has a + in its"),
        (["wanda", "--dataset", "python-source", "--calibration-data", "digits"], "digits holds images"),
        (["wanda", "--dataset", "python-source", "--checks", "reinit"], "nothing is trained after wanda"),
        (["wanda", "--dataset", "python-source", "--calibration-sequences", "0"], "--calibration-sequences takes"),
        (["wanda", "--dataset", "python-source", "--metric", "perplexity"], "no usual --margin"),
        (["synflow", "--dataset", "python-source", "--baseline", "none"], "synflow is defined for images"),
        (["snip-channels", "--dataset", "python-source"], "channels is defined for images"),
        (["wanda", "--dataset", "text:nothing"], "nothing is neither a file nor a folder"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(arguments: list[str], sentence: str, refused: Refused) -> None:
    assert sentence in refused("check", *arguments)


def test_there_is_no_picture_of_text(refused: Refused) -> None:
    assert "the picture of a data set is defined for images" in refused("data", "show", "python-source")


def test_a_study_file_asks_what_the_command_asks() -> None:
    from pathlib import Path

    import prunecheck
    from prunecheck.api.questions import asked_study

    Path("study.toml").write_text(
        'methods = ["wanda"]\ndatasets = ["python-source"]\ncalibration_data = "text:other"\n'
    )
    asked = asked_study(
        "wanda",
        dataset="python-source",
        model=None,
        sparsity=None,
        seeds=5,
        checks=None,
        baseline="usual",
        calibration_data="text:other",
    )
    (of_file,) = prunecheck.read_study(Path("study.toml"), None).questions
    assert of_file.checks == asked.checks
    assert of_file.checks[-1] == "other-corpus:text:other"
    assert of_file.width == asked.width
    assert (of_file.metric, of_file.margin, of_file.sparsities) == (asked.metric, asked.margin, asked.sparsities)
    assert of_file.baseline == asked.baseline
