"""The operations of one forward pass, recorded below autograd, where a network is a few dozen kinds of them.

At that level (ATen) it makes no difference whether a norm is a module, a function or written by hand. Only
what is computed from the input or from a prunable weight is recorded; everything else is a constant.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from prunecheck.pruning.layers import prunable_weights, weight_name

INPUT = 0
"""Number of the input among the tensors of a recording."""

FACTORIES = ("zeros", "ones", "empty", "full", "empty_strided", "zeros_like", "ones_like", "empty_like", "full_like")
"""What makes tensors into which a network may write."""

VALUES = ("_local_scalar_dense", "equal", "is_nonzero", "allclose")
"""What hands numbers to Python, where they decide what is computed next."""


class NotKnown(Exception):  # noqa: N818 - no error
    """It cannot be told what depends on what in this network; the message says why."""


@dataclass(frozen=True)
class Traced:
    """The place of a recorded tensor among an operation's arguments."""

    number: int


@dataclass(frozen=True)
class Operation:
    """One recorded operation.

    Attributes:
        function: the ATen operation.
        args: its positional arguments, with :class:`Traced` in the place of recorded tensors.
        kwargs: its named ones, likewise.
        inputs: numbers of the recorded tensors among them.
        outputs: a number for each tensor that it returns.
        writes: numbers of those that it changes in place.
    """

    function: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    writes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its name without namespace and overload; that of another namespace than ATen's is whole."""
        return str(self.function._schema.name).removeprefix("aten::")

    def argument(self, name: str, otherwise: object = None) -> Any:
        """Return an argument by its name in the schema, its default if it was not given."""
        if name in self.kwargs:
            return self.kwargs[name]
        position, default = _places(self.function).get(name, (len(self.args), otherwise))
        return self.args[position] if position < len(self.args) else default


@functools.cache
def _places(function: OpOverload) -> dict[str, tuple[int, Any]]:
    """Return the place and the default of each argument of an operation, by its name."""
    arguments = enumerate(function._schema.arguments)
    return {argument.name: (place, argument.default_value) for place, argument in arguments}


@dataclass
class Recording:
    """One forward pass.

    Attributes:
        values: the recorded tensors as they were computed, the input first, then one per prunable layer.
        weights: number of each prunable layer's weight.
        operations: in order.
        constants: the other parameters and the buffers, by the names of the state dict, as operations hold them.
        output: number of the network's output.
    """

    values: list[Tensor] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    output: int = -1

    def storage(self, number: int) -> int:
        """Return what tensors that share their memory have in common; nothing is freed while it is recorded."""
        return int(self.values[number].untyped_storage().data_ptr())


def record(model: nn.Module, image_shape: tuple[int, ...]) -> Recording:
    """Record a network's forward pass on two images, as it computes after training; it is left as it was.

    Args:
        model: with any weights: their values are not asked for.
        image_shape: channels, height and width of the input.

    Raises:
        NotKnown: it cannot be copied or run; it computes outside of PyTorch; what it computes next
            depends on values; or it returns something else than one tensor.
    """
    recording = Recording()
    state = torch.random.get_rng_state()
    try:
        with torch.no_grad():
            working = copy.deepcopy(model).cpu().eval()
            output = _run(working, recording, image_shape)
    except NotKnown:
        raise
    except Exception as error:  # a network may raise anything
        raise NotKnown(f"it could not be followed ({type(error).__name__}: {error})".replace("\n", " ")) from error
    finally:
        torch.random.set_rng_state(state)
    if not isinstance(output, Tensor):
        raise NotKnown(f"it returns {type(output).__name__} where one tensor was expected")
    if not isinstance(output, TracedTensor):
        raise NotKnown("its output is computed outside of what can be followed")
    recording.output = output.number
    return recording


def _run(working: nn.Module, recording: Recording, image_shape: tuple[int, ...]) -> object:
    dtype = next(parameter.dtype for parameter in working.parameters() if parameter.is_floating_point())
    images = TracedTensor(torch.full((2, *image_shape), 0.5, dtype=dtype), INPUT)
    recording.values.append(images.value)
    replaced: dict[str, Tensor] = {}
    for layer, weight in prunable_weights(working).items():
        recording.weights[layer] = len(recording.values)
        recording.values.append(weight.detach())
        replaced[weight_name(layer)] = TracedTensor(weight.detach(), recording.weights[layer])
    held: dict[int, Tensor] = {
        id(weight): replaced[weight_name(layer)] for layer, weight in prunable_weights(working).items()
    }
    others = (*working.named_parameters(), *working.named_buffers())
    recording.constants = {name: tensor for name, tensor in others if name not in replaced}
    # The kernel for attention that is made of known operations.
    with sdpa_kernel(SDPBackend.MATH), _Recorder(recording, held):
        return functional_call(working, replaced, (images,))


