"""What is remembered of the inputs of a layer: sums over all tokens of the calibration sequences."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class InputStatistics(ABC):
    """A sum over the inputs of a layer, which are seen sequence by sequence.

    Summands are computed in float32 (float64 if the network has it) and added in float64, so that the order of the
    sequences does not matter.

    Attributes:
        total: the sum, float64; ``None`` before the layer has had an input.
        tokens: how many inputs it is of.
    """

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.tokens = 0

    @staticmethod
    @abstractmethod
    def summand(inputs: Tensor) -> Tensor:
        """Return what some inputs add.

        Args:
            inputs: float32 or float64 (tokens, features).
        """

    @staticmethod
    @abstractmethod
    def of_unseen(features: int) -> Tensor:
        """Return what stands for a layer that no token has come to: all inputs alike, and independent.

        Args:
            features: of an input.
        """

    @staticmethod
    @abstractmethod
    def size(features: int) -> int:
        """Return how many numbers it holds."""

    def add(self, summand: Tensor, tokens: int) -> None:
        """Add what some inputs add."""
        if tokens:
            self.total = summand.to(torch.float64) if self.total is None else self.total.add_(summand)
            self.tokens += tokens

    def mean(self, features: int) -> Tensor:
        """Return the mean over tokens, float64."""
        return self.of_unseen(features) if self.total is None else self.total / self.tokens


class Squares(InputStatistics):
    """The mean square of each feature, (features,)."""

    @staticmethod
    def summand(inputs: Tensor) -> Tensor:
        """Return the sum of squares of each feature."""
        return inputs.square().sum(0)

    @staticmethod
    def of_unseen(features: int) -> Tensor:
        """Return ones."""
        return torch.ones(features)

    @staticmethod
    def size(features: int) -> int:
        """Return how many numbers it holds."""
        return features


class Products(InputStatistics):
    """The mean product of each two features, (features, features): X X^T for inputs X (features, tokens), by tokens."""

    @staticmethod
    def summand(inputs: Tensor) -> Tensor:
        """Return the sum of products."""
        return inputs.t() @ inputs

    @staticmethod
    def of_unseen(features: int) -> Tensor:
        """Return the identity matrix."""
        return torch.eye(features)

    @staticmethod
    def size(features: int) -> int:
        """Return how many numbers it holds."""
        return features * features
