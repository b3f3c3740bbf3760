"""The native part by itself, and memory for it: PyTorch need not be there."""

import ctypes
import importlib.util
import struct
import sys
from pathlib import Path


def _load():
    """The module without its package, which imports torch."""
    if "dropblock_torch" in sys.modules:
        return sys.modules["dropblock_torch"]._native
    for folder in map(Path, sys.path):
        for path in sorted((folder / "dropblock_torch").glob("_native.*")):
            if path.suffix in (".so", ".pyd", ".dylib"):
                spec = importlib.util.spec_from_file_location("dropblock_torch._native", path)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    spec = importlib.util.find_spec("dropblock_torch")
    assert spec is not None, "the package is not installed"
    sys.path.insert(0, str(Path(spec.origin).parents[1]))
    return _load()


native = _load()


def pack(values: list[float], dtype: str) -> bytes:
    if dtype == "bfloat16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(
        f"<{len(values)}{ {'float32': 'f', 'float64': 'd', 'float16': 'e'}[dtype] }", *values
    )


class Memory:
    """Bytes at an address that is a multiple of 16."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.buffer = ctypes.create_string_buffer(len(data) + 16)
        self.address = (ctypes.addressof(self.buffer) + 15) // 16 * 16
        ctypes.memmove(self.address, data, len(data))

    def bytes(self) -> bytes:
        return ctypes.string_at(self.address, self.size)


def words(*values: int) -> Memory:
    return Memory(struct.pack(f"<{len(values)}Q", *values))


def double(value: float) -> Memory:
    return Memory(struct.pack("<d", value))


def strides(dims: tuple[int, ...], order: list[int] | None = None) -> list[int]:
    """Those of a tensor without gaps whose axes lie in this order, outermost first."""
    result, stride = [0] * len(dims), 1
    for axis in reversed(order or range(len(dims))):
        result[axis] = stride
        stride *= dims[axis]
    return result
