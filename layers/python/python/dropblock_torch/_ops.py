"""The operations ``torch.ops.dropblock``, and their gradients.

``forward`` is linear in ``x`` but for noise, and ``backward`` is linear and its own adjoint. Both are
opaque to tracing. What changes from step to step (probability, key, count) comes in tensors on the CPU,
so that a graph is compiled once.
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
_LIBRARY.define("new_key() -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.define(
    "count(SymInt[] sizes, Tensor prob, Tensor key, SymInt first_sample, str options) -> Tensor"
)
_ARGUMENTS = "Tensor prob, Tensor key, SymInt first_sample, Tensor? count, str options"
_LIBRARY.define(f"forward(Tensor x, {_ARGUMENTS}) -> (Tensor, Tensor)")
_LIBRARY.define(f"forward_(Tensor(a!) x, {_ARGUMENTS}) -> Tensor")
_LIBRARY.define("backward(Tensor dy, Tensor drawn, str options) -> Tensor")
_OPS = torch.ops.dropblock


def drop_block(
    x: Tensor,
    prob: Tensor,
    key: Tensor | None,
    options: str,
    *,
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
        generator: A generator of the CPU, torch's own by default.
        first_sample: The number of the first sample of ``x`` in the whole batch.
        count: The dropped units and all units of the whole batch, ``int64[2]`` on the CPU, or ``None`` if
            ``x`` is the whole batch.
        inplace: Whether ``x`` itself is changed.

    Returns:
        A tensor like ``x``, or ``x``.
    """
    if torch.compiler.is_compiling():
        if key is None:
            if generator is not None:
                raise NotImplementedError("a compiled graph draws from torch's own generator only")
            key = _OPS.new_key()
        y: Tensor = _OPS.forward(x, prob, key, first_sample, count, options)[0]
        return x.copy_(y) if inplace else y
    if key is None:
        key = _new_key(generator)
    if inplace:
        # Views and transforms of functions keep books of their own on changes.
        if x._is_view() or torch._C._are_functorch_transforms_active():
            return x.copy_(_apply(_Forward, x, prob, key, first_sample, count, options)[0])
        return _InPlace.apply(x, prob, key, first_sample, count, options)[0]  # type: ignore[no-any-return]
    return _apply(_Forward, x, prob, key, first_sample, count, options)[0]  # type: ignore[no-any-return]


def _new_key(generator: torch.Generator | None = None) -> Tensor:
    ends = -(1 << 63), (1 << 63) - 1
    return torch.randint(*ends, (3,), generator=generator, dtype=torch.int64, device="cpu")


def _dtype(x: Tensor) -> str:
    name = _DTYPES.get(x.dtype)
    if name is None:
        raise TypeError(f"dtype must be float32, float64, float16 or bfloat16, got {x.dtype}")
    return name


def _run(
    x: Tensor,
    y: Tensor,
    prob: Tensor,
    key: Tensor,
    first_sample: int,
    count: Tensor | None,
    options: str,
) -> Tensor:
    """The forward pass from ``x`` to ``y``, which may be ``x``. Returns what backward needs."""
    drawn = torch.empty(7, dtype=torch.int64, device="cpu")
    _native.forward(
        (x.data_ptr(), x.stride()),
        (y.data_ptr(), y.stride()),
        _dtype(x),
        x.shape,
        options,
        prob.data_ptr(),
        key.data_ptr(),
        first_sample,
        0 if count is None else count.data_ptr(),
        drawn.data_ptr(),
        torch.get_num_threads(),
    )
    return drawn


def _forward_cpu(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    y = torch.empty_like(x)
    return y, _run(x, y, *arguments)


def _forward_in_place_cpu(x: Tensor, *arguments: Any) -> Tensor:
    return _run(x, x, *arguments)


def _backward_cpu(dy: Tensor, drawn: Tensor, options: str) -> Tensor:
    dx = torch.empty_like(dy)
    _native.backward(
        (dy.data_ptr(), dy.stride()),
        (dx.data_ptr(), dx.stride()),
        _dtype(dy),
        dy.shape,
        options,
        drawn.data_ptr(),
        torch.get_num_threads(),
    )
    return dx


def _count(sizes: list[int], prob: Tensor, key: Tensor, first_sample: int, options: str) -> Tensor:
    threads = torch.get_num_threads()
    count = _native.count(sizes, options, prob.data_ptr(), key.data_ptr(), first_sample, threads)
    return torch.tensor(count, dtype=torch.int64, device="cpu")


def _refuse(x: Tensor, options: str) -> None:
    """Refuses while tracing what the pass would refuse."""
    _dtype(x)
    _native.check(options, 0.0, x.dim() - 2)


def _forward_fake(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), _forward_in_place_fake(x, *arguments)


def _forward_in_place_fake(x: Tensor, *arguments: Any) -> Tensor:
    _refuse(x, arguments[-1])
    return torch.empty(7, dtype=torch.int64, device="cpu")


def _backward_fake(dy: Tensor, drawn: Tensor, options: str) -> Tensor:
    _refuse(dy, options)
    return torch.empty_like(dy)


def _is_plain(x: Tensor) -> bool:
    """Whether the dispatcher has nothing to do for ``x`` but to call the kernel of the CPU."""
    return (
        x.is_cpu
        and type(x) in (Tensor, torch.nn.Parameter)
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
    )


def _below_autograd(operation: Any, kernel: Any, x: Tensor, *arguments: Any) -> Any:
    # The way through the dispatcher is most of the time that a small tensor takes.
    if _is_plain(x):
        return kernel(x, *arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return operation(x, *arguments)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> Any:
        output = _below_autograd(_OPS.forward.default, _forward_cpu, x, *arguments)
        ctx.mark_non_differentiable(output[1])
        _keep(ctx, output[1], arguments[-1])
        return output

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, _drawn: None) -> tuple[Tensor | None, ...]:
        return _adjoint(ctx, dy), None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, *_: Any) -> tuple[Tensor | None, None]:
        return _adjoint(ctx, dx), None


