"""How far a scene is: tiles, objects, pixels per second, time left."""

from __future__ import annotations

import time

from rsdet.progress import Line, duration

_BAR = 24  # characters, where there is room


class Progress(Line):
    """A line about a scene while its tiles are looked at; as a context manager it ends with what was done.

    Args:
        name: Of the scene.
        tiles: Number of all tiles.
        done: Tiles that an earlier run has done.
        verbose: Write anything at all.
    """

    def __init__(self, name: str, tiles: int, done: int = 0, verbose: bool = True):
        super().__init__(name, verbose)
        self.tiles, self.done, self.objects, self.pixels = tiles, done, 0, 0.0
        self._before, self._start = done, time.monotonic()

    def __exit__(self, *error: object) -> None:
        if self.on_terminal:  # elsewhere, who runs it says what came of it
            self.write(self.text(), end="\n")

    def add(self, tiles: int, objects: int, pixels: float) -> None:
        """Count what was done since the last call.

        Args:
            tiles: Tiles.
            objects: Objects found in them.
            pixels: Pixels of the scene that they cover.
        """
        self.done, self.objects, self.pixels = self.done + tiles, self.objects + objects, self.pixels + pixels
        self.now_and_then(self.text)

    def text(self) -> str:
        """Such as ``[######------] 1234/2468 tiles, 2 min 5 s left, 567 objects, 12.3 Mpx/s``."""
        seconds, mine = max(time.monotonic() - self._start, 1e-9), self.done - self._before
        left = seconds / mine * (self.tiles - self.done) if mine else None
        parts = [f"{self.done}/{self.tiles} tiles"]
        if left is not None:
            parts.append(f"{duration(left)} left" if left else duration(seconds))
        parts.append(f"{self.objects} object{'s' * (self.objects != 1)}")
        parts.append(f"{self.pixels / seconds / 1e6:.3g} Mpx/s")
        text = ", ".join(parts)
        side = min(self.room - len(text) - 3, _BAR) if self.on_terminal else 0
        full = max(side, 0) * self.done // max(self.tiles, 1)
        return f"[{'#' * full}{'-' * (side - full)}] {text}" if side > 3 else text
