"""The operation on tensors: the table, types, strides, sizes, in place, threads."""

import pytest
import torch

import table
from dropblock_torch import DropBlock2d, drop_block1d, drop_block2d, drop_block3d
from dropblock_torch._ops import drop_block

KEY = (2024, 17, 3)
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def signed(word: int) -> int:
    return word if word < 1 << 63 else word - (1 << 64)


def run(case: table.Case, x: torch.Tensor) -> torch.Tensor:
    prob = torch.tensor(case.prob, dtype=torch.float64)
    key = torch.tensor([signed(word) for word in case.key[:3]])
    return drop_block(x, prob, key, case.options, first_sample=case.key[3])


def digest(x: torch.Tensor) -> str:
    return table.digest(x.detach().contiguous().view(torch.uint8).numpy().tobytes())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_operation_gives_the_table(dtype: torch.dtype) -> None:
    for case in table.cases():
        x, dy = (torch.tensor(v).reshape(case.dims).to(dtype) for v in table.tensors(case.dims))
        x.requires_grad_()
        y = run(case, x)
        y.backward(dy)
        assert [digest(y), digest(x.grad)] == case.outputs[str(dtype).split(".")[1]], case
        if "noise" not in case.options:
            mask = run(case, torch.ones(case.dims)) == 0
            assert digest(mask) == case.mask, case


def test_every_rank_has_a_function() -> None:
    for function, dims in [
        (drop_block1d, (2, 3, 31)),
        (drop_block2d, (2, 3, 11, 13)),
        (drop_block3d, (2, 3, 5, 7, 6)),
    ]:
        y = function(torch.ones(dims), 0.3, 3, key=KEY)
        assert y.shape == dims
        assert 0 < (y == 0).sum() < y.numel()
        with pytest.raises(ValueError, match=f"should be {len(dims)} dimensional. Got 2"):
            function(torch.ones(2, 3), 0.3, 3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_strides_change_no_bit(dtype: torch.dtype) -> None:
    x = torch.randn(4, 6, 9, 11).to(dtype)
    expected = drop_block2d(x, 0.3, 3, key=KEY)
    wide = torch.randn(4, 6, 9, 22).to(dtype)
    wide[..., ::2] = x
    deep = torch.randn(5, 7, 9, 12).to(dtype)
    deep[1:, 1:, :, 1:] = x
    for view in [
        x.to(memory_format=torch.channels_last),
        wide[..., ::2],
        deep[1:, 1:, :, 1:],
        x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ]:
        y = drop_block2d(view, 0.3, 3, key=KEY)
        assert torch.equal(y, expected)
        assert y.is_contiguous(memory_format=torch.channels_last) == view.is_contiguous(
            memory_format=torch.channels_last
        )
        inner = view.clone(memory_format=torch.preserve_format)
        assert drop_block2d(inner, 0.3, 3, inplace=True, key=KEY) is inner
        assert torch.equal(inner, expected)


def test_a_view_is_changed_in_place_and_nothing_else() -> None:
    base = torch.randn(5, 7, 9, 12)
    before = base.clone()
    drop_block2d(base[1:, 1:, :, 1:], 0.3, 3, inplace=True, key=KEY)
    expected = before.clone()
    expected[1:, 1:, :, 1:] = drop_block2d(before[1:, 1:, :, 1:], 0.3, 3, key=KEY)
    assert torch.equal(base, expected)


def test_other_kinds_of_tensors() -> None:
    x = torch.randn(2, 3, 8, 8)
    expected = drop_block2d(-x, 0.3, 3, key=KEY)
    assert torch.equal(drop_block2d(torch._neg_view(x), 0.3, 3, key=KEY), expected)
    parameter = torch.nn.Parameter(x)
    y = drop_block2d(parameter, 0.3, 3, key=KEY)
    assert torch.equal(y, -expected) and type(y) is torch.Tensor
    with pytest.raises(NotImplementedError, match="SparseCPU"):
        drop_block2d(x.to_sparse(), 0.3, 3)
    with pytest.raises(ValueError, match="stride"):
        drop_block2d(torch.ones(1).expand(2, 3, 8, 8), 0.3, 3, inplace=True)


def test_repeated_inputs_and_gradients() -> None:
    row = torch.randn(1, 6, 1, 11)
    x = row.expand(4, 6, 9, 11)
    expected = drop_block2d(x.contiguous(), 0.3, 3, key=KEY)
    assert torch.equal(drop_block2d(x, 0.3, 3, key=KEY), expected)
    # `sum` gives a gradient of one element that is repeated.
    x = torch.randn(4, 6, 9, 11, requires_grad=True)
    drop_block2d(x, 0.3, 3, key=KEY).sum().backward()
    assert torch.equal(x.grad, drop_block2d(torch.ones_like(x), 0.3, 3, key=KEY))


@pytest.mark.parametrize("dims", [(0, 3, 8, 8), (2, 0, 8, 8), (2, 3, 0, 8), (2, 3, 8, 0)])
def test_empty_tensors(dims: tuple[int, ...]) -> None:
    x = torch.ones(dims, requires_grad=True)
    y = drop_block2d(x, 0.3, 3)
    assert y.shape == dims
    y.sum().backward()
    assert x.grad.shape == dims


def test_other_types_are_refused() -> None:
    for dtype in [torch.int32, torch.complex64, torch.bool]:
        with pytest.raises(TypeError, match=f"got {dtype}"):
            drop_block2d(torch.ones(2, 3, 8, 8).to(dtype), 0.3, 3)


def test_nothing_leaks_from_dropped_units() -> None:
    x = torch.full((2, 3, 8, 8), torch.nan)
    x[0, 0, 0, 0] = torch.inf
    y = drop_block2d(x, 1.0, 3, key=KEY)
    dropped = drop_block2d(torch.ones_like(x), 1.0, 3, key=KEY) == 0
    assert (y[dropped] == 0).all() and not y[~dropped].isfinite().any()
    assert (drop_block2d(x, 1.0, 8, key=KEY) == 0).all()


def test_p_of_zero_copies() -> None:
    x = torch.tensor([torch.nan, -0.0, torch.inf, 1e-45]).reshape(1, 1, 2, 2)
    y = drop_block2d(x, 0.0, 2)
    assert torch.equal(y.view(torch.int32), x.view(torch.int32))


def test_out_of_training_the_input_is_returned() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert drop_block2d(x, 0.3, 3, training=False) is x
    assert DropBlock2d(0.3, 3).eval()(x) is x


def test_threads_of_torch_change_no_bit() -> None:
    x = torch.randn(16, 32, 28, 28)
    threads = torch.get_num_threads()
    try:
        outputs = []
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            outputs.append(drop_block2d(x, 0.1, 7, key=KEY))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(output, outputs[0]) for output in outputs)


def test_another_default_device() -> None:
    x = torch.randn(2, 3, 8, 8)
    with torch.device("meta"):
        y = drop_block2d(x, 0.3, 3, key=KEY)
        shape = drop_block2d(torch.empty(2, 3, 8, 8), 0.3, 3).shape
    assert torch.equal(y, drop_block2d(x, 0.3, 3, key=KEY))
    assert shape == (2, 3, 8, 8)
