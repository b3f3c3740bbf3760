"""Two processes that share a batch give what one process gives with all of it, or not: by scale."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dropblock_torch import DropBlock2d, advance, drop_block2d, drop_count, set_seed

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="no gloo"
)
BATCH, STEPS, WORLD = 6, 3, 2
# What one process has and several have not: a scale from the count of their own part. `sync_count` cures it.
EQUAL = {
    ("per_tensor", False): False,
    ("per_tensor", True): True,
    ("per_sample", False): True,
    ("per_map", False): True,
    ("per_position", False): True,
    ("fixed", False): True,
    ("off", False): True,
}


def model(scale: str, sync: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        DropBlock2d(0.3, 3, scale=scale, sync_count=sync),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3),
        DropBlock2d(0.3, 5, scale=scale, sync_count=sync),
    ).double()


def train(net: nn.Module, part: slice) -> torch.Tensor:
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(BATCH, 3, 12, 12, dtype=torch.float64, generator=generator)
        optimizer.zero_grad()
        net(x[part]).square().mean().backward()
        optimizer.step()
        advance(net)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def process(rank: int, file: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=WORLD)
    torch.set_num_threads(1)
    size = BATCH // WORLD
    results = {}
    for scale, sync in EQUAL:
        net = model(scale, sync)
        set_seed(net, 2024, first_sample=rank * size)
        results[scale, sync] = train(
            DistributedDataParallel(net), slice(rank * size, (rank + 1) * size)
        )
        assert net[1].key.tolist() == [2024, STEPS, 0]
        assert net[1].first_sample == rank * size, "the first rank's is not given to the others"
    if rank == 0:
        torch.save(results, file + ".pt")
    dist.destroy_process_group()


def test_two_processes_against_one(tmp_path) -> None:
    file = str(tmp_path / "store")
    torch.multiprocessing.spawn(process, (file,), nprocs=WORLD)
    results = torch.load(file + ".pt")
    for (scale, sync), equal in EQUAL.items():
        net = model(scale, sync=False)
        set_seed(net, 2024)
        whole = train(net, slice(None))
        # The mean of gradients is taken in another order.
        assert torch.allclose(results[scale, sync], whole, rtol=1e-12, atol=1e-12) == equal, scale


def test_counts_of_parts_make_the_scale_of_the_whole() -> None:
    x, key = torch.randn(6, 3, 12, 12), (1, 2, 3)
    parts = [(0, 2), (2, 6)]
    count = sum(drop_count((b - a, 3, 12, 12), 0.3, 3, key, first_sample=a) for a, b in parts)
    assert count.tolist() == [(drop_block2d(x, 0.3, 3, key=key) == 0).sum().item(), x.numel()]
    y = [drop_block2d(x[a:b], 0.3, 3, key=key, first_sample=a, count=count) for a, b in parts]
    assert torch.equal(torch.cat(y), drop_block2d(x, 0.3, 3, key=key))
    with pytest.raises(ValueError, match="count"):
        drop_block2d(x, 0.3, 3, key=key, count=torch.tensor([5, 4]))
    with pytest.raises(ValueError, match="units"):
        drop_block2d(x, 0.3, 3, key=key, count=2 * count, scale="per_sample")


def test_a_count_over_processes_needs_a_seed() -> None:
    with pytest.raises(RuntimeError, match="sync_count needs a seed"):
        DropBlock2d(0.3, 3, sync_count=True)(torch.ones(2, 3, 8, 8))
