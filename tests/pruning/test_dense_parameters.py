import torch
from torch import Tensor, nn

from prunecheck.models import build_model
from prunecheck.pruning import choose_prunable
from prunecheck.pruning.dense_parameters import DenseParameter, dense_parameters_text, left_dense
from tests.pruning.zoo import ATTENTION


class OfAllKinds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 2, 2)
        self.along = nn.Conv1d(3, 4, 1, bias=False)
        self.along_again = nn.Conv1d(3, 4, 1, bias=False)
        self.along_again.weight = self.along.weight
        self.deep = nn.Conv3d(1, 1, 2)
        self.words = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.tied = nn.Linear(4, 5, bias=False)
        self.head.weight = self.words.weight
        self.norm = nn.GroupNorm(1, 4)
        self.positions = nn.Parameter(torch.zeros(1, 2, 3))
        self.factor = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_parameters_of_all_kinds_are_named_once_with_their_size() -> None:
    # The weight that an embedding shares with a linear layer is pruned as that layer's.
    assert left_dense(OfAllKinds()) == (
        DenseParameter("positions", "OfAllKinds", 6),
        DenseParameter("up.weight", "ConvTranspose2d", 8),
        DenseParameter("along.weight", "Conv1d", 12),
        DenseParameter("deep.weight", "Conv3d", 8),
    )


def test_the_projection_of_multi_head_attention_is_left_dense_and_its_output_pruned() -> None:
    named = {one.name: one for one in left_dense(ATTENTION["attention"]())}
    (projection,) = (one for name, one in named.items() if name.endswith("in_proj_weight"))
    assert projection.kind == "MultiheadAttention"
    assert not [name for name in named if name.endswith("out_proj.weight")]


def test_layers_that_are_kept_dense_are_among_them() -> None:
    model = build_model("resnet8", 10, width=2, input_channels=1)
    assert left_dense(model) == ()
    choose_prunable(model, keep_dense=["first", "last"])
    assert left_dense(model) == (
        DenseParameter("conv1.weight", "Conv2d", 18),
        DenseParameter("fc.weight", "Linear", 80),
    )


def test_a_line_names_the_largest() -> None:
    assert dense_parameters_text(()) == ""
    assert dense_parameters_text([DenseParameter("a", "Conv1d", 7), DenseParameter("b", "Conv3d", 1200)]) == (
        "b (Conv3d, 1,200 weights), a (Conv1d, 7 weights)"
    )
    many = [DenseParameter(f"p{number}", "Conv1d", number) for number in range(1, 8)]
    assert dense_parameters_text(many).endswith("p4 (Conv1d, 4 weights), 3 more (6 weights)")
