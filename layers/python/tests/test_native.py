"""The native part by itself, as PyTorch need not be there: addresses of plain memory."""

import os
import threading

import pytest

import table
from raw import Memory, double, native, pack, strides, words


def _run(case: table.Case, dtype: str, x: bytes, dy: bytes, threads: int) -> tuple[bytes, bytes]:
    prob, key, drawn = double(case.prob), words(*case.key[:3]), words(*[0] * 7)
    at, dense = [Memory(data) for data in (x, x, dy, dy)], strides(case.dims)
    (x_, y, dy_, dx) = ((memory.address, dense) for memory in at)
    arguments = dtype, case.dims, case.options
    native.forward(
        x_, y, *arguments, prob.address, key.address, 0, case.key[3], 0, drawn.address, threads
    )
    native.backward(dy_, dx, *arguments, drawn.address, threads)
    assert at[0].bytes() == x, "the input is not written"
    return at[1].bytes(), at[3].bytes()


@pytest.mark.parametrize("dtype", table.DTYPES)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_native_part_gives_the_table(dtype: str, threads: int) -> None:
    for case in table.cases():
        x, dy = (pack(values, dtype) for values in table.tensors(case.dims))
        outputs = _run(case, dtype, x, dy, threads)
        assert [table.digest(data) for data in outputs] == case.outputs[dtype], case


def test_threads_change_no_bit() -> None:
    case = table.cases()[3]
    case.dims = (16, 32, 28, 28)
    x = pack([float(i % 251) for i in range(16 * 32 * 784)], "float32")
    expected = _run(case, "float32", x, x, 1)
    assert _run(case, "float32", x, x, 2) == expected
    found: list[object] = []
    callers = [
        threading.Thread(target=lambda: found.append(_run(case, "float32", x, x, 3)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own() -> None:
    case = table.cases()[3]
    case.dims = (16, 32, 28, 28)
    x = bytes(4 * 16 * 32 * 784)
    expected = _run(case, "float32", x, x, 3)
    child = os.fork()
    if child == 0:
        same = _run(case, "float32", x, x, 3) == expected
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("options", "prob", "message"),
    [
        ("block=7", 1.5, r"drop probability must be in \[0, 1\], got 1.5"),
        ("block=7", float("nan"), r"drop probability must be in \[0, 1\]"),
        ("block=0", 0.1, "block size"),
        ("block=-1", 0.1, "block size must be 1 to 3 integers of at least 1, got -1"),
        ("block=3,3,3", 0.1, "3"),
        ("block=7 gamma=2.0", 0.1, r"\[0, 1\]"),
        ("block=7 gamma=best", 0.1, "gamma must be one of paper, paper_valid, exact"),
        ("block=7 gamma=exact gamma_scale=2", 0.1, "gamma_scale is a factor of"),
        ("block=7 scale=none", 0.1, "scale must be one of per_tensor, per_sample"),
        ("block=7 colour=red", 0.1, "option"),
    ],
)
def test_bad_options_are_refused(options: str, prob: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        native.check(options, prob, 2)


def test_bad_tensors_are_refused() -> None:
    memory = Memory(bytes(64))
    prob, key, drawn = double(0.1), words(1, 2, 3), words(*[0] * 7)

    def forward(dtype: str, sizes: list[int], strides: list[int]) -> None:
        x = memory.address, strides
        native.forward(
            x, x, dtype, sizes, "block=1", prob.address, key.address, 0, 0, 0, drawn.address, 1
        )

    with pytest.raises(TypeError, match="got int8"):
        forward("int8", [1, 1, 2, 2], [4, 4, 2, 1])
    with pytest.raises(ValueError, match="1 to 3 axes"):
        forward("float32", [2, 2], [2, 1])
    with pytest.raises(ValueError, match="4 strides"):
        forward("float32", [1, 1, 2, 2], [2, 1])
    with pytest.raises(ValueError, match="4 strides"):
        forward("float32", [1, 1, 2, 2], [4, 4, -2, 1])
    with pytest.raises(ValueError, match="stride"):
        forward("float32", [1, 1, 2, 2], [4, 4, 0, 1])
    with pytest.raises(ValueError, match="overflow"):
        forward("float32", [1, 1, 3, 2], [4, 4, 1 << 62, 1])
    assert memory.bytes() == bytes(64)


def test_a_schedule_is_the_core_s() -> None:
    assert native.schedule("linear", 0.0, 0.1, [], 0, 50, 100) == 0.05
    assert native.schedule("linear", 0.0, 0.1, [], 50, 50, 100) == 0.0
    assert native.schedule("steps", 0.0, 0.0, [(10, 0.2)], 0, 10, 100) == 0.2
    with pytest.raises(ValueError, match="course must be one of linear"):
        native.schedule("square", 0.0, 0.1, [], 0, 50, 100)


def test_presets_are_the_core_s() -> None:
    assert native.preset("timm") == (
        "gamma=paper_valid region=full alignment=before sharing=over_channels scale=per_tensor"
    )
    dropped = native.expected_dropped([1, 1, 14, 14], "block=7 " + native.preset("timm"), 0.1)
    assert round(dropped, 4) == 0.2092
    with pytest.raises(ValueError, match="preset must be one of tensorflow, timm"):
        native.preset("keras")
