# mypy: allow-untyped-calls, disable-error-code="misc"
"""The engine's scheduler and worker without the HTTP servers that they open beside their own, dashboard or not.

These would tell everybody on this machine, who needs no certificate for it, what is trained where and by whom.
"""

from typing import Any

from distributed import Scheduler, Worker

from prunecheck.engine.sending import sent_at_once


class SchedulerWithoutHTTP(Scheduler):
    """The engine's scheduler; nobody can look at it."""

    def start_http_server(self, *arguments: Any, **named: Any) -> None:
        """Open none."""


class WorkerWithoutHTTP(Worker):
    """The engine's worker; nobody can look at it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        with sent_at_once():
            super().__init__(*arguments, **named)

    def start_http_server(self, *arguments: Any, **named: Any) -> None:
        """Open none."""
