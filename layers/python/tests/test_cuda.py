"""The native passes on a CUDA device or the interpreter, by addresses, against those on the CPU."""

import itertools
import os
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import table
from device import DeviceMemory, Driver, driver
from raw import Memory, double, native, pack, strides, words

if not hasattr(native, "cuda_forward"):
    pytest.skip("the native part has CUDA on Linux only", allow_module_level=True)
BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
SCALES = ["per_tensor", "per_sample", "per_map", "per_position", "fixed", "off"]
SHARINGS = ["none", "over_channels", "over_samples", "over_all"]


@pytest.fixture(scope="module")
def cuda() -> Driver:
    return driver()


@pytest.fixture(scope="module")
def stream(cuda: Driver) -> int:
    return cuda.stream()


class Call:
    """The arguments of a forward and a backward pass."""

    def __init__(
        self,
        dtype: str,
        dims: tuple[int, ...],
        options: str,
        prob: float = 0.3,
        key: tuple[int, int, int, int] = (5, 6, 7, 8),
        count: tuple[int, int] | None = None,
        at: list[int] | None = None,
    ) -> None:
        self.dtype, self.dims, self.options, self.strides = (
            dtype,
            dims,
            options,
            at or strides(dims),
        )
        self.prob, self.key, self.first = double(prob), words(*key[:3]), key[3]
        self.count = words(*count) if count else None
        self.drawn = words(*[0] * 7)
        elements = 1 + sum((size - 1) * step for size, step in zip(dims, self.strides, strict=True))
        values = random.Random(len(options)).choices(range(-500, 500), k=2 * elements)
        values = [value / 8 for value in values]
        self.x, self.dy = pack(values[:elements], dtype), pack(values[elements:], dtype)

    def forward(self, x: int, y: int, step: int, *queue: object) -> None:
        run = native.cuda_forward if isinstance(queue[0], tuple) else native.forward
        run(
            (x, self.strides),
            (y, self.strides),
            self.dtype,
            self.dims,
            self.options,
            self.prob.address,
            self.key.address,
            step,
            self.first,
            self.count.address if self.count else 0,
            self.drawn.address,
            *queue,
        )

    def backward(self, dy: int, dx: int, step: int, *queue: object) -> None:
        arguments = (
            (dy, self.strides),
            (dx, self.strides),
            self.dtype,
            self.dims,
            self.options,
            self.drawn.address,
        )
        if isinstance(queue[0], tuple):
            native.cuda_backward(*arguments, step, *queue)
        else:
            native.backward(*arguments, *queue)

    def on_cpu(self, in_place: bool = False, step: int = 0) -> tuple[bytes, bytes]:
        x, dy = Memory(self.x), Memory(self.dy)
        y, dx = (x, dy) if in_place else (Memory(bytes(x.size)), Memory(bytes(x.size)))
        self.forward(x.address, y.address, step, 1)
        self.backward(dy.address, dx.address, 0, 1)
        return y.bytes(), dx.bytes()

    def on_cuda(self, cuda: Driver, queue: tuple[int, ...], in_place: bool = False, step: int = 0):
        """Enqueues both passes, and gives the memory in which the results will be."""
        x, dy = DeviceMemory(cuda, self.x), DeviceMemory(cuda, self.dy)
        fresh = [DeviceMemory(cuda, bytes(x.size)) for _ in range(0 if in_place else 2)]
        y, dx = (x, dy) if in_place else fresh
        self.forward(x.address, y.address, step, queue)
        self.backward(dy.address, dx.address, step, queue)
        return y, dx, x, dy


def check(cuda: Driver, stream: int, call: Call, in_place: bool = False) -> None:
    y, dx, x, dy = call.on_cuda(cuda, (0, stream, 0), in_place)
    found = y.bytes(stream), dx.bytes(stream)
    assert found == call.on_cpu(in_place), (call.dtype, call.dims, call.strides, call.options)
    assert in_place or (x.bytes(), dy.bytes()) == (call.x, call.dy), "the input is not written"


