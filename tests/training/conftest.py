from dataclasses import replace

import pytest
from torch import nn

from prunecheck.data import Dataset, Images, load_dataset
from prunecheck.models import build_model


@pytest.fixture(scope="session")
def few_digits() -> Dataset:
    """70 training images, so that batches of 16 leave a smaller last one, and 300 to test with."""
    digits = load_dataset("digits")
    train = Images(digits.train.pixels[:70], digits.train.labels[:70])
    test = Images(digits.test.pixels[:300], digits.test.labels[:300])
    return replace(digits, train=train, test=test)


@pytest.fixture
def network() -> nn.Module:
    return build_model("resnet8", 10, seed=3, width=4, input_channels=1)
