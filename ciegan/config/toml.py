"""Configurations to TOML and from it, from nested dictionaries, and from dotted names."""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from cellqa.disk import StrPath
from cellqa.errors import first_line
from ciegan.config.presets import DEFAULT, PRESETS
from ciegan.config.sections import Config, ConfigError, Losses, Network, check_choice, unknown

RETIRED = {"monitor.max_overclaim": "see monitor.max_invented"}
_LARGEST = 10**300  # whole numbers beyond are no floats


def read_config(path: StrPath, start: Config | None = None) -> Config:
    """Read a configuration; what it does not name is as in its preset.

    Parameters
    ----------
    path : path
        TOML; `preset = "paper"` chooses where to start.
    start : Config, optional
        Where to start if the file names no preset.

    Raises
    ------
    ConfigError
        The file is no TOML, a key is unknown (the nearest is named), a value is of the wrong type
        or out of range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad marks its files
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ConfigError(f"{path}: not a TOML file ({first_line(error)})") from None
    try:
        for key, instead in RETIRED.items():
            section, _, name = key.partition(".")
            if isinstance(table.get(section), dict) and name in table[section]:
                raise ConfigError(f"{key} is gone: {instead}")
        config = from_dict(table, start)
        config.losses.check_terms()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def from_dict(table: Mapping[str, Any], start: Config | None = None) -> Config:
    """A configuration from nested dictionaries; see `read_config`.

    Terms of the loss need not be known: weights are used without them.

    Examples
    --------
    >>> from_dict({"preset": "paper", "data": {"crop": 64}}).data.batch_size
    20
    >>> from_dict({"data": {"corp": 64}})
    Traceback (most recent call last):
      ...
    ciegan.config.sections.ConfigError: data.corp is unknown; did you mean crop?
    """
    name = table.get("preset", (start or DEFAULT).preset)
    if "preset" in table or start is None:
        check_choice("preset", name, tuple(PRESETS))
        start = PRESETS[name]
    return typing.cast(Config, _merge(start, table, ""))


def with_settings(config: Config, settings: Mapping[str, str]) -> Config:
    """Replace values by their dotted names, given as text: `data.crop` to `64`.

    Raises
    ------
    ConfigError
        As `read_config`.
    """
    for name, text in settings.items():
        if name == "preset":
            raise ConfigError("preset is where settings start from: give --preset")
        try:
            parsed = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):
            parsed = {"value": text}  # a bare word is text
        if len(parsed) > 1:
            raise ConfigError(f"{name}: more than one value in {text!r}")
        nested: Any = parsed["value"]
        for part in reversed(name.split(".")):
            nested = {part: nested}
        config = typing.cast(Config, _merge(config, nested, "", join=True))
    config.losses.check_terms()
    return config


def _merge(start: Any, table: Mapping[str, Any], at: str, join: bool = False) -> Any:
    """A dataclass with the values found put in place of its own; tables are joined, or replaced."""
    types_of = typing.get_type_hints(type(start))
    known = {each.name for each in fields(start)}
    changed = {}
    for name, value in table.items():
        # terms of the loss stand for themselves in TOML, as keys beside others
        terms = isinstance(start, Losses) and name == "weights"
        where = at.rstrip(".") if terms else f"{at}{name}"
        if f"{at}{name}" in RETIRED:
            continue  # weights of before hold it
        if name not in known:
            raise unknown(where, name, known)
        own = getattr(start, name)
        if is_dataclass(own):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where} must be a table, got {value!r}")
            # another network has other options
            if isinstance(own, Network) and value.get("name", own.name) != own.name:
                own = Network()
            if isinstance(own, Losses):
                value = Losses.from_table(value)
            changed[name] = _merge(own, value, f"{where}.", join)
        else:
            changed[name] = _typed(where, value, types_of[name])
            if isinstance(own, dict) and (join or terms):
                changed[name] = {**own, **changed[name]}
    return replace(start, **changed)


def _typed(where: str, value: Any, wanted: Any) -> Any:
    """The value in the type that the field has."""
    origin = typing.get_origin(wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < _LARGEST else math.inf
    if wanted is str and type(value) is int:  # --set precision=32
        value = str(value)
    if wanted is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} must be a finite number")
    if origin is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if origin is dict and isinstance(value, Mapping):
        inner = typing.get_args(wanted)[1]
        return {
            k: v if inner is Any else _typed(f"{where}.{k}", v, inner) for k, v in value.items()
        }
    plain = isinstance(wanted, type) and not isinstance(wanted, types.GenericAlias)
    right = plain and isinstance(value, wanted)
    if not right or (wanted is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        kind = names.get(wanted, "a list of texts" if origin is tuple else "a table")
        raise ConfigError(f"{where} must be {kind}, got {value!r}")
    return value


def to_toml(config: Config) -> str:
    """The whole configuration as TOML; `from_dict` reads it back."""
    import tomli_w  # of the extra `gan`

    # a term that the preset has and this one has not is named, too
    preset = PRESETS[config.preset].losses if config.preset in PRESETS else None
    table = {**asdict(config), "losses": config.losses.as_table(preset)}
    return tomli_w.dumps(_plain(table))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
