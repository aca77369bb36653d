"""A model of ``transformers`` as a file that ``transformers`` reads again."""

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunecheck.errors import InputError
from prunecheck.extras import extra
from prunecheck.models.transformers_folder import KIND, WEIGHTS, CausalLanguageModel, without_messages
from prunecheck.tensors import with_sorted_metadata
from prunecheck.user_code.failures import SHORT_OF_MEMORY, failure_named

IN_ONE_FILE = 2**62
"""Bytes up to which ``save_pretrained`` writes a single file."""


def saved_bytes(network: nn.Module, description: Mapping[str, object]) -> bytes:
    """Return the weights of a model as ``save_pretrained`` of ``transformers`` writes them: ``model.safetensors``.

    They have the names and shapes that they had in the folder which the model was loaded from, so that the file can
    take the place of the weights in a copy of that folder.

    Args:
        network: see :func:`prunecheck.models.transformers_folder.load_folder`; it is left as it was.
        description: kept as JSON in the file's metadata, under ``prunecheck``.

    Raises:
        InputError: it is another network, ``transformers`` is not installed, or fails to write it.
    """
    if not isinstance(network, CausalLanguageModel):
        raise InputError(
            f"the format {KIND} is that of networks which were loaded from a folder of {KIND}, and this is another: "
            "choose state-dict-safetensors."
        )
    with extra(KIND, f"the format {KIND}"):
        import transformers
    from safetensors.torch import load, save

    with (
        without_messages(transformers),
        failure_named(f"{KIND} cannot write this model", beside=SHORT_OF_MEMORY),
    ):
        model = _with_own_layers(network, transformers.pytorch_utils.Conv1D)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, max_shard_size=IN_ONE_FILE)
            content = (Path(folder) / WEIGHTS).read_bytes()
    metadata = {"format": "pt", "prunecheck": json.dumps(description, sort_keys=True)}
    return with_sorted_metadata(save(load(content), metadata=metadata))


def _with_own_layers(network: CausalLanguageModel, kind: type[nn.Module]) -> Any:
    """Return a copy of the model, with layers of a kind that stores its weight turned where it had them."""
    model = copy.deepcopy(network.model)
    for name in network.turned:
        linear = model.get_submodule(name)
        with torch.device("meta"):  # nothing is drawn for weights that are replaced
            layer = kind(linear.out_features, linear.in_features)
        layer.weight, layer.bias = nn.Parameter(linear.weight.detach().t().contiguous()), linear.bias
        model.set_submodule(name, layer)
    return model
