"""Small networks for images of 1x8x8 pixels and three classes: such as can be pruned, and such as cannot."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

IMAGE_SHAPE = (1, 8, 8)
CLASSES = 3


class Convolutional(nn.Module):
    """Two convolutions, batch norm and a head; ``change`` makes something else of its logits."""

    def __init__(self, change: Callable[[Tensor], object] = lambda logits: logits, classes: int = CLASSES) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, stride=2)
        self.head = nn.Linear(6, classes)
        self.change = change

    def logits(self, x: Tensor) -> Tensor:
        x = self.second(torch.relu(self.norm(self.first(x))))
        return self.head(torch.relu(x).mean((2, 3)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> object:
        return self.change(self.logits(x))


def convolutional() -> nn.Module:
    return Convolutional()


def patches(channels: int) -> nn.Module:
    """Sixteen tokens of an image, (N, 16, channels)."""

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, channels, 2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.convolution(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]

    return Patches()


class Attention(nn.Module):
    """Multi-head attention as a module, which does not call the layers that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = patches(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        return self.head((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))  # type: ignore[no-any-return]


class AttentionByFunction(nn.Module):
    """Scaled dot-product attention of one linear layer's outputs, as most networks call it today."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = patches(8)
        self.mix = nn.Linear(8, 24)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.mix(self.patches(x)).chunk(3, dim=-1)
        return self.head(functional.scaled_dot_product_attention(query, key, value).mean(1))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = patches(8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patches(x)).mean(1))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Reads an image row by row; its recurrent weights are not prunable."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 6)
        self.recurrent = nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embed(x.squeeze(1)))[0][:, -1])  # type: ignore[no-any-return]


def normalised_and_smooth() -> nn.Module:
    layers = [nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(36)]
    return nn.Sequential(*layers, nn.Linear(36, CLASSES))


def frozen() -> nn.Module:
    return Convolutional().requires_grad_(False)


def evaluated() -> nn.Module:
    return Convolutional().eval()


def made_under_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return Convolutional()


def with_gradients() -> nn.Module:
    network = Convolutional()
    network.logits(torch.ones(2, *IMAGE_SHAPE)).sum().backward()  # type: ignore[no-untyped-call]
    return network


def parametrised_elsewhere() -> nn.Module:
    """A parametrisation of what is not pruned does no harm."""
    network = Convolutional()
    parametrize.register_parametrization(network.norm, "weight", nn.Softplus())
    return network


ATTENTION: dict[str, Callable[[], nn.Module]] = {
    "attention": Attention,
    "attention by function": AttentionByFunction,
    "transformer": Transformer,
}

PRUNABLE: dict[str, Callable[[], nn.Module]] = {
    "convolutional": convolutional,
    "normalised and smooth": normalised_and_smooth,
    "frozen": frozen,
    "evaluated": evaluated,
    "made under inference mode": made_under_inference_mode,
    "with gradients": with_gradients,
    "parametrised elsewhere": parametrised_elsewhere,
    "recurrent": Recurrent,
    **ATTENTION,
}


class CastsItself(nn.Module):
    """Asks for images of its own dtype, whatever it is given."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = Convolutional().to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.network.logits(x.to(self.dtype)).float()


class Mixed(nn.Module):
    """A body in one dtype and a head in another, with the cast between them."""

    def __init__(self, body: torch.dtype, head: torch.dtype) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh()).to(body)
        self.head = nn.Linear(6, CLASSES).to(head)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).to(self.head.weight.dtype))  # type: ignore[no-any-return]


OF_OTHER_NUMBERS: dict[str, Callable[[], nn.Module]] = {
    "float64": lambda: Convolutional().double(),
    "half": lambda: Convolutional().half(),
    "bfloat16": lambda: Convolutional().bfloat16(),
    "casts itself to half": lambda: CastsItself(torch.float16),
    "casts itself to bfloat16": lambda: CastsItself(torch.bfloat16),
    "float64 and float32": lambda: Mixed(torch.float64, torch.float32),
    "half and float32": lambda: Mixed(torch.float16, torch.float32),
    "float32 and bfloat16": lambda: Mixed(torch.float32, torch.bfloat16),
}


class AuxiliaryInTraining(Convolutional):
    def forward(self, x: Tensor) -> object:
        logits = self.logits(x)
        return (logits, logits) if self.training else logits


class Failing(Convolutional):
    def forward(self, x: Tensor) -> object:
        raise ZeroDivisionError("of its own")


class TwoInputs(Convolutional):
    def forward(self, x: Tensor, mask: Tensor) -> object:  # type: ignore[override]
        return self.logits(x * mask)


class WithoutGraph(Convolutional):
    @torch.no_grad()
    def forward(self, x: Tensor) -> object:
        return self.logits(x)


class Conclusion:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


