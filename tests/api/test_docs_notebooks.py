# mypy: allow-untyped-calls
"""The script that executes the documentation's notebooks, on a notebook of few seconds, and the notebook itself."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

import prunecheck

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute_notebooks", DOCS / "execute_notebooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(file: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, file)
    return file


def test_outputs_are_written_and_with_check_they_are_not(script: ModuleType) -> None:
    first = "import prunecheck; open('left', 'w').close()"
    file = written(Path("small.ipynb"), first, "6 * 7")
    before = file.read_bytes()
    assert script.main([str(file), "--check"]) == 0
    assert file.read_bytes() == before
    assert script.main([str(file)]) == 0
    _, cell = nbformat.read(file, as_version=4).cells
    assert cell.outputs[0].data["text/plain"] == "42"
    assert "execution" not in cell.metadata
    assert [path.name for path in Path().iterdir() if path.name != ".cache"] == ["small.ipynb"]
    once = file.read_bytes()
    assert script.main([str(file)]) == 0
    assert file.read_bytes() == once


def test_a_notebook_that_fails_is_named_and_left_as_it_is(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(Path("broken.ipynb"), "1 / 0")
    before = file.read_bytes()
    assert script.main([str(file)]) == 1
    said = capsys.readouterr().err
    assert "broken.ipynb" in said
    assert "ZeroDivisionError" in said
    assert file.read_bytes() == before


def test_the_notebooks_are_executed_in_order_without_an_error_and_use_public_names_only() -> None:
    notebooks = list(DOCS.glob("notebooks/*.ipynb"))
    assert notebooks
    for file in notebooks:
        cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
        for node in ast.walk(ast.parse("\n".join(cell.source for cell in cells))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "prunecheck":
                assert node.attr in prunecheck.__all__
