"""STAC items that say what a model is, by the extension for machine learning models (MLM), through ``stac-model``."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rsdet.errors import MissingDependencyError, install

ROLE = "mlm:model"
_ALWAYS = {"start_datetime": "1900-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}  # MLM: any time


def check_stac() -> None:
    """Make sure that items can be written, before hours are spent.

    Raises:
        MissingDependencyError: ``stac-model`` is not installed.
    """
    _stac_model()


def model_properties(
    name: str,
    kind: str,
    architecture: str,
    names: Mapping[int, str],
    bands: Sequence[int],
    shape: Sequence[int],
    output: tuple[Sequence[int], Sequence[str]],
    limits: Sequence[tuple[float, float]] = ((0, 255),),
    resized: bool = True,
    steps: str | None = None,
    **more: Any,
) -> Any:
    """What a model is, as checked properties of the extension.

    Args:
        name: Of the model.
        kind: What it does, one of the words of the extension.
        architecture: Its family.
        names: Class number -> name.
        bands: Bands of a file that it takes, counted from 1, in order.
        shape: (B, C, H, W) of its input; -1 where free.
        output: Shape of what it gives, and names of its axes.
        limits: Values that become 0 and 1, one pair for all bands or one each.
        resized: Whether pictures are resized to the input.
        steps: How a file becomes the input, in words.
        **more: Further fields of ``stac_model.schema.MLModelProperties``.

    Returns:
        The ``MLModelProperties``.
    """
    stac_model = _stac_model()
    return stac_model.schema.MLModelProperties(
        name=name,
        architecture=architecture,
        tasks={kind},
        input=[
            {
                "name": "picture",
                "bands": list(map(str, bands)),
                "input": {"shape": shape, "dim_order": ["batch", "bands", "height", "width"], "data_type": "float32"},
                "value_scaling": [{"type": "min-max", "minimum": low, "maximum": high} for low, high in limits],
                "resize_type": "interpolation-linear" if resized else None,
                "pre_processing_function": {"format": "text", "expression": steps} if steps else None,
            }
        ],
        output=[
            {
                "name": kind,
                "tasks": {kind},
                "result": {"shape": output[0], "dim_order": output[1], "data_type": "float32"},
                "classes": [{"value": i, "name": text, "description": text} for i, text in names.items()] or None,
            }
        ],
        **more,
    )


def item(
    name: str,
    model: Any,
    assets: Mapping[str, Mapping[str, Any]],
    *,
    geometry: Mapping[str, Any] | None = None,
    bbox: Sequence[float] | None = None,
    moment: datetime | None = None,
    more: Mapping[str, Any] | None = None,
    extensions: Sequence[str] = (),
) -> str:
    """An item as JSON; the same bytes for the same arguments.

    Args:
        name: Its ``id``.
        model: What :func:`model_properties` gave.
        assets: Key -> asset as a dictionary; that of the model has the role :data:`ROLE`.
        geometry: GeoJSON in longitude and latitude.
        bbox: West, south, east, north.
        moment: When the scene was taken; None where that is not known, or nothing was taken.
        more: Further properties.
        extensions: Addresses of the extensions that these belong to.
    """
    stac_model, pystac = _stac_model(), importlib.import_module("pystac")
    made = pystac.Item(name, geometry, bbox, moment, {**({} if moment else _ALWAYS), **(more or {})})
    for key, asset in assets.items():
        made.add_asset(key, pystac.Asset.from_dict(dict(asset)))
    made.stac_extensions += extensions
    stac_model.schema.MLModelExtension.ext(made, add_if_missing=True).apply(model)
    return json.dumps(made.to_dict(include_self_link=False), indent=1) + "\n"


def band_objects(bands: Sequence[int]) -> list[dict[str, str]]:
    """Bands of an asset that the input of the model names."""
    return [{"name": str(band)} for band in bands]


def _stac_model() -> Any:
    try:
        importlib.import_module("stac_model.schema")
        return importlib.import_module("stac_model")
    except ImportError as e:
        raise MissingDependencyError(
            f"stac=True needs the package stac-model ({e}); install it: {install('stac')}"
        ) from e
