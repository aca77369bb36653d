import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunecheck.data import Batches, load_dataset
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import DENSE, Ticket, load_ticket
from prunecheck.pruning.layers import prunable_weights, weight_name
from prunecheck.runs.clean import clean
from prunecheck.runs.export import Form, load_trained
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training.metrics import evaluate

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]


def unheard(epoch: int, accuracy: float) -> None:
    """Take what is told of an epoch."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_spec: MakeSpec, make_job: MakeJob) -> dict[str, RunFolder]:
    """A pruned and a dense run, trained until they are better than guessing."""
    root = tmp_path_factory.mktemp("trained")
    specs = {
        "pruned": make_spec(epochs=3, learning_rate=0.2, sparsity=0.5, train_images=600),
        "dense": make_spec(method=DENSE, sparsity=0.0, samples_per_class=0, scoring_rounds=0, train_images=300),
    }
    for spec in specs.values():
        assert execute(make_job(spec, root), unheard).status == "trained"
    return {name: RunStore(root).folder(spec) for name, spec in specs.items()}


@pytest.fixture
def pruned(trained: dict[str, RunFolder]) -> RunFolder:
    return trained["pruned"]


def fresh_network(spec: RunSpec) -> nn.Module:
    """Another one than was trained: with other initial weights."""
    return build_model(spec.setting.model, 10, seed=99, input_channels=1, width=spec.setting.width)


def accuracy(network: nn.Module) -> float:
    digits = load_dataset("digits", None)
    return evaluate(network, Batches(digits.test, digits, 500, "cpu"))[1]


def loaded(folder: RunFolder, form: Form) -> dict[str, Tensor]:
    content: dict[str, Tensor] = torch.load(io.BytesIO(load_trained(folder.path).to_bytes(form)), weights_only=True)
    return content


def masks_of(folder: RunFolder) -> dict[str, Tensor]:
    return load_ticket(folder.path / "ticket.safetensors")[0].masks


@pytest.mark.parametrize("kind", ["pruned", "dense"])
def test_a_state_dict_has_the_accuracy_of_its_run(trained: dict[str, RunFolder], kind: str) -> None:
    folder = trained[kind]
    result = folder.result()
    assert result is not None
    network = fresh_network(folder.spec)
    assert accuracy(network) != result.accuracy
    network.load_state_dict(loaded(folder, "state-dict"))
    assert accuracy(network) == result.accuracy


def test_a_state_dict_has_zeros_where_the_mask_prunes(pruned: RunFolder) -> None:
    content, masks = loaded(pruned, "state-dict"), masks_of(pruned)
    assert masks
    for layer, mask in masks.items():
        assert torch.equal(content[weight_name(layer)] != 0, mask), layer


@pytest.mark.parametrize("form", ["state-dict", "torch-prune"])
def test_each_tensor_is_saved_with_no_more_than_its_own_values(pruned: RunFolder, form: Form) -> None:
    for name, tensor in loaded(pruned, form).items():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, name


def pruned_by_torch(folder: RunFolder) -> nn.Module:
    content, network = loaded(folder, "torch-prune"), fresh_network(folder.spec)
    for name, module in network.named_modules():
        if f"{name}.weight_mask" in content:
            prune.identity(module, "weight")  # type: ignore[no-untyped-call]
    network.load_state_dict(content)
    return network


def test_the_form_of_torch_prune_has_the_accuracy_and_the_masks(pruned: RunFolder) -> None:
    content, masks, result = loaded(pruned, "torch-prune"), masks_of(pruned), pruned.result()
    assert result is not None
    assert accuracy(pruned_by_torch(pruned)) == result.accuracy
    found = {name: tensor for name, tensor in content.items() if name.endswith("_mask")}
    assert found.keys() == {f"{weight_name(layer)}_mask" for layer in masks}
    for layer, mask in masks.items():
        tensor = found[f"{weight_name(layer)}_mask"]
        assert (tensor.dtype, torch.equal(tensor, mask.float())) == (torch.float32, True)


def test_torch_prune_can_remove_its_form_and_prune_it_further(pruned: RunFolder) -> None:
    network, expected = pruned_by_torch(pruned), loaded(pruned, "state-dict")
    for layer in masks_of(pruned):
        prune.remove(network.get_submodule(layer), "weight")  # type: ignore[no-untyped-call]
    content = network.state_dict()
    assert content.keys() == expected.keys()
    assert all(torch.equal(content[name], tensor) for name, tensor in expected.items())
    network = pruned_by_torch(pruned)
    layer, mask = max(masks_of(pruned).items(), key=lambda item: int(item[1].sum()))
    module: Any = network.get_submodule(layer)
    prune.l1_unstructured(module, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    assert int(module.weight_mask.sum()) < int(mask.sum())
    assert not bool(module.weight_mask[~mask].any())


@pytest.mark.parametrize("kind", ["pruned", "dense"])
def test_safetensors_are_a_ticket_of_the_trained_weights(
    trained: dict[str, RunFolder], kind: str, tmp_path: Path
) -> None:
    folder, file = trained[kind], tmp_path / "model.safetensors"
    file.write_bytes(load_trained(folder.path).to_bytes("safetensors"))
    ticket, description = load_ticket(file)
    expected, masks, result = loaded(folder, "state-dict"), masks_of(folder), folder.result()
    assert result is not None
    assert ticket.weights.keys() == expected.keys()
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in expected.items())
    assert ticket.masks.keys() == masks.keys()
    assert all(torch.equal(ticket.masks[layer], mask) for layer, mask in masks.items())
    assert description == {"run": folder.spec.folder_name, "accuracy": result.accuracy}


def test_a_dense_network_has_no_masks_for_torch_prune(trained: dict[str, RunFolder]) -> None:
    with pytest.raises(InputError, match="is a dense network, which has no masks: export it as a state-dict"):
        loaded(trained["dense"], "torch-prune")


def test_a_cleaned_run_is_exported_as_before(pruned: RunFolder, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pruned.path.parent, tmp_path / "runs"))
    assert clean(root).momentum
    for form in ("state-dict", "torch-prune", "safetensors"):
        copy = load_trained(root / pruned.path.name)
        assert copy.to_bytes(form) == load_trained(pruned.path).to_bytes(form)


@pytest.fixture
def copied(pruned: RunFolder, tmp_path: Path) -> RunFolder:
    path = Path(shutil.copytree(pruned.path, tmp_path / "runs" / pruned.path.name))
    return RunFolder(path, pruned.spec)


@pytest.mark.parametrize("status", ["collapsed", "diverged", "failed"])
def test_a_run_that_was_not_trained_is_refused(copied: RunFolder, status: str) -> None:
    file = copied.path / "result.json"
    collapse = {"layer": "fc", "reason": "no weight is left"} if status == "collapsed" else None
    ended = {"status": status, "accuracy": None, "best_accuracy": None, "collapse": collapse}
    file.write_text(json.dumps(json.loads(file.read_text()) | ended))
    with pytest.raises(InputError, match=f"has no trained network, for the run {status}"):
        load_trained(copied.path)


def test_an_unfinished_run_is_refused_with_what_it_has_done(copied: RunFolder) -> None:
    (copied.path / "result.json").unlink()
    lines = (copied.path / "metrics.csv").read_text().splitlines()
    (copied.path / "metrics.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="is not finished, it has done 2 of 3 epochs: call the command"):
        load_trained(copied.path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("last.safetensors", None, "is gone, and with it the trained weights"),
        ("last.safetensors", b"0", "is not a checkpoint"),
        ("ticket.safetensors", b"0", "is not a ticket"),
        ("spec.json", b"{}", "cannot be read"),
        ("result.json", b"{}", "is not the result of a run"),
    ],
)
def test_damaged_files_are_refused(copied: RunFolder, name: str, content: bytes | None, said: str) -> None:
    (copied.path / name).unlink()
    if content is not None:
        (copied.path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        load_trained(copied.path)


def test_masks_of_another_run_are_refused(copied: RunFolder) -> None:
    network = fresh_network(copied.spec)
    everything_pruned = {layer: torch.zeros_like(weight) > 0 for layer, weight in prunable_weights(network).items()}
    copied.write_ticket(Ticket(network.state_dict(), everything_pruned))
    with pytest.raises(InputError, match="do not belong together"):
        load_trained(copied.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run: `prunecheck results`"):
        load_trained(tmp_path)
