"""Code of users' own: one way in for files, modules and objects, and the hash of what it is made of."""

from prunecheck.user_code.call_arguments import with_arguments, without_arguments
from prunecheck.user_code.code import Code, code_registered_by, files_beyond
from prunecheck.user_code.global_state import global_state_kept
from prunecheck.user_code.inputs import content_hash
from prunecheck.user_code.loading import LoadedFile, files_that_load, load_file
from prunecheck.user_code.modules import folders_searched_for, search_last
from prunecheck.user_code.reference import Reference, find_reference, is_reference
from prunecheck.user_code.values import have_equal_values

__all__ = [
    "Code",
    "LoadedFile",
    "Reference",
    "code_registered_by",
    "content_hash",
    "files_beyond",
    "files_that_load",
    "find_reference",
    "folders_searched_for",
    "global_state_kept",
    "have_equal_values",
    "is_reference",
    "load_file",
    "search_last",
    "with_arguments",
    "without_arguments",
]
