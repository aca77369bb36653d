"""A report in words: its title, its answer, what the verdicts mean, and what a reader must know."""

from prunecheck.report.contents import AnsweredSetting, ReportContents
from prunecheck.report.looks import looks_text, named_looks
from prunecheck.report.reading import joined, reading
from prunecheck.report.remarks import about_mask_files, about_tests, remarks
from prunecheck.report.sweeps import sweep_text


def title(contents: ReportContents) -> str:
    """Say whose answers these are."""
    methods = list(dict.fromkeys(answer.question.method for _, answer in contents.answers()))
    if not methods:
        return "What these runs show"
    if len(methods) > 3:
        return f"What {len(methods)} pruning methods use"
    return f"What {joined(methods, 'and')} use{'s' if len(methods) == 1 else ''}"


def subtitle(contents: ReportContents) -> str:
    """Say on what they rest: the setting, how many runs, the margin."""
    runs = sum(len(setting.runs) for setting in contents.settings)
    first = contents.settings[0].title
    where = first if len(contents.settings) == 1 else f"{len(contents.settings)} settings"
    return f"{where}; {runs:,} runs{_margins(contents)}"


def readings(contents: ReportContents) -> tuple[str, ...]:
    """Return what the verdicts of each answer mean."""
    return tuple(f"{_named(setting, contents)}{reading(answer)}" for setting, answer in contents.answers())


def all_remarks(contents: ReportContents) -> tuple[str, ...]:
    """Return what is to be known of tickets and of looks, each text once, with the methods that it is about."""
    answers = [answer for _, answer in contents.answers()]
    return *named_looks(answers, remarks), *named_looks(answers, looks_text)


def sweeps(contents: ReportContents) -> tuple[str, ...]:
    """Return where methods fall behind their baselines, of those questions that are sweeps."""
    found = ((setting, sweep_text(answer)) for setting, answer in contents.answers())
    return tuple(f"{_named(setting, contents)}{text}" for setting, text in found if text)


def limits(contents: ReportContents) -> tuple[str, ...]:
    """Return what masks in files, and tests of one network, allow to conclude and what not, each sentence once."""
    answers = [answer for setting in contents.settings for answer in setting.answers]
    found = (sentence for answer in answers for sentence in (*about_mask_files(answer), *about_tests(answer)))
    return tuple(dict.fromkeys(found))


def _named(setting: AnsweredSetting, contents: ReportContents) -> str:
    return f"{setting.title}: " if len(contents.settings) > 1 else ""


def _margins(contents: ReportContents) -> str:
    if not contents.margins:
        return ""
    if contents.quantity is None:
        return f", margins {joined([quantity.amount_of(margin) for quantity, margin in contents.margins], 'and')}"
    *others, (quantity, last) = contents.margins
    return f", margin {' and '.join([*(f'{margin:g}' for _, margin in others), quantity.amount(last)])}"
