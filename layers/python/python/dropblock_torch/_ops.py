"""The operations ``torch.ops.dropblock``, and their gradients.

``forward`` is linear in ``x`` but for noise, and ``backward`` is linear and its own adjoint. Both are
opaque to tracing. What changes from step to step (probability, key, count) comes in tensors on the CPU,
so that a graph is compiled once. On a CUDA device the step of the key may come from the device, so that
nothing waits and a replayed CUDA graph reads it anew.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import _native

_DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}

# Its methods have no types.
_LIBRARY: Any = torch.library.Library("dropblock", "DEF")  # type: ignore[no-untyped-call]
# Its argument tells the calls in a graph apart: some versions take equal calls for one.
_LIBRARY.define("new_key(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.define(
    "count(SymInt[] sizes, Tensor prob, Tensor key, SymInt first_sample, str options) -> Tensor"
)
_ARGUMENTS = (
    "Tensor prob, Tensor key, Tensor? step, SymInt first_sample, Tensor? count, str options"
)
_LIBRARY.define(f"forward(Tensor x, {_ARGUMENTS}) -> (Tensor, Tensor)")
_LIBRARY.define("backward(Tensor dy, Tensor drawn, Tensor? step, str options) -> Tensor")
_OPS = torch.ops.dropblock
# Native code has the passes on CUDA devices on Linux only.
_CUDA = hasattr(_native, "cuda_forward")


def drop_block(
    x: Tensor,
    prob: Tensor,
    key: Tensor | None,
    options: str,
    *,
    step: Tensor | None = None,
    generator: torch.Generator | None = None,
    first_sample: int = 0,
    count: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """Drops blocks of each map: what functions and modules call.

    Args:
        x: ``[samples, channels, *map]``, in ``float32``, ``float64``, ``float16`` or ``bfloat16``.
        prob: The drop probability, a ``float64`` on the CPU.
        key: Seed, step and layer, ``int64[3]`` on the CPU; or ``None``, to draw one from ``generator``.
        options: A line of options, see :func:`dropblock_torch.options.line`.
        step: The step that takes the place of the key's, ``int64[1]`` on the device of ``x``. It is read
            when the pass runs.
        generator: A generator of the CPU, torch's own by default.
        first_sample: The number of the first sample of ``x`` in the whole batch.
        count: The dropped units and all units of the whole batch, ``int64[2]`` on the CPU, or ``None`` if
            ``x`` is the whole batch.
        inplace: Whether ``x`` itself is changed.

    Returns:
        A tensor like ``x``, or ``x``.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        # A graph is made, which sees operations only.
        if key is None:
            if generator is not None:
                raise NotImplementedError("a compiled graph draws from torch's own generator only")
            key = _OPS.new_key(x)
        y: Tensor = _OPS.forward(x, prob, key, _own(step), first_sample, count, options)[0]
        return x.copy_(y) if inplace else y
    if key is None:
        if x.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "a CUDA graph would repeat one key in every replay: give the layer a seed"
            )
        key = _new_key(generator)
    arguments = prob, key, _own(step), first_sample, count, options
    if not _is_plain(x):
        y = _Forward.apply(x, *arguments)[0]
        return x.copy_(y) if inplace else y
    if torch.is_grad_enabled() and x.requires_grad:
        return _Plain.apply(x, inplace, *arguments)  # type: ignore[no-any-return]
    if not inplace:
        return _forward(x, *arguments)[0]
    _run(x, x, *arguments)
    if not x.is_inference():
        # So that autograd refuses what another operation kept of it.
        torch.autograd.graph.increment_version(x)
    return x


def _own(step: Tensor | None) -> Tensor | None:
    """A copy, as the step of a module may change before the backward pass."""
    return None if step is None else step.clone()


def _new_key(generator: torch.Generator | None = None) -> Tensor:
    ends = -(1 << 63), (1 << 63) - 1
    return torch.randint(*ends, (3,), generator=generator, dtype=torch.int64, device="cpu")


def _dtype(x: Tensor) -> str:
    name = _DTYPES.get(x.dtype)
    if name is None:
        raise TypeError(f"dtype must be float32, float64, float16 or bfloat16, got {x.dtype}")
    return name


