import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from prunecheck.runs.store import RunStore

Refused = Callable[..., str]

OPTIONS = {
    "--epochs": "1",
    "--seeds": "2",
    "--width": "4",
    "--model": "resnet8",
    "--workers": "1",
    "--checks": "rearrange-mask",
    "--sparsity": "0.9",
}

USER_FILE = """
import torch
from prunecheck.pruning import prunable_weights

def score(model, batches):
    return {name: torch.ones_like(weight) for name, weight in prunable_weights(model).items()}

def flat(model, batches):
    return {name: scores.flatten() for name, scores in score(model, batches).items()}

def undefined(model, batches):
    scores = score(model, batches)
    scores["layer2.0.conv1"][0, 0, 0, 0] = float("nan")
    return scores

def raises(model, batches):
    raise RuntimeError("nothing\\n  to see")

def nothing(model, batches):
    pass

def too_few(model, batches):
    scores = score(model, batches)
    del scores["fc"]
    return scores
"""


def check(method: str = "snip", **changed: str) -> list[str]:
    options = OPTIONS | {f"--{option.replace('_', '-')}": value for option, value in changed.items()}
    return ["check", method, *(word for pair in options.items() for word in pair)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (check("snipp"), "there is no method named 'snipp': did you mean snip"),
        (check("zzz"), "choose one of lt, "),
        (check("snip-smrt"), "there is no allocation named 'smrt': did you mean smart"),
        (check("random-ratios-of:snipp"), "there is no method named 'snipp'"),
        (check("lt@3"), "the method lt takes no argument: leave @3 out."),
        (check("imp"), "imp is written with @ and the number of rounds"),
        (check("imp@0"), "imp is written with @ and the number of rounds"),
        (check("imp@1.5"), "not '1.5'."),
        (check("weight-rewinding"), "weight-rewinding is written with @ and the epoch to go back to"),
        (check("weight-rewinding@0"), "not '0'."),
        (check("weight-rewinding@99", epochs="2"), "weight-rewinding@99 asks for the weights of epoch 99"),
        (check("lt", baseline="weight-rewinding@99"), "weight-rewinding@99 asks for the weights of epoch 99"),
        (check(checks="rearange-mask"), "did you mean rearrange-mask or rearrange-rows?"),
        (check(checks="rearrange-mask,"), "--checks"),
        (check(checks="reinit,reinit"), "--checks takes names, and 'reinit' is given twice"),
        (check(checks="rearrange-mask+reint"), "there is no check named 'reint': did you mean reinit?"),
        (check(checks="rearrange-mask+"), "there is no check named ''"),
        (check(checks="reinit+reinit"), "reinit+reinit names the check reinit twice: name it once."),
        (check(checks="random-labels@1.5"), "random-labels@1.5 names no share: write a number from 0 to 1 after @."),
        (check(checks="random-labels@-0.1"), "random-labels@-0.1 names no share"),
        (check(checks="random-labels@half"), "random-labels@half names no share"),
        (check(checks="random-labels@nan"), "random-labels@nan names no share"),
        (check(checks="random-labels@"), "random-labels@ names no share"),
        (check(checks="reinit@0.5"), "the check reinit is done whole or not at all: leave @0.5 out."),
        (check(checks="random-labels,random-labels@1.0"), "'random-labels' is given twice"),
        (check(checks="random-labels@0.25+random-labels@0.5"), "names the check random-labels twice"),
        (check(baseline="randm-smart"), "there is no method named 'randm-smart': did you mean random-smart"),
        (
            check(baseline="snip,grasp"),
            "'snip,grasp' names several methods, and --baseline takes one: ask once for each",
        ),
        (check(baseline="random-smart,random-erk"), "names several methods, and --baseline takes one"),
        (check(baseline="dense"), "the dense network is trained for every question, and --baseline names what"),
        (check(baseline=""), "there is no method named ''"),
        (check(baseline="missing.py:score"), "there is no file missing.py"),
        (check(scoring_rounds="0"), "--scoring-rounds takes a whole number, at least 1, not 0."),
        (check(scoring_rounds="1.5"), "--scoring-rounds takes a whole number, not '1.5'."),
        (check(train_images="105"), "--train-images takes a multiple of 10, not 105."),
        (check(train_images="9"), "--train-images takes a multiple of 10, not 9."),
        (check(train_images="0"), "--train-images takes a whole number, at least 1, not 0."),
        (check(train_images="-10"), "--train-images takes a whole number, at least 1, not -10."),
        (check(train_images="650"), "--train-images 650 needs 65 of each class: give 640 or less."),
        (check(train_images="1e3"), "--train-images takes a whole number, not '1e3'."),
        (check(train_images="20"), "2 training images"),
        (check(test_images="15"), "--test-images takes a multiple of 10, not 15."),
        (check(test_images="2000"), "--test-images 2000 needs 200 of each class"),
        (check(test_images="some"), "--test-images takes a whole number, not 'some'."),
        (check(data_root="nowhere"), "nowhere is not a folder"),
        (check(dataset="npz:nowhere.npz"), "nowhere.npz is not a file: npz:PATH takes one with x_train"),
        (check(dataset="folder:nowhere"), "nowhere is not a folder: folder:PATH takes one that holds train/<class>"),
        (check(dataset="nzp:mine.npz"), "there is no data set named 'nzp:mine.npz'"),
        (check(model="resnet23"), "the nearest is resnet26"),
        (check(model="resnet9"), "the nearest is resnet8"),
        (check(model="resnt8"), "resnet"),
        (check(model="vgg11"), "vgg11 needs images of at least 16x16 pixels and these have 8x8"),
        (check(dataset="digit"), "did you mean digits?"),
        (check(sparsity="1"), "less than 1, not 1."),
        (check(sparsity="-0.1"), "at least 0 and less than 1, not -0.1."),
        (check(sparsity="abc"), "'abc' is not a number"),
        (check(sparsity="nan"), "'nan' is not a number"),
        (check(sparsity="0.9,,0.95"), "not '0.9,,0.95'"),
        (check(sparsity=""), "--sparsity"),
        (check(sparsity="0.9,0.90"), "--sparsity takes numbers, at least 0 and less than 1, and 0.9 is given twice."),
        (check(sparsity="0.9999"), "sparsity 0.9999 cannot be reached"),
        (check(sparsity="0.9999"), "or compare with tickets that suit any network: --baseline random-erk."),
        (check(seeds="0"), "--seeds takes a number of seeds, at least 1 and at most 10,000, not 0."),
        (check(seeds="-3"), "--seeds takes a number of seeds, at least 1 and at most 10,000, not -3."),
        (check(seeds="2.5"), "--seeds takes a whole number, not '2.5'."),
        (check(epochs="0"), "--epochs takes a whole number, at least 1, not 0."),
        (check(epochs="1.5"), "--epochs takes a whole number, not '1.5'."),
        (check(epochs="many"), "--epochs takes a whole number, not 'many'."),
        (check(batch_size="1"), "--batch-size takes a whole number, at least 2 for batch norm, not 1."),
        (check(learning_rate="0"), "--learning-rate takes a number, more than 0 and finite, not 0."),
        (check(learning_rate="nan"), "more than 0 and finite, not nan."),
        (check(samples_per_class="0"), "--samples-per-class takes a whole number, at least 1, not 0."),
        (check(samples_per_class="65"), "64 training images"),
        (check(width="0"), "--width takes a whole number, at least 1 and at most 65,536, not 0."),
        (check(workers="0"), "--workers takes a whole number, at least 1, not 0."),
        (check(margin="0"), "--margin takes points of accuracy, more than 0 and less than 100, not 0."),
        (check(margin="-1"), "more than 0 and less than 100, not -1."),
        (check(margin="nan"), "more than 0 and less than 100, not nan."),
        (check(margin="wide"), "--margin"),
        (check(device="tpu"), "--device takes cpu, cuda or cuda:N, not 'tpu'."),
        ([*check(), "--sparsty", "0.9"], "there is no option --sparsty: did you mean --sparsity?"),
        ([*check(), "--lr", "0.1"], "there is no option --lr: did you mean --learning-rate?"),
        ([*check(), "--lr=0.1"], "there is no option --lr: did you mean --learning-rate?"),
        ([*check(), "--epoch", "3"], "did you mean --epochs?"),
        ([*check(), "--batch", "3"], "did you mean --batch-size?"),
        ([*check(), "--images", "3"], "did you mean --train-images or --test-images?"),
        ([*check(), "--zzzzzz", "3"], "there is no option --zzzzzz: see `prunecheck check --help`."),
        ([*check(), "0.95"], "'0.95' is too much: several methods, or values, have commas between them and no spaces"),
        ([*check(), "--quiet=perhaps"], "--quiet"),
        ([*check(), "--out"], "--out needs a value"),
        ([*check(), "--seeds", "3"], "--seeds"),
        (["check"], "METHOD needs a value: see `prunecheck check --help`."),
        (["chek", "snip"], "Did you mean"),
        (["--verson"], "--verson"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_wrong_argument_is_refused_and_named(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


@pytest.mark.parametrize("changed", [{"margin": "inf"}, {"learning_rate": "inf"}, {"seeds": "100000000000"}])
def test_infinite_number_is_refused(refused: Refused, changed: dict[str, str]) -> None:
    refused(*check(**({"seeds": "1"} | changed)), "--json", "--quiet")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("user.py:scor", "user.py does not define a function scor: it defines score."),
        ("user.py", "user.py:FUNCTION"),
        ("user.py:flat", "(36,) for layer conv1: its weights have shape (4, 1, 3, 3)."),
        ("user.py:undefined", "not finite for layer layer2.0.conv1"),
        ("user.py:raises", "user.py:raises failed (RuntimeError: nothing to see)"),
        ("user.py:nothing", "it returned NoneType"),
        ("user.py:too_few", "it returned none for layer fc"),
        ("missing.py:score", "there is no file missing.py"),
        ("broken.py:score", "broken.py cannot be run (SyntaxError: "),
        ("loud.py:score", "loud.py cannot be run (ZeroDivisionError: division by zero)"),
        ("missing/folder.py:score", "there is no file missing/folder.py"),
    ],
)
def test_wrong_user_file_is_refused_and_named(refused: Refused, method: str, said: str) -> None:
    Path("user.py").write_text(USER_FILE)
    Path("broken.py").write_text("def score(:\n")
    Path("loud.py").write_text("1 / 0\n")
    assert said in refused(*check(method))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_refused(refused: Refused, device: str) -> None:
    assert f"--device {device} needs a GPU" in refused(*check(device=device))


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_that_is_a_file_is_refused(refused: Refused, out: str) -> None:
    Path("file").write_text("mine")
    assert "file is a file: give the name of a folder." in refused(*check(), "--out", out)
    assert Path("file").read_text() == "mine"


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """Nothing can be written to it, not even by root, for whom permissions are no hindrance."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True, check=False
    )
    if not done or done.returncode:
        pytest.skip("root may not mount a read-only folder here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("below", [".", "runs"])
def test_out_that_is_read_only_is_refused(refused: Refused, read_only_folder: Path, below: str) -> None:
    assert "cannot be written to" in refused(*check(), "--out", str(read_only_folder / below))


def test_second_command_in_the_same_folder_is_refused(refused: Refused) -> None:
    with RunStore(Path("runs")).locked():
        assert "another prunecheck is at work in runs" in refused(*check())


def test_folder_of_another_run_is_refused_and_left_as_it_is(refused: Refused, call: Callable[..., object]) -> None:
    call(*check(seeds="1"), "--quiet")
    dense, *_ = Path("runs").glob("*-dense-seed0-*")
    spec = dense / "spec.json"
    changed = json.loads(spec.read_text()) | {"seed": 5}
    spec.write_text(json.dumps(changed))
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    assert f"{dense} was made by another spec" in refused(*check())
    spec.write_text("{}")
    assert f"{spec} is not the spec of a run" in refused(*check())
    del before[spec]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_result_that_cannot_be_read_is_refused(refused: Refused, call: Callable[..., object]) -> None:
    call(*check(seeds="1"), "--quiet")
    result = next(Path("runs").glob("*-snip-0.9-seed0-*")) / "result.json"
    result.write_text("{")
    assert f"{result} is not the result of a run" in refused(*check(seeds="1"))


@pytest.mark.parametrize("width", [2**31, 2**63])
def test_a_width_beyond_any_machine_is_refused(refused: Refused, width: int) -> None:
    assert str(width) in refused(*check(width=str(width)))
