"""What is closed at the end of a ``with``."""

from typing import Self


class Closable:
    """Base of what holds a file, a thread or the like: the end of a ``with`` closes it, also an error's."""

    def close(self) -> None:
        """Lets go of what is held; nothing, where a class does not say otherwise."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
