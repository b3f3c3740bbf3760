"""Trains a small residual network on pictures that it draws itself: squares and discs of eight sizes and
places, under noise. It stops half-way, saves, and goes on from the file with the same masks.

    python examples/train.py           a few minutes
    python examples/train.py --once    a few steps
"""

import copy
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dropblock_torch import DropBlock2d, DropBlockScheduler, advance, set_seed

STEPS = 8 if "--once" in sys.argv else 300
BATCH, CLASSES = 64, 2


class Block(nn.Module):
    def __init__(self, channels: int, drop: nn.Module) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.drop(self.norm(self.convolution(x))))


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        Block(16, DropBlock2d(0.0, 5, gamma="exact")),
        Block(16, DropBlock2d(0.0, 5, gamma="exact")),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    )
    set_seed(net, 2024)
    return net


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Pictures of 32 x 32 and their classes; the same for the same step."""
    generator = torch.Generator().manual_seed(step)
    classes = torch.randint(CLASSES, (BATCH,), generator=generator)
    middle = 10 + 12 * torch.rand(BATCH, 2, 1, 1, generator=generator)
    radius = 4 + 5 * torch.rand(BATCH, 1, 1, generator=generator)
    axis = torch.arange(32.0)
    dy, dx = (axis[:, None] - middle[:, 0]).abs(), (axis - middle[:, 1]).abs()
    square = (dy < radius * 0.886) & (dx < radius * 0.886)
    disc = dy.square() + dx.square() < radius.square()
    pictures = torch.where((classes == 0)[:, None, None], square, disc).float()
    noise = torch.randn(pictures.shape, generator=generator)
    return (pictures + 0.3 * noise)[:, None], classes


class Run:
    """All that a training run consists of, and its state."""

    def __init__(self) -> None:
        self.net = network()
        self.optimizer = torch.optim.Adam(self.net.parameters(), 3e-3)
        self.scheduler = DropBlockScheduler(self.net, 0.1, STEPS)

    def train(self, steps: range) -> list[float]:
        losses = []
        self.net.train()
        for step in steps:
            pictures, classes = batch(step)
            loss = functional.cross_entropy(self.net(pictures), classes)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            advance(self.net)
            losses.append(loss.item())
        return losses

    def state(self) -> dict[str, object]:
        parts = (self.net, self.optimizer, self.scheduler)
        return {str(i): copy.deepcopy(part.state_dict()) for i, part in enumerate(parts)}

    def load(self, state: dict[str, dict[str, object]]) -> None:
        for i, part in enumerate((self.net, self.optimizer, self.scheduler)):
            part.load_state_dict(state[str(i)])

    @torch.no_grad()
    def accuracy(self) -> float:
        self.net.eval()
        pictures, classes = batch(-1)
        return (self.net(pictures).argmax(1) == classes).double().mean().item()


def main() -> None:
    torch.set_num_threads(1)
    whole = Run()
    losses = whole.train(range(STEPS))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, accuracy {whole.accuracy():.3f}")

    half = STEPS // 2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "half.pt")
        first = Run()
        before = first.train(range(half))
        torch.save(first.state(), file)
        second = Run()
        second.load(torch.load(file, weights_only=True))
        after = second.train(range(half, STEPS))
    assert before + after == losses
    print(f"stopped after {half} steps and resumed: the same {STEPS} losses")


main()
