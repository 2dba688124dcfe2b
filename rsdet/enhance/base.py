"""What an enhancer is: a function from picture to picture that says what it is for and what it takes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from rsdet.errors import ConfigError, DataError


@runtime_checkable
class Enhancer(Protocol):
    """A network, an exported file or a method without weights, all alike.

    Attributes:
        name: For tables and messages.
        kind: ``dehaze``, ``superres`` or ``clouds``.
        scale: Output pixels per input pixel along each axis.
        channels: Channels that it takes; None for any number.
        local: Its output depends on a bounded neighbourhood, so that tiles equal the whole.
        min_px: Smallest height and width.

    An enhancer that needs minutes per picture has ``offline = True`` beside these, and is kept out of loops over
    frames. One that can change its place of work has a method ``to(device)``. One that measures something of the whole
    picture has a method ``for_whole(picture)``, which gives the same with that fixed, for tiles of it.
    """

    name: str
    kind: str
    scale: int
    channels: int | None
    local: bool
    min_px: int

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Enhance a whole picture or one tile.

        Args:
            image: (H, W, C) float32 in [0, 1], RGB or gray.

        Returns:
            (scale * H, scale * W, C) float32 in [0, 1].
        """
        ...


def check_enhancer(thing: object) -> Enhancer:
    """Make sure that a Python object is an enhancer.

    Raises:
        ConfigError: It lacks something; the message says what.
    """
    missing = [a for a in ("name", "kind", "scale", "channels", "local", "min_px") if not hasattr(thing, a)]
    if not callable(thing) or missing:
        lacks = ", ".join(missing) or "being callable"
        raise ConfigError(
            f"enhance={type(thing).__name__} is no enhancer (it lacks {lacks}); pass weights, a YAML or an exported "
            "file of task=restore, or an object as rsdet.enhance.base.Enhancer describes it."
        )
    return thing  # type: ignore[return-value]


def check_output(y: np.ndarray, image: np.ndarray, enhancer: Enhancer) -> np.ndarray:
    """Make sure that a picture came back as it should: boxes are mapped back by the scale, so the size must be exact.

    Raises:
        DataError: Another size or number of channels, or numbers that are not finite.
    """
    wanted = (image.shape[0] * enhancer.scale, image.shape[1] * enhancer.scale, image.shape[2])
    if y.shape != wanted:
        raise DataError(
            f"{enhancer.name} made {y.shape} of a picture {image.shape}, but scale={enhancer.scale} makes it {wanted}; "
            "mend its scale."
        )
    if not np.isfinite(y).all():
        raise DataError(
            f"{enhancer.name} returned NaN or infinite values; its weights are broken or FP16 overflows; leave half= "
            "out or take other weights."
        )
    return y
