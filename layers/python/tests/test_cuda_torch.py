"""What PyTorch calls for CUDA tensors, with tensors that only look like such: PyTorch takes no device but a
real one. Their elements are in the memory of the device or of the interpreter, and each operation of
PyTorch's own runs on a copy on the CPU. What is not run here is PyTorch's part: its dispatcher's choice of the
kernel for CUDA, its current stream, its allocator, and the capture of graphs."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from device import DeviceMemory, Driver, driver
from dropblock_torch import DropBlock2d, _native, _ops, advance, check, drop_block2d, set_seed
from dropblock_torch._ops import drop_block

if not _ops._CUDA:
    pytest.skip("the native part has CUDA on Linux only", allow_module_level=True)
KEY = (2024, 17, 3)
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
OPTIONS = [
    {},
    {"scale": "per_map", "noise": True},
    {"sharing": "over_channels", "scale": "per_sample"},
    {"scale": "per_position", "gamma": "exact"},
    {"scale": "fixed", "region": "full"},
]


class CudaTensor(torch.Tensor):
    """A tensor in device memory: the whole memory, and the offset of the first element in bytes."""

    driver: Driver
    stream: int
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    @staticmethod
    def __new__(cls, memory, offset, like):
        return torch.Tensor._make_wrapper_subclass(
            cls, like.shape, strides=like.stride(), dtype=like.dtype, requires_grad=False
        )

    def __init__(self, memory, offset, like):
        self.memory, self.offset = memory, offset

    def data_ptr(self):
        return self.memory.address + self.offset

    def get_device(self):
        return 0

    def cpu(self):
        return self.download()

    @classmethod
    def upload(cls, x):
        """A copy of all bytes between the first element and the last."""
        storage = torch.as_strided(x, (_extent(x),), (1,)).contiguous().view(torch.uint8)
        return cls(DeviceMemory(cls.driver, bytes(storage.numpy())), 0, x)

    def download(self):
        data = bytearray(self.memory.bytes(self.stream)[self.offset :])
        flat = torch.frombuffer(data, dtype=self.dtype)
        return torch.as_strided(flat, self.shape, self.stride()).clone(
            memory_format=torch.preserve_format
        )

    def replace(self, x):
        size = self.element_size()
        data = bytearray(self.memory.bytes(self.stream))
        flat = torch.frombuffer(data, dtype=torch.uint8)[self.offset :]
        flat = flat[: len(flat) // size * size].view(self.dtype)
        torch.as_strided(flat, self.shape, self.stride()).copy_(x)
        self.memory.write(bytes(data), self.stream)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kernels = {"dropblock::forward": _ops._forward, "dropblock::backward": _ops._backward}
        if func.name() in kernels:
            return kernels[func.name()](*args, **(kwargs or {}))
        if func._schema.name == "aten::detach" or "alias" in str(func):
            return cls(args[0].memory, args[0].offset, args[0])
        if func in (torch.ops.aten.slice.Tensor, torch.ops.aten.select.int):
            meta = torch.empty_strided(args[0].shape, args[0].stride(), device="meta")
            view = func(meta, *args[1:])
            offset = args[0].offset + view.storage_offset() * args[0].element_size()
            return cls(args[0].memory, offset, view.to(args[0].dtype))
        values = [a.download() if isinstance(a, cls) else a for a in args]
        result = func(*values, **(kwargs or {}))
        if func._schema.is_mutable:
            args[0].replace(values[0])
            return args[0]
        return cls.upload(result) if isinstance(result, torch.Tensor) else result


def _extent(x):
    if x.numel() == 0:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(x.shape, x.stride(), strict=True))


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """PyTorch's part. A graph is being captured if the fixture says so."""
    CudaTensor.driver = driver()
    CudaTensor.stream = CudaTensor.driver.stream()
    part, zeros = SimpleNamespace(capturing=False), torch.zeros
    stream = SimpleNamespace(cuda_stream=CudaTensor.stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: part.capturing)
    monkeypatch.setattr(torch, "zeros", lambda *a, **named: CudaTensor.upload(zeros(*a, **named)))
    return part


