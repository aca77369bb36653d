import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.studies.toml_lines import lines_of_keys

LINES = """\
# comment
methods = [   # "x = 1"
  "a",

  "b = 2", # [c]
]
text = '''
[not.a.table]
key = 1
'''
a.b = 1
inline = {x = 1, y = {z = 2}}

[recipe.short]
  epochs = 3
[[include]]
seeds = 1
[include.sub]
deep = 1
[[include]]
seeds = 2
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_of_keys_are_those_on_which_they_begin(ending: str) -> None:
    assert tomllib.loads(LINES)
    lines = lines_of_keys(LINES.replace("\n", ending))
    expected = {
        ("methods",): 2,
        ("text",): 7,
        ("a", "b"): 11,
        ("inline", "y", "z"): 12,
        ("recipe", "short"): 14,
        ("recipe", "short", "epochs"): 15,
        ("include", 0): 16,
        ("include", 0, "seeds"): 17,
        ("include", 0, "sub", "deep"): 19,
        ("include", 1): 20,
        ("include", 1, "seeds"): 21,
    }
    assert {path: lines[path] for path in expected} == expected
    assert ("key",) not in lines


@given(
    statements=st.lists(
        st.sampled_from(
            ["# x", "", "{key} = 1", "{key} = [\n1,\n2]", '{key} = """\n[[a]]\n"""', "[{key}]", "[[{key}]]"]
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_key_has_the_line_of_its_name(statements: list[str]) -> None:
    text = "\n".join(statement.format(key=f"key{number}") for number, statement in enumerate(statements))
    assert tomllib.loads(text) is not None
    written = text.split("\n")
    lines = lines_of_keys(text)
    named = {part for path in lines for part in path if isinstance(part, str)}
    assert named == {f"key{number}" for number, statement in enumerate(statements) if "{key}" in statement}
    for path, line in lines.items():
        name = next(part for part in reversed(path) if isinstance(part, str))
        assert name in written[line - 1]
