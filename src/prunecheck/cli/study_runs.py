"""How commands print what follows from runs."""

from typing import Any

from prunecheck.api.rendering import WIDTH


def print_rendered(answer: Any) -> None:
    """Print what rich can render: an answer is a table, what looks at it cost, and its reading."""
    from prunecheck.cli.output import print_out

    print_out(answer, width=WIDTH)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object."""
    import json

    print(json.dumps(content, indent=2, allow_nan=False))
