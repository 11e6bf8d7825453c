"""The words of the line that says where the work stands, as many as there is room for."""

from pipeline.base.progress import Moment
from pipeline.base.words import cells, cut, duration

BAR_CELLS = 20
LEAST_BAR_CELLS = 8
SURE_SECONDS = 5.0  # of work, before a share tells how long the rest takes
LATE_SECONDS = 5.0  # over the time that was left, until nothing more is said of it


def words_of(moment: Moment, worked: float, age: float) -> list[str]:
    """The parts of the line, the first one the most important.

    Args:
        moment: Where the work stands.
        worked: Seconds since the task began.
        age: Seconds since the moment.
    """
    head = f"{moment.task}: {moment.at}" if moment.at else moment.task
    left = seconds_left(moment, worked, age)
    time = f"{rounded(left)} left" if left is not None else f"{duration(worked)} so far"
    return [head, time, *moment.words]


def seconds_left(moment: Moment, worked: float, age: float) -> float | None:
    """Seconds that are left, one at the least, as far as they can be told; None where they have long been over."""
    left = moment.left
    if left is None and moment.share and worked - age >= SURE_SECONDS:
        left = (worked - age) * (1.0 - moment.share) / moment.share
    return None if left is None or left - age < -LATE_SECONDS else max(1.0, left - age)


def rounded(seconds: float) -> str:
    """Seconds as an estimate is told: no seconds beside minutes."""
    return duration(seconds) if not 120 <= seconds < 3600 else f"{round(seconds / 60)} min"


def sentence(moment: Moment, worked: float, age: float) -> str:
    """The whole line, for where no terminal limits it."""
    head, time, *more = words_of(moment, worked, age)
    return ", ".join([head, *more, time]) if moment.at or more else f"{head}, {time}"


def fitted(moment: Moment, worked: float, age: float, width: int) -> str:
    """The line in ``width`` columns: the least important words are left out; where there is room, a bar is drawn.

    Example:
        >>> moment = Moment("train", "step 17 of 40", ("loss 6.9", "1,204 tok/s"), 0.4, 130.0)
        >>> fitted(moment, 90.0, 0.0, 44)
        'train: step 17 of 40, loss 6.9, 2 min left'
    """
    head, time, *more = words_of(moment, worked, age)
    for kept in range(len(more), -1, -1):
        line = ", ".join([head, *more[:kept], time])
        if cells(line) <= width:
            return line + _bar(moment.share, width - cells(line) - 2)
    return cut(head, width)


def _bar(share: float | None, room: int) -> str:
    width = min(BAR_CELLS, room - 2)
    if not share or width < LEAST_BAR_CELLS:
        return ""
    done = round(min(1.0, max(0.0, share)) * width)
    return f"  [{'#' * done}{'-' * (width - done)}]"
