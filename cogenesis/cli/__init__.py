"""The command line: parses, calls, prints."""

from cogenesis.cli.app import main

__all__ = ["main"]