@pytest.mark.parametrize("dtype", table.DTYPES)
def test_a_device_gives_the_table(cuda: Driver, stream: int, dtype: str) -> None:
    for case in table.cases():
        call = Call(dtype, case.dims, case.options, case.prob, case.key)
        call.x, call.dy = (pack(values, dtype) for values in table.tensors(case.dims))
        y, dx, *_ = call.on_cuda(cuda, (0, stream, 0))
        found = [table.digest(memory.bytes(stream)) for memory in (y, dx)]
        assert found == case.outputs[dtype], case


@pytest.mark.parametrize("dtype", table.DTYPES)
def test_every_sharing_scale_and_fill(cuda: Driver, stream: int, dtype: str) -> None:
    for sharing, scale, noise in itertools.product(SHARINGS, SCALES, ["", " fill=noise"]):
        options = f"block=3 sharing={sharing} scale={scale}{noise}"
        check(cuda, stream, Call(dtype, (3, 4, 7, 9), options))


@pytest.mark.parametrize("dtype", table.DTYPES)
def test_strides_change_no_bit(cuda: Driver, stream: int, dtype: str) -> None:
    dims = (3, 8, 7, 10)
    last = strides(dims, [0, 2, 3, 1])
    gaps = [step * 2 for step in strides(dims)]
    for at, options, in_place in itertools.product(
        [last, gaps, strides(dims, [3, 1, 0, 2])],
        ["block=3", "block=1 scale=per_sample", "block=3 scale=per_map fill=noise"],
        [False, True],
    ):
        check(cuda, stream, Call(dtype, dims, options, at=at), in_place)
    check(
        cuda,
        stream,
        Call(dtype, (2, 8, 5, 4, 6), "block=2", at=strides((2, 8, 5, 4, 6), [0, 2, 3, 4, 1])),
    )


def test_empty_tensors_and_all_probabilities(cuda: Driver, stream: int) -> None:
    for dims in [(0, 3, 8, 8), (2, 0, 8, 8), (2, 3, 0, 8)]:
        call = Call("float32", (1, 1, 1, 1), "block=3")
        call.dims, call.strides = dims, strides(dims)
        call.forward(0, 0, 0, (0, stream, 0))
        call.backward(0, 0, 0, (0, stream, 0))
    for prob, scale in itertools.product([0.0, 1.0], SCALES):
        check(cuda, stream, Call("float32", (2, 3, 6, 5), f"block=3 scale={scale}", prob))


def test_parts_of_a_batch_with_the_count_of_the_whole(cuda: Driver, stream: int) -> None:
    dims, unit = (5, 3, 11, 13), 3 * 11 * 13
    for noise, dtype in itertools.product(["", " fill=noise"], table.DTYPES):
        whole = Call(dtype, dims, "block=3" + noise, key=(1, 2, 3, 0))
        expected = whole.on_cpu()
        arguments = whole.prob.address, whole.key.address, 0, 1
        count = native.count(dims, whole.options, *arguments)
        for first, samples in [(0, 2), (2, 3)]:
            part = Call(
                dtype, (samples, *dims[1:]), whole.options, key=(1, 2, 3, first), count=count
            )
            cut = slice(first * unit * BYTES[dtype], (first + samples) * unit * BYTES[dtype])
            part.x, part.dy = whole.x[cut], whole.dy[cut]
            y, dx, *_ = part.on_cuda(cuda, (0, stream, 0))
            assert (y.bytes(stream), dx.bytes(stream)) == tuple(data[cut] for data in expected)
    for count, options in [((5, 4), "block=3"), ((9, 9999), "block=3 scale=per_sample")]:
        call = Call("float32", dims, options, count=count)
        with pytest.raises(ValueError, match="count"):
            call.on_cuda(cuda, (0, stream, 0))


def test_the_step_is_read_when_the_work_runs(cuda: Driver, stream: int) -> None:
    for options in ["block=3", "block=1", "block=3 scale=per_map", "block=3 fill=noise"]:
        step = DeviceMemory(cuda, bytes(8))
        call, found = Call("float32", (2, 3, 9, 11), options), []
        steps = [0, 1, 17, (1 << 64) - 1]
        for number in steps:
            step.write(struct.pack("<Q", number), stream)
            found.append(call.on_cuda(cuda, (0, stream, 0), step=step.address)[:2])
        for number, memory in zip(steps, found, strict=True):
            host = words(number)
            expected = call.on_cpu(step=host.address)
            assert tuple(part.bytes(stream) for part in memory) == expected, (options, number)
            with_key = Call("float32", (2, 3, 9, 11), options, key=(5, number, 7, 8))
            assert with_key.on_cpu() == expected


