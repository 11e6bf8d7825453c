"""Where a stage ran and by which command: for the report's last section, kept in the run's logs.

Nothing of this decides a byte of the outputs, and none of it stands in a manifest.
"""

import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.folder import Run


def command() -> str:
    """The command line of this process, as it can be typed again."""
    name = Path(sys.argv[0]).name
    first = ["tokenmill"] if name in ("tokenmill", "__main__.py") else [sys.argv[0]]
    return shlex.join([*first, *sys.argv[1:]])


def machine() -> dict[str, str]:
    """System, processor, memory, accelerators and Python of this machine, in words."""
    found = {
        "tokenmill": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
    }
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [line.split(":", 1)[1].strip() for gpu in gpus for line in gpu.read_text().splitlines() if "Model" in line]
    return found | ({"accelerators": ", ".join(models)} if models else {})


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def remember(run: Run, stage: str) -> None:
    """Writes down by which command, when and on what machine a stage has just done work."""
    known = recall(run) | {
        stage: {
            "command": command(),
            "folder": os.getcwd(),
            "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "machine": machine(),
        }
    }
    storage.publish_bytes((json.dumps(known, indent=1) + "\n").encode(), run.url(layout.ENVIRONMENT_LOG), run.root)


def recall(run: Run) -> dict[str, Any]:
    """What ``remember`` wrote, by stage."""
    url = run.url(layout.ENVIRONMENT_LOG)
    if not storage.exists(url):
        return {}
    loaded: dict[str, Any] = json.loads(storage.read_bytes(url))
    return loaded
