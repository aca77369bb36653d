"""Causal language models of ``transformers`` from a folder: loaded as they are, or refused in a sentence."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from prunecheck import process_limits
from prunecheck.errors import InputError
from prunecheck.models import build_model, find_model, transformers_folder
from prunecheck.models.transformers_folder import load_tokenizer
from prunecheck.observation import Observation
from prunecheck.pruning.post_training import find_stages, prune_after_training

transformers: Any = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 in half precision, whose linear layers are ``Conv1D`` and whose head is tied."""
    config = transformers.GPT2Config(
        vocab_size=24, n_embd=8, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    return saved(transformers.GPT2LMHeadModel(config).half(), tmp_path_factory.mktemp("models") / "gpt2")


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def changed(gpt2: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(gpt2, tmp_path / "changed"))


def name_of(folder: Path) -> str:
    return f"transformers:{folder}"


def built(folder: Path) -> nn.Module:
    return build_model(name_of(folder), num_classes=24)


def test_it_is_named_after_its_folder_and_known_by_its_content(gpt2: Path, changed: Path) -> None:
    model, copied = find_model(name_of(gpt2)), find_model(name_of(changed))
    assert (model.name, model.given, model.is_trained) == ("transformers:gpt2", name_of(gpt2), True)
    assert model.code
    assert copied.code
    assert model.code.hash == copied.code.hash
    weights = load_file(changed / "model.safetensors")
    save_file({name: 2 * weight for name, weight in weights.items()}, changed / "model.safetensors", {"format": "pt"})
    again = find_model(name_of(changed)).code
    assert again
    assert again.hash != model.code.hash


def test_it_is_the_same_with_what_building_it_reads_wherever_it_lies(gpt2: Path, changed: Path) -> None:
    found = [find_model(name_of(folder)) for folder in (gpt2, changed)]
    for model in found:
        assert model.code
        with Observation() as seen:
            model.builder(24)
        assert {Path(file).name for file in seen.files} >= {"config.json", "model.safetensors"}
        model.code.include(seen.files)
    first, second = (model.code.hash for model in found if model.code)
    assert first == second


def test_how_turned_layers_are_built_is_in_the_hash_of_models_that_have_them(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = find_model(name_of(gpt2)).code
    assert code
    before = code.hash
    monkeypatch.setattr(transformers_folder, "TURNED", ("Conv1D", "another layer"))
    again = find_model(name_of(gpt2)).code
    assert again
    assert again.hash != before


def test_the_causal_language_models_that_have_turned_layers_are_those_that_import_them() -> None:
    folder = Path(transformers.__file__).parent / "models"
    named = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    modules = {kind: transformers.models.auto.configuration_auto.model_type_to_module_name(kind) for kind in named}
    files = {kind: list((folder / module).glob("modeling_*.py")) for kind, module in modules.items()}
    with_them = {
        kind
        for kind, sources in files.items()
        if any(re.search(r"pytorch_utils import .*\bConv1D\b", source.read_text()) for source in sources)
    }
    assert with_them == set(transformers_folder.WITH_TURNED_LAYERS)


def test_data_with_more_tokens_than_the_model_are_refused_where_they_meet(gpt2: Path) -> None:
    build_model(name_of(gpt2), num_classes=12, sequence_length=8)
    with pytest.raises(InputError, match="this model has 24 tokens, and these data have 25: put its own tokenizer"):
        build_model(name_of(gpt2), num_classes=25, sequence_length=8)


def test_a_step_does_not_wait_for_the_device_to_see_its_tokens(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without numbers stand in the place of those on a GPU; transformers itself waits unless it is captured."""
    monkeypatch.setattr("transformers.masking_utils.is_tracing", lambda *_: True)
    network = built(gpt2).to("meta")
    assert network(torch.zeros(2, 6, dtype=torch.int64, device="meta")).shape == (2, 6, 24)


def test_its_logits_are_the_model_s_in_float32(gpt2: Path) -> None:
    network = built(gpt2)
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    tokens = torch.arange(12).view(2, 6)
    own = transformers.GPT2LMHeadModel.from_pretrained(gpt2, dtype=torch.float32).eval()
    with torch.no_grad():
        # GPT-2's layers are turned, so that sums are rounded otherwise.
        assert torch.allclose(network(tokens), own(tokens).logits, atol=1e-6)
    assert network.get_parameter("model.transformer.h.0.mlp.c_fc.weight").shape == (32, 8)
    with pytest.raises(InputError, match="at most 16 tokens in a sequence, and these have 17"):
        network(torch.zeros(1, 17, dtype=torch.int64))


def test_its_blocks_are_pruned_and_its_tied_head_is_not(gpt2: Path) -> None:
    network = built(gpt2)
    stages = find_stages(network, 8)
    assert [[layer.name.split(".h.")[1] for layer in stage.layers] for stage in stages.stages] == [
        [f"{block}.{layer}" for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")] for block in range(2)
    ]
    assert stages.left_dense == {"model.lm_head": "shares its weight with model.transformer.wte"}
    calibration = torch.arange(24).view(3, 8)
    generator = torch.Generator().manual_seed(0)
    for method in ("wanda", "sparsegpt"):
        masks = prune_after_training(
            network, calibration, method=method, sparsity=0.5, pattern="2:4", generator=generator
        )[1]
        assert len(masks) == 8
        for mask in masks.values():
            assert set(mask.reshape(-1, 4).sum(1).tolist()) == {2}


def config_with(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "model.safetensors", {"format": "pt"})


def with_pickles_alone(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json: .* and downloads nothing"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as a JSON object"),
        (lambda folder: (folder / "config.json").write_text("[]"), "cannot be read as a JSON object"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (with_pickles_alone, "are pickles, which can run code and are not read: write them as safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"{}"), "no whole safetensors file"),
        (lambda folder: config_with(folder, quantization_config={"quant_method": "gptq"}), r"is quantised \(gptq\)"),
        (lambda folder: config_with(folder, auto_map={"AutoModel": "code.Model"}), r"made by code .* which is not run"),
        (
            lambda folder: config_with(folder, architectures=["GPT2ForSequenceClassification"]),
            "no causal language model",
        ),
        (lambda folder: config_with(folder, architectures=[]), "is of no named architecture, and no causal"),
        (lambda folder: config_with(folder, model_type="nothing"), "cannot be loaded"),
        (without_a_weight, "lack the weights transformer.*, or have them in other shapes"),
        (lambda folder: config_with(folder, n_embd=10), "cannot be loaded|lack the weights"),
    ],
)
def test_what_is_no_such_model_is_refused_in_a_sentence(changed: Path, change: Any, words: str) -> None:
    change(changed)
    with pytest.raises(InputError, match=words) as raised:
        built(changed)
    assert "\n" not in str(raised.value)


def test_a_model_in_several_files_is_read_whole_or_not_at_all(changed: Path) -> None:
    weights = load_file(changed / "model.safetensors")
    names = sorted(weights)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, changed / file, {"format": "pt"})
    (changed / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (changed / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(
        built(changed).get_parameter("model.transformer.wte.weight").half(), weights["transformer.wte.weight"]
    )
    (changed / "b.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks b.safetensors, which model.safetensors.index.json names"):
        find_model(name_of(changed))


def test_too_little_memory_is_said_beforehand_with_both_numbers(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_limits, "available_memory", lambda: 5000)
    numbers = sum(weight.numel() for weight in load_file(gpt2 / "model.safetensors").values())
    needed = f"{4 * numbers / 2**20:.1f} MiB of memory are needed, and 0.0 MiB are free: give a smaller model"
    with pytest.raises(InputError, match=needed):
        built(gpt2)


def test_without_the_package_it_is_said_how_to_install_it(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"needs transformers, which is not installed: pip install 'prunecheck\[trans"):
        built(gpt2)


def test_a_tokenizer_with_tokens_that_the_model_does_not_have_is_refused(gpt2: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = {f"word{number}": number for number in range(24)} | {"[UNK]": 24}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path, 25)("word3")["input_ids"] == [3]
    with pytest.raises(InputError, match="has tokens up to number 24, and the model has 24"):
        load_tokenizer(tmp_path, 24)
    with pytest.raises(InputError, match=r"holds no tokenizer \(tokenizer.json, "):
        load_tokenizer(gpt2, 24)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=r"the tokenizer in .* cannot be loaded"):
        load_tokenizer(tmp_path, 24)


def test_it_is_listed_as_a_kind_of_model() -> None:
    from prunecheck.models import MODELS

    assert "transformers:<path>" in MODELS.names()
    with pytest.raises(InputError, match="there is no model named 'transformer:x'"):
        find_model("transformer:x")
