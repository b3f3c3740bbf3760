from collections.abc import Sequence

__version__: str
MASK_VERSION: int

_Tensor = tuple[int, Sequence[int]]

def forward(
    x: _Tensor,
    y: _Tensor,
    dtype: str,
    sizes: Sequence[int],
    options: str,
    prob: int,
    key: int,
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
