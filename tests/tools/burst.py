"""A burst of task runs, artifacts and log lines on the embedded server: ``python -m tests.tools.burst ROOT NUMBER``."""

import logging
import sys

from flows.server.embedded import prefect_api
from flows.server.settings import prepare


def burst(number: int) -> None:
    """Runs a flow with so many tasks, each with an artifact and a log line, as fast as they go."""
    from prefect import flow, task

    from flows.session.artifacts import Artifacts

    log = logging.getLogger("tokenmill")
    with Artifacts() as artifacts:
        # as fast as tasks go, many more a second than stages ever come
        @task
        def one(n: int) -> None:
            log.info("line %d", n)
            artifacts.table(f"burst-{n}", [{"n": n}], "one of many")

        @flow
        def many() -> None:
            artifacts.start("burst")
            for n in range(number):
                one(n)
                artifacts.update("burst", (n + 1) / number, f"{n + 1} of {number}")

        many()


if __name__ == "__main__":
    prepare(sys.argv[1])
    with prefect_api(lambda: None):
        burst(int(sys.argv[2]))
