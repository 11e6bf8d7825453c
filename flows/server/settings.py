"""Settings that must stand in the environment before Prefect is imported.

Prefect 3.8.8 reads them there, once, and so do the processes it starts: the environment of the process is the place
for them.  Prefect's home lies in the run folder, so that a run leaves nothing elsewhere; both telemetry switches are
off; the embedded server gets time to start on a slow machine.  What the user has set stays, and so do the profiles of
the user's own home where one of them names the server.
"""

import os
from pathlib import Path

from flows.server.address import configured, profile_names, profiles_path
from pipeline.base import storage
from pipeline.run import layout


def flow_runs_folder() -> Path:
    """Where how flow runs ended is written down; one that is empty needs no Prefect (``ended_runs``)."""
    return storage.cache_folder() / "flow_runs"


def prepare(root: str) -> None:
    """Sets Prefect's environment for the run folder ``root``."""
    home = (
        storage.local_path(storage.join(root, layout.PREFECT))
        if storage.is_local(root)
        else storage.cache_folder() / "prefect"
    )
    if os.path.expanduser("~") == "~":  # a user without a name or a home, whom Prefect does not start for
        os.environ["TOKENMILL_CACHE"] = str(storage.cache_folder())  # where this process has its kernels
        os.environ["HOME"] = str(storage.temporary_folder("home"))
    profiles = profiles_path() if configured() else None  # the user's, not found any more once another home is set
    if not profiles and os.environ.get("PREFECT_PROFILE") in profile_names():
        del os.environ["PREFECT_PROFILE"]  # it names no server, and Prefect would miss it
    defaults = {
        **({"PREFECT_PROFILES_PATH": str(profiles)} if profiles else {}),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the commands speak for themselves
        "PREFECT_LOGGING_EXTRA_LOGGERS": "tokenmill",  # progress lines, onto the run's page
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_CLI_PROMPT": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_OFFLINE": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
