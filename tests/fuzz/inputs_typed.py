"""Inputs that somebody writes: options, study files, criteria."""

import functools
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import samples
from tests.fuzz.cases import INTERRUPTED, Case
from tests.fuzz.damage import damaged_bytes, odd_value

COMMANDS = (
    "check", "plan", "run", "report", "audit", "seeds", "prune", "list", "results", "status", "stop", "export",
    "clean", "reproduce initial-tickets", "data show", "data list", "data verify",
)  # fmt: skip

ONE_RUN = ("--seeds", "1", "--checks", "none", "--baseline", "none")

VALUES = (
    "", " ", "-", "--", "-1", "0", "1", "2", "1e400", "nan", "inf", "-0.0", "0.5", "0.999999999999", "1.0",
    "99999999999999999999", "9223372036854775808", "banana", "none", "a,b", ",", "0.5,", "0.5,0.5", "*", "[", "%s",
    "snip", "snip@", "snip@0.5", "snip?x=1", "lt+", "x:y", ":", "os:getcwd", "json", "random-erk", "reinit",
    "shuffle-weights+reinit", "random-labels@2", "rearrange-mask@0.5", "file:", "npz:", "folder:.", "mask:",
    "mask:/dev/null", "/dev/null", "/", ".", "..", "/nowhere/x", "a" * 300, "é\u202e", "\x1b[2J", "\udcff", "cpu",
    "cuda:99", "digits", "resnet8", "resnet9999999", "vgg11", "crop=9", "mean=1 std=0", "first,last", "tcp://", "1:2",
)  # fmt: skip


@functools.cache
def _options(command: str) -> tuple[str, ...]:
    """Return the names of all options of a command."""
    from prunecheck.cli.main import build_app

    words = command.split()
    _, apps, _ = build_app().parse_commands(words)
    collection = apps[-1].assemble_argument_collection()
    return tuple(name for argument in collection for name in argument.names if name.startswith("--"))


def options(chance: Random, folder: Path) -> Case:
    """A command with options of any value."""
    command = chance.choice(COMMANDS)
    words = command.split()
    known = _options(command)
    for _ in range(chance.choice((0, 1, 1, 2))):
        words.append(chance.choice(VALUES))
    if "--epochs" in known:  # whatever is accepted is done in a second
        words[len(command.split()) :] = ["magnitude", *samples.SMALL, *ONE_RUN]
    for _ in range(chance.choice((1, 1, 2, 3))):
        words.append(chance.choice(known) if known and chance.random() < 0.95 else chance.choice(VALUES))
        words += [chance.choice(VALUES)] if chance.random() < 0.9 else []
    # A file's name, a process's argument, cannot hold it.
    return Case([word.replace("\0", "") for word in words], " ".join(map(repr, words)))


STUDY = """
name = "study"
methods = ["magnitude"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.5]
checks = []
seeds = 1
recipes = ["quick"]
baseline = "none"
margin = 2
train_images = 40
test_images = 20
samples_per_class = 1
scoring_rounds = 1

[recipe.quick]
epochs = 1
batch_size = 20
learning_rate = 0.1

[[include]]
methods = ["random-erk"]

[[exclude]]
methods = ["random-erk"]
sparsities = [0.9]
"""


def study_files(chance: Random, folder: Path) -> Case:
    """A study file in which a value, a key or a byte is another."""
    kind = chance.random()
    if kind < 0.25:
        content = damaged_bytes(STUDY.encode(), chance)
    else:
        lines = STUDY.strip().splitlines()
        place = chance.choice([place for place, line in enumerate(lines) if "=" in line])
        key, _, value = lines[place].partition(" = ")
        if kind < 0.35:
            other = chance.choice(("banana", "seed", "epoch", '""', "a.b", key + "s"))
            lines[place] = f"{other} = {value}"
        elif kind < 0.4:
            lines.insert(place, lines[place])
        else:
            lines[place] = f"{key} = {_toml(_odd_for_toml(chance))}"
        content = "\n".join(lines).encode(errors="surrogatepass")
    (folder / "study.toml").write_bytes(content)
    return Case((chance.choice(("plan", "plan", "run")), "study.toml"), content.decode(errors="replace"))


def _odd_for_toml(chance: Random) -> Any:
    value = odd_value(chance)
    return [value] if chance.random() < 0.5 else value


def _toml(value: Any) -> str:
    """Write a value as TOML has it, or would if it could."""
    if isinstance(value, str):
        return '"' + "".join(map(_toml_sign, value)) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, int) and value > 10**300:
        return "1" + "0" * 400  # Python writes no number of so many digits
    return {"None": "null", "True": "true"}.get(str(value), str(value))


