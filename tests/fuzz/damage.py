"""What befalls files: bytes that change, values of another kind."""

import json
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 0.5, -0.0, 2**31, 2**63, -(2**64), 10**400, 1e308, math.nan, math.inf, 1e-320,
    "", " ", "banana", "nan", "1", "\x1b[2J\x1b]0;title\x07", "\u202e", "a" * 5000, "../../../etc/passwd", "/dev/zero",
    "<script>alert(1)</script>", "\\input{/etc/passwd}", "[bold]x[/bold]", "\ud800", "none", "os:system",
    [], {}, [[]], [None], {"": None}, ["banana"], [1, "1"], {"a": {"a": {}}},
)  # fmt: skip
"""Values that hardly a field expects."""

OTHER_CONTENTS = (b"", b"\n", b"null", b"{}", b"[]", b"PK\x03\x04", b"\x80\x04.", b"\xff\xfe")
"""What a file of another kind may hold."""

DEPTH = 100_000
"""Lists within lists: more than any reader goes down."""


def damaged_bytes(content: bytes, chance: Random) -> bytes:
    """Return a content that is not the one that was given."""
    changed = content
    while changed == content:
        changed = chance.choice(BYTE_DAMAGE)(content, chance)
    return changed


def _flipped(content: bytes, chance: Random) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(chance.choice((1, 1, 1, 8, 64))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(content: bytes, chance: Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _zeroed(content: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    length = min(chance.choice((1, 8, 512, 4096)), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def _longer(content: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + chance.randbytes(chance.choice((1, 8, 1000))) + content[start:]


def _twice(content: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content


def _header(content: bytes, chance: Random) -> bytes:
    """Change one of the first bytes, where lengths and kinds stand, to an extreme one."""
    place = chance.randrange(min(len(content), 128) + 1)
    return content[:place] + chance.choice((b"\xff", b"\x00", b"\x7f", b"9" * 19)) + content[place + 1 :]


def _other(content: bytes, chance: Random) -> bytes:
    return chance.choice((*OTHER_CONTENTS, chance.randbytes(300)))


BYTE_DAMAGE: tuple[Callable[[bytes, Random], bytes], ...] = (_flipped, _cut, _zeroed, _longer, _twice, _header, _other)


def damaged_json(text: str, chance: Random) -> str:
    """Return JSON in which one value, or one key, is another; now and then what is none."""
    kind = chance.random()
    if kind < 0.15:
        return damaged_bytes(text.encode(), chance).decode(errors="replace")
    deep = "[" * DEPTH + "]" * DEPTH
    if kind < 0.2:
        return deep
    value = json.loads(text)
    places = list(_places(value))
    if not places or kind < 0.25:
        return json.dumps(odd_value(chance))
    holder, key = chance.choice(places)
    if kind < 0.35:
        del holder[key]
    elif kind < 0.4:
        return text.replace(json.dumps(holder[key]), deep, 1)
    else:
        holder[key] = odd_value(chance)
    if isinstance(value, dict) and chance.random() < 0.1:
        value[str(chance.choice(ODD_VALUES[:8]))] = odd_value(chance)
    return json.dumps(value)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a value: what holds it, and under which key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield value, key
        yield from _places(item)


def odd_value(chance: Random) -> Any:
    """Return a value that hardly a field expects."""
    return chance.choice(ODD_VALUES)
