"""What a section of a report begins with: what its figures and tables show."""

from prunecheck.report.cells import difference_meaning
from prunecheck.report.contents import ReportContents, measured_when


def differences_lead(contents: ReportContents, *, has_dots: bool) -> str:
    """Say what the figures of paired differences show; ``has_dots``: whether each pair has a dot."""
    dots = f"a dot for each {contents.paired_by}, " if has_dots else ""
    return (
        f"{_costs(contents)}: paired differences, their mean, {dots}and as a bar what the mean is shown to lie between "
        "at the level of its test within the family (Holm). A bar that lies right of the shaded margin "
        "says that the method uses what was taken away, one that ends left of its right edge that it does not; one "
        "across that edge is undecided. In italics: another method's tickets instead, equivalent where the bar lies "
        "within the margin. A dashed bar is the plain 95 % interval of one whose verdict follows from no test, as the "
        "table says. An arrow says that a bar goes on. The tables have the plain 95 % intervals."
    )


def values_lead(contents: ReportContents) -> str:
    """Say what the figures and tables of values show."""
    quantity = contents.quantity
    answers = [answer for setting in contents.settings for answer in setting.answers]
    measured = f"test {quantity.name}" if quantity else "of the metric"
    return f"Mean {measured}{measured_when(answers)}, with the 95 % t interval over the {contents.paired_by}s."


def ratios_lead(contents: ReportContents) -> str:
    """Say what the figures of keep ratios show."""
    return (
        f"Share of each layer's weights that the masks keep: mean over the {contents.paired_by}s; the line reaches "
        "from the least to the most."
    )


def _costs(contents: ReportContents) -> str:
    if contents.quantity is None:
        return "By how much the method's tickets are better than the changed ones"
    own, other = "The method's tickets", "the changed ones"
    if not contents.quantity.higher_is_better:
        own, other = "the method's tickets", "The changed ones"
    return difference_meaning(contents.quantity, own, other)
