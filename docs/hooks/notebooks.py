"""The site's hook for executed notebooks: each ``docs/notebooks/NAME.ipynb`` becomes a page, outputs and all.

A page of Markdown, so that its links are held to what those of other pages are. The notebook itself lies beside it.
"""

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = "notebooks"

SECTION = "Notebooks"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a section with all notebooks into the navigation, before the reference of Python."""
    pages = [f"{FOLDER}/{notebook.stem}.md" for notebook in _notebooks(config)]
    if pages and config.nav and not any(SECTION in entry for entry in config.nav if isinstance(entry, dict)):
        before = next(index for index, entry in enumerate(config.nav) if "Python" in entry)
        config.nav.insert(before, {SECTION: pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for notebook in _notebooks(config):
        place = f"{FOLDER}/{notebook.stem}.md"
        files.append(File.generated(config, place, content=as_markdown(notebook)))
    return files


def as_markdown(notebook: Path) -> str:
    """Return a notebook's cells and outputs as a page, with a link to the file."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [part for cell in cells for part in _parts(cell)]
    return "\n\n".join([*parts, f"[The notebook as a file]({notebook.name})", ""])


def _notebooks(config: MkDocsConfig) -> list[Path]:
    return sorted((Path(config.docs_dir) / FOLDER).glob("*.ipynb"))


def _parts(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    if cell["cell_type"] != "code" or not source.strip():
        return []
    return [_fenced(source, "python"), *(_output(output) for output in cell["outputs"])]


def _output(output: dict[str, Any]) -> str:
    """Return an output in the richest form that a page can hold."""
    if output["output_type"] == "stream":
        return _fenced("".join(output["text"]), "text")
    if output["output_type"] == "error":
        return _fenced(f"{output['ename']}: {output['evalue']}", "text")
    data = {kind: content if isinstance(content, str) else "".join(content) for kind, content in output["data"].items()}
    for kind in ("text/html", "image/svg+xml"):
        if kind in data:
            # An empty line would end the block of HTML.
            lines = [line for line in data[kind].splitlines() if line.strip()]
            return "\n".join(['<div class="output">', *lines, "</div>"])
    if "image/png" in data:
        return f'<img alt="output" src="data:image/png;base64,{data["image/png"].strip()}">'
    return _fenced(data.get("text/plain", ""), "text")


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
