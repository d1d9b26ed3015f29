"""The command line: typer and rich, one thin module per command."""

from singcli.cli.app import main

__all__ = ["main"]
