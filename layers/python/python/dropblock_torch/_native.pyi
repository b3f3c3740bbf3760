from collections.abc import Sequence
from typing import Any

__version__: str
MASK_VERSION: int

_Tensor = tuple[int, Sequence[int]]
# Device, stream, and the address of memory for a graph; the last keeps that memory.
_Queue = tuple[int, int, int, Any]

def forward(
    x: _Tensor,
    y: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    prob: int,
    key: int,
    step: int,
    first_sample: int,
    count: int,
    drawn: int,
    threads: int,
) -> None: ...
def backward(
    dy: _Tensor,
    dx: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    drawn: int,
    threads: int,
) -> None: ...
def count(
    sizes: Sequence[int],
    options: str,
    prob: int,
    key: int,
    first_sample: int,
    threads: int,
) -> tuple[int, int]: ...
def reference(
    x: _Tensor,
    y: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    prob: int,
    key: int,
    first_sample: int,
) -> None: ...
def expected_dropped(sizes: Sequence[int], options: str, prob: float) -> float: ...
def check(options: str, prob: float, axes: int) -> None: ...
def schedule(
    course: str,
    start: float,
    end: float,
    steps: Sequence[tuple[int, float]],
    after: int,
    step: int,
    total: int,
) -> float: ...
def preset(name: str) -> str: ...

# On Linux only:

def cuda_forward(
    x: _Tensor,
    y: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    prob: int,
    key: int,
    step: int,
    first_sample: int,
    count: int,
    drawn: int,
    queue: _Queue,
) -> None: ...
def cuda_backward(
    dy: _Tensor,
    dx: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    drawn: int,
    step: int,
    queue: _Queue,
) -> None: ...
def cuda_workspace(
    x: _Tensor, sizes: Sequence[int], options: str, prob: int, device: int
) -> int: ...
def cuda_count() -> int: ...
def cuda_self_test(device: int) -> None: ...
