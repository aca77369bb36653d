"""The site's extension of griffe: Sphinx's roles in docstrings, ``:func:`name```, become links or code."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|exc):`~?([\w.]+)`")


class DocstringRoles(griffe.Extension):
    """Rewrites the docstrings of all that is loaded."""

    def on_object(self, *, obj: griffe.Object, loader: Any, **kwargs: Any) -> None:
        """Rewrite one docstring; a name that is not on the site stays code."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(lambda found: _link(found[1], obj), obj.docstring.value)


def _link(name: str, obj: griffe.Object) -> str:
    try:
        path = name if name.startswith("prunecheck.") else obj.resolve(name)
    except griffe.NameResolutionError:
        path = name
    return f'<autoref identifier="{path}" optional><code>{name.rpartition(".")[2]}</code></autoref>'
