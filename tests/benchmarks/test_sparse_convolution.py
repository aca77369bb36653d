"""The benchmark of single convolutions."""

import argparse
import json
import sys

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.sparse_convolution import Layer, read_layer

WAYS = {"torch", "channels last", "torch in blocks", "winograd", "kept weights"}


def test_a_layer_is_read_as_it_is_written() -> None:
    assert read_layer("64x16@0.04") == Layer(64, 16, 0.04)
    assert read_layer("3x32@1") == Layer(3, 32, 1.0)
    for text in ("64x16", "64@0.5", "64x16@2", "64x16@x", "-1x4@0.5"):
        with pytest.raises(argparse.ArgumentTypeError, match="CHANNELSxPIXELS@DENSITY"):
            read_layer(text)


def test_every_way_of_each_layer_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    command = ["benchmarks", "sparse-convolution", "4x5@0.5", "2x4@0.1", "--repeats", "1", "--json"]
    monkeypatch.setattr(sys, "argv", command)
    try:
        main()
    finally:
        torch.set_num_threads(threads)
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [(layer["channels"], layer["size"], layer["density"]) for layer in layers] == [(4, 5, 0.5), (2, 4, 0.1)]
    assert all(set(layer["seconds"]) == WAYS and min(layer["seconds"].values()) > 0 for layer in layers)