@pytest.fixture(params=["by the dispatcher", "directly"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "directly":
        monkeypatch.setattr(_ops, "_is_plain", lambda x: not torch.is_grad_enabled() or x.is_leaf)
    return request.param


def passes(f, x: torch.Tensor, dy: torch.Tensor, upload=lambda x: x):
    x = upload(x).requires_grad_()
    y = f(x)
    (dx,) = torch.autograd.grad(y, x, upload(dy))
    return y.detach(), dx


def compare(f, x: torch.Tensor) -> None:
    dy = torch.randn_like(x)
    expected = passes(f, x, dy)
    found = passes(f, x, dy, CudaTensor.upload)
    for a, b in zip(expected, found, strict=True):
        assert type(b) is CudaTensor
        # NaN and the sign of zero count as well.
        bits = [t.contiguous().view(torch.uint8) for t in (a, b.download())]
        assert torch.equal(*bits)
        assert a.stride() == b.stride()


def test_torch_knows_kernels_for_cuda() -> None:
    for name in ("forward", "backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"dropblock::{name}", "CUDA")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_function_gives_the_bits_of_the_cpu(dtype: torch.dtype, way: str) -> None:
    x = torch.randn(3, 8, 9, 10).to(dtype)
    for options in OPTIONS:
        compare(lambda x, o=options: drop_block2d(x, 0.3, 3, key=KEY, **o), x)
        last = x.to(memory_format=torch.channels_last)
        compare(lambda x, o=options: drop_block2d(x, 0.3, 3, key=KEY, first_sample=5, **o), last)


def test_repeated_elements_and_gaps(way: str) -> None:
    for x in [torch.randn(3, 1, 9, 10).expand(3, 4, 9, 10), torch.randn(3, 4, 9, 20)[..., ::2]]:
        compare(lambda x: drop_block2d(x, 0.3, 3, key=KEY), x)


def test_in_place() -> None:
    x = torch.randn(3, 4, 9, 10)
    on_device = CudaTensor.upload(x)
    assert drop_block2d(on_device, 0.3, 3, inplace=True, key=KEY) is on_device
    assert torch.equal(on_device.download(), drop_block2d(x, 0.3, 3, key=KEY))


def test_keys_of_the_generator(way: str) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return drop_block2d(x, 0.3, 3)

    compare(f, torch.randn(3, 4, 9, 10))


def test_the_count_of_a_whole_batch(way: str) -> None:
    count = torch.tensor([500, 3000])
    compare(lambda x: drop_block2d(x, 0.3, 3, key=KEY, count=count), torch.randn(3, 4, 9, 10))


def test_a_module_reads_its_step_on_the_device(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, dy = torch.randn(2, 3, 4, 9, 10).unbind()
    layer = DropBlock2d(0.3, 3, seed=2024, layer=3)
    moved = copy.deepcopy(layer)._apply(CudaTensor.upload)
    assert type(moved.key) is CudaTensor and moved._host_key.tolist() == [2024, 0, 3]
    with monkeypatch.context() as patch:
        patch.setattr(CudaTensor, "cpu", lambda _: pytest.fail("a pass does not wait"))
        results = []
        for _ in range(3):
            on_device = CudaTensor.upload(x).requires_grad_()
            y = moved(on_device)
            advance(moved)
            results.append((y, torch.autograd.grad(y, on_device, CudaTensor.upload(dy))[0]))
    for y, dx in results:
        expected = passes(layer, x, dy)
        assert torch.equal(y.detach().download(), expected[0])
        assert torch.equal(dx.download(), expected[1])
        advance(layer)
    assert moved.state_dict()["key"].download().tolist() == [2024, 3, 3]


def test_seed_and_layer_are_read_when_they_change() -> None:
    moved = nn.Sequential(DropBlock2d(0.3, 3, seed=1))._apply(CudaTensor.upload)
    x = torch.randn(2, 3, 8, 8)

    def has(key: tuple[int, int, int]) -> bool:
        y = moved(CudaTensor.upload(x)).download()
        return torch.equal(y, drop_block2d(x, 0.3, 3, key=key))

    assert has((1, 0, 0))
    moved.load_state_dict({"0.key": torch.tensor([7, 8, 9])})
    assert has((7, 8, 9))
    # Something that moves buffers in its own way.
    moved[0].key, moved[0]._host_key = CudaTensor.upload(torch.tensor([4, 5, 6])), None
    assert has((4, 5, 6))
    # Its new key would be on the device, if that were PyTorch's.
    set_seed(moved, 2024, step=2)
    moved[0].key = CudaTensor.upload(moved[0].key)
    assert has((2024, 2, 0))
    moved._apply(lambda x: x.download())
    assert moved[0]._host_key is None and torch.equal(
        moved(x), drop_block2d(x, 0.3, 3, key=(2024, 2, 0))
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_a_graph_is_given_memory(
    cuda: SimpleNamespace, way: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A capture as far as native code sees it: memory that is given, and no layer that is new."""
    # Of a size that no other case has.
    x, dy = torch.randn(2, 3, 7, 11, 13 + len(way)).unbind()
    layer = DropBlock2d(0.3, 3, seed=1, **options)
    moved = copy.deepcopy(layer)._apply(CudaTensor.upload)
    cuda.capturing = True
    with pytest.raises(RuntimeError, match="run forward and backward once before the capture"):
        passes(moved, x, dy, CudaTensor.upload)
    cuda.capturing = False
    passes(moved, x, dy, CudaTensor.upload)
    advance(moved)
    advance(layer)
    cuda.capturing = True
    enqueue, queues = _ops._enqueue, []

    def recorded(*arguments: Any) -> None:
        queues.append(arguments[-1])
        enqueue(*arguments)

    monkeypatch.setattr(_ops, "_enqueue", recorded)
    found = passes(moved, x, dy, CudaTensor.upload)
    assert [queue[2] == queue[3].data_ptr() != 0 for queue in queues] == [True, True]
    for a, b in zip(passes(layer, x, dy), found, strict=True):
        assert torch.equal(a, b.download())


def test_memory_that_pytorch_holds_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back, forward = [], _native.cuda_forward

    def full(*arguments: object) -> None:
        if not given_back:
            raise MemoryError
        forward(*arguments)

    monkeypatch.setattr(_native, "cuda_forward", full)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(True))
    x = torch.randn(2, 3, 8, 8)
    y = drop_block2d(CudaTensor.upload(x), 0.3, 3, key=KEY)
    assert torch.equal(y.download(), drop_block2d(x, 0.3, 3, key=KEY)) and given_back == [True]


def test_a_graph_needs_a_seed(cuda: SimpleNamespace) -> None:
    cuda.capturing = True
    with pytest.raises(RuntimeError, match="give the layer a seed"):
        drop_block2d(CudaTensor.upload(torch.randn(2, 3, 8, 8)), 0.3, 3)


def test_the_check_of_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "DIMS", [(2, 3, 6, 5)])
    results = [*check._against_cpu(CudaTensor.upload), *check._keys_on_device(CudaTensor.upload)]
    assert len(results) == 485 and all(same for same, _ in results)


def test_a_step_elsewhere_is_refused() -> None:
    x, prob = torch.randn(2, 3, 8, 8), torch.tensor(0.3, dtype=torch.float64)
    key = torch.tensor(KEY)
    for step in [torch.tensor([1.0]), torch.tensor([1, 2]), torch.empty(1, device="meta").long()]:
        with pytest.raises(ValueError, match=r"step must be a torch.int64 tensor of 1 on cpu"):
            drop_block(x, prob, key, "block=3", step=step)
