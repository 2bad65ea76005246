"""Cloud quality, in your own voice, with nothing private leaving your device."""

from __future__ import annotations

__version__ = "0.1.0"
