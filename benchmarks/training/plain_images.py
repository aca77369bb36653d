"""Augmented batches as people make them: a ``DataLoader`` that crops, mirrors and normalises image by image."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from prunecheck.data import Dataset
from prunecheck.randomness import generator


class PlainImages(TorchDataset[tuple[Tensor, int]]):
    """Images that are cropped, mirrored and normalised one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.draws = generator(0, "plain loop")

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.dataset.train.pixels[index])
        padding, (_, height, width) = self.dataset.augmentation.padding, image.shape
        framed = functional.pad(image, (padding,) * 4)
        row, column = torch.randint(2 * padding + 1, (2,), generator=self.draws).tolist()
        image = framed[:, row : row + height, column : column + width]
        if self.dataset.augmentation.flip and torch.rand((), generator=self.draws) < 0.5:
            image = image.flip(-1)
        mean = torch.tensor(self.dataset.mean).view(-1, 1, 1)
        deviation = torch.tensor(self.dataset.deviation).view(-1, 1, 1)
        return (image / 255 - mean) / deviation, int(self.dataset.train.labels[index])


def plain_batches(dataset: Dataset, batch_size: int, workers: int) -> DataLoader[tuple[Tensor, int]]:
    """Return a loader that shuffles anew in each epoch; its worker processes live on from epoch to epoch."""
    return DataLoader(
        PlainImages(dataset),
        batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=give_own_draws,
        generator=generator(0, "plain order"),
    )


def give_own_draws(worker: int) -> None:
    """Let every worker vary its images in its own way."""
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, PlainImages)
    info.dataset.draws = generator(0, "plain loop", worker)
