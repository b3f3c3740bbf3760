"""Replacing the modules of other packages."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .modules import DropBlock2d, DropBlock3d, _DropBlock
from .options import preset

__all__ = ["convert"]


def convert(
    model: nn.Module, *, dropout2d_block_size: int | tuple[int, int] | None = None
) -> list[str]:
    """Replaces the DropBlock modules of torchvision and timm in a model, in place.

    The new modules drop with the same law as the old ones, not with the same bits. timm's noise, which is
    the same for all channels, becomes noise of its own for each.

    Args:
        model: The model. It is not replaced itself, only what is in it.
        dropout2d_block_size: If given, each ``nn.Dropout2d`` becomes a ``DropBlock2d`` of its probability
            and this block size, which is another law. Default: they stay.

    Returns:
        A line for each module that was replaced, or that was left although it is of such a kind.

    Example:
        >>> from torch import nn
        >>> from dropblock_torch import convert
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout2d(0.1))
        >>> convert(model, dropout2d_block_size=7)
        ['1: Dropout2d(p=0.1, inplace=False) -> DropBlock2d(p=0.1, block_size=7, inplace=False)']
    """

    def dropout2d(module: nn.Module) -> _DropBlock | str:
        if dropout2d_block_size is None:
            return "left, as dropout2d_block_size is not given"
        return DropBlock2d(module.p, dropout2d_block_size, module.inplace)  # type: ignore[arg-type]

    # Known by name, so that neither package needs to be there.
    known: dict[tuple[str, str], Callable[[nn.Module], _DropBlock | str]] = {
        ("torchvision.ops.drop_block", "DropBlock2d"): lambda old: _torchvision(old, DropBlock2d),
        ("torchvision.ops.drop_block", "DropBlock3d"): lambda old: _torchvision(old, DropBlock3d),
        ("timm.layers.drop", "DropBlock2d"): _timm,
        ("torch.nn.modules.dropout", "Dropout2d"): dropout2d,
    }
    lines = []
    replaced: dict[nn.Module, _DropBlock] = {}
    # A module that is used twice stays one.
    for name, module in list(model.named_modules(remove_duplicate=False)):
        make = known.get((type(module).__module__, type(module).__name__))
        if make is None:
            continue
        if not name:
            lines.append(f"{module}: left, as it is the model itself")
            continue
        new = replaced.get(module) or make(module)
        if isinstance(new, str):
            lines.append(f"{name}: {module} {new}")
            continue
        replaced[module] = new.train(module.training)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new)
        hooks = " (its hooks are gone)" if module._forward_hooks or module._backward_hooks else ""
        lines.append(f"{name}: {module} -> {new}{hooks}")
    return lines


def _torchvision(old: nn.Module, new: type[_DropBlock]) -> _DropBlock:
    return new(old.p, old.block_size, old.inplace, old.eps, compat=True)  # type: ignore[arg-type]


def _timm(old: nn.Module) -> _DropBlock:
    options = preset("timm" if old.couple_channels else "timm_legacy")
    options["gamma_scale"] = float(old.gamma_scale)  # type: ignore[arg-type]
    if old.with_noise or not old.scale_by_keep:
        options["scale"] = "off"
    if old.with_noise:
        options["noise"] = True
    return DropBlock2d(
        old.drop_prob,  # type: ignore[arg-type]
        old.block_size,  # type: ignore[arg-type]
        old.inplace,  # type: ignore[arg-type]
        **options,
    )
