"""Processes that do equal work at once: each gets ready by itself, and all are let go together."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier


@dataclass(frozen=True)
class Crew:
    """Processes that work at once.

    Attributes:
        processes: how many.
        threads: of each.
    """

    processes: int
    threads: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{_counted(self.processes, 'process', 'processes')} of {_counted(self.threads, 'thread', 'threads')}"


def crews(cores: int) -> list[Crew]:
    """Return 1, 2, 4, ... processes of one thread, up to one on each core, and one process with all cores' threads."""
    counts = sorted({2**power for power in range(cores.bit_length())} | {cores})
    return [Crew(count, 1) for count in counts] + ([Crew(1, cores)] if cores > 1 else [])


class Gate:
    """What a worker passes before each turn, at the same time as the others of its crew.

    Args:
        connection: to the process that hands out turns.
        barriers: by number of processes, where those of a crew wait for each other.
        set_threads: called before a turn with the number of threads to use in it.
    """

    def __init__(
        self, connection: Connection, barriers: Mapping[int, Barrier], set_threads: Callable[[int], object]
    ) -> None:
        self.connection, self.barriers, self.set_threads = connection, barriers, set_threads

    def __call__(self, seconds: float | None) -> None:
        """Return when the next turn begins, or at once when there is none.

        Args:
            seconds: per unit of work, in the last turn; None before the first.
        """
        self.connection.send(seconds)
        crew: Crew | None = self.connection.recv()
        if crew:
            self.set_threads(crew.threads)
            self.barriers[crew.processes].wait()


Job = Callable[[Connection, Mapping[int, Barrier], int], None]
"""Makes a gate of the first two and takes so many turns: passes the gate before each of them and after the last."""


def work_together(job: Job, crews: Sequence[Crew], repeats: int) -> dict[str, list[float]]:
    """Let each crew take its turn in every round.

    Args:
        job: what each process does; a function that can be pickled.
        crews: who takes turns.
        repeats: how many rounds.

    Returns:
        By crew, the seconds per unit of work in each round, of all its processes together.

    Raises:
        RuntimeError: a process ended early.
    """
    context = multiprocessing.get_context("spawn")
    barriers = {crew.processes: context.Barrier(crew.processes) for crew in crews}
    workers: list[tuple[BaseProcess, Connection]] = []
    try:
        for number in range(max(crew.processes for crew in crews)):
            turns = repeats * sum(crew.processes > number for crew in crews)
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=job, args=(there, barriers, turns), daemon=True)
            process.start()
            there.close()
            workers.append((process, here))
        connections = [connection for _, connection in workers]
        return _hand_out(connections, crews, repeats)
    finally:
        for process, _ in workers:
            process.join(10)
            process.terminate()


def _hand_out(connections: Sequence[Connection], crews: Sequence[Crew], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {crew.name: [] for crew in crews}
    _answers(connections)
    for _ in range(repeats):
        for crew in crews:
            called = connections[: crew.processes]
            for connection in called:
                connection.send(crew)
            seconds[crew.name].append(together(_answers(called)))
    for connection in connections:
        connection.send(None)
    return seconds


def together(seconds: Sequence[float]) -> float:
    """Return the seconds per unit of work of several that work at once: the inverse of their summed throughput."""
    return 1 / sum(1 / each for each in seconds)


def _answers(connections: Sequence[Connection]) -> list[float]:
    """Return what each worker has to say, once all have spoken."""
    answers, silent = [], list(connections)
    while silent:
        for connection in wait(silent):
            assert isinstance(connection, Connection)
            try:
                answers.append(connection.recv())
            except EOFError as error:
                raise RuntimeError("a worker process ended early: what it wrote last says why.") from error
            silent.remove(connection)
    return answers


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
