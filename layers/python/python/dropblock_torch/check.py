"""Checks this package on this machine, and times it: ``python -m dropblock_torch.check``.

The passes on the CPU are compared bit for bit with the specification of the crate, those on each CUDA device
with the CPU: options, types, layouts, keys on the device, and replays of a CUDA graph. Then come times
beside a copy, ``F.dropout`` and torchvision's layer if that is there.

    python -m dropblock_torch.check            everything
    python -m dropblock_torch.check --once     without waiting for good times: only that all runs

The exit code is 0 if everything is equal, else 1. A machine without a CUDA device is no failure.
"""

from __future__ import annotations

import itertools
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor
from torch.nn import functional

from . import MASK_VERSION, DropBlock2d, __version__, _native, _ops, advance
from .functional import key_tensor, prob_tensor

DIMS = [(3, 5, 9, 10), (2, 8, 14, 14), (4, 7, 31), (2, 3, 5, 6, 7)]
OPTIONS = [
    "block=3",
    "block=1",
    "block=7 gamma=exact",
    "block=4 region=full",
    "block=4 gamma=paper_valid region=full alignment=after",
    "block=3 gamma=0.02",
    *(f"block=3 sharing={sharing}" for sharing in ("over_channels", "over_samples", "over_all")),
    *(
        f"block=3 scale={scale}"
        for scale in ("per_sample", "per_map", "per_position", "fixed", "off")
    ),
    "block=3 sharing=over_channels scale=per_map fill=noise",
]
PROBS = [0.0, 0.1, 0.6, 1.0]
KEY, FIRST_SAMPLE = (2024, 17, 3), 5
TIMED = {
    "cpu": [(32, 256, 14, 14), (8, 64, 56, 56)],
    "cuda": [(32, 256, 14, 14), (8, 64, 56, 56), (128, 256, 56, 56)],
}
Case = tuple[Tensor, Tensor, str, float]


def main() -> int:
    once = "--once" in sys.argv[1:]
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"dropblock-torch {__version__}, mask version {MASK_VERSION}, {system}")
    print(f"torch {torch.__version__}, torchvision {_version('torchvision')}")
    equal = [_report("CPU and specification", _against_specification())]
    cpu, devices = torch.device("cpu"), []
    if _ops._CUDA and torch.version.cuda is not None and torch.cuda.is_available():
        devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    else:
        print(f"no CUDA device: {_no_cuda()}")
    for device in devices:
        name = f"{device} ({torch.cuda.get_device_name(device)})"
        _native.cuda_self_test(device.index)
        print(f"{name}: its instructions give what the CPU's give")
        equal.append(_report(f"{name} and CPU", _against_cpu(_to(device))))
        equal.append(_report(f"{name}, keys on the device", _keys_on_device(_to(device))))
        equal.append(_report(f"{name}, replays of a graph", _replays(device)))
    for device in [cpu, *devices]:
        _times(device, once)
    print("all equal" if all(equal) else "NOT EQUAL")
    return 0 if all(equal) else 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _no_cuda() -> str:
    if not _ops._CUDA:
        return "this package has CUDA on Linux only"
    if torch.version.cuda is None:
        return "this PyTorch is built without CUDA"
    try:
        count = _native.cuda_count()
    except RuntimeError as error:
        return str(error)
    return f"the driver has {count}, but torch.cuda.is_available() is False"


def _to(device: torch.device) -> Callable[[Tensor], Tensor]:
    return lambda x: x.to(device)


def _report(what: str, results: Iterator[tuple[bool, str]]) -> bool:
    """Prints how many results are equal, and the first that is not."""
    found = list(results)
    unequal = [name for same, name in found if not same]
    print(f"{what}: {len(found) - len(unequal)} of {len(found)} equal")
    if unequal:
        print(f"  not equal: {unequal[0]}")
    return not unequal


def _same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit, in any layout."""
    return torch.equal(*(t.detach().cpu().contiguous().view(torch.uint8) for t in (a, b)))


def _cases() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(1)
    combinations = itertools.product(DIMS, OPTIONS, PROBS, _ops._DTYPES)
    for dims, options, prob, dtype in combinations:
        x, dy = torch.randn(2, *dims, generator=generator).to(dtype)
        yield x, dy, options, prob


def _passes(x: Tensor, dy: Tensor, options: str, prob: float) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = _ops.drop_block(x, prob_tensor(prob), key_tensor(*KEY), options, first_sample=FIRST_SAMPLE)
    return y.detach(), torch.autograd.grad(y, x, dy)[0]


def _last(x: Tensor) -> Tensor:
    """The same with channels last, in memory."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def _name(x: Tensor, options: str, prob: float) -> str:
    return f"{tuple(x.shape)} {x.dtype} {options} prob={prob}"


