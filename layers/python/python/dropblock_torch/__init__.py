"""DropBlock for PyTorch: fused, exact, and with the same masks on every machine.

:class:`DropBlock1d`, :class:`DropBlock2d` and :class:`DropBlock3d` are used like torchvision's, and
:func:`drop_block1d`, :func:`drop_block2d` and :func:`drop_block3d` are the functions below them.
"""

from ._native import MASK_VERSION, __version__
from .convert import convert
from .functional import drop_block1d, drop_block2d, drop_block3d, drop_count
from .modules import DropBlock1d, DropBlock2d, DropBlock3d, advance, layers, set_seed
from .options import Options, expected_dropped, preset
from .schedule import DropBlockScheduler

__all__ = [
    "MASK_VERSION",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "DropBlockScheduler",
    "Options",
    "__version__",
    "advance",
    "convert",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_count",
    "expected_dropped",
    "layers",
    "preset",
    "set_seed",
]
