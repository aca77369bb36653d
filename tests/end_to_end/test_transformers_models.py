"""Causal language models of ``transformers`` from folders, asked about with text that their own tokenizers read."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file

import prunecheck
from prunecheck.api.exports import NamedByUser, read_for_export
from prunecheck.api.questions import asked_study
from prunecheck.cli import main
from prunecheck.data import TokenDataset, load_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.data.tokenizers import Tokenizer
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.models import find_model
from prunecheck.models.transformers_folder import CausalLanguageModel
from prunecheck.pruning import Ticket
from prunecheck.pruning.tickets import copy_weights
from prunecheck.runs.export import WhichWeights
from prunecheck.runs.index import find_runs
from prunecheck.runs.store import RunStore

transformers: Any = pytest.importorskip("transformers")

WORDS = ["<s>", "<pad>", "<unk>", *(f"word{number}" for number in range(20))]

SIZES = {"vocab_size": len(WORDS) + 1, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 0}
"""Of all models; the vocabulary is larger than the tokenizer's, as it often is."""

MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **(SIZES | {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2})
        )
    ),
    "opt": lambda: transformers.OPTForCausalLM(
        transformers.OPTConfig(
            **(SIZES | {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "pad_token_id": 1}),
            num_hidden_layers=2,
            num_attention_heads=2,
        )
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=len(WORDS) + 1, n_embd=16, n_layer=2, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=0
        )
    ),
}

SMALL: dict[str, Any] = {
    "sequence_length": 16,
    "test_images": 8,
    "calibration_sequences": 4,
    "seeds": 2,
    "quiet": True,
    "baseline": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three models, each with a tokenizer of words beside it, and two texts."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    folder = tmp_path_factory.mktemp("transformers")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", unk_token="<unk>"
    )
    for name, build in MODELS.items():
        torch.manual_seed(0)
        build().save_pretrained(folder / name)
        fast.save_pretrained(folder / name)
    source = torch.Generator().manual_seed(0)
    for file, first in (("text.txt", 3), ("other.txt", 13)):
        drawn = torch.randint(first, first + 10, (3000,), generator=source).tolist()
        (folder / file).write_text(" ".join(WORDS[number] for number in drawn))
    return folder


def named(folder: Path, model: str) -> str:
    return f"transformers:{folder / model}"


def text(folder: Path, name: str = "text.txt") -> str:
    return f"text:{folder / name}"


@pytest.mark.parametrize(
    "model", ["gpt2", pytest.param("llama", marks=pytest.mark.slow), pytest.param("opt", marks=pytest.mark.slow)]
)
def test_wanda_is_asked_about_a_folder_with_text_and_its_own_tokenizer(model: str, folder: Path) -> None:
    answer = prunecheck.check(
        "wanda",
        model=named(folder, model),
        dataset=text(folder),
        checks=["first-token-only"],
        calibration_data=text(folder, "other.txt"),
        out=folder / f"runs-{model}",
        metric="perplexity",
        margin="1%",
        **SMALL,
    )
    assert [one.against for one in answer.comparisons] == [
        "first-token-only",
        f"other-corpus:{text(folder, 'other.txt')}",
    ]
    assert all(one.difference and one.difference.n == 2 for one in answer.comparisons)
    runs = find_runs([folder / f"runs-{model}"]).runs
    assert {run.result.epochs for run in runs if run.result} == {0}  # nothing is trained
    kept = {spec.method: run.result.sparsity for spec, run in ((one.spec, one) for one in runs) if run.result}
    assert kept == {"dense": 0.0, "wanda": pytest.approx(0.5)}
    (dense,) = (run.result for run in runs if run.spec.method == "dense")
    assert dense
    assert dense.value == pytest.approx(perplexity(folder, model), rel=1e-6)


