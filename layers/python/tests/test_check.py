"""The check of an installation, ``python -m dropblock_torch.check``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dropblock_torch import _native, _ops, check


def test_it_runs_and_says_what_there_is(tmp_path: Path) -> None:
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        # No driver, rather than the interpreter that takes its place.
        (tmp_path / "libcuda.so.1").touch()
        environment["LD_LIBRARY_PATH"] = str(tmp_path)
    child = subprocess.run(
        [sys.executable, "-m", "dropblock_torch.check", "--once"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    lines = child.stdout.splitlines()
    assert lines[0].startswith("dropblock-torch 0.1.0, mask version 1, ")
    assert "CPU and specification: 1920 of 1920 equal" in lines
    if not torch.cuda.is_available():
        (reason,) = (line for line in lines if line.startswith("no CUDA device: "))
        if _ops._CUDA and torch.version.cuda is not None:
            assert reason.endswith("there is no CUDA driver: libcuda.so.1 was not found")
    assert any("F.dropout" in line for line in lines)
    assert lines[-1] == "all equal"


def test_a_difference_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "DIMS", [(2, 3, 6, 5)])
    monkeypatch.setattr(sys, "argv", ["check", "--once"])
    specified = check._specified

    def other(x: torch.Tensor, options: str, prob: float) -> torch.Tensor:
        y = specified(x, options, prob)
        if options == "block=1" and prob == 0.1:
            y.view(-1)[:1] = -y.view(-1)[:1]
        return y

    monkeypatch.setattr(check, "_specified", other)
    assert check.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "CPU and specification: 472 of 480 equal" in lines
    assert "  not equal: (2, 3, 6, 5) torch.float32 block=1 prob=0.1" in lines
    assert lines[-1] == "NOT EQUAL"


def test_it_says_why_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> int:
        raise RuntimeError("there is no CUDA driver: libcuda.so.1 was not found")

    monkeypatch.setattr(_ops, "_CUDA", True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert check._no_cuda() == "this PyTorch is built without CUDA"
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(_native, "cuda_count", missing, raising=False)
    assert check._no_cuda() == "there is no CUDA driver: libcuda.so.1 was not found"
    monkeypatch.setattr(_native, "cuda_count", lambda: 1, raising=False)
    assert check._no_cuda() == "the driver has 1, but torch.cuda.is_available() is False"
    monkeypatch.setattr(_ops, "_CUDA", False)
    assert check._no_cuda() == "this package has CUDA on Linux only"