class _InPlace(_Forward):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> Any:
        drawn = _below_autograd(_OPS.forward_.default, _forward_in_place_cpu, x, *arguments)
        ctx.mark_dirty(x)
        ctx.mark_non_differentiable(drawn)
        _keep(ctx, drawn, arguments[-1])
        return x, drawn


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dy: Tensor, drawn: Tensor, options: str) -> Any:
        _keep(ctx, drawn, options)
        return _below_autograd(_OPS.backward.default, _backward_cpu, dy, drawn, options)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor | None) -> tuple[Tensor | None, None, None]:
        return _adjoint(ctx, ddx), None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, *_: Any) -> Tensor | None:
        return _adjoint(ctx, dx)


def _keep(ctx: Any, drawn: Tensor, options: str) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(drawn)
    ctx.save_for_forward(drawn)
    ctx.options = options


def _adjoint(ctx: Any, dy: Tensor | None) -> Tensor | None:
    if dy is None:
        return None
    (drawn,) = ctx.saved_tensors
    if not torch.is_grad_enabled() and forward_ad._current_level < 0 and _is_plain(dy):
        return _backward_cpu(dy, drawn, ctx.options)
    return _apply(_Backward, dy, drawn, ctx.options)  # type: ignore[no-any-return]


# The same for transforms of functions, which need another form. It takes 0.1 ms a call, so it is not the
# only one.


class _ForwardTransformed(_Forward):
    @staticmethod
    def forward(x: Tensor, *arguments: Any) -> Any:  # type: ignore[override]
        return _below_autograd(_OPS.forward.default, _forward_cpu, x, *arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        _keep(ctx, output[1], inputs[-1])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
        return _each(_ForwardTransformed, info, in_dims, arguments)


class _BackwardTransformed(_Backward):
    @staticmethod
    def forward(dy: Tensor, drawn: Tensor, options: str) -> Any:  # type: ignore[override]
        return _below_autograd(_OPS.backward.default, _backward_cpu, dy, drawn, options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, inputs[1], inputs[2])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
        return _each(_BackwardTransformed, info, in_dims, arguments)


_TRANSFORMED = {_Forward: _ForwardTransformed, _Backward: _BackwardTransformed}


def _apply(function: Any, *arguments: Any) -> Any:
    if torch._C._are_functorch_transforms_active():
        function = _TRANSFORMED[function]
    return function.apply(*arguments)


def _each(function: Any, info: Any, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]) -> Any:
    """The rule for ``vmap``: one application for each entry of the mapped axis."""

    def entry(i: int) -> Any:
        pairs = zip(arguments, in_dims, strict=True)
        return function.apply(*(a if axis is None else a.select(axis, i) for a, axis in pairs))

    entries = [entry(i) for i in range(info.batch_size)]
    if isinstance(entries[0], Tensor):
        return torch.stack(entries), 0
    return tuple(torch.stack(parts) for parts in zip(*entries, strict=True)), (0, 0)


def _forward_autograd(*arguments: Any) -> Any:
    return _apply(_Forward, *arguments)


def _backward_autograd(*arguments: Any) -> Any:
    return _apply(_Backward, *arguments)


def _register() -> None:
    kernels: list[tuple[str, Any, Any]] = [
        ("forward", _forward_cpu, _forward_fake),
        ("forward_", _forward_in_place_cpu, _forward_in_place_fake),
        ("backward", _backward_cpu, _backward_fake),
    ]
    for name, kernel, fake in kernels:
        _LIBRARY.impl(name, kernel, "CPU")
        torch.library.register_fake(f"dropblock::{name}", fake, lib=_LIBRARY)
    _LIBRARY.impl("forward", _forward_autograd, "Autograd")
    _LIBRARY.impl("backward", _backward_autograd, "Autograd")
    # Those without a tensor of their own device.
    _LIBRARY.impl("new_key", _new_key, "CompositeExplicitAutograd")
    _LIBRARY.impl("count", _count, "CompositeExplicitAutograd")
    torch.library.register_fake(
        "dropblock::new_key",
        lambda: torch.empty(3, dtype=torch.int64, device="cpu"),
        lib=_LIBRARY,
    )
    torch.library.register_fake(
        "dropblock::count",
        lambda *_: torch.empty(2, dtype=torch.int64, device="cpu"),
        lib=_LIBRARY,
    )


_register()
