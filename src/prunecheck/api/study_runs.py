"""The runs of a study: those that are missing are done, and its questions are answered from all of them."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from prunecheck.analysis.comparison import Results
from prunecheck.analysis.families import Conclusion, answer_questions, needed_runs
from prunecheck.analysis.looks import with_looks, with_terms
from prunecheck.analysis.verdicts import Verdict
from prunecheck.api.interruption import stop_on_interrupt
from prunecheck.api.progress import Progress
from prunecheck.engine import executors
from prunecheck.engine.dask_cluster import visible_gpus
from prunecheck.engine.events import Event
from prunecheck.engine.processes import processes_kept
from prunecheck.report.reading import FEW_SEEDS, few_decide
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.studies.plan import bytes_needed
from prunecheck.studies.question import Question, Scope, what_pairs
from prunecheck.studies.question_log import find_entry, note_questions, read_questions
from prunecheck.studies.retry import forget_failed
from prunecheck.studies.study import Study
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration

OnEvent = Callable[[Event], None]
"""Called in the calling thread for every epoch and run that is done."""


@dataclass(frozen=True)
class Execution:
    """How runs are executed, which is no part of what they are.

    Attributes:
        workers: how many processes of this machine train at the same time; with 1 everything happens in this one.
        device: where they train; on ``cuda`` the processes share out the GPUs that the environment names.
        acceleration: what may make training faster.
        scheduler: whose workers do them; see :func:`prunecheck.engine.executors.execute_all`.
        dashboard: ``HOST:PORT`` where the engine shows it; None for nowhere.
        on_event: is told of every epoch and run; progress is then not shown.
        quiet: whether to show no progress.
        track: the services that are sent the curves of runs, and the project at each.
    """

    workers: int = 1
    device: str = "cpu"
    acceleration: Acceleration = WHERE_IT_PAYS
    scheduler: str | None = None
    dashboard: str | None = None
    on_event: OnEvent | None = None
    quiet: bool = False
    track: tuple[tuple[str, str], ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether nothing is to be shown while runs are done."""
        return self.quiet or self.on_event is not None

    def gpus(self) -> list[str]:
        """Return the GPUs that several processes share out."""
        return visible_gpus(os.environ) if self.device == "cuda" and self.scheduler is None else []


def study_results(
    study: Study, root: Path, execution: Execution, *, retry_failed: bool = False, family: Scope = Scope.QUESTION
) -> tuple[Results, Results]:
    """Do the runs that a study's answers need and that have no result, write ``results.csv``, note what was asked.

    Args:
        study: validated before.
        root: where the runs are; it is made, and held so that no second command works in it.
        execution: how they are executed.
        retry_failed: whether to do failed runs again, and those that could not be done because of them.
        family: over which verdicts are adjusted together: what is decided at a look depends on it.

    Returns:
        What the study's runs ended with, without those that could not be begun, and what all complete runs there did.

    Raises:
        InputError: there is no space, a folder holds something else, or another command is at work there.
        KeyboardInterrupt: Ctrl-C, after what is going on was saved.
    """
    store = RunStore(root)
    with store.locked(), processes_kept():
        if retry_failed:
            forget_failed(study, store)
        return do_missing_runs(study, store, execution, family)


def do_missing_runs(
    study: Study, store: RunStore, execution: Execution, family: Scope = Scope.QUESTION
) -> tuple[Results, Results]:
    """Do what :func:`study_results` does, in a root that is held, a part of the study after another."""
    questions = [question.question for question in study.questions]
    results: dict[RunSpec, RunResult] = {}
    recorded: Results = {}
    planned: list[RunSpec] = []
    remarks = [] if execution.is_silent else _few_seeds(questions)
    seeds = len(study.questions[0].seeds)
    for part in study.parts():
        seeds -= len(part.questions[0].seeds)
        # Its runs are as many for every seed.
        later = len(part.runs()) * seeds // len(part.questions[0].seeds)
        turn = _Turn(part, store, execution, family, planned, later, remarks)
        found, recorded = turn.do(recorded, lambda: note_questions(store.root, questions, shown=False, family=family))
        results |= found
        planned += part.runs() if later else ()
    note_questions(store.root, questions, shown=True, family=family)
    return results, recorded


