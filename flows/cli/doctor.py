"""``tokenmill doctor``: each check says what was found and, if it is wrong, what to do."""

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Literal
from urllib.request import getproxies

from flows.display.answer import answer
from flows.display.options import Flag, Json
from model.devices.gpus import visible_gpus
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.clean.languages.identify import FASTTEXT
from pipeline.run.engines import EngineOptions, why_not
from pipeline.screen.cold import MODULES, are_compiled

OWNERS_OF_FASTTEXT = {
    "fasttext",
    "fasttext-wheel",
    "fasttext-predict",
    "fasttext-numpy2",
    "fasttext-numpy2-wheel",
    "fasttext-community",
}
NEEDED = ("pyarrow", "numba", "datasketch", "datatrove", "tokenizers", "gigatoken", "torch", "prefect", "fastapi")
VECTORS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
PROC = Path("/proc")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
MEMORY_PER_WORKER = 10**9  # generous: clean peaked at 0.4 GB (docs/benchmarks/clean.md), and the process itself
FREE_DISK = 5 << 30


def doctor(*, warm: Flag = False, json: Json = False) -> int:
    """Check this environment (packages, processor, disk, the pairs that must fit) and say what to do.

    Example: tokenmill doctor --warm

    Parameters
    ----------
    warm
        Compile the kernels for this machine first, which otherwise the first run does: a minute or two.
    """
    if warm:
        from pipeline.warm import compile_all

        compile_all()
    rows = checks()
    lines = []
    for row in rows:
        lines.append(f"{'ok ' if row['ok'] else 'BAD'} {row['name']:22} {row['found']}")
        lines += [] if row["ok"] else [f"    {row['advice']}"]
    answer(json, {"checks": rows}, "\n".join(lines))
    return 0 if all(row["ok"] for row in rows) else 1


def checks() -> list[dict[str, Any]]:
    """Every check as ``{"name", "ok", "found", "advice"}``."""
    rows = [
        _python(),
        *_packages(),
        _fasttext(),
        _prefect_pair(),
        _prefect_server(),
        _engines(),
        _processor(),
        _memory(),
        _gpu(),
    ]
    return [*rows, _disk(), _cache(), _kernels(), _proxy(), _streams()]


def _row(name: str, ok: bool, found: str, advice: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, "advice": advice}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> dict[str, Any]:
    ok = (3, 11) <= sys.version_info[:2] < (3, 15)
    return _row("python", ok, platform.python_version(), "tokenmill needs Python 3.11 to 3.14")


def _packages() -> list[dict[str, Any]]:
    rows = []
    for name in NEEDED:
        version = _version(name)
        rows.append(_row(name, version is not None, version or "missing", "pip install tokenmill"))
    return rows


def _fasttext() -> dict[str, Any]:
    others = sorted(name for name in OWNERS_OF_FASTTEXT - {FASTTEXT} if _version(name))
    version = _version(FASTTEXT)
    found = f"{FASTTEXT} {version or 'missing'}" + (f", and also {', '.join(others)}" if others else "")
    advice = (
        "several distributions own the module `fasttext` and overwrite each other: pip uninstall "
        f"{' '.join(others)} {FASTTEXT} && pip install {FASTTEXT}"
    )
    return _row("fasttext", version is not None and not others, found, advice)


def _prefect_pair() -> dict[str, Any]:
    fastapi = tuple(int(part) for part in (_version("fastapi") or "0.0").split(".")[:2])
    ok = (0, 139) <= fastapi < (0, 151)
    found = f"prefect {_version('prefect')} with fastapi {_version('fastapi')}"
    return _row("prefect and fastapi", ok, found, "pip install 'fastapi>=0.139,<0.151'")