def _address(name: str, words: Tensor, dtype: torch.dtype, count: int) -> int:
    """The address of a few numbers that native code reads."""
    if (
        words.dtype != dtype
        or words.numel() != count
        or not words.is_cpu
        or not words.is_contiguous()
    ):
        raise ValueError(
            f"{name} must be a contiguous {dtype} tensor of {count} on the CPU, got {words.dtype},"
            f" {tuple(words.shape)} on {words.device}"
        )
    return words.data_ptr()


def _step_address(step: Tensor | None, x: Tensor) -> int:
    """The address of a step, on the device of ``x``."""
    if step is None:
        return 0
    if step.dtype != torch.int64 or step.numel() != 1 or step.device != x.device:
        raise ValueError(
            f"step must be a torch.int64 tensor of 1 on {x.device}, got {step.dtype},"
            f" {tuple(step.shape)} on {step.device}"
        )
    return step.data_ptr()


def _queue(x: Tensor, options: str, prob: int) -> tuple[int, int, int, Tensor | None]:
    """Where a pass on a CUDA device is enqueued: the device, PyTorch's current stream, and the address of
    the memory that a graph needs which is being captured, or 0. The last is that memory, to keep it."""
    device = x.get_device()
    stream = torch.cuda.current_stream(device).cuda_stream
    if not torch.cuda.is_current_stream_capturing():
        return device, stream, 0, None
    words = _native.cuda_workspace((x.data_ptr(), x.stride()), x.shape, options, prob, device)
    workspace = torch.zeros(words, dtype=torch.int64, device=x.device)
    return device, stream, workspace.data_ptr(), workspace


def _enqueue(run: Any, *arguments: Any) -> None:
    """Runs a pass. Layers take memory of the driver's, which PyTorch may hold for later."""
    try:
        run(*arguments)
    except MemoryError:
        torch.cuda.empty_cache()
        run(*arguments)


def _run(
    x: Tensor,
    y: Tensor,
    prob: Tensor,
    key: Tensor,
    step: Tensor | None,
    first_sample: int,
    count: Tensor | None,
    options: str,
) -> Tensor:
    """The forward pass from ``x`` to ``y``, which may be ``x``. Returns what backward needs."""
    drawn = torch.empty(7, dtype=torch.int64, device="cpu")
    prob_address = _address("prob", prob, torch.float64, 1)
    arguments = (
        (x.data_ptr(), x.stride()),
        (y.data_ptr(), y.stride()),
        _dtype(x),
        x.shape,
        options,
        prob_address,
        _address("key", key, torch.int64, 3),
        _step_address(step, x),
        first_sample,
        0 if count is None else _address("count", count, torch.int64, 2),
        drawn.data_ptr(),
    )
    if x.is_cuda:
        _enqueue(_native.cuda_forward, *arguments, _queue(x, options, prob_address))
    else:
        _native.forward(*arguments, torch.get_num_threads())
    return drawn


def _forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    x, y = _pair(x)
    return y, _run(x, y, *arguments)


def _backward(dy: Tensor, drawn: Tensor, step: Tensor | None, options: str) -> Tensor:
    dy, dx = _pair(dy)
    address = _address("drawn", drawn, torch.int64, 7)
    arguments = (
        (dy.data_ptr(), dy.stride()),
        (dx.data_ptr(), dx.stride()),
        _dtype(dy),
        dy.shape,
        options,
        address,
    )
    if dy.is_cuda:
        # The probability is the last of seven words.
        queue = _queue(dy, options, address + 48)
        _enqueue(_native.cuda_backward, *arguments, _step_address(step, dy), queue)
    else:
        _native.backward(*arguments, torch.get_num_threads())
    return dx


def _pair(x: Tensor) -> tuple[Tensor, Tensor]:
    """An input and a new output. On a CUDA device their strides are equal, so an input that repeats
    elements or has gaps is copied, and changed in place."""
    y = torch.empty_like(x)
    if x.is_cuda and x.stride() != y.stride():
        y.copy_(x)
        return y, y
    return x, y


def _count(sizes: list[int], prob: Tensor, key: Tensor, first_sample: int, options: str) -> Tensor:
    count = _native.count(
        sizes,
        options,
        _address("prob", prob, torch.float64, 1),
        _address("key", key, torch.int64, 3),
        first_sample,
        torch.get_num_threads(),
    )
    return torch.tensor(count, dtype=torch.int64, device="cpu")