NO_LOGITS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a tuple": (lambda: Convolutional(lambda y: (y, y)), r"a tuple \(Tensor, Tensor\).*output\[0\]"),
    "a list": (lambda: Convolutional(lambda y: [y]), r"a list \(Tensor\)"),
    "a dict": (lambda: Convolutional(lambda y: {"logits": y}), r"a dict with the keys logits.*output\['logits'\]"),
    "a dict of others": (lambda: Convolutional(lambda y: {"a": y, "b": y}), "a dict with the keys a, b"),
    "an object": (lambda: Convolutional(Conclusion), r"an object of type Conclusion.*output\.logits"),
    "nothing": (lambda: Convolutional(lambda y: None), r"nothing \(None\)"),
    "classes": (lambda: Convolutional(lambda y: y.argmax(1)), r"a tensor of torch\.int64"),
    "complex numbers": (lambda: Convolutional(lambda y: y.to(torch.complex64)), r"a tensor of torch\.complex64"),
    "sparse": (lambda: Convolutional(lambda y: y.to_sparse()), "a sparse or nested tensor"),
    "a map of one pixel": (lambda: Convolutional(lambda y: y[:, :, None, None]), r"\(2, 3, 1, 1\).*\.flatten\(1\)"),
    "a map": (lambda: Convolutional(lambda y: y[:, :, None].expand(-1, -1, 4)), r"shape \(2, 3, 4\) for 2 images"),
    "no batch": (lambda: Convolutional(lambda y: y.mean(0)), r"shape \(3,\) for 2 images"),
    "one image": (lambda: Convolutional(lambda y: y.mean(0, keepdim=True)), r"shape \(1, 3\) for 2 images"),
    "classes first": (lambda: Convolutional(lambda y: y.T), r"shape \(3, 2\) for 2 images"),
    "two in training": (AuxiliaryInTraining, r"a tuple \(Tensor, Tensor\) in training mode"),
    "an error": (Failing, r"fails on 2 images of shape \(1, 8, 8\) .*\(ZeroDivisionError: of its own\)"),
    "too few arguments": (TwoInputs, r"fails on 2 images .*\(TypeError: .*'mask'\)"),
    "no graph": (WithoutGraph, "autograd leads back to none of its prunable weights"),
    "detached": (lambda: Convolutional(lambda y: y.detach()), "autograd leads back to none of its prunable weights"),
}


def changed(change: Callable[[Convolutional], object], *, used: bool = True) -> Callable[[], nn.Module]:
    """Return what builds a network, changes it, and uses it once."""

    def build() -> nn.Module:
        network = Convolutional()
        change(network)
        if used:
            network(torch.ones(2, *IMAGE_SHAPE))
        return network

    return build


def attribute(value: Callable[[], object]) -> Callable[[], nn.Module]:
    return changed(lambda network: setattr(network.second, "held", value()))


def through_a_lambda() -> nn.Module:
    network = Convolutional()
    network.logits = lambda x: network.head(network.second(network.first(x)).mean((2, 3)))  # type: ignore[method-assign]
    return network


def shared_by_copies() -> nn.Module:
    class Single(nn.Linear):
        def __deepcopy__(self, memo: object) -> "Single":
            return self

    return nn.Sequential(nn.Flatten(), Single(64, CLASSES))


def half_removed(layer: nn.Module, name: str) -> None:
    prune.l1_unstructured(layer, name, 0.5)  # type: ignore[no-untyped-call]


def traced_activation() -> nn.Module:
    return torch.jit.trace(nn.ReLU(), torch.ones(2, 8))  # type: ignore[no-untyped-call, no-any-return]


def iter_of_nothing() -> Iterator[None]:
    yield from ()


COMPUTED = "the weight of layer second is computed from other parameters"

NO_COPY: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "pruned": (
        changed(lambda n: half_removed(n.second, "weight")),
        f"{COMPUTED} .*prune.remove",
    ),
    "old weight norm": (changed(lambda n: nn.utils.weight_norm(n.second)), f"{COMPUTED} .*remove_weight_norm"),
    "old spectral norm": (changed(lambda n: nn.utils.spectral_norm(n.second)), f"{COMPUTED} .*remove_spectral_norm"),
    "weight norm": (changed(lambda n: parametrizations.weight_norm(n.second)), f"{COMPUTED} .*remove_parametrizations"),
    "spectral norm": (changed(lambda n: parametrizations.spectral_norm(n.second)), COMPUTED),
    "parametrised": (
        changed(lambda n: parametrize.register_parametrization(n.second, "weight", nn.Softplus())),
        COMPUTED,
    ),
    "pruned bias": (
        changed(lambda n: half_removed(n.second, "bias")),
        r"layer second \(Conv2d\) holds in its attribute bias a tensor that is computed from others",
    ),
    "norm with a norm": (
        changed(lambda n: nn.utils.spectral_norm(n.head, "weight")),
        "the weight of layer head is computed",
    ),
    "features kept": (
        changed(lambda n: n.norm.register_forward_hook(lambda m, i, o: setattr(m, "features", o))),
        r"layer norm \(BatchNorm2d\) holds in its attribute features a tensor that is computed from others",
    ),
    "a lock": (attribute(threading.Lock), r"layer second \(Conv2d\) holds in its attribute held a lock"),
    "a file": (attribute(lambda: Path(__file__).open()), "in its attribute held a TextIOWrapper"),  # noqa: SIM115
    "an iterator": (attribute(iter_of_nothing), "holds in its attribute held a generator"),
    "itself through a lambda": (through_a_lambda, r"still computes with first\.weight of the network .* lambda"),
    "shared by its copies": (shared_by_copies, r"a copy of this network shares 1\.weight with it"),
    "TorchScript": (lambda: torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 3))), "is TorchScript"),
    "traced": (
        lambda: nn.Sequential(nn.Linear(8, 8), traced_activation()),
        "layer 1 is TorchScript",
    ),
    "without values": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES, device="meta")),
        "layer 1 lie on the device meta",
    ),
    "complex": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES, dtype=torch.complex64)),
        r"layer 1 are torch\.complex64",
    ),
}
