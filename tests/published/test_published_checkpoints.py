import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.published.checkpoints import momentum_for, optimizer_state, read_checkpoint, to_bytes, weights_for

NAME = "resnet8 for the 10 classes of cifar10"


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.file}",)


@pytest.fixture
def model() -> torch.nn.Module:
    return build_model("resnet8", 10, seed=1)


def read_weights(path: Path, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return weights_for(model, read_checkpoint(path, "--resume"), path, NAME)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("counters", [True, False])
def test_checkpoints_of_all_times_are_read(
    tmp_path: Path, model: torch.nn.Module, zipped: bool, prefix: str, counters: bool
) -> None:
    """Of torch 0.3.1 and after, from one GPU or several."""
    other = build_model("resnet8", 10, seed=2)
    state = {
        prefix + name: tensor
        for name, tensor in other.state_dict().items()
        if counters or not name.endswith("num_batches_tracked")
    }
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, "state_dict": state}, path, _use_new_zipfile_serialization=zipped)
    found = read_weights(path, model)
    assert list(found) == list(model.state_dict())
    for name, tensor in other.state_dict().items():
        assert torch.equal(found[name], tensor)
    assert not torch.equal(found["fc.weight"], model.state_dict()["fc.weight"])


def test_a_bare_state_dict_is_read(tmp_path: Path, model: torch.nn.Module) -> None:
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    assert torch.equal(read_weights(tmp_path / "weights.pth", model)["fc.weight"], model.state_dict()["fc.weight"])


@pytest.mark.parametrize("form", ["zipped", "old", "pickle-0", "pickle-2", "pickle-4"])
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "evil.pth.tar", tmp_path / "trace"
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps({"state_dict": Evil(trace)}, protocol=int(form[-1])))
    else:
        torch.save({"state_dict": Evil(trace)}, path, _use_new_zipfile_serialization=form == "zipped")
    with pytest.raises(InputError, match=r"wants to run code \((posix|nt)\.system\), which is refused"):
        read_checkpoint(path, "--model")
    assert not trace.exists()


@pytest.mark.filterwarnings("error")
def test_a_whole_network_is_code(tmp_path: Path, model: torch.nn.Module) -> None:
    torch.save(model, tmp_path / "network.pth")
    with pytest.raises(InputError, match=r"prunecheck\.models\.resnet\.ResNet.*save its state_dict"):
        read_checkpoint(tmp_path / "network.pth", "--model")


@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_damaged_file_is_refused(tmp_path: Path, model: torch.nn.Module, kept: int) -> None:
    path = tmp_path / "cut.pth.tar"
    path.write_bytes(to_bytes({"state_dict": model.state_dict()})[:kept])
    with pytest.raises(InputError, match=r"cut.pth.tar cannot be read as a checkpoint"):
        read_checkpoint(path, "--model")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--model .*none.pth is no file"):
        read_checkpoint(tmp_path / "none.pth", "--model")


@pytest.mark.parametrize("content", [[1], {"epoch": 1}, {"state_dict": {}}, {"state_dict": {"fc.weight": 3}}])
def test_a_file_without_weights_is_refused(tmp_path: Path, model: torch.nn.Module, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth holds no state_dict"):
        read_weights(tmp_path / "other.pth", model)


def test_what_does_not_fit_is_said_whole(tmp_path: Path, model: torch.nn.Module) -> None:
    state = dict(build_model("resnet8", 100).state_dict())
    del state["conv1.weight"]
    state["fc.scale"] = torch.ones(1)
    torch.save({"state_dict": state}, tmp_path / "foreign.pth")
    with pytest.raises(InputError) as raised:
        read_weights(tmp_path / "foreign.pth", model)
    assert str(raised.value) == (
        f"{tmp_path / 'foreign.pth'} is not a checkpoint of {NAME}: it lacks conv1.weight, has fc.scale too many, has "
        "fc.weight of shape (100, 128) instead of (10, 128) and 1 more that differ; give the --arch, --depth and "
        "--dataset that it was made with."
    )


def test_of_many_names_three_are_shown(tmp_path: Path, model: torch.nn.Module) -> None:
    torch.save(build_model("resnet14", 10).state_dict(), tmp_path / "deeper.pth")
    # Beside these, a deeper block has the weights, biases, means, variances and counters of two batch norms.
    with pytest.raises(
        InputError, match=r"it has layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 33 more too many"
    ):
        read_weights(tmp_path / "deeper.pth", model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, model: torch.nn.Module, value: float) -> None:
    state = model.state_dict()
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = value
    torch.save({"state_dict": state}, tmp_path / "diverged.pth")
    with pytest.raises(InputError, match=r"not finite in layer2.0.conv1.weight"):
        read_weights(tmp_path / "diverged.pth", model)


def buffers(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(p.shape, generator=source) for name, p in model.named_parameters()}


def test_the_optimizer_is_one_that_torch_goes_on_with(model: torch.nn.Module) -> None:
    given = buffers(model, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.load_state_dict(optimizer_state(model, 0.01, 0.9, 0.0, buffers(model, 3)))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, before[name] - 0.01 * 0.9 * given[name])


def test_momentum_is_read_by_the_order_of_parameters_whatever_their_numbers(model: torch.nn.Module) -> None:
    given = buffers(model, 3)
    names = list(given)
    numbers = {name: 140_000_000 - index for index, name in enumerate(names)}  # addresses, as once
    state = {numbers[name]: {"momentum_buffer": given[name]} for name in sorted(names)[1:]}
    content = {
        "optimizer": {"state": state, "param_groups": [{"lr": 0.1, "params": [numbers[name] for name in names]}]}
    }
    found = momentum_for(model, content, Path("checkpoint.pth.tar"))
    assert list(found) == names
    for name in names:
        assert torch.equal(found[name], given[name] if name != sorted(names)[0] else torch.zeros_like(given[name]))


@pytest.mark.parametrize("model_of", ["resnet8", "resnet14", "nothing"])
def test_an_optimizer_of_another_network_is_refused(model: torch.nn.Module, model_of: str) -> None:
    content: dict[str, Any] = {}
    if model_of != "nothing":
        other = build_model(model_of, 100)
        content["optimizer"] = optimizer_state(other, 0.1, 0.9, 0.0, buffers(other, 3))
    with pytest.raises(InputError, match="no state of an optimiser that fits"):
        momentum_for(model, content, Path("checkpoint.pth.tar"))
