"""What a run of a method after training takes: memory at its peak, and the arithmetic that its time follows from."""

from dataclasses import dataclass

from torch import nn

from prunecheck.data import Dataset, TokenDataset
from prunecheck.data.batches import evaluation_batch_size
from prunecheck.pruning import Method
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.methods_without_training import post_training_method
from prunecheck.pruning.post_training import cost_of, find_stages
from prunecheck.runs.spec import RunSpec

NETWORKS = 9
"""Copies of the weights at the peak, beside what pruning holds: 8.7 were measured (51 MB of weights, magnitude).

As they were trained, of the run's network, of two copies that the method is given, of the ticket before its update and
after it, and three in writing the ticket.
"""

LOGITS = 3
"""Tensors of the size of a batch's logits at once: logits, their logarithms, and losses."""

HIDDEN = 4
"""Likewise, of the outputs of the widest layer; with logits of the same size, 6.5 of both were measured."""

NUMBER = 4
"""Bytes of a weight, or a logit, as it is computed with."""


@dataclass(frozen=True)
class RunMemory:
    """What a run needs at its peak, bytes.

    Attributes:
        networks: the copies of the weights that are held at once.
        pruning: what pruning holds beside: new weights and masks, the activations and statistics of one block, the
            matrices of one layer; None where that is up to a method of the user's.
        test: the activations and the logits of one batch.
        operations: multiplications and additions of pruning; 0 where that is not known, or nothing is computed.
    """

    networks: int
    pruning: int | None
    test: int
    operations: int = 0

    @property
    def peak(self) -> int:
        """All that is held at the same time: the test comes after the pruning."""
        return self.networks + max(self.pruning or 0, self.test)


def memory_of_run(run: RunSpec, method: Method, network: nn.Module, dataset: Dataset) -> RunMemory:
    """Return what a run of a method after training needs.

    Args:
        run: the run.
        method: its method.
        network: that it prunes.
        dataset: of tokens, cut as the run says.

    Raises:
        InputError: the network has nothing to prune, or a layer is quantised.
    """
    assert isinstance(dataset, TokenDataset)
    networks = NETWORKS * NUMBER * sum(parameter.numel() for parameter in network.parameters())
    sequences = min(len(dataset.test), evaluation_batch_size(dataset))
    widest = max((weight.shape[0] for weight in prunable_weights(network).values()), default=0)
    of_token = LOGITS * dataset.num_classes + HIDDEN * widest
    test = NUMBER * of_token * sequences * dataset.sequence_length
    found = post_training_method(method)
    if found is None:
        return RunMemory(networks, None, test)
    stages = find_stages(network, dataset.sequence_length)
    cost = cost_of(stages, found, max(1, run.calibration_sequences), dataset.sequence_length)
    return RunMemory(networks, cost.memory, test, cost.operations)
