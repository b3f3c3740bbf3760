"""``convert`` against ``timm.layers``."""

import pytest
import torch
from torch import nn

from dropblock_torch import convert

drop = pytest.importorskip("timm.layers.drop")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"couple_channels": False},
        {"gamma_scale": 0.25, "inplace": True},
        {"scale_by_keep": False},
        {"with_noise": True},
    ],
    ids=str,
)
def test_convert_keeps_the_law(options: dict[str, object]) -> None:
    model = nn.Sequential(drop.DropBlock2d(0.1, 4, **options))
    old = model[0]
    assert len(convert(model)) == 1
    torch.manual_seed(3)
    samples = 4000
    means = []
    for layer in (old, model[0]):
        y = layer(torch.ones(samples, 2, 14, 14))
        # Kept units share a scale; noise is none of them.
        kept = y == y.flatten().mode().values if options.get("with_noise") else y != 0
        means.append(1 - kept.double().mean((1, 2, 3)))
        if not options.get("couple_channels", True):
            continue
        assert torch.equal(kept[:, 0], kept[:, 1])
    a, b = means
    bound = 5 * ((a.var() + b.var()).item() / samples) ** 0.5
    assert abs(a.mean().item() - b.mean().item()) < bound
