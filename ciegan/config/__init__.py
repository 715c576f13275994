"""Everything that a training run may be told."""

from ciegan.config.context import Context
from ciegan.config.presets import DEFAULT, PAPER, PIX2PIX, PRESETS, preset_on
from ciegan.config.sections import (
    Config,
    ConfigError,
    Data,
    Losses,
    Monitor,
    Network,
    Optimizer,
    Schedule,
)
from ciegan.config.toml import from_dict, read_config, to_toml, with_settings

__all__ = [
    "DEFAULT",
    "PAPER",
    "PIX2PIX",
    "PRESETS",
    "Config",
    "ConfigError",
    "Context",
    "Data",
    "Losses",
    "Monitor",
    "Network",
    "Optimizer",
    "Schedule",
    "from_dict",
    "preset_on",
    "read_config",
    "to_toml",
    "with_settings",
]
