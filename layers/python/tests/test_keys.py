"""Keys: from torch's generator or from a seed; checkpointing, states, copies."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from dropblock_torch import DropBlock2d, advance, drop_block2d, layers, set_seed

X = torch.randn(2, 3, 16, 16)


def model(seed: int | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    drops = (DropBlock2d(0.2, 3, seed=seed, layer=layer) for layer in range(2))
    return nn.Sequential(nn.Conv2d(3, 8, 3), next(drops), nn.ReLU(), next(drops))


def test_manual_seed_repeats_masks() -> None:
    outputs = []
    for _ in range(2):
        torch.manual_seed(7)
        outputs.append([drop_block2d(X, 0.3, 3) for _ in range(2)])
    assert torch.equal(outputs[0][0], outputs[1][0]) and torch.equal(outputs[0][1], outputs[1][1])
    assert not torch.equal(outputs[0][0], outputs[0][1])


def test_a_generator_of_the_user_s() -> None:
    state = torch.get_rng_state()
    outputs = [drop_block2d(X, 0.3, 3, generator=torch.Generator().manual_seed(7)) for _ in "ab"]
    drop = DropBlock2d(0.3, 3, generator=torch.Generator().manual_seed(7))
    assert torch.equal(*outputs) and torch.equal(drop(X), outputs[0])
    assert torch.equal(torch.get_rng_state(), state), "torch's own is not used"


def test_a_key_names_a_mask() -> None:
    base = drop_block2d(X, 0.3, 3, key=(1, 2, 3))
    assert torch.equal(base, drop_block2d(X, 0.3, 3, key=torch.tensor([1, 2, 3])))
    for key in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (1 << 63, 2, 3), ((1 << 64) - 1, 2, 3)]:
        assert not torch.equal(base, drop_block2d(X, 0.3, 3, key=key))
    with pytest.raises(ValueError, match=r"must be in \[0, 2\^64\), got -1"):
        drop_block2d(X, 0.3, 3, key=(-1, 2, 3))


@pytest.mark.parametrize(
    "key",
    [torch.ones(3, dtype=torch.int32), torch.ones(2, dtype=torch.int64), torch.arange(6)[::2]],
)
def test_a_key_of_another_form_is_refused(key: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"key must be a contiguous torch.int64 tensor of 3"):
        drop_block2d(X, 0.3, 3, key=key)
    with pytest.raises(ValueError, match="count must be a contiguous"):
        drop_block2d(X, 0.3, 3, count=key.float())


def test_parts_of_a_batch_have_the_masks_of_the_whole() -> None:
    x = torch.randn(6, 3, 16, 16)
    whole = drop_block2d(x, 0.3, 3, key=(1, 2, 3), scale="per_sample")
    parts = [
        drop_block2d(x[a:b], 0.3, 3, key=(1, 2, 3), scale="per_sample", first_sample=a)
        for a, b in [(0, 1), (1, 4), (4, 6)]
    ]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("seed", [None, 2024])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_computes_the_same_again(seed: int | None, reentrant: bool) -> None:
    net, x = model(seed), X.clone().requires_grad_()
    results = []
    for run in [
        net,
        lambda x: checkpoint(net, x, use_reentrant=reentrant),
        lambda x: checkpoint_sequential(net, 2, x, use_reentrant=reentrant),
    ]:
        torch.manual_seed(3)
        net.zero_grad()
        x.grad = None
        y = run(x)
        y.square().sum().backward()
        results.append((y, x.grad, net[0].weight.grad.clone()))
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_advance_is_a_step() -> None:
    net = model(2024)
    y = net(X)
    assert torch.equal(net(X), y), "a forward pass does not count"
    advance(net)
    assert not torch.equal(net(X), y)
    assert [layer.key.tolist() for layer in layers(net)] == [[2024, 1, 0], [2024, 1, 1]]
    advance(net, -1)
    assert torch.equal(net(X), y)
    advance(model())


def test_a_run_resumes_with_the_same_masks(tmp_path) -> None:
    def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
        losses = []
        for step in steps:
            x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(step))
            loss = net(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            advance(net)
            losses.append(loss.item())
        return losses

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        net = model(2024)
        return net, torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)

    whole = train(*fresh(), range(6))
    net, optimizer = fresh()
    first = train(net, optimizer, range(3))
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    net, optimizer = fresh()
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    assert first + train(net, optimizer, range(3, 6)) == whole


def test_states_with_and_without_a_seed() -> None:
    plain, seeded = model(), model(2024)
    assert plain.state_dict().keys() == {"0.weight", "0.bias"}
    assert seeded.state_dict().keys() == {"0.weight", "0.bias", "1.key", "3.key"}
    advance(seeded)
    seeded.load_state_dict(plain.state_dict())
    assert seeded[1].key.tolist() == [2024, 1, 0], "an old checkpoint leaves the key"
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "1.key"'):
        plain.load_state_dict(seeded.state_dict())


@pytest.mark.parametrize("seed", [None, 2024])
def test_copies_are_separate(seed: int | None) -> None:
    net = model(seed)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    copies = [
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        torch.load(file, weights_only=False),
    ]
    net[1].p = 0.9
    advance(net)
    for other in copies:
        assert other[1].p == 0.2
        assert seed is None or other[1].key.tolist() == [seed, 0, 0]
        fresh, outputs = model(seed), []
        for copied in (other, fresh):
            torch.manual_seed(3)
            outputs.append(copied(X))
        assert torch.equal(*outputs)


def test_set_seed_numbers_the_layers() -> None:
    net = model()
    set_seed(net, 2024, step=5, first_sample=16)
    assert [layer.key.tolist() for layer in layers(net)] == [[2024, 5, 0], [2024, 5, 1]]
    assert [layer.first_sample for layer in layers(net)] == [16, 16]
    assert "3.key" in net.state_dict()


def test_a_module_that_moves_keeps_its_type_of_key() -> None:
    net = model(2024).double().half()
    assert net[1].key.dtype == torch.int64 and net[1].p == 0.2
