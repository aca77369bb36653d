# mypy: allow-untyped-calls
"""What a user has set dask to is for other programs: the engine of this machine is the same with all of it."""

import copy
from pathlib import Path
from typing import Any

import dask
import distributed  # noqa: F401 - adds its defaults
import pytest

from prunecheck.engine import settings
from prunecheck.engine.settings import LOCAL_SETTINGS, local_security, local_settings
from prunecheck.errors import InputError


def leaves(config: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(config, dict) or not config:
        return {path: config}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


def test_every_key_that_is_set_is_one_of_the_engines() -> None:
    defaults = dask.config.merge(*dask.config.defaults)
    for key in LOCAL_SETTINGS:
        dask.config.get(key, config=defaults)  # raises for a key that this version does not know


def test_whatever_a_user_has_set_the_engine_is_set_alike_and_their_settings_are_back_at_the_end(tmp_path: Path) -> None:
    with local_settings(tmp_path):
        expected = leaves(copy.deepcopy(dask.config.global_config))
    assert expected["distributed.worker.lifetime.duration"] is None
    assert expected["distributed.worker.daemon"] is False
    assert expected["temporary-directory"] == str(tmp_path)
    defaults = leaves(dask.config.merge(*dask.config.defaults))
    hostile = dict.fromkeys(defaults, "hostile") | {"scheduler-address": "tcp://127.0.0.1:1", "of-no-one": 3}
    with dask.config.set(hostile):
        before = copy.deepcopy(dask.config.global_config)
        with pytest.raises(ZeroDivisionError), local_settings(tmp_path):
            assert leaves(dask.config.global_config) == expected
            raise ZeroDivisionError
        assert dask.config.global_config == before
    assert leaves(dask.config.merge(*dask.config.defaults)) == defaults


def test_encryption_that_is_demanded_is_not_dropped_but_needs_certificates(tmp_path: Path) -> None:
    tls = "distributed.comm.tls"
    with dask.config.set({"distributed.comm.require-encryption": True}):
        with pytest.raises(InputError, match=r"requires encryption .* does not name the scheduler's certificates: set"):
            local_security()
        nothing = str(tmp_path / "nothing.pem")
        named = {f"{tls}.{role}.cert": nothing for role in ("scheduler", "worker", "client")}
        with (
            dask.config.set({f"{tls}.ca-file": nothing, **named}),
            pytest.raises(InputError, match=r"the scheduler's certificates cannot be used \(.*No such file"),
        ):
            local_security()


def test_a_configuration_with_which_dask_cannot_be_loaded_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise AttributeError("'int' object has no attribute\n'items'.")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(InputError, match=r"cannot be loaded \('int' object has no attribute 'items'\)") as refused:
        settings.import_engine()
    assert refused.value.field == "workers"