def _specified(x: Tensor, options: str, prob: float) -> Tensor:
    x, y = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    p, key = prob_tensor(prob), key_tensor(*KEY)
    _native.reference(
        (x.data_ptr(), x.stride()),
        (y.data_ptr(), y.stride()),
        _ops._DTYPES[x.dtype],
        x.shape,
        options,
        p.data_ptr(),
        key.data_ptr(),
        FIRST_SAMPLE,
    )
    return y


def _against_specification() -> Iterator[tuple[bool, str]]:
    for x, dy, options, prob in _cases():
        gradient = options.replace(" fill=noise", "")
        expected = _specified(x, options, prob), _specified(dy, gradient, prob)
        for layout in (lambda x: x, _last):
            found = _passes(layout(x), layout(dy), options, prob)
            yield all(map(_same, found, expected)), _name(x, options, prob)


def _against_cpu(to: Callable[[Tensor], Tensor]) -> Iterator[tuple[bool, str]]:
    """Passes on what ``to`` brings to a device."""
    for x, dy, options, prob in _cases():
        expected = _passes(x, dy, options, prob)
        for layout in (lambda x: x, _last):
            found = _passes(to(layout(x)), to(layout(dy)), options, prob)
            yield all(map(_same, found, expected)), _name(x, options, prob)


def _training(to: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
    """A layer with a seed, and a function that runs its next step."""
    layer = DropBlock2d(0.2, 5, seed=2024)._apply(to)
    x, dy = map(to, torch.randn(2, 4, 8, 28, 28, generator=torch.Generator().manual_seed(2)))
    x.requires_grad_()

    def step() -> tuple[Tensor, Tensor]:
        y = layer(x)
        (dx,) = torch.autograd.grad(y, x, dy)
        advance(layer)
        return y.detach(), dx

    return step


def _steps_on_cpu(count: int) -> list[tuple[Tensor, Tensor]]:
    step = _training(lambda x: x)
    return [step() for _ in range(count)]


def _keys_on_device(to: Callable[[Tensor], Tensor]) -> Iterator[tuple[bool, str]]:
    step = _training(to)
    found = [step() for _ in range(5)]
    for i, (a, b) in enumerate(zip(found, _steps_on_cpu(5), strict=True)):
        yield all(map(_same, a, b)), f"step {i}"


def _replays(device: torch.device) -> Iterator[tuple[bool, str]]:
    """Steps 0 to 2 before the capture, as PyTorch asks for, then one for each replay."""
    with torch.cuda.device(device):
        step = _training(_to(device))
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = step()
        for i, expected in enumerate(_steps_on_cpu(8)[3:], 3):
            graph.replay()
            yield all(map(_same, output, expected)), f"step {i}"


def _times(device: torch.device, once: bool) -> None:
    """Microseconds of a forward pass, and of both passes: the fastest of rounds in turn."""
    layers: dict[str, Callable[[Tensor], Tensor]] = {
        "copy": lambda x: x.clone(),
        "ours": DropBlock2d(0.1, 7),
        "F.dropout": lambda x: functional.dropout(x, 0.1),
    }
    try:
        from torchvision.ops import drop_block2d  # type: ignore[import-untyped]

        layers["torchvision"] = lambda x: drop_block2d(x, 0.1, 7)
    except ImportError:
        pass
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    print(
        f"\n{device}{threads}: microseconds of a forward pass / forward and backward, block 7, p = 0.1"
    )
    print("".join(f"{name:>20}" for name in ("float32", *layers)))
    for dims in [(2, 8, 14, 14)] if once else TIMED[device.type]:
        x = torch.randn(dims, device=device, requires_grad=True)
        dy = torch.ones_like(x)

        def forward(f: Callable[[Tensor], Tensor], x: Tensor = x) -> None:
            with torch.no_grad():
                f(x)

        def both(f: Callable[[Tensor], Tensor], x: Tensor = x, dy: Tensor = dy) -> None:
            torch.autograd.grad(f(x), x, dy)

        runs = [(name, run) for name in layers for run in (forward, both)]
        best = dict.fromkeys(range(len(runs)), float("inf"))
        for _ in range(2 if once else 30):
            for i, (name, run) in enumerate(runs):
                best[i] = min(best[i], _time(lambda: run(layers[name]), device, once))  # noqa: B023
        pairs = (f"{best[i]:.0f} / {best[i + 1]:.0f}" for i in range(0, len(runs), 2))
        print("".join(f"{cell:>20}" for cell in (str(dims), *pairs)), flush=True)
    print()


def _time(run: Callable[[], None], device: torch.device, once: bool) -> float:
    """Microseconds a call, of as many as make the start of the measurement count for little."""
    if device.type == "cpu":
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e6
    calls = 1 if once else 20
    with torch.cuda.device(device):
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        milliseconds: float = start.elapsed_time(end)
        return milliseconds * 1e3 / calls


if __name__ == "__main__":
    sys.exit(main())
