"""``torch.compile``, ``torch.export``, and torch's own checks of operations."""

import copy
import shutil

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from dropblock_torch import DropBlock2d, advance, drop_block2d
from dropblock_torch._ops import drop_block

# Inductor writes C++, so it takes a compiler.
BACKENDS = ["aot_eager", *(["inductor"] if shutil.which("g++") else [])]


def model(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        DropBlock2d(0.1, 3, layer=0, **options),
        nn.ReLU(),
        DropBlock2d(0.2, 5, layer=1, scale="per_sample", **options),
    )


@pytest.fixture(autouse=True)
def reset():
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_and_probabilities_do_not_compile_again(backend: str) -> None:
    eager = model(seed=2024)
    compiled_model = copy.deepcopy(eager)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(compiled_model, fullgraph=True, backend=counter)
    x = torch.randn(4, 3, 16, 16)
    counts = []
    for step in range(4):
        y, z = eager(x), compiled(x)
        assert torch.equal(y == 0, z == 0) and torch.allclose(y, z, atol=1e-5)
        for net, output in [(eager, y), (compiled_model, z)]:
            net.zero_grad()
            output.square().mean().backward()
        assert torch.allclose(eager[0].weight.grad, compiled_model[0].weight.grad, atol=1e-5)
        for net in (eager, compiled_model):
            advance(net)
            net[2].p = 0.1 + 0.05 * step
        counts.append(counter.frame_count)
    assert counts == counts[:1] * 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_keys_of_the_generator_are_those_without_a_compiler(backend: str) -> None:
    net = model()
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    x = torch.randn(4, 3, 16, 16)
    outputs = []
    for f in (net, compiled):
        torch.manual_seed(5)
        outputs += [f(x), f(x)]
    assert not torch.equal(outputs[0] == 0, outputs[1] == 0)
    for a, b in zip(outputs[:2], outputs[2:], strict=True):
        assert torch.equal(a == 0, b == 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_in_memory(backend: str) -> None:
    """As a module on a device has it: read when the pass runs, and kept for the backward pass."""
    prob, key, step = (
        torch.tensor(0.3, dtype=torch.float64),
        torch.tensor([1, 2, 3]),
        torch.zeros(3).long(),
    )

    def f(x: torch.Tensor) -> torch.Tensor:
        return drop_block(x, prob, key, "block=3", step=step[1:2])

    compiled = torch.compile(f, fullgraph=True, backend=backend)
    for number in range(3):
        step[1] = number
        x = torch.randn(2, 3, 8, 8, requires_grad=True)
        for g in (f, compiled):
            y = g(x)
            assert torch.equal(y, drop_block2d(x, 0.3, 3, key=(1, number, 3)))
            (dx,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(dx, drop_block2d(torch.ones_like(x), 0.3, 3, key=(1, number, 3)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_place_and_dynamic_sizes(backend: str) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return drop_block2d(x + 1, 0.3, 3, inplace=True, key=(1, 2, 3))

    compiled = torch.compile(f, fullgraph=True, backend=backend, dynamic=True)
    for dims in [(2, 3, 8, 8), (4, 5, 9, 11)]:
        x = torch.randn(dims, requires_grad=True)
        y, z = f(x), compiled(x)
        assert torch.equal(y, z)
        assert torch.equal(*(torch.autograd.grad(y.sum(), x)[0] for y in (y, z)))


def test_a_compiler_refuses_what_a_pass_refuses() -> None:
    compiled = torch.compile(lambda x: drop_block2d(x, 0.3, 3, scale="none"), backend="aot_eager")
    with pytest.raises(Exception, match="scale must be one of"):
        compiled(torch.ones(2, 3, 8, 8))


@pytest.mark.parametrize("strict", [False, True])
def test_export_keeps_the_layer(strict: bool, tmp_path) -> None:
    net = model(seed=2024).train()
    x = torch.randn(4, 3, 16, 16)
    program = torch.export.export(copy.deepcopy(net), (x,), strict=strict)
    assert torch.allclose(program.module()(x), net(x), atol=1e-6)
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    assert torch.allclose(loaded(x), net(x), atol=1e-6)


def test_scripting_says_what_to_use() -> None:
    with pytest.raises(NotImplementedError, match=r"torch\.compile or torch\.export"):
        torch.jit.script(model())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("seed", [None, 2024])
def test_a_trace_has_the_operation(seed: int | None, tmp_path) -> None:
    """Keys, steps and gradients are those of the layer. A saved trace keeps its probability."""
    net = nn.Sequential(DropBlock2d(0.3, 3, seed=seed))
    x = torch.randn(2, 3, 16, 16)
    traced = torch.jit.trace(net, (x,), check_trace=False)
    traced.save(tmp_path / "model.pt")
    loaded = torch.jit.load(tmp_path / "model.pt")
    for f in (traced, loaded):
        for step in range(2):
            key = None if seed is None else (seed, step, 0)
            for state in (3, 4):
                inner = x.clone().requires_grad_()
                torch.manual_seed(state)
                y = f(inner)
                (dx,) = torch.autograd.grad(y.sum(), inner)
                torch.manual_seed(state)
                assert torch.equal(y, drop_block2d(x, 0.3, 3, key=key))
                torch.manual_seed(state)
                assert torch.equal(dx, drop_block2d(torch.ones_like(x), 0.3, 3, key=key))
            if seed is not None:
                dict(f.named_buffers())["0.key"][1] += 1
        if seed is not None:
            net[0].key[1] = 0
    net[0].p = 0.0
    assert torch.equal(traced(x), x) and not torch.equal(loaded(x), x)


def arguments(x: torch.Tensor) -> tuple[object, ...]:
    prob = torch.tensor(0.3, dtype=torch.float64)
    return x, prob, torch.tensor([1, 2, 3]), torch.tensor([7]), 0, None, "block=3"


def test_torch_checks_the_operations() -> None:
    ops, whole = torch.ops.dropblock, torch.randn(2, 3, 8, 8)
    last = whole.to(memory_format=torch.channels_last)
    for x in [whole, last, whole[:, :, ::2], whole.bfloat16()]:
        torch.library.opcheck(ops.forward.default, arguments(x.clone().requires_grad_()))
        drawn = ops.forward(*arguments(x))[1]
        dy = x.clone().requires_grad_()
        torch.library.opcheck(ops.backward.default, (dy, drawn, torch.tensor([7]), "block=3"))
    _, prob, key, *_ = arguments(whole)
    torch.library.opcheck(ops.count.default, ([2, 3, 8, 8], prob, key, 0, "block=3"))
