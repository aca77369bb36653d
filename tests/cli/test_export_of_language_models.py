"""What a language model that was pruned after training leaves: files that compute what its run recorded."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import prune

import prunecheck
from prunecheck.data.datasets import forget_datasets
from prunecheck.pruning import load_ticket
from prunecheck.runs.index import FoundRun, find_runs

Call = Callable[..., Any]
Refused = Callable[..., str]
Logits = Callable[[Tensor], Tensor]

LENGTH, WIDTH, SEQUENCES = 32, 32, 20

METHODS = ("wanda", "sparsegpt", "magnitude-after-training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, and runs of one small transformer that was trained on it and pruned by each method."""
    folder = tmp_path_factory.mktemp("language-models")
    chosen = torch.randint(4, (6000,), generator=torch.Generator().manual_seed(0)).tolist()
    (folder / "text.txt").write_text("".join(["abba ", "bac ", "cab ", "acca "][index] for index in chosen))
    forget_datasets()
    for method in METHODS:
        prunecheck.check(
            method,
            dataset=f"text:{folder / 'text.txt'}",
            sequence_length=LENGTH,
            width=WIDTH,
            epochs=1,
            train_images=60,
            test_images=SEQUENCES,
            calibration_sequences=8,
            checks=["rearrange-mask"] if method == "wanda" else [],
            baseline=None,
            seeds=1,
            quiet=True,
            out=folder / "runs",
        )
    return folder


def run_of(folder: Path, method: str, check: str | None = None) -> FoundRun:
    runs = find_runs([folder / "runs"]).runs
    (run,) = (one for one in runs if (one.spec.method, one.spec.check) == (method, check))
    return run


def recorded(run: FoundRun) -> float:
    assert run.result
    assert run.result.value
    return run.result.value


def bits_per_byte(folder: Path, logits: Logits) -> float:
    """By a plain loop over the beginning of the last tenth of the text, which is the test part."""
    content = (folder / "text.txt").read_bytes() + b"\n"
    test = torch.frombuffer(bytearray(content[int(0.9 * len(content)) :]), dtype=torch.uint8).long()
    nats = []
    for start in range(0, SEQUENCES * LENGTH, LENGTH):
        window = test[start : start + LENGTH + 1]
        rows = logits(window[None, :-1])[0].double()
        nats += [-row.log_softmax(0)[after].item() for row, after in zip(rows, window[1:], strict=True)]
    return float(numpy.mean(nats)) / math.log(2)


def fresh_network() -> nn.Module:
    return prunecheck.build_model("byte-transformer", 256, seed=99, width=WIDTH, sequence_length=LENGTH).eval()


def computed_by(weights: dict[str, Tensor]) -> Logits:
    network = fresh_network()
    network.load_state_dict(weights)
    return torch.no_grad()(network)


def of_ticket(file: Path) -> Logits:
    ticket, _ = load_ticket(file)
    weights = dict(ticket.weights)
    for layer, mask in ticket.masks.items():
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * mask
    return computed_by(weights)


def of_torch_prune(file: Path) -> Logits:
    content, network = torch.load(file, weights_only=True), fresh_network()
    for name, module in network.named_modules():
        if f"{name}.weight_mask" in content:
            prune.identity(module, "weight")  # type: ignore[no-untyped-call]
    network.load_state_dict(content)
    return torch.no_grad()(network)


FORMATS: dict[str, tuple[str, Callable[[Path], Logits]]] = {
    "ticket": ("model.safetensors", of_ticket),
    "state-dict": ("model.pt", lambda file: computed_by(torch.load(file, weights_only=True))),
    "state-dict-safetensors": ("model.safetensors", lambda file: computed_by(load_file(file))),
    "torch-prune": ("model.pt", of_torch_prune),
}


@pytest.mark.parametrize(
    ("method", "form"), [*(("sparsegpt", form) for form in FORMATS), *((method, "ticket") for method in METHODS[::2])]
)
def test_an_exported_file_has_the_bits_per_byte_of_its_run(method: str, form: str, folder: Path, call: Call) -> None:
    run, (name, logits_of) = run_of(folder, method), FORMATS[form]
    ended = call("export", str(run.path), "-o", name, "--format", form)
    assert (ended.code, ended.stderr) == (0, "")
    value = recorded(run)
    assert ended.stdout.endswith(
        f"wrote {name}: byte-transformer of {run.spec.folder_name}, test bits-per-byte {value:.3f}\n"
    )
    assert bits_per_byte(folder, logits_of(Path(name))) == pytest.approx(value, rel=1e-6)
    assert abs(bits_per_byte(folder, torch.no_grad()(fresh_network())) - value) > 0.1


