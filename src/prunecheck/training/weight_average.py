"""An exponential moving average of a network's weights, which is tested and kept in the place of the last ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

BEFORE_AVERAGING = "before_averaging"
UPDATES = "averaged_steps"
"""In the state of a training: the weights that it goes on with, ``before_averaging/NAME``, and the number of steps."""


class WeightAverage:
    """The average of all floating-point tensors of a network's state dict: its weights and its batch statistics.

    While a network is tested it has the average, and its own weights are kept aside. They change places in memory that
    stays where it is, for recorded steps and kernels.

    Args:
        model: the network, in training mode.
        decay: in [0, 1) of the average; 0 for none, and nothing is done.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        state = model.state_dict() if decay else {}
        self._own = {name: value.detach() for name, value in state.items() if value.is_floating_point()}
        self._other = [value.clone() for value in self._own.values()]
        self._is_in_place = False
        device = self._other[0].device if self._other else None
        self._updates = torch.zeros((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's weights into the average, after a step."""
        if not self._decay:
            return
        share = 1 - ((self._updates + 1) / (self._updates + 10)).clamp(max=self._decay)
        self._updates += 1
        differences = torch._foreach_sub(list(self._own.values()), self._other)
        torch._foreach_mul_(differences, share.to(differences[0].dtype))
        torch._foreach_add_(self._other, differences)

    @torch.no_grad()
    def put_in_place(self, is_wanted: bool) -> None:
        """Give the network the average, or its own weights back."""
        if is_wanted == self._is_in_place:
            return
        own = list(self._own.values())
        if own:
            before = torch._foreach_mul(own, 1)
            torch._foreach_copy_(own, self._other)
            torch._foreach_copy_(self._other, before)
        self._is_in_place = is_wanted

    def state(self) -> dict[str, Tensor]:
        """Return a copy of what training goes on with, while the average is in place."""
        if not self._decay:
            return {}
        named = zip(self._own, self._other, strict=True)
        return {f"{BEFORE_AVERAGING}/{name}": value.clone() for name, value in named} | {UPDATES: self._updates.clone()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` returned, where the network has the average."""
        if not self._decay:
            return
        self._is_in_place = True
        for name, other in zip(self._own, self._other, strict=True):
            other.copy_(state[f"{BEFORE_AVERAGING}/{name}"])
        self._updates.copy_(state[UPDATES])
