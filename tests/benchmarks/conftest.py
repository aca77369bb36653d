import pytest
import torch

from benchmarks.training.task import Task


@pytest.fixture
def task() -> Task:
    return Task("resnet8", 8, 0.9, batch_size=4, batches=2, device=torch.device("cpu"), loader_workers=0)
