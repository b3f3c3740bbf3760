"""Memory and streams of a CUDA device by the driver's own functions: of a GPU, or of the interpreter in
`tests/ptx-interpreter` at the root, which takes the place of the driver."""

import ctypes
import os

import pytest

REQUIRED = os.environ.get("DROPBLOCK_REQUIRE_CUDA") == "1"
_WORD = ctypes.c_uint64


class Driver:
    """The first device, with its primary context current, as PyTorch has it."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")
        self("cuInit", 0)
        context, device = ctypes.c_void_p(), ctypes.c_int()
        self("cuDeviceGet", ctypes.byref(device), 0)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.context = context
        self.enter()
        name = ctypes.create_string_buffer(64)
        self("cuDeviceGetName", name, 64, device)
        self.is_interpreter = name.value == b"PTX interpreter"

    def __call__(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, name)(*arguments)
        assert code == 0, f"{name}: {code}"

    def enter(self) -> None:
        self("cuCtxSetCurrent", self.context)

    def current(self) -> int | None:
        context = ctypes.c_void_p()
        self("cuCtxGetCurrent", ctypes.byref(context))
        return context.value

    def stream(self) -> int:
        """A stream that does not wait for the default stream, as those of PyTorch."""
        stream = ctypes.c_void_p()
        self("cuStreamCreate", ctypes.byref(stream), 1)
        return stream.value or 0

    def synchronize(self, stream: int = 0) -> None:
        self("cuStreamSynchronize", ctypes.c_void_p(stream))


class DeviceMemory:
    """Bytes on the device, amid bytes that nothing may write."""

    GUARD = bytes(range(64)) * 2

    def __init__(self, driver: Driver, data: bytes) -> None:
        self.driver, self.size = driver, len(data)
        self.base = _WORD()
        whole = self.GUARD + data + self.GUARD
        driver("cuMemAlloc_v2", ctypes.byref(self.base), ctypes.c_size_t(len(whole)))
        driver("cuMemcpyHtoD_v2", self.base, whole, ctypes.c_size_t(len(whole)))
        driver.synchronize()
        self.address = self.base.value + len(self.GUARD)

    def bytes(self, stream: int = 0) -> bytes:
        """What is there when the work of the stream is done."""
        self.driver.synchronize(stream)
        whole = ctypes.create_string_buffer(self.size + 2 * len(self.GUARD))
        self.driver("cuMemcpyDtoH_v2", whole, self.base, ctypes.c_size_t(len(whole)))
        end = len(self.GUARD) + self.size
        assert whole.raw[: len(self.GUARD)] == self.GUARD == whole.raw[end:], "a guard is written"
        return whole.raw[len(self.GUARD) : end]

    def write(self, data: bytes, stream: int) -> None:
        """Enqueues a copy of bytes, which are kept until it is done."""
        assert len(data) == self.size
        self.kept = getattr(self, "kept", [])
        self.kept.append(data)
        self.driver(
            "cuMemcpyHtoDAsync_v2",
            _WORD(self.address),
            data,
            ctypes.c_size_t(self.size),
            ctypes.c_void_p(stream),
        )

    def __del__(self) -> None:
        self.driver.enter()
        self.driver("cuCtxSynchronize")
        self.driver("cuMemFree_v2", self.base)


def driver() -> Driver:
    """The driver. Without one the test is skipped, or fails where a device is required."""
    try:
        return Driver()
    except (OSError, AssertionError) as error:
        if REQUIRED:
            raise
        pytest.skip(f"no CUDA device: {error}")
