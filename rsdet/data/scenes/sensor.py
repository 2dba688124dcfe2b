"""From the drawn layers to a photograph: texture, shadow, light, haze, blur and noise, all at the final size."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import BUILDING, WATER
from .terrain import noise
from .world import World


def develop(world: World) -> np.ndarray:
    """Return the finished `(H, W, 3)` uint8 RGB image of a drawn world."""
    canvas, rng = world.canvas, world.rng
    size = (canvas.width, canvas.height)
    image = cv2.resize(canvas.color, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    rough = cv2.resize(canvas.rough, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    light = cv2.resize(canvas.light, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    light = cv2.GaussianBlur(light, (0, 0), 0.45)
    texture = _texture(world, rough)
    # Skylight fills shadows with blue, so each channel has its own floor.
    floors = [1 - world.shadow * (1 - 0.75 * blue) for blue in (0.52, 0.56, 0.66)]
    image *= cv2.merge([texture * (light * (1 - f) + f) for f in floors])
    return _camera(rng, _atmosphere(world, image))


def _texture(world: World, rough: np.ndarray) -> np.ndarray:
    rng, (h, w) = world.rng, rough.shape
    fine = rng.standard_normal((h, w), dtype=np.float32)
    fine = 0.35 * fine + 1.1 * cv2.GaussianBlur(fine, (0, 0), 0.8)
    coarse = noise(rng, h, w, 8 * world.scale, 3)
    texture = 1 + rough * (0.12 * fine + 0.07 * coarse)
    wet = world.canvas.kind == WATER
    if wet.any():  # ripples: noise stretched along the wind
        grid = rng.standard_normal((h // 2 + 2, w // 5 + 2), dtype=np.float32)
        ripples = cv2.resize(grid, (w, h), interpolation=cv2.INTER_LINEAR)
        texture += wet * rough * 0.22 * ripples
    stains = noise(rng, h, w, 5 * world.scale, 2)
    texture += (world.canvas.kind != BUILDING) * np.minimum(rough, 0.4) * 0.06 * stains
    return texture


def _atmosphere(world: World, image: np.ndarray) -> np.ndarray:
    rng, (h, w) = world.rng, image.shape[:2]
    if rng.random() < 0.3:  # haze
        veil = np.array([196, 204, 212], np.float32) + np.float32(rng.normal(0, 6))
        amount = np.float32(rng.uniform(0.08, 0.38)) * (1 + 0.25 * noise(rng, h, w, max(h, w) / 2, 1))
        amount = np.clip(amount, 0, 0.0 if world.clear else 0.5)[..., None]  # drawn alike: all else stays as it is
        image = image * (1 - amount) + veil * amount
    elif rng.random() < 0.12:  # shadow of a cloud
        cloud = np.clip(noise(rng, h, w, max(h, w) / 2, 2) * 0.6 - 0.2, 0, 0.45)[..., None]
        image = image * (1 - cloud)
    if rng.random() < 0.07:  # dusk, street lamps on
        glow = np.zeros((h, w), np.float32)
        for x, y in world.lamps:
            cv2.circle(glow, (round(x), round(y)), max(2, round(5 * world.scale)), 1.0, -1)
        glow = cv2.GaussianBlur(glow, (0, 0), 3.0 * world.scale)[..., None]
        dim = np.array([0.46, 0.48, 0.58], np.float32) * np.float32(rng.uniform(0.8, 1.2))
        image = image * (dim + glow * np.array([0.62, 0.5, 0.26], np.float32))
    return image


def _camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    h, w = image.shape[:2]
    gain = rng.normal(1.0, 0.03, 3) * rng.uniform(0.82, 1.2)
    mean = sum(cv2.mean(image)[:3]) / 3
    gain *= min(1.0, 170 / (mean * gain.max()))  # snow and concrete: the exposure stays below white
    contrast, middle = (
        rng.uniform(0.85, 1.22),
        mean * float(gain.mean()),
    )  # about the mean, so that dusk keeps its detail
    keep = min(1.0, rng.random() / 0.15)  # weak colour in 15 %, down to panchromatic
    mix = (np.eye(3) * keep + (1 - keep) / 3) @ np.diag(gain) * contrast
    image = cv2.transform(image, np.column_stack([mix, np.full(3, middle * (1 - contrast))]))
    if rng.random() < 0.3:  # vignette
        y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        image = image * (1 - np.float32(rng.uniform(0.05, 0.22)) * (x * x + y * y))[..., None].astype(np.float32)
    sigma = float(rng.uniform(0.25, 0.95))
    if sigma > 0.4:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    elif rng.random() < 0.5:  # sharpened by the camera
        image = image * 1.4 - cv2.GaussianBlur(image, (0, 0), 1.0) * 0.4
    # One field of noise serves all channels, shifted: a third of the cost and no visible repetition.
    grain = rng.standard_normal((h + 7, w + 7), dtype=np.float32) * np.float32(rng.uniform(0.5, 6.0))
    image += cv2.merge([grain[:h, :w], grain[3 : h + 3, 5 : w + 5], grain[7 : h + 7, 2 : w + 2]])
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