@dataclass(frozen=True)
class _Turn:
    """The runs of a part of a study.

    Attributes:
        before: the runs of earlier parts.
        later: how many runs later parts have.
        remarks: what is said before the first run of any part, and is then taken out.
    """

    study: Study
    store: RunStore
    execution: Execution
    family: Scope
    before: Sequence[RunSpec]
    later: int
    remarks: list[str]

    def do(self, recorded: Results, note: Callable[[], None]) -> tuple[dict[RunSpec, RunResult], Results]:
        """Do those that are missing; return what its runs ended with, and what all complete runs there did.

        Where seeds are added until a question is decided, each look's runs are done before those of the next are known.

        Args:
            recorded: what is known of complete runs there.
            note: is called once there is space for the runs.
        """
        study, store, execution = self.study, self.store, self.execution
        questions = [question.question for question in study.questions]
        results = {run: result for run in study.runs() if (result := store.result(run))}
        recorded = {**recorded, **results}
        are_added = any(question.sequential for question in questions)
        given_up: set[RunSpec] = set()
        while True:
            wanted = study.with_dependencies(needed_runs(questions, results, self.family, given_up))
            missing = [run for run in study.runs() if run in wanted and run not in results and run not in given_up]
            needed = bytes_needed(study, missing, execution.workers)
            # Where nothing of it is done, nothing is of what comes later.
            parts = 1 + self.later / len(wanted) if len(missing) == len(wanted) else 1
            store.require_space(round(needed * parts))
            note()
            wanted_here = [run for run in study.runs() if run in wanted]
            store.write_planned([*self.before, *wanted_here], self.later)
            while missing and self.remarks:
                print(self.remarks.pop(0), file=sys.stderr)
            recorded = self._execute(missing, len(wanted), recorded)
            results |= {run: recorded[run] for run in missing if run in recorded}
            given_up |= {run for run in missing if run not in results}
            if not (are_added and missing):
                return results, recorded
            if not execution.is_silent:
                _tell_of_look(answer_questions(questions, results, self.family))

    def _execute(self, missing: Sequence[RunSpec], total: int, known: Results) -> Results:
        counts = len(self.before) + total, self.later
        return do_runs(self.study, missing, self.store, self.execution, counts, known)


def do_runs(
    study: Study,
    missing: Sequence[RunSpec],
    store: RunStore,
    execution: Execution,
    counts: tuple[int, int] | None = None,
    known: Results = MappingProxyType({}),
) -> Results:
    """Do some runs of a study, write ``results.csv``, and return what all complete runs there ended with.

    Args:
        study: validated before.
        missing: those of its runs that are to be done, all whose weights they need among them or done.
        store: which is held.
        execution: how they are executed.
        counts: how many runs there are together with those that are done, and how many come later, for the progress;
            None for these alone.
        known: what is known of complete runs there.

    Raises:
        InputError: a job cannot be executed on this machine.
        KeyboardInterrupt: Ctrl-C, after what is going on was saved.
    """
    wanted = set(missing)
    try:
        with stop_on_interrupt(store), _told(missing, *(counts or (len(missing), 0)), execution, store.root) as told:
            executors.execute_all(
                study.jobs(wanted.__contains__, store.root, execution.device, execution.acceleration),
                execution.workers,
                told,
                scheduler=execution.scheduler,
                dashboard=execution.dashboard,
                gpus=execution.gpus(),
            )
    finally:
        recorded = store.write_results(known)
    return recorded


def _few_seeds(questions: Sequence[Question]) -> list[str]:
    """Say how little so few seeds decide, where verdicts are asked for and no seeds are added."""
    few = [
        len(question.seeds)
        for question in questions
        if len(question.seeds) <= FEW_SEEDS and not question.sequential and (question.checks or question.others)
    ]
    if not few:
        return []
    return [f"{few_decide(max(few), what_pairs(questions))}: `prunecheck seeds` says how many a question needs."]


def _tell_of_look(answers: Sequence[Conclusion]) -> None:
    """Say what the looks so far have decided, where another one follows."""
    looked = [comparison for answer in answers for comparison in answer.comparisons if comparison.look]
    missing = sum(len(answer.missing) for answer in answers)
    if not missing:
        return
    seeds = max(comparison.look.seeds for comparison in looked if comparison.look)
    undecided = sum(comparison.verdict is Verdict.UNDECIDED for comparison in looked)
    print(
        f"with {seeds} seeds {undecided} of {len(looked)} comparisons are undecided: {missing} runs more",
        file=sys.stderr,
    )


@contextlib.contextmanager
def _told(missing: Sequence[RunSpec], total: int, later: int, execution: Execution, root: Path) -> Iterator[OnEvent]:
    """Yield what is told of events: the user's function, or the progress shown meanwhile; and what tracks runs."""
    with contextlib.ExitStack() as stack:
        told = execution.on_event
        if told is None:
            told = stack.enter_context(Progress(missing, total=total, later=later, quiet=execution.quiet)).update
        if not execution.track:
            yield told
            return
        from prunecheck.api.tracking import Tracking

        tracking = stack.enter_context(Tracking(execution.track, root))

        def tell(event: Event) -> None:
            tracking.update(event)
            told(event)

        yield tell


def conclusions(study: Study, root: Path, results: Results, family: Scope) -> list[Conclusion]:
    """Answer a study's questions, with the looks that were taken at them.

    Args:
        study: its runs are done.
        root: where they are.
        results: of them.
        family: over which verdicts are adjusted together.
    """
    questions = [question.question for question in study.questions]
    answers, logged = answer_questions(questions, results, family), read_questions(root)
    return with_terms(with_looks(answers, logged), [find_entry(question, family, logged) for question in questions])
