"""What cannot run is named, so that a run without PyTorch is no pass of what needs it."""

import importlib.util

collect_ignore: list[str] = []
if importlib.util.find_spec("torch") is None:
    from pathlib import Path

    names = sorted(path.name for path in Path(__file__).parent.glob("test_*.py"))
    collect_ignore = [name for name in names if name != "test_native.py"]
    print(f"not run: {' '.join(collect_ignore)}: no torch")
