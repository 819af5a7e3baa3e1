"""A progress bar, on a terminal; nothing elsewhere."""

import sys
import time

WIDTH = 30


class Progress:
    """The progress of a known number of tasks."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._shown = sys.stderr.isatty()

    def show(self, doing: str) -> None:
        """Show the present task."""
        if self._shown:
            filled = WIDTH * self._done // self._total
            bar = "#" * filled + "." * (WIDTH - filled)
            print(
                f"\r\033[K[{bar}] {self._done}/{self._total} {self._left()}  {doing}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def advance(self) -> None:
        """Count one more task as done."""
        self._done += 1

    def clear(self) -> None:
        """Remove the bar."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _left(self) -> str:
        if not self._done:
            return ""
        seconds = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02} left"
