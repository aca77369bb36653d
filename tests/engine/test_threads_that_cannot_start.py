"""A system that gives no more threads: whichever it is that the engine misses, a sentence says so, and soon."""

import os
import subprocess
import sys

import pytest

STARTING = """
import multiprocessing, os, sys, threading
import distributed
from prunecheck.engine import local, processes
from prunecheck.errors import InputError

processes.require_startable = lambda workers: None  # which would find it out before
local.SECONDS_TO_START, local.SECONDS_TO_START_A_WORKER, local.SECONDS_TO_END = 6, 0, 5
start, command = threading.Thread.start, os.getpid()

def start_with(allowed):
    left = [allowed]

    def start_or_not(thread):
        if left[0] == 0:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    threading.Thread.start = start_or_not
    try:
        with local.local_client(1):
            print("started", flush=True)
    except InputError as error:
        print(error, flush=True)

for allowed in {allowed}:
    child = os.fork()
    if child == 0:
        start_with(allowed)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it forks after imports")
def test_a_thread_that_cannot_be_started_is_said_whichever_it_is() -> None:
    code = STARTING.replace("{allowed}", "(0, 1, 2, 3)")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False, env=os.environ
    )
    said = done.stdout.splitlines()
    assert len(said) == 4, done.stderr
    for sentence in said:
        assert sentence.startswith("1 worker process could not be started ("), sentence
        assert "can't start new thread" in sentence or "nothing has come of it" in sentence
