"""What ``tokenmill doctor`` looks at: each check says what was found and, if it is wrong, what to do."""

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import Any

OWNERS_OF_FASTTEXT = ("fasttext", "fasttext-wheel", "fasttext-predict", "fasttext-numpy2", "fasttext-community")
NEEDED = ("pyarrow", "numba", "datasketch", "datatrove", "tokenizers", "gigatoken", "torch", "prefect", "fastapi")


def checks() -> list[dict[str, Any]]:
    """Every check as ``{"name", "ok", "found", "advice"}``."""
    return [*_packages(), _fasttext(), _prefect_pair(), _processor(), _gpu(), _disk(), _cache()]


def _row(name: str, ok: bool, found: str, advice: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, "advice": advice}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> list[dict[str, Any]]:
    rows = []
    for name in NEEDED:
        version = _version(name)
        rows.append(_row(name, version is not None, version or "missing", "pip install tokenmill"))
    return rows


def _fasttext() -> dict[str, Any]:
    others = [name for name in OWNERS_OF_FASTTEXT if _version(name)]
    version = _version("fasttext-numpy2-wheel")
    found = f"fasttext-numpy2-wheel {version or 'missing'}" + (f", and also {', '.join(others)}" if others else "")
    advice = (
        "several distributions own the module `fasttext` and overwrite each other: pip uninstall "
        f"{' '.join(others)} fasttext-numpy2-wheel && pip install fasttext-numpy2-wheel==0.9.2"
    )
    return _row("fasttext", version is not None and not others, found, advice)


def _prefect_pair() -> dict[str, Any]:
    fastapi = tuple(int(part) for part in (_version("fastapi") or "0.0").split(".")[:2])
    ok = (0, 139) <= fastapi < (0, 151)
    found = f"prefect {_version('prefect')} with fastapi {_version('fastapi')}"
    return _row("prefect and fastapi", ok, found, "pip install 'fastapi>=0.139,<0.151'")


def _processor() -> dict[str, Any]:
    flags: set[str] = set()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("flags")]
        flags = set(lines[0].split()) if lines else set()
    wanted = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    found = f"{len(os.sched_getaffinity(0))} processors, {' '.join(wanted) or 'no vector extensions found'}"
    return _row("processor", True, found)


def _gpu() -> dict[str, Any]:
    devices = sorted(Path("/proc/driver/nvidia/gpus").glob("*")) if Path("/proc/driver/nvidia/gpus").exists() else []
    build = _version("torch") or "missing"
    ok = not (devices and "+cpu" in build)
    found = f"{len(devices)} NVIDIA devices, torch {build}"
    return _row("GPU", ok, found, "this torch is a CPU build: pip install --force-reinstall torch, without +cpu")


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(Path.cwd()).free
    return _row("disk", free > 5 << 30, f"{free / 1e9:.1f} GB free here", "a run needs about 3 times its raw text")


def _cache() -> dict[str, Any]:
    from pipeline.storage import cache_folder

    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    ok = os.access(existing, os.W_OK)
    return _row("kernel cache", ok, str(folder), "set TOKENMILL_CACHE to a folder that can be written")