def _toml_sign(sign: str) -> str:
    return sign if sign.isprintable() and sign not in '"\\' else f"\\u{ord(sign):04x}"


CRITERIA = (
    "return None",
    "return 3",
    "return {}",
    "return []",
    "return {'conv1': 1.0}",
    "return {name: weight.abs()[0] for name, weight in weights.items()}",
    "return {name: weight.abs() * float('nan') for name, weight in weights.items()}",
    "return {name: weight.abs() / 0 for name, weight in weights.items()}",
    "return {name: weight.abs().long() for name, weight in weights.items()}",
    "return {name: weight.abs().to(torch.complex64) for name, weight in weights.items()}",
    "return {name: weight.abs().to('meta') for name, weight in weights.items()}",
    "return {name: weight.abs().to_sparse() for name, weight in weights.items()}",
    "return {name: weight.abs().numpy() for name, weight in weights.items()}",
    "return {name: weight > 0 for name, weight in weights.items()}",
    "return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}",
    "return {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in weights.items()}",
    "return dict(list(weights.items())[1:])",
    "return {name + 'x': weight for name, weight in weights.items()}",
    "return {1: weight for name, weight in weights.items()}",
    "return ({}, {})",
    "return (x for x in weights)",
    "raise KeyError('it')",
    "raise SystemExit(3)",
    "raise KeyboardInterrupt",
    "raise BaseException('\\x1b[2Jboo')",
    "raise MemoryError",
    "raise StopIteration",
    "raise OSError(28, 'No space left on device')",
    "raise BrokenPipeError",
    "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
    "sys.exit()",
    "sys.exit('\\x1b[2J')",
    "os._exit(7)",
    "os._exit(0)",
    "os.kill(os.getpid(), 11)",
    "os.kill(os.getpid(), 9)",
    "os.abort()",
    "import ctypes; ctypes.string_at(0)",
    "def f(): return f()\n    return f()",
    "os.chdir('/'); return {name: weight.abs() for name, weight in weights.items()}",
    "sys.stdout.close(); return {name: weight.abs() for name, weight in weights.items()}",
    "os.close(1); os.close(2); return {name: weight.abs() for name, weight in weights.items()}",
    "torch.set_default_dtype(torch.float64); return {name: weight.abs() for name, weight in weights.items()}",
    "torch.manual_seed(1); return {name: torch.rand_like(weight) for name, weight in weights.items()}",
    "torch.set_grad_enabled(False); return {name: weight.abs() for name, weight in weights.items()}",
    "torch.use_deterministic_algorithms(True); return {name: weight.abs() for name, weight in weights.items()}",
    "model.zero_(); return {name: weight.abs() for name, weight in weights.items()}",
    "model.double(); return {name: weight.abs() for name, weight in weights.items()}",
    "del model.conv1; return {name: weight.abs() for name, weight in weights.items()}",
    "[p.data.fill_(float('nan')) for p in model.parameters()]; return {n: w.abs() for n, w in weights.items()}",
    "list(batches); list(batches); return {name: weight.abs() for name, weight in weights.items()}",
    "[x.fill_(float('inf')) for x, y in batches]; return {name: weight.abs() for name, weight in weights.items()}",
    "import threading; threading.Thread(target=time.sleep, args=(20,)).start(); raise ValueError('x')",
    "os.fork(); return {name: weight.abs() for name, weight in weights.items()}",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); return {n: w.abs() for n, w in weights.items()}",
    "import signal; signal.alarm(1); time.sleep(3); return {n: w.abs() for n, w in weights.items()}",
    "sys.setrecursionlimit(50); return {name: weight.abs() for name, weight in weights.items()}",
    "torch.zeros(2 ** 40); return {}",
)
"""What a criterion may do instead of scoring ``weights``."""

HEADS = (
    "model, batches", "model", "", "model, batches, sparsity", "*args", "model, banana", "model, batches, /, generator",
)  # fmt: skip

OWN_FILE = """
import os, sys, time
import torch
from torch import nn


def score({head}):
    weights = {{n: m.weight.detach() for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}}
    {body}
"""


def criteria(chance: Random, folder: Path) -> Case:
    """A criterion of a user's that does what it should not."""
    body, head = chance.choice(CRITERIA), HEADS[0] if chance.random() < 0.8 else chance.choice(HEADS)
    content = OWN_FILE.format(head=head, body=body).encode()
    if chance.random() < 0.05:
        content = damaged_bytes(content, chance)
    (folder / "own.py").write_bytes(content)
    codes = (*Case.codes, INTERRUPTED) if "KeyboardInterrupt" in body else Case.codes  # as by Ctrl-C
    return Case(("check", "own.py:score", *samples.ASKED[2:]), f"score({head}): {body}", codes)
