"""What is built and installed without any extra does the main job."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.end_to_end.conftest import PATIENCE, SMALL

ROOT = Path(__file__).parents[2]

BUILT_FROM = ("src", "pyproject.toml", "README.md", "LICENSE")


def required(one: Distribution) -> Iterator[str]:
    """Yield the names of what a distribution requires here, without any extra."""
    for text in one.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def closure(names: Iterable[str]) -> dict[str, Distribution]:
    """Return distributions by name, with all that they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found[name] = distribution(name)
            waiting += required(found[name])
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, what it requires, and nothing else."""
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("wheel")
    (place / "source").mkdir()
    for name in BUILT_FROM:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / "source" / name)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "made",
    ]
    subprocess.run([*build, "./source"], cwd=place, check=True)
    (wheel,) = (place / "made").iterdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    (packages,) = (place / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
    (described,) = packages.glob("*.dist-info")
    for one in closure(required(PathDistribution(described))).values():
        tops = {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(one.locate_file(top))).resolve())
    return place / "venv" / "bin" / "python"


def call(python: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, "-I", "-m", "prunecheck", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


@pytest.mark.slow
def test_the_wheel_alone_answers_with_its_report_and_curves_in_several_processes(bare: Path, tmp_path: Path) -> None:
    done = call(bare, tmp_path, "check", "snip", *SMALL, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "rearrange-mask" in done.stdout
    runs = [path.parent for path in (tmp_path / "runs").glob("*/result.json")]
    assert len(runs) == 2 * 4
    assert all(list(run.glob("events.out.tfevents.*")) for run in runs)
    assert "<svg" in (tmp_path / "runs" / "report.html").read_text(encoding="utf-8")


SMALL_NETWORK = "--model resnet8 --width 4 --dataset digits"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(f"audit snip --seeds 1 --train-images 100 --sparsity 0.9 {SMALL_NETWORK}", marks=pytest.mark.slow),
        "list",
        f"prune snip -o t.safetensors --sparsity 0.9 {SMALL_NETWORK}",
    ],
)
def test_other_commands_need_no_extra(bare: Path, tmp_path: Path, arguments: str) -> None:
    done = call(bare, tmp_path, *arguments.split())
    assert done.returncode == 0, done.stderr


def test_what_needs_an_extra_says_which(bare: Path, tmp_path: Path) -> None:
    done = call(bare, tmp_path, "data", "get", "mnist", "--data-root", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.endswith("needs pooch, which is not installed: pip install 'prunecheck[download]'.\n")
    assert not list(tmp_path.iterdir())


def test_the_environment_is_bare(bare: Path, tmp_path: Path) -> None:
    script = "from importlib.util import find_spec; print(*filter(find_spec, ['sklearn', 'pandas', 'pooch', 'pytest']))"
    done = subprocess.run([bare, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
