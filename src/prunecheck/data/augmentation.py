"""How training images are varied: cropped, mirrored and cut out, where they lie, by numbers that were drawn before."""

import torch
from torch import Tensor
from torch.nn import functional

from prunecheck.data.datasets import Augmentation


def draw_augmentation(count: int, augmentation: Augmentation, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the crop offsets (int64, (count, 2), in [0, 2 padding]) and the mirroring (bool, (count,))."""
    shifts = torch.randint(2 * augmentation.padding + 1, (count, 2), generator=source)
    mirrored = torch.rand(count, generator=source) < (0.5 if augmentation.flip else 0)
    return shifts, mirrored


def augment(pixels: Tensor, augmentation: Augmentation, shifts: Tensor, mirrored: Tensor) -> Tensor:
    """Crop each image out of its zero-padded frame and mirror some of them.

    Args:
        pixels: (N, channels, height, width).
        augmentation: how far the frame reaches, and whether to mirror at all.
        shifts: int64, (N, 2); row and column of the frame at which the crop begins.
        mirrored: bool, (N,).

    Returns:
        A tensor of the shape and dtype of ``pixels``.
    """
    if augmentation.padding:
        everything = torch.arange(len(pixels), device=pixels.device)
        pixels = crop(framed(pixels, augmentation), augmentation, everything, shifts)
    return mirror(pixels, mirrored) if augmentation.flip else pixels


def framed(images: Tensor, augmentation: Augmentation) -> Tensor:
    """Return images (N, channels, height, width) in frames of zeros, as wide as they are moved."""
    return functional.pad(images, (augmentation.padding,) * 4)


def crop(frames: Tensor, augmentation: Augmentation, chosen: Tensor, shifts: Tensor) -> Tensor:
    """Crop images out of their frames: a crop is its frame in memory, begun at a later pixel.

    So each image is copied in one piece; the rest of its frame, between the rows, is skipped by the strides.

    Args:
        frames: contiguous, what :func:`framed` returned.
        augmentation: how far the frames reach.
        chosen: int64, (batch,); which of them.
        shifts: int64, (batch, 2); see :func:`augment`.

    Returns:
        New numbers (batch, channels, height, width), not contiguous where there is a frame.
    """
    _, channels, height, width = frames.shape
    plane, inner = height * width, 2 * augmentation.padding
    length = channels * plane - inner * (width + 1)
    starts = chosen * (channels * plane) + shifts[:, 0] * width + shifts[:, 1]
    # index_select copies whole windows of an unfolded tensor; indexing in brackets goes pixel by pixel.
    moved = frames.flatten().unfold(0, length, 1).index_select(0, starts)
    shape = (len(chosen), channels, height - inner, width - inner)
    return moved.as_strided(shape, (length, plane, width, 1))


def mirror(pixels: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the marked images left to right, without waiting for the device to say which these are."""
    count = len(pixels)
    either = torch.cat([pixels, pixels.flip(-1)])
    return either.index_select(0, torch.arange(count, device=pixels.device) + count * mirrored)


def draw_centres(count: int, height: int, width: int, source: torch.Generator) -> Tensor:
    """Draw the pixels about which squares are cut out, all equally likely: int64, (count, 2), row and column."""
    sides = ((size, (count,)) for size in (height, width))
    return torch.stack([torch.randint(size, shape, generator=source) for size, shape in sides], dim=1)


def cut_out(images: Tensor, side: int, centres: Tensor) -> None:
    """Set a square of each normalised image to 0, which is the mean of the training set (cutout, arXiv:1708.04552).

    Args:
        images: float, (N, channels, height, width); changed in place.
        side: of the square, pixels; what of it lies beyond the image is cut off.
        centres: int64, (N, 2); the row and the column which the square begins ``side // 2`` before.
    """
    rows, columns = (
        torch.arange(size, device=images.device) - centre.unsqueeze(1) + side // 2
        for size, centre in zip(images.shape[2:], centres.unbind(1), strict=True)
    )
    is_row, is_column = ((place >= 0) & (place < side) for place in (rows, columns))
    images.masked_fill_((is_row.unsqueeze(2) & is_column.unsqueeze(1)).unsqueeze(1), 0)
