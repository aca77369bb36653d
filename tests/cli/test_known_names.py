import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prunecheck.cli import known_names
from prunecheck.cli.known_names import keep_names, require_known
from prunecheck.errors import InputError
from prunecheck.models import MODELS
from prunecheck.pruning import METHODS, find_method
from prunecheck.registry import Registry

IN_A_PROCESS_OF_ITS_OWN = """
import sys
from prunecheck.cli import main
try:
    main(sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""

WRONG = [
    ({"method": "snpi"}, "there is no method named 'snpi': did you mean snip"),
    ({"methods": ("snip", "grsap")}, "there is no method named 'grsap': did you mean grasp"),
    ({"method": "zzz"}, "there is no method named 'zzz': choose one of lt, "),
    ({"baseline": "randm-smart"}, "there is no method named 'randm-smart': did you mean random-smart"),
    (
        {"checks": ("reinit", "rearange-mask")},
        "there is no check named 'rearange-mask': did you mean rearrange-mask or rearrange-rows?",
    ),
    ({"checks": ("rearrange-mask+reint",)}, "there is no check named 'reint': did you mean reinit?"),
    ({"checks": ("randm-labels@0.5",)}, "there is no check named 'randm-labels': did you mean random-labels"),
    ({"model": "resnt8"}, "there is no model named 'resnt8': did you mean"),
    ({"models": ("resnet8", "vgg12")}, "there is no model named 'vgg12': did you mean vgg"),
    ({"dataset": "digit"}, "there is no data set named 'digit': did you mean digits?"),
    ({"metric": "acuracy"}, "there is no metric named 'acuracy': did you mean accuracy"),
]

RIGHT = [
    {"method": name}
    for name in (
        *("snip", "snip-erk", "snip-smrt", "magnitude-erk-2:4", "snpi-channels", "random-smart", "imp@3", "lt@3"),
        *("random-ratios-of:snpi", "mine.py:score", "package.module:score", "mask:snpi", "my.pth", "a/b", ""),
    )
] + [
    {"model": "resnet32", "models": ("vgg16_bn", "vit4", "wrn16"), "dataset": "cifar10", "metric": "cross-entropy"},
    {"dataset": "folder:digit", "checks": ("no-such-check",)},  # where code of users is read anything may be registered
    {"baseline": "none", "checks": ("none",), "metric": None, "model": None},
]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are kept, and the registers are as if they were not loaded."""
    keep_names()
    monkeypatch.setattr(known_names, "_are_registers_loaded", lambda: False)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("given", "said"), WRONG)
def test_names_that_there_are_not_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        require_known(**given)
    assert str(refused.value).startswith(said)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("given", RIGHT)
def test_what_may_be_a_name_is_left_to_the_registers(given: dict[str, str]) -> None:
    require_known(**given)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("name", ["snpi", "zzz", "randm-smart", "snpi-erk", "dense", "global"])
def test_both_refuse_a_method_in_the_same_words(name: str) -> None:
    with pytest.raises(InputError) as refused:
        require_known(method=name)
    with pytest.raises(InputError) as looked_up:
        find_method(name)
    assert str(refused.value) == str(looked_up.value)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("names", [METHODS.names(), [name for name in MODELS.names() if "<" not in name]])
def test_everything_registered_is_known(names: list[str]) -> None:
    field = "method" if names[0] in METHODS.names() else "model"
    for name in names:
        require_known(**{field: name})


@pytest.mark.usefixtures("kept")
def test_packages_that_offer_names_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ["one"] if group == METHODS.group else [])
    require_known(method="snpi")
    with pytest.raises(InputError, match="no check named"):
        require_known(checks=("snpi",))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "{}",
        '{"of": "another", "names": {}}',
        '{"of": OF, "names": {"method": 1}}',
        '{"of": OF, "names": []}',
    ],
)
def test_what_is_kept_of_another_version_or_damaged_is_passed_over_and_written_anew(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(os.environ["XDG_CACHE_HOME"]) / "prunecheck" / "names.json"
    whole = file.read_text()
    file.write_text(content.replace("OF", json.dumps(json.loads(whole)["of"])))
    require_known(method="snpi")
    monkeypatch.setattr(known_names, "_are_registers_loaded", lambda: True)
    keep_names()
    assert file.read_text() == whole


def test_the_folder_of_the_cache_is_the_users_alone() -> None:
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "prunecheck"
    for _ in range(2):
        keep_names()
        assert cache.stat().st_mode & 0o777 == 0o700
        (cache / "names.json").unlink()
        cache.chmod(0o755)  # as earlier versions left it


def test_names_from_outside_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[int] = Registry("check", "prunecheck.checks")
    registry.add("of-mine", 1, "from outside, for this test is")
    monkeypatch.setattr("prunecheck.checks.CHECKS", registry)
    keep_names()
    file = Path(os.environ["XDG_CACHE_HOME"]) / "prunecheck" / "names.json"
    assert json.loads(file.read_text())["names"]["check"]["names"] == []


def test_a_wrong_name_ends_the_command_before_torch_is_imported() -> None:
    keep_names()
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, "check", "snpi"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    assert ended.stderr.startswith("prunecheck: there is no method named 'snpi': did you mean snip")
