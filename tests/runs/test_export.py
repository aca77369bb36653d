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
from prunecheck.pruning.export_formats import export_bytes, find_format
from prunecheck.pruning.layers import prunable_weights, weight_name
from prunecheck.runs.clean import clean
from prunecheck.runs.export import WhichWeights, read_exported_run
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training.metrics import evaluate

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]


def unheard(epoch: int, accuracy: float | None) -> None:
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


def to_bytes(folder: Path, form: str, weights: WhichWeights = WhichWeights.TRAINED) -> bytes:
    return export_bytes(read_exported_run(folder, weights).network, find_format(form))


def loaded(folder: RunFolder, form: str) -> dict[str, Tensor]:
    content: dict[str, Tensor] = torch.load(io.BytesIO(to_bytes(folder.path, form)), weights_only=True)
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
    file.write_bytes(to_bytes(folder.path, "ticket"))
    ticket, description = load_ticket(file)
    expected, masks, result = loaded(folder, "state-dict"), masks_of(folder), folder.result()
    assert result is not None
    assert ticket.weights.keys() == expected.keys()
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in expected.items())
    assert ticket.masks.keys() == masks.keys()
    assert all(torch.equal(ticket.masks[layer], mask) for layer, mask in masks.items())
    assert description == json.loads(json.dumps(folder.spec.described())) | {
        "run": folder.spec.folder_name,
        "weights": "trained",
        "accuracy": result.accuracy,
    }


@pytest.mark.parametrize("kind", ["pruned", "dense"])
def test_the_start_is_the_ticket_of_the_run_with_what_its_mask_covers(
    trained: dict[str, RunFolder], kind: str, tmp_path: Path
) -> None:
    folder, file = trained[kind], tmp_path / "start.safetensors"
    file.write_bytes(to_bytes(folder.path, "ticket", WhichWeights.START))
    ticket, description = load_ticket(file)
    began, _ = load_ticket(folder.path / "ticket.safetensors")
    for ours, theirs in ((ticket.weights, began.weights), (ticket.masks, began.masks)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert (description["weights"], "accuracy" in description) == ("start", False)
    assert not torch.equal(ticket.weights["conv1.weight"], loaded(folder, "state-dict")["conv1.weight"])


def end_as(folder: RunFolder, status: str, reason: str | None = None) -> None:
    """Write what a run ends with that is not trained."""
    file = folder.path / "result.json"
    collapse = {"layer": "fc", "reason": "no weight is left"} if status == "collapsed" else None
    ended = {"status": status, "accuracy": None, "best_accuracy": None, "collapse": collapse, "reason": reason}
    written = json.loads(file.read_text())
    del written["sha256"]
    file.write_text(json.dumps(written | ended))


def test_the_start_of_a_collapsed_and_of_an_unfinished_run_is_there(copied: RunFolder) -> None:
    whole = to_bytes(copied.path, "state-dict", WhichWeights.START)
    for status in ("collapsed", None):
        if status:
            end_as(copied, status)
        else:
            (copied.path / "result.json").unlink()
        with pytest.raises(InputError, match="give weights start for its ticket"):
            read_exported_run(copied.path)
        assert to_bytes(copied.path, "state-dict", WhichWeights.START) == whole


def test_a_ticket_that_is_not_there_is_said_with_the_reason(copied: RunFolder) -> None:
    copied.write_ticket(Ticket({}, {}))
    with pytest.raises(InputError, match="has an empty ticket"):
        read_exported_run(copied.path, WhichWeights.START)
    (copied.path / "ticket.safetensors").unlink()
    with pytest.raises(InputError, match=r"has lost its ticket\.safetensors: the run has to be done anew"):
        read_exported_run(copied.path, WhichWeights.START)
    end_as(copied, "failed", "no luck")
    with pytest.raises(InputError, match=r"has no ticket, because the run failed \(no luck\): choose another run"):
        read_exported_run(copied.path, WhichWeights.START)
    (copied.path / "result.json").unlink()
    with pytest.raises(InputError, match="has no ticket yet: call the command"):
        read_exported_run(copied.path, WhichWeights.START)


def test_reading_a_run_of_a_users_network_runs_no_code(copied: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("prunecheck.models.registry.build_model", refuse)
    spec = copied.spec.changed(model="gone.py:build", model_hash="0" * 64)
    path = copied.path.rename(copied.path.with_name(spec.folder_name))
    (path / "spec.json").write_text(spec.canonical())
    RunFolder(path, spec).write_ticket(load_ticket(path / "ticket.safetensors")[0])
    for form in ("ticket", "state-dict", "state-dict-safetensors", "torch-prune"):
        assert to_bytes(path, form)


def test_a_cleaned_run_is_exported_as_before(pruned: RunFolder, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pruned.path.parent, tmp_path / "runs"))
    assert clean(root).momentum
    for form in ("state-dict", "torch-prune", "ticket"):
        assert to_bytes(root / pruned.path.name, form) == to_bytes(pruned.path, form)


@pytest.fixture
def copied(pruned: RunFolder, tmp_path: Path) -> RunFolder:
    path = Path(shutil.copytree(pruned.path, tmp_path / "runs" / pruned.path.name))
    return RunFolder(path, pruned.spec)


@pytest.mark.parametrize("status", ["collapsed", "diverged", "failed"])
def test_a_run_that_was_not_trained_is_refused(copied: RunFolder, status: str) -> None:
    end_as(copied, status)
    with pytest.raises(InputError, match=f"has no trained network, because the run {status}"):
        read_exported_run(copied.path)


def test_an_unfinished_run_is_refused_with_what_it_has_done(copied: RunFolder) -> None:
    (copied.path / "result.json").unlink()
    lines = (copied.path / "metrics.csv").read_text().splitlines()
    (copied.path / "metrics.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(
        InputError,
        match="is not finished, it has done 2 of 3 epochs: call the command that began it again, or give weights start",
    ):
        read_exported_run(copied.path)


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
        read_exported_run(copied.path)


def test_masks_of_another_run_are_refused(copied: RunFolder) -> None:
    network = fresh_network(copied.spec)
    everything_pruned = {layer: torch.zeros_like(weight) > 0 for layer, weight in prunable_weights(network).items()}
    copied.write_ticket(Ticket(network.state_dict(), everything_pruned))
    with pytest.raises(InputError, match="do not belong together"):
        read_exported_run(copied.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run: `prunecheck results`"):
        read_exported_run(tmp_path)
