"""The network never asks where its tensors are: model/network/ops.py alone decides which kernels a device gets."""

import ast
from pathlib import Path

DOOR = "ops.py"


def device_tests(path: Path) -> list[str]:
    """Places that ask for a tensor's kind of device: ``x.device.type``, ``x.is_cuda``, ``x.is_cpu``, ``torch.cuda``."""
    return [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (
            node.attr in ("is_cuda", "is_cpu", "get_device")
            or ast.unparse(node).endswith(("device.type", "torch.cuda"))
        )
    ]


def test_only_the_door_asks_for_a_device(repository: Path) -> None:
    modules = sorted((repository / "model" / "network").glob("*.py"))
    asking = {path.name: device_tests(path) for path in modules}
    assert asking.pop(DOOR), "the door decides by the device"
    assert [place for places in asking.values() for place in places] == []