def test_what_a_format_needs_of_a_run_s_network_is_built_for_its_own_tokens(folder: Path, tmp_path: Path) -> None:
    study = asked_study(
        "snip", model=named(folder, "gpt2"), dataset=text(folder), sparsity=0.5, seeds=1, sequence_length=16
    )
    study.validate()  # which makes the files of the network known, and with them its hash
    run = RunStore(tmp_path).folder(study.method_run(0.5, None, 0))
    network = build_network(run.spec, study.data, study.builder)
    run.open()
    run.write_ticket(Ticket(copy_weights(network), {"model.lm_head": torch.ones(len(WORDS) + 1, 16, dtype=torch.bool)}))
    exported = read_for_export(run.path, WhichWeights.START, NamedByUser(model=named(folder, "gpt2"))).network
    assert exported.build
    assert exported.build().image_shape == (16, len(WORDS) + 1)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("model", ["gpt2", pytest.param("llama", marks=pytest.mark.slow)])
def test_transformers_reads_the_pruned_weights_in_a_copy_of_the_folder(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = folder / f"pruned-{model}"
    prunecheck.check(
        "sparsegpt", model=named(folder, model), dataset=text(folder), checks=[], out=runs, metric="perplexity",
        margin="1%", **(SMALL | {"seeds": 1}),
    )  # fmt: skip
    (run,) = (one for one in find_runs([runs]).runs if one.spec.method == "sparsegpt")
    assert run.result
    assert run.result.value != pytest.approx(perplexity(folder, model), rel=1e-5)
    copied = Path(shutil.copytree(folder / model, tmp_path / model))
    shapes = {name: tensor.shape for name, tensor in load_file(copied / "model.safetensors").items()}
    (copied / "model.safetensors").unlink()
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([
            *("export", str(run.path), "-o", str(copied / "model.safetensors")),
            *("--format", "transformers", "--model", named(folder, model), "--dataset", text(folder)),
        ])  # fmt: skip
    assert ended.value.code == 0
    assert capfd.readouterr().err == ""
    assert {name: tensor.shape for name, tensor in load_file(copied / "model.safetensors").items()} == shapes
    shutil.copy(folder / "text.txt", tmp_path)
    assert perplexity(tmp_path, model) == pytest.approx(run.result.value, rel=1e-6)


@pytest.fixture
def signals() -> Iterator[None]:
    """A command takes over SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("signals")
def test_prune_reads_text_with_the_tokenizer_beside_the_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    forward = CausalLanguageModel.forward

    def watched(network: CausalLanguageModel, tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens)
        return forward(network, tokens)

    monkeypatch.setattr(CausalLanguageModel, "forward", watched)
    arguments = ["--model", named(folder, "gpt2"), "--dataset", text(folder), "--sparsity", "0.5"]
    with pytest.raises(SystemExit) as ended:
        main(["prune", "snip", *arguments, "--out", str(tmp_path / "ticket.safetensors")])
    assert ended.value.code == 0
    train = torch.from_numpy(tokens_of(folder, "gpt2").streams["train"].astype("int64"))
    sequences = train[: len(train) // 128 * 128].view(-1, 128)
    assert any(all((sequences == row).all(1).any() for row in batch) for batch in seen if batch.shape[1] == 128)


def perplexity(folder: Path, model: str) -> float:
    """By a plain loop in float64, over the first eight sequences of 16 tokens of the last tenth of the text."""
    network = transformers.AutoModelForCausalLM.from_pretrained(folder / model, dtype=torch.float64).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / model)
    content = (folder / "text.txt").read_bytes() + b"\n"
    tokens = tokenizer(content[int(0.9 * len(content)) :].decode(), add_special_tokens=False)["input_ids"]
    losses = []
    for start in range(0, 8 * 16, 16):
        window = torch.tensor([tokens[start : start + 17]])
        with torch.no_grad():
            logits = network(input_ids=window[:, :-1]).logits[0]
        losses += [-row.log_softmax(0)[after].item() for row, after in zip(logits, window[0, 1:], strict=True)]
    return float(numpy.exp(numpy.mean(losses)))


def tokens_of(folder: Path, model: str, name: str = "text.txt") -> TokenDataset:
    read = as_read_by(load_dataset(text(folder, name)), find_model(named(folder, model)).find_tokenizer)
    assert isinstance(read, TokenDataset)
    return read


def test_text_becomes_the_tokens_of_the_tokenizer_beside_the_model(folder: Path) -> None:
    read = tokens_of(folder, "llama")
    assert (read.num_classes, read.usual_metric) == (len(WORDS) + 1, "bits-per-token")
    whole = " ".join(WORDS[token] for part in ("train", "calibration", "test") for token in read.streams[part])
    words = (folder / "text.txt").read_text().split()
    assert len(whole.split()) in range(len(words), len(words) + 3)  # a word that is cut is two
    assert whole.split()[:2000] == words[:2000]
    assert read.tokenizer
    assert (read.tokenizer.first, read.tokenizer.padding) == (0, 1)
    assert tokens_of(folder, "llama") is read  # made once
    assert load_dataset(text(folder)).num_classes == 256  # as bytes, for a network that reads these


@pytest.mark.parametrize(("field", "number"), [("first", 2), ("padding", 2), ("first", None)])
def test_the_tokens_that_checks_show_are_part_of_what_data_are_known_by(field: str, number: Any, folder: Path) -> None:
    tokenizer = tokens_of(folder, "llama").tokenizer
    assert tokenizer

    def known_by(tokenizer: Tokenizer) -> str | None:
        return as_read_by(load_dataset(text(folder)), lambda: tokenizer).fingerprint

    assert known_by(replace(tokenizer)) == known_by(tokenizer)
    assert known_by(replace(tokenizer, **{field: number})) != known_by(tokenizer)


def test_what_is_left_dense_is_said(folder: Path) -> None:
    from prunecheck.studies.study import Study

    small: dict[str, Any] = {"sparsity": 0.5, "seeds": 1, "sequence_length": 16}
    study = asked_study("wanda", model=named(folder, "gpt2"), dataset=text(folder), **small)
    study.validate()
    (sentence,) = Study("wanda", (study,)).left_dense()
    assert "transformer.wte" in sentence


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """A copy of a model, to be changed."""
    return Path(shutil.copytree(folder / "llama", tmp_path / "llama"))


def asked(folder: Path, model: Path, **more: Any) -> Any:
    return prunecheck.check(
        "wanda", model=f"transformers:{model}", dataset=text(folder), out=model / "runs", **(SMALL | more)
    )


def with_another_word(model: Path) -> None:
    content = json.loads((model / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"more{number}": len(WORDS) + number for number in range(9)}
    (model / "tokenizer.json").write_text(json.dumps(content))


def without_a_tokenizer(model: Path) -> None:
    for file in model.glob("tokenizer*"):
        file.unlink()


def without_its_first_token(model: Path) -> None:
    content = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**content, "bos_token": None}))


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        (with_another_word, {}, "has tokens up to number 31, and the model has 24: give the tokenizer that the model"),
        (
            without_a_tokenizer,
            {},
            "this model has 24 tokens, and these data have 256: put its own tokenizer",
        ),
        (
            without_its_first_token,
            {"checks": ["padding-only", "first-token-only"]},
            r"the tokenizer in .* has no token that begins a text \(BOS\)",
        ),
        (lambda model: (model / "tokenizer.json").write_text("{"), {}, "the tokenizer in .* cannot be loaded"),
        (lambda model: None, {"sequence_length": 40, "test_images": 2}, "at most 32 tokens in a sequence"),
        (lambda model: None, {"sequence_length": 4000}, "too few for one sequence of 4000"),
        (lambda model: None, {"calibration_data": "digits"}, "digits holds images"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    change: Any, more: dict[str, Any], words: str, folder: Path, changed: Path
) -> None:
    change(changed)
    with pytest.raises(InputError, match=words) as raised:
        asked(folder, changed, **more)
    assert "\n" not in str(raised.value)
    assert not (changed / "runs").exists() or not find_runs([changed / "runs"]).runs
