"""DropBlock as functions, with torchvision's names and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ._ops import drop_block
from .options import line

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import Options

__all__ = ["drop_block1d", "drop_block2d", "drop_block3d", "drop_count"]


def drop_block1d(
    input: Tensor,
    p: float,
    block_size: int | tuple[int],
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    compat: bool = False,
    key: tuple[int, int, int] | Tensor | None = None,
    generator: torch.Generator | None = None,
    first_sample: int = 0,
    count: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Drops blocks of maps of one axis. Arguments as for :func:`drop_block2d`.

    Args:
        input: ``[samples, channels, length]``.
    """
    return _function(
        1,
        input,
        p,
        block_size,
        inplace,
        training,
        compat,
        key,
        generator,
        first_sample,
        count,
        options,
    )


def drop_block2d(
    input: Tensor,
    p: float,
    block_size: int | tuple[int, int],
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    compat: bool = False,
    key: tuple[int, int, int] | Tensor | None = None,
    generator: torch.Generator | None = None,
    first_sample: int = 0,
    count: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Sets blocks of each map to zero, and scales the rest.

    Source: Ghiasi, Lin, Le 2018, `arXiv 1810.12890 <https://arxiv.org/abs/1810.12890>`_, Algorithm 1.

    Args:
        input: ``[samples, channels, height, width]``, in ``float32``, ``float64``, ``float16`` or
            ``bfloat16``, with any strides.
        p: The drop probability, in ``[0, 1]``.
        block_size: The size of a block along both axes, or height and width; at least 1. A size larger than
            the map is clamped to the map, axis by axis.
        inplace: Whether ``input`` itself is changed.
        eps: Not used. torchvision adds it against a division by 0, which does not happen here.
        training: If false, ``input`` is returned.
        compat: Whether block sizes are treated as torchvision treats them: one size, clamped to the
            shortest axis along all axes, and odd.
        key: Seed, step and layer, which name the mask, each below 2^64; or an ``int64[3]`` on the CPU.
            Default: a new key from ``generator``.
        generator: A generator of the CPU. Default: torch's own.
        first_sample: The number of the first sample of ``input`` in the whole batch, if the batch is split.
        count: Dropped units and units of the whole batch, ``int64[2]`` on the CPU, if the batch is split
            and the scale follows from it (``scale="per_tensor"``). See :func:`drop_count`.
        options: See :class:`Options`.

    Returns:
        A tensor like ``input``; ``input`` itself if ``inplace`` or not ``training``.

    Example:
        >>> import torch
        >>> from dropblock_torch import drop_block2d
        >>> x = torch.ones(8, 16, 14, 14)
        >>> y = drop_block2d(x, 0.1, 7)
        >>> a = drop_block2d(x, 0.1, 7, key=(2024, 17, 3))
        >>> b = drop_block2d(x, 0.1, 7, key=(2024, 17, 3))
        >>> torch.equal(a, b)
        True

    Raises:
        ValueError: For another number of axes, or an argument out of its range.
        TypeError: For another type of elements.
    """
    return _function(
        2,
        input,
        p,
        block_size,
        inplace,
        training,
        compat,
        key,
        generator,
        first_sample,
        count,
        options,
    )


def drop_block3d(
    input: Tensor,
    p: float,
    block_size: int | tuple[int, int, int],
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    compat: bool = False,
    key: tuple[int, int, int] | Tensor | None = None,
    generator: torch.Generator | None = None,
    first_sample: int = 0,
    count: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Drops blocks of maps of three axes. Arguments as for :func:`drop_block2d`.

    Args:
        input: ``[samples, channels, depth, height, width]``.
    """
    return _function(
        3,
        input,
        p,
        block_size,
        inplace,
        training,
        compat,
        key,
        generator,
        first_sample,
        count,
        options,
    )


def drop_count(
    sizes: tuple[int, ...],
    p: float,
    block_size: int | tuple[int, ...],
    key: tuple[int, int, int] | Tensor,
    first_sample: int = 0,
    **options: Unpack[Options],
) -> Tensor:
    """Counts the mask of a part of a batch, so that the sum over all parts can be given as ``count``.

    Args:
        sizes: The sizes of the part: samples, channels, and the axes of the map.

    Returns:
        Dropped units and units, ``int64[2]``.
    """
    count: Tensor = torch.ops.dropblock.count(
        sizes,
        prob_tensor(p),
        key if isinstance(key, Tensor) else key_tensor(*key),
        first_sample,
        line(block_size, **options),
    )
    return count


def _function(
    axes: int,
    input: Tensor,
    p: float,
    block_size: int | tuple[int, ...],
    inplace: bool,
    training: bool,
    compat: bool,
    key: tuple[int, int, int] | Tensor | None,
    generator: torch.Generator | None,
    first_sample: int,
    count: Tensor | None,
    options: Options,
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    check_rank(input, axes)
    if not training:
        return input
    if compat:
        block_size = torchvision_block_size(input, block_size)
    if key is not None and not isinstance(key, Tensor):
        key = key_tensor(*key)
    return drop_block(
        input,
        prob_tensor(p),
        key,
        line(block_size, **options),
        generator=generator,
        first_sample=first_sample,
        count=count,
        inplace=inplace,
    )


def check_rank(input: Tensor, axes: int) -> None:
    if input.dim() != axes + 2:
        raise ValueError(f"input should be {axes + 2} dimensional. Got {input.dim()} dimensions.")


def torchvision_block_size(input: Tensor, block_size: int | tuple[int, ...]) -> int:
    """The block that torchvision makes of it, with its errors."""
    if not isinstance(block_size, int):
        raise TypeError(f"with compat block_size must be an int, got {block_size}")
    clamped: int = min(block_size, *input.shape[2:])
    if clamped % 2 == 0:
        raise ValueError(f"block size should be odd. Got {clamped} which is even.")
    return clamped


def prob_tensor(p: float) -> Tensor:
    return torch.tensor(p, dtype=torch.float64, device="cpu")


def key_tensor(seed: int, step: int, layer: int) -> Tensor:
    """A key as ``int64[3]``: numbers from 2^63 on are negative there."""
    words = []
    for word in (seed, step, layer):
        if not 0 <= word < 1 << 64:
            raise ValueError(f"seed, step and layer must be in [0, 2^64), got {word}")
        words.append(word if word < 1 << 63 else word - (1 << 64))
    return torch.tensor(words, dtype=torch.int64, device="cpu")