def _prefect_server() -> dict[str, Any]:
    """The server that runs report to: the user's own, if its address is set, else one that each run starts."""
    from flows.server.address import configured

    server = configured()
    if server is None:
        return _row("prefect server", True, "embedded: each run starts its own")
    from flows.server.asking import check_server  # imports Prefect

    found = f"{server.url}, set by {server.origin}"
    try:
        check_server(server)
    except UserError as error:
        return _row("prefect server", False, found, str(error))
    return _row("prefect server", True, found)


def _engines() -> dict[str, Any]:
    """Where shards can be worked on; what is not there is no fault, only said."""
    found = ["local"]
    kinds: tuple[Literal["ray", "slurm"], ...] = ("ray", "slurm")
    for kind in kinds:
        missing = "; ".join(why.partition(": ")[2] for why in why_not(EngineOptions(kind=kind)))
        found.append(f"{kind} ({missing})" if missing else f"{kind} {_version(kind) or ''}".rstrip())
    return _row("engines", True, ", ".join(found))


def _processor() -> dict[str, Any]:
    flags: set[str] = set()
    information = PROC / "cpuinfo"
    if information.exists():
        lines = [line for line in information.read_text("utf-8").splitlines() if line.startswith(("flags", "Features"))]
        flags = set(lines[0].split()) if lines else set()
    wanted = [name for name in VECTORS if name in flags]
    found = f"{counted(len(os.sched_getaffinity(0)), 'processor')}, {' '.join(wanted) or 'no vector extensions found'}"
    advice = (
        "the kernels and torch are several times slower without AVX2; in a virtual machine ask for the host's own "
        "processor type (QEMU: -cpu host)"
    )
    return _row("processor", bool(wanted), found, advice)


def _memory() -> dict[str, Any]:
    """Memory of this machine; a container's own limit, where it is lower."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = CGROUP_LIMIT.read_text("utf-8").strip() if CGROUP_LIMIT.exists() else "max"
    available = min(total, int(limit)) if limit.isdigit() else total
    needed = MEMORY_PER_WORKER * len(os.sched_getaffinity(0))
    advice = f"{needed / 1e9:.0f} GB are needed with one worker per processor: start runs with --workers 1 or 2"
    return _row("memory", available >= needed, f"{available / 1e9:.1f} GB", advice)


def _gpu() -> dict[str, Any]:
    devices = visible_gpus()
    build = _version("torch") or "missing"
    ok = not (devices and "+cpu" in build)
    found = f"{counted(len(devices), 'NVIDIA device')}, torch {build}"
    return _row("GPU", ok, found, "this torch is a CPU build: pip install --force-reinstall torch, without +cpu")


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(".").free
    return _row("disk", free > FREE_DISK, f"{free / 1e9:.1f} GB free here", "a run needs about 3 times its raw text")


def _cache() -> dict[str, Any]:
    folder, wanted = str(storage.cache_folder()), storage.wanted_cache_folder()
    found = folder if folder == wanted else f"{folder}, since {wanted} cannot be written"
    advice = "set TOKENMILL_CACHE to a folder that can be written: what lies in a temporary one goes some day"
    return _row("kernel cache", folder == wanted, found, advice)


def _kernels() -> dict[str, Any]:
    """Whether the first run has to compile; it is no fault."""
    found = "compiled" if are_compiled(*MODULES) else "not compiled yet: the first run, or doctor --warm, does"
    return _row("kernels", True, found)


def _streams() -> dict[str, Any]:
    """Encodings of what is printed; documents and tables are UTF-8 whatever the locale."""
    found = f"standard output {sys.stdout.encoding}, standard error {sys.stderr.encoding}, files UTF-8"
    return _row("encodings", True, found)


def _proxy() -> dict[str, Any]:
    """The proxies of the environment, without their passwords."""
    proxies = {name: address for name, address in getproxies().items() if name != "no"}
    shown = [f"{name} {address.rpartition('@')[2].rpartition('//')[2]}" for name, address in sorted(proxies.items())]
    found = f"{', '.join(shown)}; not for {getproxies().get('no') or 'no host'}" if shown else "none"
    return _row("proxies", True, f"{found}; the embedded server is asked directly")
