"""Options beside drop probability and block size, with the names of the crate ``dropblock``."""

from __future__ import annotations

from typing import Literal, TypedDict, cast

from . import _native

__all__ = ["Options", "expected_dropped", "line", "preset"]


class Options(TypedDict, total=False):
    """Keyword arguments of every function and module."""

    gamma: Literal["paper", "paper_valid", "exact"] | float
    """How the rate of block centres follows from the drop probability. ``"paper"`` (default): Eq. 1 of
    the paper. ``"paper_valid"``: Eq. 1 with the number of places in the valid region, wherever centres
    may lie, as timm does. ``"exact"``: the rate whose expected dropped fraction is the drop probability.
    A number in ``[0, 1]`` is the rate itself."""
    gamma_scale: float
    """A factor of ``"paper"`` and ``"paper_valid"``, at least 0. Default: 1."""
    region: Literal["valid", "full"]
    """Where centres may lie: where the whole block fits in the map (default), or everywhere."""
    alignment: Literal["before", "after"]
    """Where the longer half of a block of even size lies: before its centre (default), or after it."""
    sharing: Literal["none", "over_channels", "over_samples", "over_all"]
    """Which maps share a mask. Default: none."""
    scale: Literal["per_tensor", "per_sample", "per_map", "per_position", "fixed", "off"]
    """What kept units are multiplied by: ``units / kept units`` of the tensor (default), the sample or
    the map; one over the probability of each position to be kept; ``1 / (1 - p)``; 1."""
    noise: bool
    """Whether dropped units become Gaussian noise in place of 0. Default: no."""


def line(
    block_size: int | tuple[int, ...],
    *,
    gamma: str | float = "paper",
    gamma_scale: float = 1.0,
    region: str = "valid",
    alignment: str = "before",
    sharing: str = "none",
    scale: str = "per_tensor",
    noise: bool = False,
) -> str:
    """Writes options as the operations take them, such as ``"block=7 scale=per_sample"``.

    Args:
        block_size: The size along every axis of the map, or one for each axis; at least 1.
    """
    sizes = str(block_size) if isinstance(block_size, int) else ",".join(map(str, block_size))
    text = f"block={sizes}"
    if gamma != "paper":
        text += f" gamma={gamma}"
    if gamma_scale != 1.0:
        text += f" gamma_scale={gamma_scale}"
    if region != "valid":
        text += f" region={region}"
    if alignment != "before":
        text += f" alignment={alignment}"
    if sharing != "none":
        text += f" sharing={sharing}"
    if scale != "per_tensor":
        text += f" scale={scale}"
    if noise:
        text += " fill=noise"
    return text


def preset(name: Literal["tensorflow", "timm", "timm_legacy", "miguelvr", "dragon"]) -> Options:
    """Returns the options with which another implementation's masks have the same law.

    ``"tensorflow"`` is the paper's reference code, ``"timm"`` timm's ``DropBlock2d``, ``"timm_legacy"``
    its default before 2025, ``"miguelvr"`` the package ``dropblock``, ``"dragon"`` Dragon's layer.

    Example:
        >>> from dropblock_torch import DropBlock2d, preset
        >>> DropBlock2d(0.1, 7, **preset("timm"))
        DropBlock2d(p=0.1, block_size=7, inplace=False, gamma=paper_valid, region=full, sharing=over_channels)

    Raises:
        ValueError: If there is no such preset.
    """
    return cast("Options", dict(token.split("=") for token in _native.preset(name).split()))


def expected_dropped(
    size: tuple[int, ...], p: float, block_size: int | tuple[int, ...], **options: object
) -> float:
    """Returns the fraction of a map's units that is dropped on average.

    Args:
        size: The size of the map: one to three axes.
        p: The drop probability, in ``[0, 1]``.
        block_size: See :func:`line`.
        options: See :class:`Options`.

    Example:
        >>> from dropblock_torch import expected_dropped, preset
        >>> round(expected_dropped((14, 14), 0.1, 7), 4)
        0.0929
        >>> round(expected_dropped((14, 14), 0.1, 7, **preset("timm")), 4)
        0.2092
        >>> round(expected_dropped((14, 14), 0.1, 7, gamma="exact"), 4)
        0.1

    Raises:
        ValueError: If an argument is out of its range.
    """
    text = line(block_size, **options)  # type: ignore[arg-type]
    return _native.expected_dropped((1, 1, *size), text, p)