def test_what_is_exported_of_a_check_is_its_changed_ticket(folder: Path, call: Call) -> None:
    run = run_of(folder, "wanda", "rearrange-mask")
    assert call("export", str(run.path), "-o", "model.pt").code == 0
    found = bits_per_byte(folder, computed_by(torch.load("model.pt", weights_only=True)))
    assert found == pytest.approx(recorded(run), rel=1e-6)
    assert abs(found - recorded(run_of(folder, "wanda"))) > 0.01


def test_pruned_weights_are_zero_and_the_start_has_those_under_its_mask(folder: Path, call: Call) -> None:
    dense = run_of(folder, "dense")
    assert call("export", str(dense.path), "-o", "dense.pt").code == 0
    trained = torch.load("dense.pt", weights_only=True)
    for method in METHODS:
        path = str(run_of(folder, method).path)
        assert call("export", path, "-o", f"{method}.safetensors").code == 0
        assert call("export", path, "-o", f"{method}-start.safetensors", "--weights", "start").code == 0
        ended, began = (load_ticket(Path(f"{method}{which}.safetensors"))[0] for which in ("", "-start"))
        assert len(ended.masks) == 4 * 6
        is_updated = False
        for layer, mask in ended.masks.items():
            name = f"{layer}.weight"
            weight, start = ended.weights[name], began.weights[name]
            assert torch.equal(began.masks[layer], mask)
            assert not weight[~mask].any()
            assert torch.equal(weight[mask], start[mask])
            assert torch.equal(start[~mask], trained[name][~mask])
            is_updated |= not torch.equal(start[mask], trained[name][mask])
        assert is_updated == (method == "sparsegpt")


def test_all_runs_of_a_folder_are_written_with_what_they_were_judged_by(folder: Path, call: Call) -> None:
    assert call("export", str(folder / "runs"), "-o", "out", "--format", "state-dict").code == 0
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["left_out"] == {}
    runs = find_runs([folder / "runs"]).runs
    assert {entry["run"]: entry["value"] for entry in manifest["files"].values()} == {
        run.spec.folder_name: recorded(run) for run in runs
    }


def test_a_run_whose_ticket_was_removed_or_damaged_is_refused(folder: Path, refused: Refused, tmp_path: Path) -> None:
    import shutil

    run = run_of(folder, "wanda")
    path = Path(shutil.copytree(run.path, tmp_path / "copied" / run.path.name))
    ticket = path / "ticket.safetensors"
    ticket.write_bytes(ticket.read_bytes()[:-1])
    assert "is not a ticket" in refused("export", str(path), "-o", "model.pt")
    ticket.unlink()
    assert "has lost its ticket.safetensors: the run has to be done anew" in refused(
        "export", str(path), "-o", "model.pt"
    )


@pytest.mark.slow
def test_onnx_takes_tokens_in_sequences_of_any_length(folder: Path, call: Call) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    run = run_of(folder, "wanda")
    assert call("export", str(run.path), "-o", "model.onnx").code == 0
    model = onnx.load("model.onnx")
    (tokens,) = model.graph.input
    assert tokens.name == "tokens"
    assert [size.dim_param for size in tokens.type.tensor_type.shape.dim] == ["batch", "length"]
    evaluator = ReferenceEvaluator(model)

    def logits(shown: Tensor) -> Tensor:
        (found,) = evaluator.run(None, {"tokens": shown.numpy()})
        return torch.from_numpy(numpy.asarray(found))

    assert bits_per_byte(folder, logits) == pytest.approx(recorded(run), rel=1e-4)
    call("export", str(run.path), "-o", "model.pt")
    computed = computed_by(torch.load("model.pt", weights_only=True))
    shorter = torch.randint(256, (3, LENGTH // 2), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(logits(shorter), computed(shorter), rtol=1e-4, atol=1e-4)
    described = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "prunecheck"))
    assert (described["value"], described["normalization"]) == (recorded(run), None)


@pytest.mark.parametrize(
    ("form", "name", "said"),
    [
        ("cut-program", "model.pt2", "cutting channels is defined for images, and these data are tokens"),
        ("cut-state-dict", "model.pt", "cutting channels is defined for images, and these data are tokens"),
        ("transformers", "model.safetensors", "is that of networks which were loaded from a folder of transformers"),
    ],
)
def test_formats_that_do_not_fit_are_refused(form: str, name: str, said: str, folder: Path, refused: Refused) -> None:
    assert said in refused("export", str(run_of(folder, "wanda").path), "-o", name, "--format", form)
