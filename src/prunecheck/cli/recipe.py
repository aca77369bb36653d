"""The options that say how networks are trained: the name of a recipe, and every field of one."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from prunecheck.cli.arguments import Whole, read_list
from prunecheck.cli.options import FLATTENED, described
from prunecheck.errors import InputError, field_name


@FLATTENED
@dataclass(frozen=True)
class RecipeOptions:
    """How networks are trained; what is None the data set suggests, or the recipe says."""

    recipe: Annotated[
        str | None,
        described(
            "How networks are trained: published, short, adamw (see `prunecheck list`), or FILE.toml. [default: "
            "suggested, by the data set]"
        ),
    ] = None
    epochs: Annotated[
        Whole | None,
        described(
            "Epochs of each training; the learning rate falls at 1/2 and 3/4 of them, or as the recipe says; of 2 "
            "once, of 1 not at all. [default: 20 for digits]",
        ),
    ] = None
    batch_size: Annotated[Whole | None, described("Images in a batch. [default: 64 for digits]")] = None
    learning_rate: Annotated[float | None, described("Initial learning rate. [default: 0.2 for digits]")] = None
    optimizer: Annotated[str | None, described("sgd, adam or adamw. [default: sgd, or the recipe's]")] = None
    momentum: Annotated[float | None, described("Of SGD; of Adam, beta1. [default: 0.9]")] = None
    nesterov: Annotated[bool | None, described("Nesterov's momentum. [default: no, or as the recipe says]")] = None
    beta2: Annotated[float | None, described("Of Adam, for the mean of squared gradients. [default: 0.999]")] = None
    epsilon: Annotated[float | None, described("Of Adam, added to the root of that mean. [default: 1e-8]")] = None
    weight_decay: Annotated[float | None, described("Weight decay. [default: 1e-4, or the recipe's]")] = None
    decayed: Annotated[
        str | None,
        described("What weight decay is on: all parameters, or weights, all but vectors. [default: all]"),
    ] = None
    schedule: Annotated[
        str | None,
        described("Of the learning rate: steps, constant, cosine, linear or one-cycle. [default: steps]"),
    ] = None
    milestones: Annotated[
        str | None,
        described(
            "Of the schedule steps: epochs, counted from 0, with commas between them. [default: 1/2 and 3/4 of all]"
        ),
    ] = None
    gamma: Annotated[
        float | None, described("Of steps: what the rate is multiplied by at each milestone. [default: 0.1]")
    ] = None
    warmup_epochs: Annotated[float | None, described("Epochs in which the rate rises. [default: 0]")] = None
    scheduled_epochs: Annotated[
        Whole | None, described("Epochs that the schedule is made for, where training stops earlier. [default: all]")
    ] = None
    peak: Annotated[
        float | None, described("Of one-cycle: share of the training after which the rate is highest. [default: 0.3]")
    ] = None
    clip_norm: Annotated[
        float | None, described("Norm that longer gradients are shortened to; 0: never. [default: 0]")
    ] = None
    label_smoothing: Annotated[
        float | None, described("Share of each label that is spread evenly over all classes. [default: 0]")
    ] = None
    mixup: Annotated[float | None, described("Alpha of mixup; 0: no mixing. [default: 0]")] = None
    cutout: Annotated[
        Whole | None, described("Side of a square that is cut out of each image, pixels; 0: none. [default: 0]")
    ] = None
    weight_average: Annotated[
        float | None, described("Decay of the moving average of weights that is tested; 0: none. [default: 0]")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return the fields that are given, in their own types; raise :class:`InputError` for wrong milestones."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "recipe"}
        if self.milestones is not None:
            values["milestones"] = _read_epochs(self.milestones)
        return {name: value for name, value in values.items() if value is not None}


def _read_epochs(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    try:
        return tuple(map(int, read_list("milestones", text)))
    except ValueError:
        raise InputError(
            f"{field_name('milestones')} takes whole numbers with commas between them, or none, not {text!r}.",
            field="milestones",
        ) from None
