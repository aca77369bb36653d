"""``prunecheck export`` writes a trained network for other programs."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from prunecheck.errors import InputError
from prunecheck.io import require_output, write_output

SAFETENSORS = ".safetensors"


def export(
    run: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    form: Literal["state-dict", "torch-prune", "safetensors"] = "state-dict",
) -> None:
    """Write the network that a run ended with, its weights after the last epoch, to a file.

    state-dict: model.load_state_dict(torch.load(FILE, weights_only=True)); pruned weights are 0.

    torch-prune: the same for a network that torch.nn.utils.prune has pruned: call prune.identity(layer, "weight") for
    every layer of which the file has a weight_mask, and load_state_dict; prune.remove(layer, "weight") then makes
    plain weights.

    safetensors: weights/NAME and masks/LAYER (True = kept), as in the tickets of `prunecheck prune`.

    Parameters
    ----------
    run
        Folder of a finished run (see `prunecheck results`).
    output
        Where the file is written.
    form
        What the file is to be.
    """
    require_output(output, ending=SAFETENSORS if form == "safetensors" else None)
    if form != "safetensors" and output.suffix.lower() == SAFETENSORS:
        raise InputError(f"{output} would be a file of torch's: choose another --output, or --form safetensors.")

    from prunecheck.runs.export import load_trained

    network = load_trained(run)
    write_output(network.to_bytes(form), output)
    accuracy = f"test accuracy {network.result.accuracy:.2f} %"
    print(f"wrote {output}: {network.spec.setting.model} of {network.spec.folder_name}, {accuracy}")
