"""How a failure stands in the logs of a run's page: one sentence, and of an error of ours no traceback below it.

Prefect 3.8.8 writes the repr of the error and its whole traceback, through fifty frames of its own, once or twice for
each task, sub-flow and flow that the error passes, and once more in the name of the state.
"""

import logging

from flows.display.tracebacks import cut, shortened
from pipeline.base.errors import TokenmillError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
FAILED = "Finished in state Failed("
FAILURES = ("Encountered exception", "Task run failed with", "Execution of flow run", "Execution exited", "Engine exec")


class InOneSentence(logging.Filter):
    """Rewrites records of failures, and drops those that say one again; every other record stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[object, BaseException] | None = None  # the run and the error that were told last

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        if str(record.msg).startswith(FAILED):
            record.msg, record.args = FAILED.rstrip("("), ()
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not str(record.msg).startswith(FAILURES):  # what goes wrong beside a run is told whole
            return True
        run = getattr(record, "task_run_id", None) or getattr(record, "flow_run_id", None)
        again = self._last is not None and self._last[0] == run and self._last[1] is error
        self._last = (run, error)
        record.msg, record.args, record.exc_info, record.exc_text = told(error), (), None, None
        return not again


def told(error: BaseException) -> str:
    """The sentence of an expected error; of another one also where in our code it happened."""
    if isinstance(error, TokenmillError):
        return cut(str(error))
    return f"{type(error).__name__}: {cut(str(error))}\n\n{shortened(error)}"


def told_in_one_sentence() -> None:
    """Puts the filter before Prefect's own loggers of runs, once."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, InOneSentence) for found in logger.filters):
            logger.addFilter(InOneSentence())
