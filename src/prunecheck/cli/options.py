"""The options that commands have in common, each declared and documented once.

A command takes the dataclasses below, whose fields are options of its own: ``data: DataOptions = DataOptions()``.
Fields are named as the arguments of the Python functions that they are handed to. Where commands differ in a default,
they share the type of the option, which carries its help.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.acceleration import WHERE_IT_PAYS, AccelerationFlags
from prunecheck.cli.arguments import Amount, Whole, WholeOrWord
from prunecheck.errors import InputError

FLATTENED = Parameter(name="*")
"""Makes the fields of a dataclass options of the command that takes it."""


def described(text: str, **more: object) -> Parameter:
    """Return the description of an option whose default the text says, or that has none to show."""
    return Parameter(help=text, show_default=False, **more)  # type: ignore[arg-type]


DatasetName = Annotated[
    str,
    Parameter(
        help="Data set (see `prunecheck list`), folder:PATH of images, npz:FILE, huggingface:PATH, "
        "text:PATH, tokens:FILE, or FILE.py:FUNCTION."
    ),
]
DataRoot = Annotated[
    Path | None,
    described(
        "Folder that holds data sets in their publishers' layouts (see `prunecheck data list`), searched first. "
        "[default: PRUNECHECK_DATA, then the cache]",
    ),
]
TrainImages = Annotated[
    Whole | None, described("Use so many training images, the first of every class. [default: all]")
]
Augment = Annotated[
    str | None,
    described(
        "How training images are varied: crop=4 moves them by up to 4 pixels over zeros, flip mirrors half of them, "
        "crop=4,flip does both; none. [default: the data set's own way]"
    ),
]
Normalize = Annotated[
    str | None,
    described(
        'Images minus a mean, divided by a std: dataset (those of the training part), "mean=0.5,0.5,0.5 '
        'std=0.2,0.2,0.2" for each channel or one for all (of 8-bit images scaled to [0, 1]), or none. [default: the '
        "data set's own way]"
    ),
]
Width = Annotated[
    Whole | None,
    described("Channels of the network's first stage. [default: as published, for a --model that you name]"),
]
Prunable = Annotated[
    str | None,
    described(
        "Prune these layers only: names, names of modules around them, or patterns ('layer3.*'), with commas between "
        "them; first and last stand for the first and the last Conv2d or Linear layer. [default: every Conv2d and "
        "Linear]"
    ),
]
KeepDense = Annotated[str | None, described("Keep these layers whole, likewise: first,last. [default: none]")]
Sparsities = Annotated[
    str | None,
    described(
        "Shares of weights to remove, in [0, 1), with commas between them; sweep for 0.5 to 0.999. [default: that of "
        "mask:PATH, else 0.9,0.95]",
    ),
]
Start = Annotated[
    str | None,
    described(
        "Which weights training of mask:PATH starts from: initial, the run's own, or file, those in the file. "
        "[default: initial]",
    ),
]
SeedCount = Annotated[Whole, Parameter(help="How many seeds: 0 to N-1.")]
MaxSeeds = Annotated[
    Whole | None,
    described("The most seeds that --seeds auto may take; it may be raised later. [default: 20]"),
]
METRIC = described(
    "What runs are judged by (see `prunecheck list`), or FILE.py:FUNCTION, a metric of your own: a function "
    "(logits, labels) that returns a number, below @prunecheck.metric(unit=..., higher_is_better=...). [default: "
    "accuracy; of text bits-per-byte]"
)
Metric = Annotated[str, METRIC]
AskedMetric = Annotated[str | None, METRIC]
Margin = Annotated[
    Amount | None,
    described(
        "What makes no practical difference, stated before the runs: in the unit of the metric, or 1% of its value. "
        "[default: 2 points of what is measured in percent, 0.02 bits-per-byte; to be given for others]"
    ),
]
Device = Annotated[str, Parameter(help="cpu, cuda or cuda:N.")]
Family = Annotated[
    str,
    Parameter(
        help="The comparisons over which verdicts are wrong together in 5 % at most: those of each question by itself "
        "(question), or of all that are answered here (report)."
    ),
]
RecordedFamily = Annotated[
    str | None,
    described(
        "The comparisons over which verdicts are wrong together in 5 % at most: those of each question by itself "
        "(question), or of all that are answered here (report). [default: as it was asked, or question]"
    ),
]
OUT = ("--out", "-o")
"""What says, in every command, where what it makes is written."""

Out = Annotated[
    Path,
    Parameter(
        name=OUT,
        help="Folder where the run folders are written, and what is made of them; what is done there already is not "
        "done again.",
    ),
]
Into = Annotated[Path, described("Folder of runs that is made, or added to.", name=OUT)]
Select = Annotated[
    str | None,
    described(
        'Only what all of this holds of, with spaces between the terms: "method=snip,grasp sparsity>=0.9 check=none"; '
        "columns of `results --csv`, =, !=, <, <=, > or >=, * for any text, none for what is missing; age>30d, "
        "version=old (of your own code). [default: all]"
    ),
]
Json = Annotated[bool, described("Print one JSON object instead of tables.", negative="")]
Format = Annotated[
    str | None,
    described(
        "What a file is to be (see `prunecheck list`). [default: what its ending says, .safetensors a ticket, .pt or "
        ".pth a state-dict, .onnx ONNX; in a folder, tickets]"
    ),
]
FailOn = Annotated[
    str | None,
    described(
        "Exit with 1 if a verdict is one of these, with commas between them: undecided, collapsed, uses-it, "
        "does-not-use-it, better, equivalent, worse. [default: none of them]"
    ),
]
Set = Annotated[
    tuple[str, ...],
    described(
        "Take this for a key of the study file, once for each: --set seeds=10, --set sparsities=0.9,0.98, --set "
        "recipe.short.epochs=20; paths are taken from here.",
        negative="",
    ),
]
DryRun = Annotated[bool, described("Only say what would be done.", negative="")]
Calibrate = Annotated[
    bool,
    described(
        "Time some steps on this machine, on --device, for each network and sparsity of which no run in --out tells "
        "how long they take.",
        negative="",
    ),
]
MsAStep = Annotated[
    str | None,
    described(
        "Reckon with so many milliseconds for each step of training, whatever was measured: 70, or of each network, "
        "resnet32=70,vgg19=55. [default: measured]"
    ),
]
Quiet = Annotated[bool, described("Show no progress.", negative="")]
RetryFailed = Annotated[
    bool, described("Do failed runs again, and those that could not be done because of them.", negative="")
]


@FLATTENED
@dataclass(frozen=True)
class SeenDataOptions:
    """Which images are used."""

    dataset: DatasetName = "digits"
    data_root: DataRoot = None
    train_images: TrainImages = None
    augment: Augment = None
    normalize: Normalize = None


@FLATTENED
@dataclass(frozen=True)
class DataOptions(SeenDataOptions):
    """Which images are used, of the test part too."""

    test_images: Annotated[
        Whole | None, described("Test on so many images, the first of every class. [default: all]")
    ] = None


@FLATTENED
@dataclass(frozen=True)
class NetworkOptions:
    """Which network is pruned."""

    model: Annotated[
        str | None,
        described(
            "Network (see `prunecheck list`). [default: the data set's own, resnet8 of width 16 for digits]",
        ),
    ] = None
    width: Width = None
    prunable: Prunable = None
    keep_dense: KeepDense = None


@FLATTENED
@dataclass(frozen=True)
class SettingsOptions:
    """In which settings the same is asked; every recipe with every network on every data set."""

    recipes: Annotated[
        str | None,
        described(
            "Ask with each of these recipes, with commas between them (published,short,adamw), and say whether the "
            "verdicts hang on the recipe. [default: that of --recipe]"
        ),
    ] = None
    models: Annotated[str | None, described("Ask of each of these networks, likewise. [default: that of --model]")] = (
        None
    )
    datasets: Annotated[
        str | None, described("Ask on each of these data sets, likewise. [default: that of --dataset]")
    ] = None
    family: Annotated[
        str | None,
        described(
            "The comparisons over which verdicts are wrong together in 5 % at most: of all settings (report), or of "
            "each by itself (question). [default: report]"
        ),
    ] = None


@FLATTENED
@dataclass(frozen=True)
class ScoringOptions:
    """How many images a criterion sees."""

    samples_per_class: Annotated[
        Whole, Parameter(help="How many training images of each class the criterion sees at a time.")
    ] = 10
    scoring_rounds: Annotated[
        Whole, Parameter(help="How many times it sees so many, for more images than memory holds at once.")
    ] = 1


@FLATTENED
@dataclass(frozen=True)
class CalibrationOptions:
    """What a method after training sees, and how text is cut."""

    calibration_sequences: Annotated[
        Whole, Parameter(help="How many sequences of tokens a method after training sees.")
    ] = 128
    calibration_data: Annotated[
        str | None,
        described(
            "Another data set of text (text:PATH, ...): adds the check other-corpus, for which the method sees as many "
            "sequences of it. [default: none]"
        ),
    ] = None
    sequence_length: Annotated[
        Whole | None, described("Tokens of a sequence, in training and in tests, too. [default: 128]")
    ] = None


@FLATTENED
@dataclass(frozen=True)
class QuestionOptions:
    """What is asked about a method."""

    sparsity: Sparsities = None
    start: Start = None
    seeds: Annotated[
        WholeOrWord,
        Parameter(
            help="How many seeds: 0 to N-1; auto looks at 5, 8, 12, 20, ... and adds runs only for what is not decided."
        ),
    ] = "auto"
    max_seeds: MaxSeeds = None
    checks: Annotated[
        str | None,
        described(
            "Checks (see `prunecheck list`), with commas between them; random-labels@0.25 is done to a share, "
            "rearrange-mask+reinit are two at once; none for nothing but the baseline. [default: "
            "corrupted-data,rearrange-mask; of text random-tokens,rearrange-mask; after training random-tokens,"
            "shuffled-tokens,one-sequence,rearrange-rows]"
        ),
    ] = None
    baseline: Annotated[
        str | None,
        described(
            "Method whose tickets the method's are compared with; none for nothing. [default: random-smart, of text "
            "random-erk; after training magnitude-after-training]"
        ),
    ] = None
    metric: AskedMetric = None
    margin: Margin = None


@FLATTENED
@dataclass(frozen=True)
class EngineOptions:
    """Where runs are done, and how fast."""

    workers: Annotated[
        Whole | None,
        described("Single-thread processes that train at the same time. [default: one per core; 1 on a GPU]"),
    ] = None
    device: Device = "cpu"
    acceleration: AccelerationFlags = WHERE_IT_PAYS
    track: Annotated[
        str | None,
        described(
            "Send curves to wandb or mlflow, too, with commas between them; with a project or experiment: "
            "wandb:my-project. [default: TensorBoard's files in the run folders alone]"
        ),
    ] = None


@FLATTENED
@dataclass(frozen=True)
class ClusterOptions:
    """Who does runs in the place of this machine's own processes, and where that can be watched."""

    scheduler: Annotated[
        str | None,
        described(
            "tcp://HOST:PORT or tls://HOST:PORT of a dask scheduler, or the file that `dask scheduler "
            "--scheduler-file` writes: its workers do the runs. [default: this machine alone]",
        ),
    ] = None
    dashboard: Annotated[
        str | None, described("HOST:PORT where the engine shows its dashboard meanwhile. [default: nowhere]")
    ] = None


def require_own_workers(engine: EngineOptions, cluster: ClusterOptions) -> bool:
    """Say whether this machine's own processes do the runs; raise :class:`InputError` if a scheduler is given, too."""
    is_here = cluster.scheduler is None
    if not is_here and (engine.workers is not None or cluster.dashboard is not None):
        raise InputError("--scheduler has workers and a dashboard of its own: leave --workers and --dashboard out.")
    return is_here