def _refuse(x: Tensor, options: str) -> None:
    """Refuses while tracing what the pass would refuse."""
    _dtype(x)
    _native.check(options, 0.0, x.dim() - 2)


def _forward_fake(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    _refuse(x, arguments[-1])
    return torch.empty_like(x), torch.empty(7, dtype=torch.int64, device="cpu")


def _backward_fake(dy: Tensor, drawn: Tensor, step: Tensor | None, options: str) -> Tensor:
    _refuse(dy, options)
    return torch.empty_like(dy)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, *arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return _OPS.forward.default(x, *arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        _keep(ctx, output[1], inputs[3], inputs[-1])

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, _drawn: None) -> tuple[Tensor | None, ...]:
        return _adjoint(ctx, dy), None, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, *_: Any) -> tuple[Tensor | None, None]:
        return _adjoint(ctx, dx), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
        return _each(_Forward, info, in_dims, arguments)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(dy: Tensor, drawn: Tensor, step: Tensor | None, options: str) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return _OPS.backward.default(dy, drawn, step, options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, ddx: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        return _adjoint(ctx, ddx), None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, *_: Any) -> Tensor | None:
        return _adjoint(ctx, dx)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
        return _each(_Backward, info, in_dims, arguments)


def _keep(ctx: Any, drawn: Tensor, step: Tensor | None, options: str) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(drawn, step)
    ctx.save_for_forward(drawn, step)
    ctx.options = options


def _adjoint(ctx: Any, dy: Tensor | None) -> Tensor | None:
    if dy is None:
        return None
    return _Backward.apply(dy, *ctx.saved_tensors, ctx.options)  # type: ignore[no-any-return]


def _each(function: Any, info: Any, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]) -> Any:
    """The rule for ``vmap``: one application for each entry of the mapped axis."""

    def entry(i: int) -> Any:
        pairs = zip(arguments, in_dims, strict=True)
        return function.apply(*(a if axis is None else a.select(axis, i) for a, axis in pairs))

    entries = [entry(i) for i in range(info.batch_size)]
    if isinstance(entries[0], Tensor):
        return torch.stack(entries), 0
    return tuple(torch.stack(parts) for parts in zip(*entries, strict=True)), (0, 0)


class _Plain(torch.autograd.Function):
    """The same for tensors that :func:`_is_plain` knows. The general form and the dispatcher take 0.1 ms
    a call."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, inplace: bool, *arguments: Any) -> Tensor:
        x, y = (x, x) if inplace else _pair(x)
        ctx.save_for_backward(_run(x, y, *arguments), arguments[2])
        ctx.options = arguments[-1]
        if inplace:
            ctx.mark_dirty(x)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not _is_plain(dy):
            dx = _adjoint(ctx, dy)
        else:
            drawn, step = ctx.saved_tensors
            dx = _backward(dy, drawn, step, ctx.options)
        return dx, None, None, None, None, None, None, None


def _is_plain(x: Tensor) -> bool:
    """Whether only reverse mode has to do with ``x``, and the dispatcher would call a kernel of ours."""
    return (
        (x.is_cpu or (_CUDA and x.is_cuda))
        and type(x) in (Tensor, torch.nn.Parameter)
        and x.layout == torch.strided
        and not x.is_neg()
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def _register() -> None:
    kernels: list[tuple[str, Any, Any, Any]] = [
        ("forward", _forward, _forward_fake, _Forward),
        ("backward", _backward, _backward_fake, _Backward),
    ]
    for name, kernel, fake, function in kernels:
        _LIBRARY.impl(name, kernel, "CPU")
        if _CUDA:
            _LIBRARY.impl(name, kernel, "CUDA")
        _LIBRARY.impl(name, function.apply, "Autograd")
        torch.library.register_fake(f"dropblock::{name}", fake, lib=_LIBRARY)
    # Those without a tensor of their own device.
    _LIBRARY.impl("new_key", lambda _x: _new_key(), "CompositeExplicitAutograd")
    _LIBRARY.impl("count", _count, "CompositeExplicitAutograd")
    torch.library.register_fake(
        "dropblock::new_key",
        lambda _x: torch.empty(3, dtype=torch.int64, device="cpu"),
        lib=_LIBRARY,
    )
    torch.library.register_fake(
        "dropblock::count",
        lambda *_: torch.empty(2, dtype=torch.int64, device="cpu"),
        lib=_LIBRARY,
    )


_register()
