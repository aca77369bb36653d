from tests.cli.conftest import _in_an_empty_folder, call, refused

__all__ = ["_in_an_empty_folder", "call", "refused"]
