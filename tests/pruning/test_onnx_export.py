"""ONNX files beside torch, by the reference evaluator of the package onnx."""

import json
from collections.abc import Mapping
from typing import Any

import numpy
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from prunecheck.data.inputs import TokenShape
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, allocate, random_scores
from prunecheck.pruning.export_formats import BuiltNetwork, ExportedNetwork, export_bytes, find_format
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.onnx_export import onnx_bytes
from prunecheck.pruning.tickets import copy_weights

IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(8))
NORMALIZATION = {"mean": (0.3,), "std": (0.4,)}


class Residual(nn.Module):
    """Batch norm, a grouped convolution, a sum, and a dropout that is to be off."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.drop, self.fc = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Dropout(0.9), nn.Linear(4, 10)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in (*self.parameters(), self.bn.running_mean, self.bn.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
        assert self.bn.running_var is not None
        self.bn.running_var += 1

    def forward(self, images: Tensor) -> Tensor:
        first = torch.relu(self.bn(self.conv1(images)))
        result: Tensor = self.fc(self.drop((first + self.conv2(first)).mean((2, 3))))
        return result


@pytest.fixture(scope="module")
def exported() -> ExportedNetwork:
    model, other = Residual(1), Residual(2)
    masks = allocate(random_scores(model, generator=torch.Generator().manual_seed(3)), 0.5)
    return ExportedNetwork(
        Ticket(copy_weights(model), masks), {"method": "snip"}, lambda: BuiltNetwork(other, (1, 8, 8), NORMALIZATION)
    )


@pytest.fixture(scope="module")
def content(exported: ExportedNetwork) -> bytes:
    return export_bytes(exported, find_format("onnx"))


def computed(content: bytes, images: Tensor) -> Tensor:
    (logits,) = ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"images": images.numpy()})
    return torch.from_numpy(numpy.asarray(logits))


def initializers(content: bytes) -> Mapping[str, Tensor]:
    graph = onnx.load_from_string(content).graph
    return {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}


@pytest.mark.parametrize("count", [1, 5])
def test_it_computes_what_torch_does_for_any_batch(exported: ExportedNetwork, content: bytes, count: int) -> None:
    model = Residual(3).eval()
    model.load_state_dict(exported.masked_weights)
    with torch.no_grad():
        expected = model(IMAGES[:count])
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(computed(content, IMAGES[:count]), expected, rtol=1e-5, atol=1e-6)


def test_weights_stand_in_it_bit_for_bit_with_zeros_where_the_mask_prunes(
    exported: ExportedNetwork, content: bytes
) -> None:
    found = initializers(content)
    for layer, mask in exported.ticket.masks.items():
        name = weight_name(layer)
        assert torch.equal(found[name], exported.masked_weights[name])
        assert torch.equal(found[name] != 0, mask)


def test_it_says_what_it_is_and_what_it_takes(content: bytes) -> None:
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    described = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "prunecheck"))
    assert described == {"method": "snip", "normalization": {"mean": [0.3], "std": [0.4]}}
    (images,), (logits,) = model.graph.input, model.graph.output
    assert (images.name, logits.name) == ("images", "logits")
    assert [size.dim_param or size.dim_value for size in images.type.tensor_type.shape.dim] == ["batch", 1, 8, 8]


class Branching(nn.Module):
    """Chooses by the values of images, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.linear(images.flatten(1))
        return result if images.sum() > 0 else -result


def test_a_network_that_has_no_graph_is_refused_in_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    model = Branching()
    with pytest.raises(InputError, match="torch cannot export this network to ONNX") as refused:
        onnx_bytes(model, copy_weights(model), (1, 8, 8), {})
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_weights_of_another_network_are_refused_before_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("it was exported")

    monkeypatch.setattr("torch.onnx.export", refuse)
    with pytest.raises(InputError, match="the weights are not those of this network") as refused:
        onnx_bytes(nn.Linear(3, 2), copy_weights(nn.Linear(4, 2)), (1, 8, 8), {})
    assert "\n" not in str(refused.value)
    monkeypatch.setattr("prunecheck.pruning.onnx_export.LARGEST", 10)
    with pytest.raises(InputError, match="an ONNX file holds 2 GiB at most"):
        onnx_bytes(nn.Linear(3, 2), copy_weights(nn.Linear(3, 2)), (1, 8, 8), {})


def test_half_precision_stays_so() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).to(torch.float16)
    content = onnx_bytes(model, copy_weights(model), (1, 8, 8), {})
    with torch.no_grad():
        expected = model(IMAGES.half())
    torch.testing.assert_close(computed(content, IMAGES.half()), expected, rtol=1e-2, atol=1e-2)
    assert {tensor.dtype for name, tensor in initializers(content).items() if "weight" in name} == {torch.float16}


class OfTokens(nn.Module):
    """Adds what stands for each token and for its place; the places of all, or of as many as there are tokens."""

    def __init__(self, length: int, *, takes_shorter: bool) -> None:
        super().__init__()
        self.tokens, self.places, self.linear = nn.Embedding(7, 4), nn.Embedding(length, 4), nn.Linear(4, 7)
        self.takes_shorter = takes_shorter

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.places.weight[: tokens.shape[1]] if self.takes_shorter else self.places.weight
        result: Tensor = self.linear(self.tokens(tokens) + places)
        return result


@pytest.mark.parametrize(
    ("takes_shorter", "length"), [(True, "length"), pytest.param(False, 6, marks=pytest.mark.slow)]
)
def test_networks_of_tokens_take_any_length_that_they_can(takes_shorter: bool, length: str | int) -> None:
    model = OfTokens(6, takes_shorter=takes_shorter).eval()
    content = onnx_bytes(model, copy_weights(model), TokenShape(6, 7), {})
    (tokens,) = onnx.load_from_string(content).graph.input
    sizes = tokens.type.tensor_type.shape.dim
    assert (tokens.name, tokens.type.tensor_type.elem_type) == ("tokens", onnx.TensorProto.INT64)
    assert [size.dim_param or size.dim_value for size in sizes] == ["batch", length]
    for shown in (4, 6) if takes_shorter else (6,):
        drawn = torch.randint(7, (3, shown), generator=torch.Generator().manual_seed(1))
        (logits,) = ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"tokens": drawn.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(numpy.asarray(logits)), model(drawn), rtol=1e-5, atol=1e-6)
