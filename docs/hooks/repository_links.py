"""The site's hook for links: pages that lie outside of docs/, and links to files of the repository.

On GitHub README.md, CONTRIBUTING.md and CHANGELOG.md are read where they lie, and a page of docs/ links to source
files by relative paths. On the site these three are pages beside the others, and every file or folder that a page links
to comes with it, so that one link serves both.
"""

import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie at the root of the repository, and what they are on the site."""

LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the root, and what pages link to outside of docs/."""
    root = _root(config)
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(root / source)))
    for page in [file for file in files if file.is_documentation_page()]:
        if page.src_uri.endswith(".md"):
            map_links(page.content_string, page.src_uri, root, lambda path: _add(files, config, root, path))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links mean pages and files of the site."""
    return map_links(markdown, page.file.src_uri, _root(config), lambda path: None)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent


def map_links(markdown: str, page: str, root: Path, found: Callable[[str], None]) -> str:
    """Rewrite the links of a page to files that exist; the others stay, so that the strict build names them.

    Args:
        markdown: the page's text; links in fenced code are none.
        page: its path on the site.
        root: of the repository.
        found: is told each linked path, from the root.
    """
    repository_page = {place: source for source, place in OUTSIDE.items()}.get(page, f"docs/{page}")

    def rewritten(match: re.Match[str]) -> str:
        opening, target, anchor, closing = match[1], match[2], match[3] or "", match[4]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_page), target))
        if ":" in target or target.startswith("/") or path.startswith("..") or not (root / path).exists():
            return match[0]
        found(path)
        relative = os.path.relpath(_place(path, root), posixpath.dirname(page) or ".")
        return f"{opening}{PurePosixPath(relative)}{anchor}{closing}"

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(rewritten, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(rewritten, markdown[end:])])


def _place(path: str, root: Path) -> str:
    """Return where a file or folder of the repository is on the site."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    if (root / path).is_dir():
        return (
            _place(f"{path}/README.md", root) if (root / path / "README.md").exists() else f"repository/{path}/index.md"
        )
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"


def _add(files: Files, config: MkDocsConfig, root: Path, path: str) -> None:
    place = _place(path, root)
    if files.get_file_from_path(place):
        return
    if (root / path).is_dir():
        inside = sorted(item for item in (root / path).rglob("*") if item.is_file() and "__pycache__" not in item.parts)
        lines = [f"- [{item.relative_to(root / path)}]({item.relative_to(root / path)})" for item in inside]
        listing = "\n".join([f"# {path}", "", *lines, ""])
        files.append(File.generated(config, place, content=listing, inclusion=InclusionLevel.NOT_IN_NAV))
        for item in inside:
            _add(files, config, root, str(item.relative_to(root)))
    else:
        files.append(File.generated(config, place, abs_src_path=str(root / path)))
