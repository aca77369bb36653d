"""What a comparison may conclude, and how that is shown."""

from enum import StrEnum


class Verdict(StrEnum):
    """A verdict; the values are the labels.

    Attributes:
        tone: the class of the style sheet that colours it.
        glyph: its sign in figures, one of :data:`prunecheck.report.svg.GLYPHS`.
    """

    tone: str
    glyph: str

    def __new__(cls, label: str, tone: str, glyph: str) -> "Verdict":
        """Give a label its tone and glyph."""
        verdict = str.__new__(cls, label)
        verdict._value_ = label
        verdict.tone, verdict.glyph = tone, glyph
        return verdict

    USES = "uses it", "uses", "◆"
    DOES_NOT_USE = "does not use it", "not-uses", "●"
    BETTER = "better", "better", "▲"
    EQUIVALENT = "equivalent", "not-uses", "✚"
    WORSE = "worse", "uses", "▼"
    UNDECIDED = "undecided", "undecided", "■"
    COLLAPSED = "collapsed", "undecided", "■"

    @property
    def option(self) -> str:
        """The label as a word, for command lines."""
        return self.value.replace(" ", "-")

    @property
    def says_no_loss(self) -> bool:
        """Whether it says that nothing is lost, which tickets that learned nothing cannot show."""
        return self in (Verdict.DOES_NOT_USE, Verdict.EQUIVALENT)
