"""The kernels as they are compiled for other processors, where this one can run them."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.training.sparse import build, kernels, weights
from tests.training.sparse import test_convolutions as convolutions
from tests.training.sparse import test_trunk as trunks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("kernels"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction sets are those of x86-64"),
]

INSTRUCTION_SETS = {"x86-64": 16, "x86-64-v3": 32, "x86-64-v4": 64}
"""Bytes of a vector, by what a compiler calls the instruction set: SSE2, AVX2, AVX-512."""

CROSS_COMPILER = "aarch64-linux-gnu-g++"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
WITHOUT_TORCH = Path(__file__).with_name("without_torch.cpp")


def can_run(name: str) -> bool:
    """Say whether this processor has the widest of a set's instructions."""
    flag = {"x86-64-v3": "avx2", "x86-64-v4": "avx512vl"}.get(name, "sse2")
    return flag in Path("/proc/cpuinfo").read_text().split()


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_whatever_the_instruction_set_convolutions_and_trunks_are_those_of_autograd(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "for_this_machine", lambda: (f"-march={name}",))
    if not can_run(name):
        assert compiled(build.find_compiler(), f"-march={name}")
        return
    libraries = {number: build.load_kernels.__wrapped__(number) for number in build.NUMBERS}
    for module in (kernels, weights):
        monkeypatch.setattr(module, "load_kernels", lambda number="float": libraries[number])
    assert libraries["float"].samples_in_block() * 4 == INSTRUCTION_SETS[name]
    assert libraries["double"].samples_in_block() * 8 == INSTRUCTION_SETS[name]
    for case in (convolutions.TILED, convolutions.STRIDED):
        convolutions.check_sparse(case)
    for size in (9, 2):
        convolutions.check_winograd(replace(convolutions.TILED, height=size, width=size, inputs=9))
    for graph in ("a shortcut with a convolution", "a join of poolings"):
        trunks.train_both((3, 7, 6), trunks.GRAPHS[graph], (0.5, 0.9), (True, False), 21)


def compiled(compiler: Sequence[str], *flags: str) -> bool:
    for number in build.NUMBERS:
        command = [*compiler, *flags, *build.FLAGS, f"-DREAL={number}", str(build.SOURCE), "-o", "/dev/null"]
        if subprocess.run(command, check=False).returncode:
            return False
    return True


@pytest.mark.skipif(shutil.which(CROSS_COMPILER) is None, reason=f"there is no {CROSS_COMPILER}")
def test_a_compiler_for_arm_takes_them() -> None:
    assert compiled([CROSS_COMPILER])


@pytest.mark.skipif(shutil.which(CROSS_COMPILER) is None, reason=f"there is no {CROSS_COMPILER}")
@pytest.mark.skipif(not any(map(shutil.which, EMULATORS)), reason=f"there is no {EMULATORS[0]}")
@pytest.mark.parametrize("number", build.NUMBERS)
def test_on_an_emulated_arm_convolutions_are_those_of_loops_in_double(number: str, tmp_path: Path) -> None:
    made, flags = tmp_path / "without_torch", ("-O1", "-std=c++17", "-static", f"-DREAL={number}")
    source = (f"-I{build.SOURCE.parent}", str(WITHOUT_TORCH), "-o", str(made))
    subprocess.run([CROSS_COMPILER, *flags, "-w", *source], check=True)
    emulator = next(path for name in EMULATORS if (path := shutil.which(name)))
    told = subprocess.run([emulator, str(made)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("gradient") == 2 * 8
