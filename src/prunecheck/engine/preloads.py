"""Imported by the process that workers are copies of: what each of them imports before or in its first run.

None of it starts threads or looks for a GPU. What cannot be imported, because a user's configuration of the engine is
damaged for instance, is left to where it is missed and said in words.
"""

import contextlib
import gc
import importlib
import logging

MODULES = (
    "distributed",
    "prunecheck.engine.without_http",
    "prunecheck.engine.dask_executor",
    "prunecheck.training.sparse",
    "safetensors.numpy",
    "safetensors.torch",
    "tensorboard.compat.proto.event_pb2",
    "tensorboard.compat.proto.summary_pb2",
    "tensorboard.summary.writer.record_writer",
)

for module in MODULES:
    with contextlib.suppress(Exception):
        importlib.import_module(module)

# That there are no kernels is said by the command itself, and need not be said by each of its workers again.
logging.getLogger("prunecheck.training.sparse.choice").setLevel(logging.ERROR)

gc.freeze()  # what workers share with this process is not gone through, nor copied, when one of them collects its own
