"""The ``sar:`` section of a data YAML: its keys and their types. What the values mean is said in ``stretch``.

```yaml
sar:
  quantity: amplitude      # amplitude | intensity | complex (its magnitude is taken) | velocity
  units: linear            # linear | db: what the numbers in the files are; mm/y of a velocity
  nodata: 0                # value that means "no data", besides NaN and the nodata tag of a file
  stretch:                 # or `stretch: none`: 8-bit values are taken as they are
    domain: db             # db | linear: where low and high are cut
    method: percentile     # percentile | sigma | range
    low: 1.0               # percentile; standard deviations below the mean; or the value itself
    high: 99.5
    per_image: false
```

Velocities along the line of sight (InSAR) have both signs, so their limits are -v and v, and zero is one grey level::

```yaml
sar:
  quantity: velocity
  nodata: -9999
  coherence: coherence     # folder beside `images` with a coherence of 0 to 1 on the grid of each file; may be left out
  coherence_min: 0.3       # less is "no data"
  stretch: {v_max: 100}    # v, mm/y; or {method: percentile, high: 99.5} of the speeds, or {method: sigma, high: 4}
```

Training adds ``stretch: range: [low, high]`` and ``dtype:``, what it measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rsdet.errors import ConfigError, nearest

TOP = ("quantity", "units", "nodata", "stretch", "dtype", "coherence", "coherence_min")
OLD_UNITS = "scale"  # the former name of units: weights and exported files of then hold it
INNER = ("domain", "method", "low", "high", "per_image", "range")
VELOCITY, MM_Y, V_MAX = "velocity", "mm/y", "v_max"
_CUTS = {"percentile": (1.0, 99.5), "sigma": (2.0, 4.0)}  # where nothing is said; range has no default


def read_section(section: Any, where: str) -> dict[str, Any]:
    """Return the arguments of :class:`rsdet.data.sar.stretch.Stretch` that a section stands for.

    Args:
        section: What stands in the YAML.
        where: Where it stands, for messages.

    Raises:
        ConfigError: No mapping, an unknown key, or a value of a wrong type.
    """
    if isinstance(section, Mapping) and OLD_UNITS in section:
        if "units" in section:
            raise ConfigError(f"{where} has units: and its former name {OLD_UNITS}:; keep units:.")
        section = {"units" if k == OLD_UNITS else k: v for k, v in section.items()}
    top = _mapping(section, where, TOP)
    inner = top.get("stretch", {})
    quantity = _text(top, "quantity", "amplitude", where)
    units, domain = (MM_Y, MM_Y) if quantity == VELOCITY else ("linear", "db")  # where nothing is said
    common = {
        "quantity": quantity,
        "units": _text(top, "units", units, where),
        "nodata": _number(top, "nodata", None, where),
        "dtype": _text(top, "dtype", None, where),
        "coherence": _text(top, "coherence", None, where),
        "coherence_min": _number(top, "coherence_min", None, where),
    }
    if inner is None or (isinstance(inner, str) and inner.lower() == "none"):
        return {**common, "method": "none"}
    where = f"{where} stretch:"
    inner = _limits_of_speed(_mapping(inner, where, (*INNER, *([V_MAX] * (quantity == VELOCITY)))), where)
    method = _text(inner, "method", "percentile", where)
    low, high = _CUTS.get(method, (None, None))
    low, high = _number(inner, "low", low, where), _number(inner, "high", high, where)
    if method == "range" and (low is None or high is None):
        raise ConfigError(f"{where} method range needs low: and high:, the values that become black and white.")
    per_image = inner.get("per_image", False)
    if not isinstance(per_image, bool):
        raise ConfigError(f"{where} per_image: {per_image!r} must be true or false.")
    limits = inner.get("range")
    if limits is not None:
        if not isinstance(limits, (list, tuple)) or len(limits) != 2:
            raise ConfigError(f"{where} range: {limits!r} must be [low, high]; leave it out, it is measured.")
        limits = tuple(_number({"range": v}, "range", None, where) for v in limits)
    found = {"domain": _text(inner, "domain", domain, where), "method": method, "per_image": per_image, "range": limits}
    return {**common, **found, **{k: v for k, v in (("low", low), ("high", high)) if v is not None}}


def _limits_of_speed(inner: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """``v_max: 100`` for ``method: range, low: -100, high: 100``."""
    fastest = _number(inner, V_MAX, None, where)
    if fastest is None:
        return inner
    if more := {"method", "low", "high", "range"} & inner.keys():
        raise ConfigError(f"{where} has {V_MAX}: and {sorted(more)[0]}:, which both say the limits; keep {V_MAX}:.")
    kept = {k: v for k, v in inner.items() if k != V_MAX}
    return {**kept, "method": "range", "low": -fastest, "high": fastest}


def _mapping(value: Any, where: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a mapping with {', '.join(known)}, received {value!r}.")
    for key in value:
        if key not in known:
            raise ConfigError(f"{where} does not know {key!r}.{nearest(str(key), known)} It takes {', '.join(known)}.")
    return value


def _text(section: Mapping[str, Any], key: str, default: str | None, where: str) -> Any:
    value = section.get(key, default)
    if value is not default and not isinstance(value, str):
        raise ConfigError(f"{where} {key}: {value!r} must be text, such as {default or 'uint16'}.")
    return value


def _number(section: Mapping[str, Any], key: str, default: float | None, where: str) -> float | None:
    value = section.get(key, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{where} {key}: {value!r} must be a number.")
    if key == "nodata":
        return None if math.isnan(value) else float(value)  # NaN is no data anyway
    if not math.isfinite(value):
        raise ConfigError(f"{where} {key}: {value!r} must be finite.")
    return float(value)