def test_a_schedule_and_streams_in_turn(cuda: Driver, stream: int) -> None:
    """More probabilities than layers are kept, all enqueued before anything is waited for."""
    other, pending = cuda.stream(), []
    for i in range(24):
        at = stream if i % 3 else other
        call = Call("float32", (2, 5, 12, 12), "block=3", 0.02 * (i % 12), key=(1, i, 0, 0))
        pending.append((call, at, call.on_cuda(cuda, (0, at, 0))))
    for call, at, (y, dx, *_) in pending:
        assert (y.bytes(at), dx.bytes(at)) == call.on_cpu()


def test_threads(cuda: Driver) -> None:
    call = Call("bfloat16", (2, 5, 12, 12), "block=3")
    expected, found = call.on_cpu(), []

    def run() -> None:
        cuda.enter()
        stream = cuda.stream()
        for _ in range(3):
            y, dx, *_ = Call("bfloat16", (2, 5, 12, 12), "block=3").on_cuda(cuda, (0, stream, 0))
            found.append((y.bytes(stream), dx.bytes(stream)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 9


def test_the_context_of_the_thread_stays(cuda: Driver, stream: int) -> None:
    call = Call("float32", (2, 3, 6, 5), "block=3")
    call.on_cuda(cuda, (0, stream, 0))
    assert cuda.current() == cuda.context.value
    x = DeviceMemory(cuda, call.x)
    cuda("cuCtxSetCurrent", None)
    call.forward(x.address, x.address, 0, (0, stream, 0))
    assert cuda.current() is None
    cuda.enter()
    assert x.bytes(stream) == call.on_cpu(in_place=True)[0]


def test_what_a_graph_is_given(cuda: Driver, stream: int) -> None:
    """A capture is told by a workspace, which the driver does not see: the interpreter has no graphs. All
    that a capture forbids must not happen, and what a replay reads must stay."""
    capture = cuda.stream()
    for options in [
        "block=3",
        "block=3 scale=per_map",
        "block=3 fill=noise",
        "block=1 scale=fixed",
    ]:
        call = Call("float32", (2, 3, 10, 9), f"{options} region=full", 0.25)
        plain = (call.x, call.strides), call.dims, call.options, call.prob.address
        place = ((0, call.strides), *plain[1:], 0)
        with pytest.raises(RuntimeError, match="run forward and backward once before the capture"):
            native.cuda_workspace(*place)
        call.on_cuda(cuda, (0, stream, 0))
        workspace = DeviceMemory(cuda, bytes(8 * native.cuda_workspace(*place)))
        queue = (0, capture, workspace.address)
        expected = call.on_cpu()
        y, dx, *_ = call.on_cuda(cuda, queue)
        assert (y.bytes(capture), dx.bytes(capture)) == expected
        for i in range(12):
            Call("float32", call.dims, call.options, 0.02 * i).on_cuda(cuda, (0, stream, 0))
        y, dx, *_ = call.on_cuda(cuda, queue)
        assert (y.bytes(capture), dx.bytes(capture)) == expected, "its layer has not changed"
        with pytest.raises(RuntimeError, match="run forward and backward once"):
            Call("float32", call.dims, call.options, 0.9).on_cuda(cuda, queue)


def test_bad_arguments_are_refused(cuda: Driver, stream: int) -> None:
    call = Call("float32", (2, 3, 6, 5), "block=3")
    x = DeviceMemory(cuda, call.x)

    def forward(at: tuple[int, list[int]], dtype: str, device: int = 0) -> None:
        native.cuda_forward(
            at,
            (x.address, call.strides),
            dtype,
            call.dims,
            call.options,
            call.prob.address,
            call.key.address,
            0,
            0,
            0,
            call.drawn.address,
            (device, stream, 0),
        )

    with pytest.raises(TypeError, match="got int8"):
        forward((x.address, call.strides), "int8")
    with pytest.raises(ValueError, match="strides of input and output must be equal"):
        forward((x.address, strides(call.dims, [0, 2, 3, 1])), "float32")
    with pytest.raises(RuntimeError, match="device address must not be 0"):
        forward((0, call.strides), "float32")
    with pytest.raises(RuntimeError, match="must be a multiple of 4"):
        forward((x.address + 2, call.strides), "float32")
    with pytest.raises(RuntimeError, match="must not overlap"):
        forward((x.address + 4, call.strides), "float32")
    with pytest.raises(RuntimeError, match="CUDA device must be below"):
        forward((x.address, call.strides), "float32", device=99)
    call.strides = [0, 0, 0, 0]
    with pytest.raises(ValueError, match="stride"):
        forward((x.address, call.strides), "float32")
    assert x.bytes(stream) == call.x


def test_instructions_are_those_of_the_cpu(cuda: Driver) -> None:
    assert native.cuda_count() >= 1
    native.cuda_self_test(0)


CALLS = """
import sys
from test_cuda import Call, DeviceMemory, driver
cuda = driver()
stream, call = cuda.stream(), Call("float32", (2, 3, 10, 9), "block=3")
x, step = DeviceMemory(cuda, call.x), DeviceMemory(cuda, bytes(8))
for round in range(8):
    call.prob = __import__("raw").double(0.05 * round)
    print("round", round, file=sys.stderr, flush=True)
    call.forward(x.address, x.address, step.address, (0, stream, 0))
    call.backward(x.address, x.address, step.address, (0, stream, 0))
print("end", file=sys.stderr, flush=True)
cuda.synchronize(stream)
"""


def python(program: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
    """A process with these variables that can import what is here."""
    environment = {**os.environ, **variables}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=check,
    )


def test_nothing_is_waited_for_nor_allocated(cuda: Driver) -> None:
    """What a training asks of the driver once its layers are there, with a probability that changes."""
    if not cuda.is_interpreter:
        pytest.skip("only the interpreter tells its calls")
    child = python(CALLS, PTX_CALLS="1")
    rounds = child.stderr.split("end\n")[0].split("round ")[1:]
    prefix = "ptx-interpreter: call cu"
    calls = [
        [line[len(prefix) :] for line in r.splitlines() if line.startswith(prefix)] for r in rounds
    ]
    assert "MemAlloc_v2" in " ".join(calls[1]), "a new layer takes memory"
    for found in calls[4:]:
        assert set(found) == {"CtxGetCurrent", "LaunchKernel"}, found


FULL = """
import ctypes
from test_cuda import Call, DeviceMemory, driver
cuda = driver()
stream, call = cuda.stream(), Call("float32", (2, 3, 100, 90), "block=3")
first = Call("float32", (2, 3, 10, 9), "block=3").on_cuda(cuda, (0, stream, 0))
call_memory, held, size = DeviceMemory(cuda, call.x), [], 1 << 20
while size >= 256:
    block = ctypes.c_uint64()
    if cuda.library.cuMemAlloc_v2(ctypes.byref(block), ctypes.c_size_t(size)) == 0:
        held.append(block)
    else:
        size //= 2
try:
    call.forward(call_memory.address, call_memory.address, 0, (0, stream, 0))
except MemoryError as error:
    print(error)
for block in held:
    cuda("cuMemFree_v2", block)
call.forward(call_memory.address, call_memory.address, 0, (0, stream, 0))
print(call_memory.bytes(stream) == call.on_cpu(in_place=True)[0])
"""


def test_a_device_without_free_memory(cuda: Driver) -> None:
    if not cuda.is_interpreter:
        pytest.skip("it fills the memory of the device")
    lines = python(FULL, PTX_MEMORY=str(1 << 24)).stdout.splitlines()
    assert len(lines) == 2 and lines[1] == "True"
    assert lines[0].startswith("CUDA device has not enough free memory, ")


def test_without_a_driver(tmp_path: Path) -> None:
    """The package is imported and runs on the CPU; a device is a clear error."""
    (tmp_path / "libcuda.so.1").touch()
    program = (
        "from raw import native\n"
        "from test_cuda import Call\n"
        "Call('float32', (2, 3, 6, 5), 'block=3').on_cpu()\n"
        "native.cuda_count()\n"
    )
    child = python(program, check=False, LD_LIBRARY_PATH=str(tmp_path))
    assert child.stderr.splitlines()[-1] == (
        "RuntimeError: there is no CUDA driver: libcuda.so.1 was not found"
    ), child.stderr
