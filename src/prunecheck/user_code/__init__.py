"""Code of users' own: one way in for files and for what packages register, and the hash of what it is made of."""

from prunecheck.user_code.code import Code, code_registered_by, files_beyond
from prunecheck.user_code.global_state import global_state_kept
from prunecheck.user_code.inputs import content_hash
from prunecheck.user_code.loading import LoadedFile, files_that_load, load_file

__all__ = [
    "Code",
    "LoadedFile",
    "code_registered_by",
    "content_hash",
    "files_beyond",
    "files_that_load",
    "global_state_kept",
    "load_file",
]
