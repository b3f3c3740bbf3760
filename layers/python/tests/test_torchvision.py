"""``compat=True`` and ``convert`` against ``torchvision.ops``."""

import pytest
import torch
from torch import nn

import dropblock_torch
from dropblock_torch import DropBlock3d, convert, drop_block2d, drop_block3d

ops = pytest.importorskip("torchvision.ops")


@pytest.mark.parametrize(
    ("dims", "p", "block_size"),
    [
        ((2, 3, 8, 8), -0.1, 3),
        ((2, 3, 8, 8), 1.1, 3),
        ((2, 3, 8, 8), 0.1, 4),
        ((2, 3, 4, 9), 0.1, 7),
        ((3, 8, 8), 0.1, 3),
    ],
)
def test_the_same_errors(dims: tuple[int, ...], p: float, block_size: int) -> None:
    errors = []
    for function, options in [(ops.drop_block2d, {}), (drop_block2d, {"compat": True})]:
        try:
            with pytest.raises(ValueError) as error:
                function(torch.ones(dims), p, block_size, **options)
        except RuntimeError:
            pytest.skip("this torchvision does not refuse even sizes by itself")
        errors.append(str(error.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("dims", "p", "block_size"),
    [((64, 16, 14, 14), 0.1, 7), ((64, 16, 5, 9), 0.3, 7), ((64, 16, 7, 7), 0.5, 1)],
)
def test_the_same_law(dims: tuple[int, ...], p: float, block_size: int) -> None:
    # The moments of the dropped fraction of a map, and the probability of each position.
    torch.manual_seed(2)
    x = torch.ones(dims)
    theirs = (ops.drop_block2d(x, p, block_size) == 0).double()
    ours = (drop_block2d(x, p, block_size, compat=True) == 0).double()
    maps = dims[0] * dims[1]
    for moment in (1, 2):
        a, b = (mask.mean((2, 3)).pow(moment) for mask in (theirs, ours))
        spread = (a.var().item() + b.var().item()) / maps
        assert abs(a.mean().item() - b.mean().item()) < 5 * spread**0.5
    a, b = (mask.mean((0, 1)) for mask in (theirs, ours))
    # Each position is a Bernoulli variable, independent over maps; 126 positions at most.
    spread = (a * (1 - a) + b * (1 - b)) / maps
    assert ((a - b).abs() <= 5 * spread.sqrt() + 1e-12).all()


def test_the_same_calls() -> None:
    x = torch.randn(2, 3, 8, 8)
    for package in (ops, dropblock_torch):
        assert package.drop_block2d(x, 0.3, 3, False, 1e-6, False) is x
        part = x.clone()
        assert package.drop_block2d(input=part, p=0.3, block_size=3, inplace=True) is part
        assert package.DropBlock2d(0.3, 3, inplace=True, eps=1e-5).eval()(x) is x
        assert package.DropBlock3d(p=0.3, block_size=3)(x[None]).shape == x[None].shape
        layer = package.DropBlock2d(0.3, 3)
        assert repr(layer) == "DropBlock2d(p=0.3, block_size=3, inplace=False)"
        layer.load_state_dict({})
    assert (drop_block3d(torch.ones(2, 3, 5, 5, 5), 1.0, 5, compat=True) == 0).all()


def test_convert() -> None:
    drop = ops.DropBlock2d(0.1, 7)
    model = nn.Sequential(
        drop, nn.ModuleDict({"a": drop}), ops.DropBlock3d(0.2, 3, True), nn.Dropout2d(0.3)
    ).eval()
    lines = convert(model)
    assert lines == [
        "0: DropBlock2d(p=0.1, block_size=7, inplace=False) -> "
        "DropBlock2d(p=0.1, block_size=7, inplace=False, compat=True)",
        "1.a: DropBlock2d(p=0.1, block_size=7, inplace=False) -> "
        "DropBlock2d(p=0.1, block_size=7, inplace=False, compat=True)",
        "2: DropBlock3d(p=0.2, block_size=3, inplace=True) -> "
        "DropBlock3d(p=0.2, block_size=3, inplace=True, compat=True)",
        "3: Dropout2d(p=0.3, inplace=False) left, as dropout2d_block_size is not given",
    ]
    assert model[0] is model[1]["a"] and not model[0].training
    assert isinstance(model[2], DropBlock3d)
    assert convert(model, dropout2d_block_size=3) == [
        "3: Dropout2d(p=0.3, inplace=False) -> DropBlock2d(p=0.3, block_size=3, inplace=False)"
    ]
    assert convert(drop) == [f"{drop}: left, as it is the model itself"]
