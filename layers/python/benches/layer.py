"""Times a forward and a backward pass beside torchvision, ``F.dropout`` and a multiplication.

    python benches/layer.py            the tables of the README
    python benches/layer.py --once     only that everything runs

The fastest of interleaved rounds, in each of which a function runs a millisecond or more, so that other
programs on the machine count for little. The allocator keeps its pages, because otherwise returning large
blocks to the system is most of what is measured: this program starts itself again with the variables of
glibc that say so.
"""

import os
import sys
import time
from collections.abc import Callable

PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
if os.environ.get("MALLOC_TOP_PAD_") is None:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **PAGES})

import torch
import torchvision
from torch.nn import functional

from dropblock_torch import drop_block2d

SHAPES = [
    ((32, 256, 14, 14), 7),
    ((32, 512, 7, 7), 3),
    ((8, 64, 56, 56), 7),
    ((1, 64, 112, 112), 7),
]
SMALL = ((1, 8, 7, 7), 3)
ONCE = "--once" in sys.argv
SECONDS = 0.01 if ONCE else 8


def passes(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], None]:
    dy = torch.ones_like(x)

    def run() -> None:
        x.grad = None
        f(x).backward(dy)

    return run


def fastest(functions: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Milliseconds a call."""
    calls, best = {}, {}
    for name, run in functions.items():
        run()
        start = time.perf_counter()
        run()
        calls[name] = 1 if ONCE else 1 + int(1e-3 / (time.perf_counter() - start))
        best[name] = float("inf")
    begin = time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        for name, run in functions.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            best[name] = min(best[name], (time.perf_counter() - start) / calls[name] * 1e3)
    return best


def layers(block_size: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    return {
        "x * c": lambda x: x * 1.1,
        "ours": lambda x: drop_block2d(x, 0.1, block_size),
        "F.dropout": lambda x: functional.dropout(x, 0.1),
        "torchvision": lambda x: torchvision.ops.drop_block2d(x, 0.1, block_size),
    }


def table(title: str, rows: list[tuple[str, torch.Tensor, int]]) -> None:
    names = [*layers(1), "torchvision / ours"]
    print(f"| {title} | {' | '.join(names)} |\n{'| --- ' * (len(names) + 1)}|")
    for row, x, block_size in rows:
        x.requires_grad_()
        found = fastest({name: passes(f, x) for name, f in layers(block_size).items()})
        ratio = found["torchvision"] / found["ours"]
        print(
            f"| {row} | {' | '.join(f'{ms:.3g}' for ms in found.values())} | {ratio:.0f} |",
            flush=True,
        )
    print()


def main() -> None:
    torch.manual_seed(0)
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        rows = [
            (f"{dims}, block {block_size}", torch.randn(dims), block_size)
            for dims, block_size in [*SHAPES, SMALL]
        ]
        last = torch.randn(SHAPES[0][0]).to(memory_format=torch.channels_last)
        rows.insert(1, ("the same, channels last", last, SHAPES[0][1]))
        table(f"{threads} thread{'s' * (threads > 1)}, ms", rows)


main()