class TracedTensor(Tensor):
    """A tensor without memory of its own, so that nothing can be read from it past the recorder."""

    value: Tensor
    number: int

    @staticmethod
    def __new__(cls, value: Tensor, number: int) -> "TracedTensor":
        """Wrap a value that has a number in a recording."""
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls,
            value.size(),
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=value.dtype,
            device=value.device,
            layout=value.layout,
        )
        wrapper.value, wrapper.number = value, number
        return wrapper

    def __init__(self, value: Tensor, number: int) -> None: ...

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the function: that there is an override keeps attention off its closed, faster kernels."""
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, *_: object, **__: object) -> Any:
        """Refuse what is done while nothing records."""
        raise NotKnown("it computes in another thread, or out of sight")


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what is computed from traced tensors."""

    def __init__(self, recording: Recording, held: dict[int, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.held = held  # prunable weights that the network reaches otherwise than as its parameters
        self.dependent = {recording.storage(INPUT)}  # storages that hold anything of the input

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave the compiler out, which PyTorch would load to shield this from it: seconds, and much memory."""
        return False

    def __torch_dispatch__(
        self, function: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        flat, structure = tree_flatten((args, kwargs or {}))
        flat = [self.held.get(id(item), item) if isinstance(item, Tensor) else item for item in flat]
        traced = [item for item in flat if isinstance(item, TracedTensor)]
        name = str(function._schema.name).removeprefix("aten::")
        depends = self._depends(traced)
        if name == "as_strided_" and isinstance(args[0], TracedTensor) and _is_as_before(*args):
            return args[0]
        if traced:
            # An index says itself how many numbers come out, whatever it picks from.
            _require_known(function, name, self._depends(_traced_in(args[1:])) if name == "index" else depends)
        given, named = tree_unflatten([getattr(item, "value", item) for item in flat], structure)
        result = function(*given, **named)
        if not traced and not (name in FACTORIES and isinstance(result, Tensor)):
            return result
        marks = [Traced(item.number) if isinstance(item, TracedTensor) else item for item in flat]
        marked, marked_named = tree_unflatten(marks, structure)
        written = _written(function, *tree_unflatten(flat, structure))
        for tensor in written:
            if not isinstance(tensor, TracedTensor):
                raise NotKnown("it writes into a tensor that it holds")
        outputs, shape = tree_flatten(result)
        known = {id(tensor.value): tensor for tensor in written}
        wrapped = [
            known[id(item)] if id(item) in known else self._wrap(item) if isinstance(item, Tensor) else item
            for item in outputs
        ]
        numbers = tuple(item.number for item in wrapped if isinstance(item, TracedTensor))
        writes = tuple(tensor.number for tensor in written)
        if depends:
            self.dependent |= {self.recording.storage(number) for number in (*numbers, *writes)}
        inputs = tuple(tensor.number for tensor in traced)
        self.recording.operations.append(Operation(function, marked, marked_named, inputs, numbers, writes))
        return tree_unflatten(wrapped, shape)

    def _depends(self, tensors: Sequence[TracedTensor]) -> bool:
        return any(self.recording.storage(tensor.number) in self.dependent for tensor in tensors)

    def _wrap(self, value: Tensor) -> TracedTensor:
        self.recording.values.append(value)
        return TracedTensor(value, len(self.recording.values) - 1)


def _traced_in(arguments: object) -> list[TracedTensor]:
    return [item for item in tree_flatten(arguments)[0] if isinstance(item, TracedTensor)]


def _is_as_before(tensor: Tensor, size: Sequence[int], strides: Sequence[int], offset: int | None = None) -> bool:
    """Whether other strides say the same, as where poolings to one pixel call their output channels last."""
    counted = [place for place, count in enumerate(size) if count > 1]
    is_same = all(strides[place] == tensor.stride(place) for place in counted)
    return tensor.shape == torch.Size(size) and is_same and offset in (None, tensor.storage_offset())


def _require_known(function: OpOverload, name: str, depends: bool) -> None:
    tags = function.tags
    decides = name in VALUES or torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags
    if depends and decides:
        raise NotKnown("what it computes depends on the values that it meets")
    if torch.Tag.inplace_view in tags:
        raise NotKnown("it changes the shape of a tensor in place")


def _written(function: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Return the tensors that an operation writes to, by its schema."""
    found: list[Any] = []
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += [item for item in tree_flatten(value)[0] if isinstance(item, Tensor)]
    return found
