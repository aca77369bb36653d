"""A ticket that is tested as it is, and not trained."""

import torch
from torch import nn
from torch.nn import functional

from prunecheck.data.batches import Batches, evaluation_batch_size
from prunecheck.data.datasets import Dataset
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.logits import logits_of
from prunecheck.pruning.tickets import Ticket, copy_weights
from prunecheck.training.record import Record, Tested
from prunecheck.training.shared_training import Measure


def evaluate_ticket(
    ticket: Ticket,
    model: nn.Module,
    dataset: Dataset,
    device: torch.device | str = "cpu",
    measure: Measure | None = None,
) -> Record:
    """Test a ticket on the test part, batch by batch.

    Args:
        ticket: its weights and masks; nothing of it changes.
        model: the network that its weights are for; it is left as it was.
        dataset: tested on.
        device: where to compute.
        measure: given all logits and labels; None to keep none of them.

    Returns:
        A record without epochs.
    """
    network = copy_network(model)
    network.load_state_dict(ticket.weights)
    network.to(device).eval()
    with torch.no_grad():
        for layer, weight in prunable_weights(network).items():
            if layer in ticket.masks:
                weight.mul_(ticket.masks[layer].to(weight.device))
    batches = Batches(dataset.test, dataset, evaluation_batch_size(dataset), device)
    losses, hits, kept = [], [], []
    with torch.inference_mode():
        for x, y in batches.in_order():
            logits = logits_of(network, x).float()
            losses.append(functional.cross_entropy(logits, y, reduction="none").double().view(len(x), -1).mean(1))
            hits.append((logits.argmax(1) == y).double().view(len(x), -1).mean(1))
            kept += [logits] if measure else []
    of_each = torch.cat(losses)
    tested = Tested(
        of_each.mean().item(),
        100 * torch.cat(hits).mean().item(),
        tuple(of_each.tolist()) if batches.are_tokens else (),
    )
    value = measure(torch.cat(kept), batches.all_labels()) if measure else None
    return Record(copy_weights(network), (), diverged=False, value=value, tested=tested)
