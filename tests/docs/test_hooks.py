"""The hooks of the site: links out of docs/, notebooks as pages, the reference of what is public."""

import json
import re
from pathlib import Path

import pytest

import prunecheck
from docs.hooks import api_reference, docstring_roles, notebooks, repository_links

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("page", "link", "on_the_site"),
    [
        ("index.md", "docs/studies.md", "studies.md"),
        ("index.md", "docs/results.md#what", "results.md#what"),
        ("index.md", "docs/methods/README.md", "methods/README.md"),
        ("index.md", "CITATION.cff", "repository/CITATION.cff"),
        ("studies.md", "../CONTRIBUTING.md", "contributing.md"),
        ("studies.md", "results.md", "results.md"),
        ("methods/snip.md", "../../src/prunecheck/io.py", "../repository/src/prunecheck/io.py"),
        ("reproduce.md", "../studies/paper", "repository/studies/paper/index.md"),
        ("contributing.md", "docs/gallery", "gallery/README.md"),
        ("studies.md", "no-such-page.md", "no-such-page.md"),
        ("studies.md", "https://arxiv.org/abs/2009.11094", "https://arxiv.org/abs/2009.11094"),
    ],
)
def test_a_link_means_the_same_on_the_site(page: str, link: str, on_the_site: str) -> None:
    linked: list[str] = []
    text = repository_links.map_links(f"See [it]({link}).", page, ROOT, linked.append)
    assert text == f"See [it]({on_the_site})."
    assert len(linked) == (0 if "no-such" in link or "https" in link else 1)


def test_links_in_code_stay() -> None:
    code = "```md\n[it](docs/studies.md)\n```\n"
    assert repository_links.map_links(code, "index.md", ROOT, lambda path: None) == code


def test_a_notebook_is_shown_with_its_richest_outputs(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "x", "text/html": ["<p>\n", "\n", "rich</p>"]}},
        {"output_type": "display_data", "data": {"image/png": "aGk=\n", "text/plain": "x"}},
        {"output_type": "execute_result", "data": {"text/plain": ["plain"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": "print('```')", "outputs": outputs},
        {"cell_type": "code", "source": "", "outputs": []},
    ]
    file = tmp_path / "one.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    page = notebooks.as_markdown(file)
    assert page.startswith("# Title\ntext\n\n````python\nprint('```')\n````\n\n```text\na\nb\n```\n\n")
    assert '<div class="output">\n<p>\nrich</p>\n</div>' in page
    assert '<img alt="output" src="data:image/png;base64,aGk=">' in page
    assert "```text\nplain\n```" in page
    assert "[The notebook as a file](one.ipynb)" in page


def test_every_public_name_stands_on_one_page_of_the_reference() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    subjects = [
        subject for kind, subject in api_reference.MARKER.findall(text) if kind == "public" and subject != "all"
    ]
    pages = [api_reference.reference("public", subject) for subject in subjects]
    headings = re.findall(r"heading: prunecheck\.(\w+)", "\n".join(pages))
    public = [name for name in prunecheck.__all__ if not name.startswith("_")]
    assert sorted(headings) == sorted(public)
    assert all(pages)
    overview = api_reference.reference("public", "all")
    assert all(f"| [`prunecheck.{name}`][" in overview for name in public)


def test_pages_of_the_reference_say_how_to_read_them_without_the_site_and_on_it_they_do_not() -> None:
    pages = [*(ROOT / "docs" / "reference").rglob("*.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.splitlines()[2].startswith("Without the site: ")
        called = re.search(r"help\(prunecheck\.(\w+)\)", text)
        assert (called and called[1] in prunecheck.__all__) or "python -m pydoc prunecheck." in text
        shown = api_reference.on_page_markdown(text, page=None, config=None, files=None)  # type: ignore[arg-type]
        assert "Without the site" not in shown
        assert shown.splitlines()[0] == text.splitlines()[0]


def test_a_package_shows_what_is_not_public_and_links_to_what_is() -> None:
    page = api_reference.reference("package", "pruning")
    assert "::: prunecheck.pruning.allocations.ALLOCATIONS" in page
    assert "[`snip`][prunecheck.pruning.criteria.snip]" in page
    assert "::: prunecheck.pruning.criteria.snip\n" not in page


def test_roles_of_sphinx_are_links_or_code() -> None:
    import griffe

    obj = griffe.Module("prunecheck")
    obj.docstring = griffe.Docstring("See :func:`~prunecheck.pruning.snip` and :class:`Unknown`.")
    docstring_roles.DocstringRoles().on_object(obj=obj, loader=None)
    assert obj.docstring.value == (
        'See <autoref identifier="prunecheck.pruning.snip" optional><code>snip</code></autoref> and '
        '<autoref identifier="Unknown" optional><code>Unknown</code></autoref>.'
    )
