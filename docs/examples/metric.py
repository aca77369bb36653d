"""A metric: how far confidence is from accuracy; ``--metric metric.py:calibration_error --margin 1``."""

import torch
from torch import Tensor

from prunecheck.metrics import register_metric

BINS = 15


@register_metric("calibration-error", unit="%", higher_is_better=False)
def calibration_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Expected calibration error over 15 bins of confidence, percent (Guo et al., ICML 2017).

    Args:
        logits: float32 (images, classes), of the whole test part.
        labels: int64 (images,).
    """
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, device=logits.device).index_add(0, bins, confidence - (predicted == labels).float())
    return 100 * gaps.abs().sum() / len(labels)
