import gc

import pytest

from prunecheck.caching import without_garbage_collection


def test_cycles_are_looked_for_again_after_a_block_and_only_where_they_were_before() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), without_garbage_collection():
        assert not gc.isenabled()
        with without_garbage_collection():
            pass
        assert not gc.isenabled()  # the inner block is not the one to say that it ends
        raise KeyError
    assert gc.isenabled()
