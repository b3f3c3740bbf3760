"""`layers/table.txt`, the table that the layers of all frameworks agree with."""

from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parents[2] / "table.txt"
DTYPES = ("float32", "float64", "float16", "bfloat16")
_NAMES = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16"}


@dataclass
class Case:
    dims: tuple[int, ...]
    options: str
    prob: float
    key: tuple[int, int, int, int]
    mask: str
    outputs: dict[str, list[str]]


def cases() -> list[Case]:
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [_parse(line) for line in lines]


def _parse(line: str) -> Case:
    values = dict(token.split("=") for token in line.split())

    def numbers(name: str) -> tuple[int, ...]:
        return tuple(map(int, values.pop(name).split(",")))

    dims, key = numbers("dims"), numbers("key")
    prob, mask = float(values.pop("prob")), values.pop("mask")
    outputs = {dtype: values.pop(name).split("/") for name, dtype in _NAMES.items()}
    options = " ".join(f"{name}={value}" for name, value in values.items())
    return Case(dims, options, prob, key, mask, outputs)  # type: ignore[arg-type]


def tensors(dims: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """The input and the gradient of a case."""
    units = 1
    for size in dims:
        units *= size
    return (
        [(37 * i % 101 - 50) / 8 for i in range(units)],
        [(53 * i % 103 - 51) / 8 for i in range(units)],
    )


def digest(data: bytes) -> str:
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"
