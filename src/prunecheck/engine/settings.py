# mypy: allow-untyped-calls
"""How the engine is set on this machine: by its own defaults and by what stands here, whatever a user's dask is set to.

A user's configuration (``~/.config/dask``, ``DASK_...`` in the environment) is made for other programs and other
machines: a worker's lifetime for a batch system, a preload for a GPU library, limits of memory for data frames. It goes
on counting for a scheduler that someone else has started; see :func:`prunecheck.engine.dask_cluster.remote_client`.
"""

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunecheck.engine.fork_server import METHOD, leave_out_preloads_of_engine
from prunecheck.engine.processes import WORKER_ENVIRONMENT
from prunecheck.errors import InputError, field_name

LOCAL_SETTINGS: Mapping[str, Any] = {
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    # Copies of a process that has imported torch; see fork_server.
    "distributed.worker.multiprocessing-method": METHOD,
    # A criterion may start processes, as a DataLoader does. That none outlives the command is seen to in orphans.
    "distributed.worker.daemon": False,
    # Of a run that ends its workers is told in the run's own folder, which counts the deaths of the workers that were
    # doing it. The engine also counts those of workers where it was waiting.
    "distributed.scheduler.allowed-failures": 2**31,
    # A run at a time, so that all are begun in order and none waits for a worker that is busy.
    "distributed.scheduler.worker-saturation": 1.0,
    # A worker of this machine that ends is noticed at once. One that is silent has slept with the
    # machine, or the clock was set.
    "distributed.scheduler.worker-ttl": None,
    # A worker that has ended is started anew by its nanny however long that takes; after this time it
    # would be given up.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # How many steps of runs that are over the scheduler remembers: by default enough to grow for days.
    "distributed.admin.low-level-log-length": 100,
    # Nobody reads a worker's profile, which is sampled while it trains, nor how long others waited for the interpreter.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    # Nor often how busy its processes are, and whether their event loops are late: by default they look 2, 10 and 50
    # times a second, beside the training.
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "60s",
    # Nothing is kept in memory that is to be spilled or moved.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": True,
}
"""What differs from the engine's defaults, or would be another engine if these changed."""


def import_engine() -> None:
    """Import dask and distributed, which read the user's configuration meanwhile.

    Raises:
        InputError: they cannot make anything of it.
    """
    try:
        importlib.import_module("distributed")
        leave_out_preloads_of_engine()
    # What a configuration can be wrong in is not foreseen: it may name handlers of a log, or not be a mapping.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(
            f"dask, which runs several processes, cannot be loaded ({reason}): mend its configuration (~/.config/dask, "
            f"the environment's DASK_...), or train with {field_name('workers')} set to 1, which does without.",
            field="workers",
        ) from error


def local_security() -> Any:
    """Return the engine's ``Security``, with a certificate that nobody else has, or with the user's own.

    These are the one thing that is taken from the user's configuration, which may demand them.

    Raises:
        InputError: the configuration requires encryption, and certificates are not named or cannot be read.
    """
    import dask.config
    from distributed import Security

    from prunecheck.engine.certificate import temporary_security

    if not dask.config.get("distributed.comm.require-encryption"):
        return temporary_security()
    security = Security()
    wanted = "dask's configuration requires encryption (distributed.comm.require-encryption)"
    otherwise = (
        "set DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=False for this command, whose processes talk over loopback"
    )
    for role in ("scheduler", "worker", "client"):
        named = security.get_tls_config_for_role(role)
        if not (named["ca_file"] and named["cert"]):
            raise InputError(
                f"{wanted} and does not name the {role}'s certificates: set distributed.comm.tls.ca-file and "
                f"distributed.comm.tls.{role}.cert, or {otherwise}."
            )
        try:
            security.get_listen_args(role) if role != "client" else security.get_connection_args(role)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{wanted}, and the {role}'s certificates cannot be used ({error}): mend distributed.comm.tls, or "
                f"{otherwise}."
            ) from error
    return security


@contextlib.contextmanager
def local_settings(temporary: Path) -> Iterator[None]:
    """Have the engine's own defaults and :data:`LOCAL_SETTINGS` count instead of the user's configuration.

    Args:
        temporary: the folder for what the engine's processes leave on disk while they live.
    """
    import dask.config

    ours = dask.config.merge(*dask.config.defaults)
    dask.config.set({**LOCAL_SETTINGS, "temporary-directory": str(temporary)}, config=ours)
    config = dask.config.global_config
    theirs = dict(config)
    try:
        with dask.config.config_lock:
            config.clear()
            config.update(ours)
        yield
    finally:
        with dask.config.config_lock:
            config.clear()
            config.update(theirs)
