"""What is closed at the end of a `with` block."""

from __future__ import annotations

from typing import Self


class Closing:
    """For classes with a `close` of their own."""

    def close(self) -> None:
        """Give back what it holds. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
