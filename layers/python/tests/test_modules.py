"""Modules: arguments, schedules, conversion of other packages' modules, and their laws."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from dropblock_torch import (
    DropBlock1d,
    DropBlock2d,
    DropBlock3d,
    DropBlockScheduler,
    drop_block2d,
    expected_dropped,
    preset,
)


@pytest.mark.parametrize("name", ["convert", "functional", "modules", "options", "schedule"])
def test_the_examples_in_the_docs(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"dropblock_torch.{name}"))
    assert result.attempted > 0 and result.failed == 0


def test_the_program_in_the_readme() -> None:
    text = Path(__file__).parents[1].joinpath("README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    assert names["model"][1].key.tolist() == [2024, 1, 0]
    assert names["model"][1].p == 0.1 / 10_000


def test_a_module_is_its_function() -> None:
    options = {"gamma": "exact", "region": "full", "scale": "per_map", "sharing": "over_samples"}
    x = torch.randn(4, 6, 9, 11)
    layer = DropBlock2d(0.3, (2, 5), seed=1, layer=3, first_sample=4, **options)
    expected = drop_block2d(x, 0.3, (2, 5), key=(1, 0, 3), first_sample=4, **options)
    assert torch.equal(layer(x), expected)
    assert DropBlock1d(0.3, 3)(x[0]).shape == x[0].shape
    assert DropBlock3d(0.3, (1, 2, 3))(x[None]).shape == x[None].shape


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1.5, 3), {}, "between 0 and 1, but got 1.5"),
        ((float("nan"), 3), {}, "between 0 and 1"),
        ((0.1, 0), {}, "block size"),
        ((0.1, (1, 2, 3)), {}, "3"),
        ((0.1, 3), {"scale": "none"}, "scale must be one of per_tensor"),
        ((0.1, 3), {"seed": -1}, "got -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DropBlock2d(*arguments, **options)
    with pytest.raises(TypeError, match="colour"):
        DropBlock2d(0.1, 3, colour="red")


def test_gamma_may_be_a_number() -> None:
    x = torch.ones(2, 3, 8, 8)
    assert (drop_block2d(x, 0.0, 3, gamma=1.0, scale="off") == 0).all()
    assert (drop_block2d(x, 0.5, 3, gamma=0.0, scale="off") == 1).all()


@pytest.mark.parametrize("p", [0.05, 0.3])
@pytest.mark.parametrize(("name", "block_size"), [("tensorflow", 7), ("timm", 4), ("miguelvr", 3)])
def test_the_realised_fraction_is_the_expected_one(name: str, p: float, block_size: int) -> None:
    samples = 4000
    torch.manual_seed(1)
    x = torch.ones(samples, 1, 14, 14)
    dropped = (drop_block2d(x, p, block_size, **preset(name)) == 0).double().mean((1, 2, 3))
    expected = expected_dropped((14, 14), p, block_size, **preset(name))
    # Samples are independent: five standard deviations of the mean.
    bound = 5 * dropped.std().item() / samples**0.5
    assert abs(dropped.mean().item() - expected) < bound


def test_a_scheduler_sets_and_resumes() -> None:
    model = nn.Sequential(DropBlock2d(0.5, 3), nn.Sequential(DropBlock2d(0.5, 3)))
    scheduler = DropBlockScheduler(model, 0.2, 4)
    values = [model[0].p]
    for _ in range(5):
        scheduler.step()
        assert model[0].p == model[1][0].p == scheduler.get_last_p()
        values.append(model[0].p)
    assert values == [0.0, 0.05, 0.1, 0.15000000000000002, 0.2, 0.2]
    other = DropBlockScheduler(model, 0.2, 4)
    other.load_state_dict({"last_step": 2})
    assert model[0].p == 0.1 and other.state_dict() == {"last_step": 2}
    steps = DropBlockScheduler(model, 0.0, 10, course="steps", start=0.1, steps=[(2, 0.3)], after=1)
    steps.load_state_dict({"last_step": 3})
    assert model[0].p == 0.3
    with pytest.raises(ValueError, match="course must be one of"):
        DropBlockScheduler(model, 0.2, 4, course="square")
    with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
        DropBlockScheduler(model, 0.2, 4, start=1.5)
