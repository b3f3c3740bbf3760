"""Gradients: first and second, in place, under autocast, and through transforms of functions."""

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from dropblock_torch import DropBlock2d, drop_block2d, drop_block3d

KEY = (2024, 17, 3)
SCALES = ["per_tensor", "per_sample", "per_map", "per_position", "fixed", "off"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("noise", [False, True])
def test_gradients_by_finite_differences(scale: str, noise: bool) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return drop_block2d(x, 0.3, 2, key=KEY, scale=scale, noise=noise)

    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(f, x, check_forward_ad=True)
    assert gradgradcheck(f, x)


def test_the_backward_pass_is_the_mask_times_the_scale() -> None:
    x = torch.randn(2, 3, 5, 7, 6, requires_grad=True)
    drop_block3d(x, 0.3, 3, key=KEY).backward(torch.full_like(x, 2.0))
    ones = torch.ones_like(x)
    assert torch.equal(x.grad, drop_block3d(2 * ones, 0.3, 3, key=KEY).detach())


def test_double_backward_through_a_penalty() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    y = drop_block2d(x.square(), 0.3, 3, key=KEY)
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    dx.square().sum().backward()
    scale = drop_block2d(torch.ones_like(x), 0.3, 3, key=KEY).detach()
    assert torch.allclose(x.grad, 8 * x.detach() * scale * scale)


def test_in_place_on_what_autograd_knows() -> None:
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    expected = drop_block2d(x, 0.3, 3, key=KEY)
    (dx,) = torch.autograd.grad(expected.square().sum(), x)
    for part in [x + 0, (x + 0).view(2, 3, 8, 8), (x + 0).permute(0, 1, 3, 2).permute(0, 1, 3, 2)]:
        y = drop_block2d(part, 0.3, 3, inplace=True, key=KEY)
        assert y is part and torch.equal(y, expected)
        assert torch.equal(torch.autograd.grad(y.square().sum(), x)[0], dx)


def test_in_place_is_refused_where_autograd_refuses_it() -> None:
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        drop_block2d(x, 0.3, 3, inplace=True)
    # The gradient of the weight needs the input of the convolution.
    weight, y = torch.randn(4, 3, 3, 3, requires_grad=True), torch.randn(2, 3, 8, 8)
    z = torch.conv2d(y, weight)
    drop_block2d(y, 0.3, 3, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    # The gradient of ReLU needs its output, as in torchvision's layer.
    y = drop_block2d(torch.relu(x), 0.3, 3, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_no_gradient_where_none_is_wanted() -> None:
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with torch.no_grad():
        assert not drop_block2d(x, 0.3, 3).requires_grad
    with torch.inference_mode():
        assert drop_block2d(torch.ones(2, 3, 8, 8), 0.3, 3).is_inference()
        assert (drop_block2d(torch.ones(2, 3, 8, 8), 1.0, 8, inplace=True) == 0).all()
    assert not drop_block2d(x.detach(), 0.3, 3).requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_type_of_the_input(dtype: torch.dtype) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), DropBlock2d(0.3, 3, seed=1))
    x = torch.randn(2, 3, 10, 10, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        y = model(x)
    assert y.dtype == dtype
    y.float().sum().backward()
    assert x.grad.dtype == torch.float32 and x.grad.isfinite().all()


def test_a_gradient_scaler_steps() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), DropBlock2d(0.3, 3, seed=1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    before = model[0].weight.detach().clone()
    loss = model(torch.randn(2, 3, 10, 10)).square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not torch.equal(model[0].weight, before) and model[0].weight.isfinite().all()


def test_func_grad_and_its_own_gradient() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    scale = drop_block2d(torch.ones_like(x), 0.3, 3, key=KEY)

    def f(x: torch.Tensor) -> torch.Tensor:
        return drop_block2d(x, 0.3, 3, key=KEY).pow(3).sum()

    grad = torch.func.grad(f)
    assert torch.allclose(grad(x), 3 * x**2 * scale**3)
    second = torch.func.grad(lambda x: grad(x).sum())
    assert torch.allclose(second(x), 6 * x * scale**3)
    in_place = torch.func.grad(
        lambda x: drop_block2d(x + 0, 0.3, 3, inplace=True, key=KEY).pow(3).sum()
    )
    assert torch.allclose(in_place(x), grad(x))


def test_func_jvp() -> None:
    x, dx = torch.randn(2, 2, 3, 8, 8)
    _, dy = torch.func.jvp(lambda x: drop_block2d(x, 0.3, 3, key=KEY), (x,), (dx,))
    assert torch.equal(dy, drop_block2d(dx, 0.3, 3, key=KEY))
    with forward_ad.dual_level():
        y = drop_block2d(forward_ad.make_dual(x, dx), 0.3, 3, key=KEY)
        assert torch.equal(forward_ad.unpack_dual(y).tangent, dy)


def test_vmap() -> None:
    x = torch.randn(3, 2, 4, 8, 8)
    mapped = torch.vmap(lambda x: drop_block2d(x, 0.3, 3, key=KEY))
    expected = torch.stack([drop_block2d(x, 0.3, 3, key=KEY) for x in x])
    assert torch.equal(mapped(x), expected)
    assert torch.equal(torch.vmap(mapped, 1, 1)(x[:, None]), expected[:, None])
    each = torch.vmap(torch.func.grad(lambda x: drop_block2d(x, 0.3, 3, key=KEY).square().sum()))
    whole = torch.func.grad(lambda x: mapped(x).square().sum())
    assert torch.equal(each(x), whole(x))


def test_vmap_asks_how_random_it_is() -> None:
    x = torch.ones(3, 2, 4, 8, 8)

    def f(x: torch.Tensor) -> torch.Tensor:
        return drop_block2d(x, 0.3, 3)

    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(f)(x)
    same = torch.vmap(f, randomness="same")(x)
    assert torch.equal(same[0], same[1])
    different = torch.vmap(f, randomness="different")(x)
    assert not torch.equal(different[0], different[1])
