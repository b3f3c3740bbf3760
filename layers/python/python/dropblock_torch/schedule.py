"""Drop probabilities over the training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

from . import _native
from .modules import layers

__all__ = ["DropBlockScheduler"]


class DropBlockScheduler:
    """Sets the drop probability of all DropBlock modules of a model, step by step.

    Call :meth:`step` after each step of the optimizer. Values are those of the crate's ``Schedule``: a
    function of the step alone, exactly ``start`` at step 0 and ``end`` from ``total_steps`` on.

    Args:
        model: The model. Its probabilities are set at once.
        end: The last value, in ``[0, 1]``.
        total_steps: The number of steps of the training, at least 0.
        start: The first value, in ``[0, 1]``.
        course: What lies between: ``"linear"`` as in the paper (section 4.1), ``"cosine"``, ``"darknet"``
            (linear from 0, with the end at 0.85 of the steps), or ``"steps"``.
        steps: With ``"steps"``: pairs of a step and the value from it on; ``end`` is not used.
        after: How many steps longer the first value holds.

    Example:
        >>> from dropblock_torch import DropBlock2d, DropBlockScheduler
        >>> drop = DropBlock2d(0.1, 7)
        >>> scheduler = DropBlockScheduler(drop, 0.1, total_steps=100)
        >>> drop.p
        0.0
        >>> for _ in range(50):
        ...     scheduler.step()
        >>> drop.p
        0.05

    Raises:
        ValueError: If a value is out of its range, or steps do not rise.
    """

    def __init__(
        self,
        model: nn.Module,
        end: float,
        total_steps: int,
        *,
        start: float = 0.0,
        course: Literal["linear", "cosine", "darknet", "steps"] = "linear",
        steps: Iterable[tuple[int, float]] = (),
        after: int = 0,
    ) -> None:
        self._model = model
        self._course = course, start, end, list(steps), after
        self.total_steps = total_steps
        self.last_step = 0
        self._set()

    def step(self) -> None:
        """Goes to the next step."""
        self.last_step += 1
        self._set()

    def get_last_p(self) -> float:
        """Returns the drop probability that is set now."""
        return _native.schedule(*self._course, self.last_step, self.total_steps)

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs: the number of steps that are done."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes to the step of a checkpoint."""
        self.last_step = state_dict["last_step"]
        self._set()

    def _set(self) -> None:
        p = self.get_last_p()
        for layer in layers(self._model):
            layer.p = p
