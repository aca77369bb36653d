"""Processes that do equal work at once: each gets ready by itself, and all are let go together."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess


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
    """What a worker passes before each turn, when all are ready and with the others of its crew.

    Args:
        connection: to the process that hands out turns.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __call__(self, seconds: float | None) -> None:
        """Return when the next turn begins; never after the last.

        Args:
            seconds: per unit of work, in the last turn; None before the first.
        """
        self.connection.send(seconds)
        self.connection.recv()


Job = Callable[[Gate, int, int], None]
"""Given a gate, a number of turns and a number of threads, passes the gate before each turn and after the last."""


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
    workers: list[BaseProcess] = []
    connections: dict[int, list[Connection]] = {crew.threads: [] for crew in crews}
    try:
        # What a process computes with may depend on its number of threads, so that each keeps its own.
        for threads, of_threads in connections.items():
            sizes = [crew.processes for crew in crews if crew.threads == threads]
            for number in range(max(sizes)):
                turns = repeats * sum(size > number for size in sizes)
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(job, there, turns, threads), daemon=True)
                process.start()
                there.close()
                workers.append(process)
                of_threads.append(here)
        return _hand_out(connections, crews, repeats)
    finally:
        for worker in workers:
            worker.terminate()


def _work(job: Job, connection: Connection, turns: int, threads: int) -> None:
    job(Gate(connection), turns, threads)


def _hand_out(
    connections: Mapping[int, Sequence[Connection]], crews: Sequence[Crew], repeats: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {crew.name: [] for crew in crews}
    everyone = [connection for of_threads in connections.values() for connection in of_threads]
    _answers(everyone)
    for _ in range(repeats):
        for crew in crews:
            called = connections[crew.threads][: crew.processes]
            for connection in called:
                connection.send("begin")
            seconds[crew.name].append(together(_answers(called)))
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
