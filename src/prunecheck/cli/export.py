"""``prunecheck export`` writes tickets and trained networks for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from prunecheck.cli.options import OUT, DataRoot, Format, Select, described
from prunecheck.cli.output import print_text, say
from prunecheck.errors import InputError
from prunecheck.io import require_output, write_output

if TYPE_CHECKING:
    from prunecheck.api.exports import NamedByUser
    from prunecheck.runs.export import ExportedRun, WhichWeights


def export(
    *runs: Annotated[Path, Parameter(name="RUN", show_default=False)],
    out: Annotated[Path, Parameter(name=OUT)],
    format: Format = None,
    weights: Literal["trained", "start"] = "trained",
    model: Annotated[
        str | None,
        described("For ONNX and transformers: a network of your own, as the runs were given it (FILE.py:NAME)."),
    ] = None,
    dataset: Annotated[str | None, described("Likewise, of runs on a data set of your own.")] = None,
    data_root: DataRoot = None,
    select: Select = None,
) -> None:
    """Write the network that a run ended with, or its ticket, to a file, or those of many runs into a folder.

    ticket: safetensors of weights/NAME and masks/LAYER (True = kept), as `prunecheck prune` writes them.

    state-dict: model.load_state_dict(torch.load(FILE, weights_only=True)); pruned weights are 0.

    state-dict-safetensors: the same for safetensors.torch.load_file.

    torch-prune: a state dict for a network that torch.nn.utils.prune has pruned: call prune.identity(layer, "weight")
    for every layer of which the file has a weight_mask, and load_state_dict; prune.remove(layer, "weight") then makes
    plain weights.

    onnx: the network as it predicts, for any batch size; needs the extra prunecheck[onnx], and the data set, whose
    images or tokens it takes. No code is run that is not named by --model or --dataset.

    transformers: model.safetensors for a copy of the folder of a transformers:PATH model, which --model names.

    cut-program, cut-onnx, cut-state-dict: the network without the channels that its masks remove, which computes the
    same: torch.export.load(FILE).module(), ONNX, or the smaller weights alone. It is built for that, as for onnx.

    Parameters
    ----------
    runs
        Folder of one finished run (see `prunecheck results`), or folders of many, such as runs: of these, all that were
        trained.
    out
        Where the file is written; of many runs, the folder, in which manifest.json says what each file is.
    weights
        trained: those after the last epoch; of a method after training, those that were tested. start: those of the
        ticket that the training began with, or the test, with those under its mask.
    """
    if not runs:
        raise InputError("RUN needs a value: give the folder of a run, or one that holds runs, such as runs.")
    from prunecheck.api.exports import NamedByUser, export_runs, which_weights
    from prunecheck.api.selections import select_runs
    from prunecheck.pruning.export_formats import find_format, is_name_of_file
    from prunecheck.runs.export import is_run
    from prunecheck.runs.index import find_runs
    from prunecheck.studies.selection import read_selection

    chosen, named = which_weights(weights), NamedByUser(model, dataset, data_root)
    selection = read_selection(select)
    if len(runs) == 1 and is_run(runs[0]) and not selection:
        _export_one(runs[0], out, format, chosen, named)
        return
    form = find_format(format)
    if not out.is_dir() and is_name_of_file(out):
        raise InputError(f"{out} names a file and there are many runs: give a folder, or one run's own as RUN.")
    found = select_runs(find_runs(runs), selection, runs)
    if selection and not found.runs:
        raise InputError(f"no run there is one of {selection}: choose others.", field="select")
    exported = export_runs(found.runs, out, form, chosen, named)
    for unreadable in found.unreadable:
        say(f"left out {unreadable}.")
    for path, reason in exported.left_out.items():
        print_text(f"left out {path}, which {reason}")
    for file, remark in exported.remarks.items():
        print_text(f"{file}: {remark}")
    count = len(exported.files)
    print_text(
        f"wrote {count} file{'' if count == 1 else 's'} and a manifest into {out}: {form.name}, {weights} weights"
    )


def _export_one(run: Path, out: Path, format: str | None, weights: "WhichWeights", named: "NamedByUser") -> None:
    require_output(out)
    from prunecheck.api.exports import read_for_export
    from prunecheck.pruning.export_formats import export_bytes, export_remarks, find_format

    form = find_format(format, out)
    exported = read_for_export(run, weights, named)
    write_output(export_bytes(exported.network, form), out)
    for remark in export_remarks(exported.network, form):
        print_text(remark)
    print_text(f"wrote {out}: {_description(exported, weights)}")


def _description(exported: "ExportedRun", weights: "WhichWeights") -> str:
    spec, result = exported.run.spec, exported.run.result
    of_run = f"{spec.setting.model} of {spec.folder_name}"
    if weights == "start":
        return f"the ticket of {of_run}" + (f", collapsed: {result.collapse}" if result and result.collapse else "")
    if result is None or result.value is None:
        return of_run
    quantity = spec.setting.quantity
    return f"{of_run}, test {quantity.name} {quantity.with_unit(result.value)}"
