"""Causal language models of ``transformers`` from folders, asked about with text that their own tokenizers read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import prunecheck
from prunecheck.data import TokenDataset, load_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.errors import InputError
from prunecheck.models import find_model
from prunecheck.runs.index import find_runs

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
            vocab_size=len(WORDS) + 1, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
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


def test_what_is_left_dense_is_said(folder: Path) -> None:
    from prunecheck.api.questions import asked_study
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


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        (with_another_word, {}, "has tokens up to number 31, and the model has 24: give the tokenizer that the model"),
        (
            without_a_tokenizer,
            {},
            "this model has 24 tokens, and is given number .*: put its own tokenizer",
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
