"""Writes ``requirements.lock``: what `make setup` installs, each file with its digest (`make lock`).

``python -m tests.tools.make_lock UV`` resolves the dependencies of pyproject.toml, and what builds an editable install,
for every Python and system at once, within the versions of constraints.txt.  torch stays out with what only its CUDA
builds bring: which build there is decides whoever installs (`make setup TORCH=...`).
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "requirements.lock"
BUILD = "hatchling>=1.26\neditables>=0.5\n"
CHOSEN_BY_USER = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEAD = """# What `make setup` installs, with the digest of every file that it may be: made by `make lock`, not by hand.
# Without torch, whose build is chosen at the installation, and without what only its CUDA builds need.
"""


def without_torch(text: str) -> str:
    """The lock without the packages that come with the chosen build of torch.

    Example:
        >>> without_torch("numpy==2.0 \\\\\\n    --hash=sha256:00\\ntorch==2.9 \\\\\\n    --hash=sha256:11\\n")
        'numpy==2.0 \\\\\\n    --hash=sha256:00\\n'
    """
    packages = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    return "".join(package for package in packages if not CHOSEN_BY_USER.match(package))


def main(uv: str) -> None:
    """Resolves and writes.

    Raises:
        SystemExit: If there is no such uv, or it finds no versions that fit.
    """
    if shutil.which(uv) is None:
        raise SystemExit(
            f"{uv}: not found; `pip install uv` into an environment of its own, then `make lock UV=its/bin/uv`"
        )
    with tempfile.TemporaryDirectory(prefix="tokenmill-lock-") as folder:
        made, build = Path(folder, "made"), Path(folder, "build.in")
        build.write_text(BUILD, encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--constraints", "constraints.txt", "--output-file", str(made)]
        if subprocess.run([*command, "pyproject.toml", str(build)], cwd=REPOSITORY, check=False).returncode:
            raise SystemExit("uv found no versions that fit, as it says above; requirements.lock is as it was")
        LOCK.write_text(HEAD + without_torch(made.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
