"""DropBlock as modules, with torchvision's names and arguments, and what trains with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from . import _native
from ._ops import drop_block
from .functional import check_rank, key_tensor, prob_tensor, torchvision_block_size
from .options import line

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .options import Options

__all__ = ["DropBlock1d", "DropBlock2d", "DropBlock3d", "advance", "layers", "set_seed"]


class _DropBlock(nn.Module):
    """The modules but for the number of axes."""

    axes: int
    key: Tensor | None
    """Seed, step and layer, ``int64[3]``: a buffer, so that a checkpoint has it. ``None`` without a seed."""

    def __init__(
        self,
        p: float,
        block_size: int | tuple[int, ...],
        inplace: bool = False,
        eps: float = 1e-6,
        *,
        compat: bool = False,
        seed: int | None = None,
        layer: int = 0,
        first_sample: int = 0,
        generator: torch.Generator | None = None,
        sync_count: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps
        self.compat = compat
        self.first_sample = first_sample
        self.generator = generator
        self.sync_count = sync_count
        self.options = options
        if not compat or not isinstance(block_size, int):
            _native.check(line(block_size, **options), 0.0, self.axes)
        # No buffer, as checkpoints without a seed are those of torchvision; always the same tensor, which
        # a compiled graph reads.
        self._prob = prob_tensor(0.0)
        self.p = p
        self.register_buffer("key", None if seed is None else key_tensor(seed, 0, layer))
        self._host_key: Tensor | None = None

    @property
    def p(self) -> float:
        """The drop probability. It may be set at any time; a compiled model is not compiled again."""
        return self._prob.item()

    @p.setter
    def p(self, p: float) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
        self._prob.fill_(p)

    def forward(self, input: Tensor) -> Tensor:
        """Drops blocks in training, else returns ``input``."""
        check_rank(input, self.axes)
        if not self.training:
            return input
        block_size = self.block_size
        if self.compat:
            block_size = torchvision_block_size(input, block_size)
        options = line(block_size, **self.options)
        count = None
        if self.sync_count:
            count = self._count(input, options)
        key, step = self.key, None
        if key is not None and not key.is_cpu:
            if self._host_key is None:
                self._read_key()
            step = key[1:2]
            key = self._host_key
        return drop_block(
            input,
            self._prob,
            key,
            options,
            step=step,
            generator=self.generator,
            first_sample=self.first_sample,
            count=count,
            inplace=self.inplace,
        )

    def _read_key(self) -> None:
        """Reads seed and layer for the host, where the key is on a device, and waits. The step of every
        pass is read on the device."""
        key = self.key
        self._host_key = None if key is None or key.is_cpu or key.is_meta else key.cpu()

    def _count(self, input: Tensor, options: str) -> Tensor:
        if self.key is None:
            raise RuntimeError("sync_count needs a seed, so that all processes draw one mask")
        # The CPU counts, and waits for a key on a device.
        count: Tensor = torch.ops.dropblock.count(
            input.shape, self._prob, self.key.cpu(), self.first_sample, options
        )
        torch.distributed.all_reduce(count)
        return count

    def extra_repr(self) -> str:
        parts = {"p": self.p, "block_size": self.block_size, "inplace": self.inplace}
        parts |= {name: value for name, value in self._shown() if value is not False}
        return ", ".join(f"{name}={value}" for name, value in parts.items())

    def _shown(self) -> Iterator[tuple[str, Any]]:
        yield "compat", self.compat
        for token in line(1, **self.options).split()[1:]:
            name, _, value = token.partition("=")
            yield name, value
        if self.key is not None and not self.key.is_meta:
            yield from zip(("seed", "step", "layer"), self.key.tolist(), strict=True)
        yield "sync_count", self.sync_count

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        # A checkpoint from before there was a seed loads: the module keeps its key.
        if self.key is not None and f"{prefix}key" not in state_dict:
            state_dict = {**state_dict, f"{prefix}key": self.key}
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._read_key()

    def _apply(self, *arguments: Any, **named: Any) -> Self:
        super()._apply(*arguments, **named)  # type: ignore[no-untyped-call]
        self._read_key()
        return self

    def __prepare_scriptable__(self) -> NoReturn:
        raise NotImplementedError(
            f"torch.jit.script does not know {type(self).__name__}; use torch.compile or torch.export"
        )


class DropBlock1d(_DropBlock):
    """DropBlock on ``[samples, channels, length]``. Arguments as for :class:`DropBlock2d`."""

    axes = 1


class DropBlock2d(_DropBlock):
    """Sets blocks of each map to zero during training, and scales the rest.

    Source: Ghiasi, Lin, Le 2018, `arXiv 1810.12890 <https://arxiv.org/abs/1810.12890>`_, Algorithm 1.

    Args:
        p: The drop probability, in ``[0, 1]``. The attribute ``p`` may be changed at any time.
        block_size: The size of a block along both axes, or height and width; at least 1. A size larger than
            the map is clamped to the map, axis by axis.
        inplace: Whether the input itself is changed.
        eps: Not used. torchvision adds it against a division by 0, which does not happen here.
        compat: Whether block sizes are treated as torchvision treats them: one size, clamped to the
            shortest axis along all axes, and odd.
        seed: The seed of the training run, below 2^64. Masks then follow from seed, step, layer and sample
            alone, and :func:`advance` goes to the next step. Default: every call draws a key from
            ``generator``.
        layer: The number of the layer. Those of a model need different numbers, see :func:`set_seed`.
        first_sample: The number of the first sample of the input in the whole batch, if processes share a
            batch. An attribute, not in the state.
        generator: A generator of the CPU. Default: torch's own.
        sync_count: Whether the scale follows from the count over all processes of the default group
            of ``torch.distributed``. Needs a seed and ``scale="per_tensor"``.
        options: See :class:`Options`.

    Shape:
        - Input: ``[samples, channels, height, width]``, in ``float32``, ``float64``, ``float16`` or
          ``bfloat16``, with any strides.
        - Output: as the input.

    Example:
        >>> import torch
        >>> from dropblock_torch import DropBlock2d, advance
        >>> drop = DropBlock2d(0.1, 7, seed=2024)
        >>> x = torch.ones(8, 16, 14, 14)
        >>> y = drop(x)
        >>> torch.equal(y, drop(x))
        True
        >>> advance(drop)
        >>> torch.equal(y, drop(x))
        False

    Raises:
        ValueError: If an argument is out of its range.
    """

    axes = 2


class DropBlock3d(_DropBlock):
    """DropBlock on ``[samples, channels, depth, height, width]``. Arguments as for
    :class:`DropBlock2d`."""

    axes = 3


def layers(model: nn.Module) -> Iterator[_DropBlock]:
    """Yields the DropBlock modules of a model in the order of ``model.modules()``."""
    return (module for module in model.modules() if isinstance(module, _DropBlock))


@torch.no_grad()
def advance(model: nn.Module, steps: int = 1) -> None:
    """Goes to the next step: all DropBlock modules that have a seed drop other blocks from now on.

    Call it after each step of the optimizer. ``forward`` does not count by itself, because checkpointing
    runs it twice.
    """
    for layer in layers(model):
        if layer.key is not None:
            layer.key[1] += steps


def set_seed(model: nn.Module, seed: int, *, step: int = 0, first_sample: int = 0) -> None:
    """Gives all DropBlock modules of a model a seed, and numbers them in the order of
    ``model.modules()``.

    Args:
        seed: The seed of the training run, below 2^64.
        step: The number of steps that are done.
        first_sample: The number of this process's first sample in the whole batch.
    """
    for number, layer in enumerate(layers(model)):
        device = None if layer.key is None else layer.key.device
        layer.key = key_tensor(seed, step, number).to(device)
        layer._read_key()
        layer.first_sample = first_sample
