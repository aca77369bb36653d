"""Whatever a method in a file is made of or reads: another content makes another run, and the same content does not."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.suggestions import study_with_suggestions
from prunecheck.user_code.inputs import hash_of, inputs_of

START = "from prunecheck.pruning import magnitude\n"

SCORE = """
def score(model, batches):
    {line}
    return {{name: score * float(factor) for name, score in magnitude(model).items()}}
"""

SCORE_OF_SUM = """
def score(model, batches):
    return {name: score * total() for name, score in magnitude(model).items()}
"""


def that_reads_all(lines: Iterable[str], when: str) -> str:
    """Return a method that takes a factor from each line, when it is loaded or when it is called."""
    total = "\n    ".join(["def total():", "found = 0.0", *(f"{line}; found += float(factor)" for line in lines)])
    at_once = "read = total()\ntotal = lambda: read\n" if when == "loaded" else ""
    return f"{START}{total}\n    return found\n{at_once}{SCORE_OF_SUM}"


def study_of(method: Path) -> CheckStudy:
    """Return a question about a method, as a command has it once it has looked at it."""
    study = study_with_suggestions(
        f"{method}:score",
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet8",
        width=2,
        sparsities=(0.8,),
        checks=(),
        baseline=None,
        seeds=(0,),
        epochs=1,
        batch_size=None,
        learning_rate=None,
        samples_per_class=1,
        scoring_rounds=1,
        margin=2.0,
    )
    study.validate()
    return study


def identity_of(study: CheckStudy) -> str:
    """Return the hash that a command gives the runs of a method."""
    found = study.method_run(0.8, None, 0).method_hash
    assert found is not None
    return found


def identity(method: Path) -> str:
    return identity_of(study_of(method))


def assert_told_apart(method: Path, write: Callable[[int], object]) -> None:
    hashes = []
    for value in (1, 2, 1):
        write(value)
        hashes.append(identity(method))
    assert hashes[0] == hashes[2] != hashes[1]


def assert_all_told_apart(method: Path, writers: Mapping[Path, Callable[[Path, int], object]]) -> None:
    """See that each of the files that a method reads is a part of its hash, with the content that it has then."""
    hashes, contents = [], []
    for value in (1, 2, 1):
        for file, write in writers.items():
            write(file, value)
        study = study_of(method)
        hashes.append(identity_of(study))
        code = study.method.code
        assert code is not None
        contents.append(dict(inputs_of(code.covered, method.parent, code.as_loaded)))
        assert hash_of(sorted(contents[-1].items())) == code.hash
    one, other, again = (
        [content.get(os.path.relpath(file, method.parent)) for file in writers] for content in contents
    )
    overlooked = [file.name for file, a, b in zip(writers, one, other, strict=True) if a is None or a == b]
    assert overlooked == []
    assert one == again
    assert hashes[0] == hashes[2] != hashes[1]


def write_json(file: Path, value: int) -> None:
    file.write_text(json.dumps(value))


def write_torch(file: Path, value: int) -> None:
    torch.save(torch.tensor(value), file)


def write_numpy(file: Path, value: int) -> None:
    with file.open("wb") as opened:
        numpy.save(opened, numpy.array(value))


def write_safetensors(file: Path, value: int) -> None:
    save_file({"factor": torch.tensor(value)}, file)


READERS = {
    "open": ("factor = open(DATA).read()", write_json),
    "pathlib": ("import pathlib; factor = pathlib.Path(DATA).read_bytes()", write_json),
    "os": ("import os; f = os.open(DATA, os.O_RDONLY); factor = os.read(f, 9); os.close(f)", write_json),
    "json": ("import json; factor = json.load(open(DATA))", write_json),
    "torch": ("import torch; factor = torch.load(DATA)", write_torch),
    "torch mapped": ("import torch; factor = torch.load(DATA, mmap=True)", write_torch),
    "numpy": ("import numpy; factor = numpy.load(DATA)", write_numpy),
    "numpy mapped": ("import numpy; factor = numpy.load(DATA, mmap_mode='r')", write_numpy),
    "safetensors": ("from safetensors.torch import load_file; factor = load_file(DATA)['factor']", write_safetensors),
    "safe_open": (
        "from safetensors import safe_open; factor = safe_open(DATA, 'pt').get_tensor('factor')",
        write_safetensors,
    ),
    "relative": ("import os; factor = open(os.path.relpath(DATA)).read()", write_json),
    "a thread": (
        "from concurrent.futures import ThreadPoolExecutor; "
        "factor = ThreadPoolExecutor(1).submit(lambda: open(DATA).read()).result()",
        write_json,
    ),
}


WHEN = pytest.mark.parametrize("when", ["loaded", "called"])


@WHEN
def test_a_file_that_is_read(tmp_path: Path, when: str) -> None:
    folder, method = tmp_path / "data", tmp_path / "mine.py"
    folder.mkdir()
    files = {reader: folder / reader.replace(" ", "-") for reader in READERS}
    method.write_text(
        that_reads_all((f"DATA = {str(files[reader])!r}; {line}" for reader, (line, _) in READERS.items()), when)
    )
    assert_all_told_apart(method, {files[reader]: write for reader, (_, write) in READERS.items()})


LOADERS = {
    "import": "from {helper} import factor",
    "import_module": "import importlib; factor = importlib.import_module('{helper}').factor",
    "a computed name": "import importlib; factor = importlib.import_module('hel' + 'per{number}').factor",
    "__import__": "factor = __import__('hel' + 'per{number}').factor",
    "exec": "exec(open({file!r}).read(), globals()); factor = globals()['factor']",
    "runpy": "import runpy; factor = runpy.run_path({file!r})['factor']",
    "a spec": (
        "import importlib.util as u; s = u.spec_from_file_location('any', {file!r}); m = u.module_from_spec(s); "
        "s.loader.exec_module(m); factor = m.factor"
    ),
    "a helper's helper": "from between_{helper} import factor",
    "a package": "from package_{helper}.part import factor",
    "a package's relative imports": "from package_{helper} import factor",
    "a namespace package": "from folder_{helper}.part import factor",
}


@WHEN
def test_a_helper(tmp_path: Path, when: str) -> None:
    lines, files = [], []
    for number, line in enumerate(LOADERS.values()):
        helper = f"helper{number}"
        file = tmp_path / f"{helper}.py"
        on_the_way = {
            f"between_{helper}.py": f"from {helper} import factor\n",
            f"package_{helper}/__init__.py": "from . import part\nfrom .part import factor\n",
            f"package_{helper}/part.py": f"from {helper} import factor\n",
            f"folder_{helper}/part.py": f"from {helper} import factor\n",
        }
        for name, text in on_the_way.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        lines.append(line.format(helper=helper, number=number, file=str(file)))
        files.append(file)
    method = tmp_path / "mine.py"
    method.write_text(that_reads_all(lines, when))
    assert_all_told_apart(method, dict.fromkeys(files, write_helper))


def write_helper(file: Path, value: int) -> None:
    file.write_text(f"factor = {value}\n")


def test_a_helper_outside_of_the_folder_and_what_it_reads(tmp_path: Path) -> None:
    shared, method = tmp_path / "shared", tmp_path / "project" / "mine.py"
    shared.mkdir()
    method.parent.mkdir()
    (shared / "reads_a_file.py").write_text(
        "from pathlib import Path\nfactor = Path(__file__).with_name('factor').read_text()\n"
    )
    method.write_text(
        f"import sys\nsys.path.append({str(shared)!r})\nfrom reads_a_file import factor\n{START}{SCORE.format(line='')}"
    )
    assert_told_apart(method, lambda value: (shared / "factor").write_text(str(value)))


def test_what_a_link_leads_to(tmp_path: Path) -> None:
    project, shared = tmp_path / "project", tmp_path / "shared"
    project.mkdir()
    shared.mkdir()
    (project / "linked.py").symlink_to(os.path.relpath(shared / "helper.py", project))
    method = project / "mine.py"
    method.write_text(f"{START}from linked import factor\n{SCORE.format(line='')}")
    assert_told_apart(method, lambda value: (shared / "helper.py").write_text(f"factor = {value}\n"))


def test_what_nothing_reads_changes_nothing(tmp_path: Path) -> None:
    method, other = tmp_path / "mine.py", tmp_path / "notes.txt"
    method.write_text(START + SCORE.format(line="factor = 1"))
    other.write_text("1")
    before = identity(method)
    other.write_text("2")
    (tmp_path / "unused.py").write_text("factor = 3\n")
    assert identity(method) == before


def test_what_a_method_writes_itself_is_no_input(tmp_path: Path) -> None:
    method = tmp_path / "mine.py"
    line = "import pathlib, time; p = pathlib.Path(__file__).with_name('log'); p.write_text(str(time.time_ns())); "
    method.write_text(START + SCORE.format(line=line + "p.read_text(); factor = 1"))
    assert identity(method) == identity(method)


def test_the_version_of_a_package_that_is_installed_and_not_its_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunecheck.user_code import inputs

    method = tmp_path / "mine.py"
    method.write_text(f"import sklearn\n{START}{SCORE.format(line='factor = 1')}")
    before = identity(method)
    monkeypatch.setattr(inputs, "_release", lambda package: "another")
    assert identity(method) != before
    method.write_text(f"import numpy\n{START}{SCORE.format(line='factor = 1')}")
    assert identity(method) != before


def test_helpers_of_one_name_beside_two_methods_are_each_its_own(tmp_path: Path) -> None:
    from prunecheck.pruning import find_method

    values: dict[int, Callable[..., object]] = {}
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        (folder / "helper_of_two.py").write_text(f"factor = {value}\n")
        (folder / "mine.py").write_text(
            "def score(model, batches):\n    from helper_of_two import factor\n    return factor\n"
        )
        values[value] = find_method(f"{folder / 'mine.py'}:score").criterion.function
    assert [values[value](None, None) for value in (1, 2, 1)] == [1, 2, 1]
