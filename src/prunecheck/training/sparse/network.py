"""A ticket's network with compiled convolutions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.logits import input_dtype
from prunecheck.pruning.tickets import Ticket, Weights
from prunecheck.training.optimizer import Rate, masked_optimizer, vectors
from prunecheck.training.recipe import Recipe
from prunecheck.training.sparse.crossover import pays
from prunecheck.training.sparse.tracing import Chooses, read_trunk
from prunecheck.training.sparse.weights import KeptWeights
from prunecheck.training.weight_average import WeightAverage


class SparseNetwork:
    """A network with compiled convolutions, on the CPU and one thread; where few weights are kept, of these only.

    Up to the mean over positions it is a :class:`Trunk`; what follows is the model's own. The kept weights of
    a convolution are one parameter, a vector; weights and momentum come and go in the model's shapes.

    Args:
        ticket: its starting weights and masks.
        model: copied, not changed, when this is made and whenever masks move.
        recipe: of the optimizer, and whether weights are averaged.
        image_shape: channels, height and width of an image.
        chooses: which convolutions are computed with the kept weights only.

    Raises:
        UnsupportedError: the model has something that a trunk cannot do.
        UnavailableError: there are no kernels.
    """

    def __init__(
        self,
        ticket: Ticket,
        model: nn.Module,
        recipe: Recipe,
        image_shape: tuple[int, ...],
        chooses: Chooses = pays,
    ) -> None:
        self._image_shape, self._recipe, self._chooses = image_shape, recipe, chooses
        self._original = model
        self._is_training = model.training
        self._build(ticket)

    def _build(self, ticket: Ticket) -> None:
        self.model = copy_network(self._original)
        self.model.load_state_dict(ticket.weights)
        self._dtype = input_dtype(self.model)
        undecayed = vectors(self.model)  # before kept weights are vectors too
        self._trunk, self._head = read_trunk(self.model, ticket.masks, self._image_shape, self._chooses)
        self._kept = {weight_name(name): step.kept for name, step in self._trunk.sparse.items()}
        others: Masks = {name: mask for name, mask in ticket.masks.items() if name not in self._trunk.sparse}
        in_place = {id(parameter) for parameter in (*self._trunk.parameters(), *self._head.parameters())}
        packed = {name for name, parameter in self.model.named_parameters() if id(parameter) in in_place}
        self.optimizer = masked_optimizer(self.model, others, self._recipe, undecayed, packed)
        self._average = WeightAverage(self.model, self._recipe.weight_average)

    @property
    def sparse_layers(self) -> tuple[str, ...]:
        """The layers that compute with their kept weights only."""
        return tuple(self._trunk.sparse)

    @property
    def compiled_layers(self) -> tuple[str, ...]:
        """The convolutions that torch does not compute: :attr:`sparse_layers`, and those by Winograd's filtering."""
        compiled = {id(step.module) for step in self._trunk.compiled}
        return tuple(name for name, module in self.model.named_modules() if id(module) in compiled)

    def set_masks(self, masks: Masks) -> None:
        """Go on with other masks, in the same mode: what is computed, and how, is made anew.

        A weight that was kept and still is keeps its value and momentum; one that grows starts at 0 with none; one
        that is pruned loses both. Running statistics stay.

        Args:
            masks: by layer name, True = kept; of the same layers or others.
        """
        was_training = self._is_training
        self.train()  # or the weights would be their averages
        weights, state = self.weights(), self.momentum()
        kept = {weight_name(layer): mask for layer, mask in masks.items()}
        for name, tensor in (*weights.items(), *state.items()):
            if (mask := kept.get(name.rpartition("/")[2])) is not None:
                tensor.mul_(mask)
        self._build(Ticket(weights, masks))
        self.load(weights, state)
        self.train(was_training)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits (batch, classes); backward must follow before the next call."""
        x = x.to(self._dtype)
        with torch.no_grad():
            if self._is_training:
                features = self._trunk.features(x, training=True)
            else:  # in parts of a training batch, for which there is room
                parts = x.split(self._recipe.batch_size)  # type: ignore[no-untyped-call]
                features = torch.cat([self._trunk.features(part, training=False) for part in parts])
        goes_back = self._is_training and torch.is_grad_enabled()
        return self._head(features, self._trunk.backward if goes_back else None)

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode."""
        self._is_training = mode
        self._head.train(mode)
        self._average.put_in_place(not mode)

    def step(self, learning_rate: Rate) -> None:
        """Update the weights by their gradients."""
        self.optimizer.step(learning_rate)
        self._average.update()

    def weights(self) -> Weights:
        """Return a copy of the state dict, with pruned weights as 0."""
        return self._dense({name: value.clone() for name, value in self.model.state_dict().items()})

    def momentum(self) -> dict[str, Tensor]:
        """Return a copy of the state of the optimizer and of the average, with 0 where weights are pruned."""
        return self._dense(self.optimizer.state() | self._average.state())

    def load(self, weights: Mapping[str, Tensor], momentum: Mapping[str, Tensor] | None) -> None:
        """Take over weights and momentum."""
        self.model.load_state_dict(self._compact(weights))
        if momentum is not None:
            compact = self._compact(momentum)
            self.optimizer.set_state(compact)
            self._average.set_state(compact)

    def _dense(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: kept.dense(value) if (kept := self._of(name)) else value for name, value in tensors.items()}

    def _compact(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value[kept.mask] if (kept := self._of(name)) else value for name, value in tensors.items()}

    def _of(self, name: str) -> KeptWeights | None:
        """Return the kept weights that a tensor belongs to: a weight itself, or the optimizer's ``KIND/NAME``."""
        return self._kept.get(name.rpartition("/")[2])
