import pytest

from prunecheck.cli.near_options import near_options

KNOWN = [
    "--learning-rate",
    "--batch-size",
    "--sparsity",
    "--epochs",
    "--train-images",
    "--test-images",
    "-o",
    "--out",
]


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("--lr", ["--learning-rate"]),
        ("--LR", ["--learning-rate"]),
        ("-lr", ["--learning-rate"]),
        ("--bs", ["--batch-size"]),
        ("--learning_rate", ["--learning-rate"]),
        ("--epoch", ["--epochs"]),
        ("--rate", ["--learning-rate"]),
        ("--images", ["--train-images", "--test-images"]),
        ("--sparsty", ["--sparsity"]),
        ("--", []),
        ("--zzzzz", []),
    ],
)
def test_options_that_may_be_meant_are_found(given: str, near: list[str]) -> None:
    assert near_options(given, KNOWN) == near


def test_at_most_three_are_named() -> None:
    assert near_options("--x", [f"--x{number}" for number in range(9)]) == ["--x0", "--x1", "--x2"]
