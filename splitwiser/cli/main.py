"""Owns the entry of the `splitwiser` command and its exit codes: 2 for settings and usage, 1 for the rest.

A Ctrl-C gives 130 and a SIGTERM 143, as shells expect.
"""

import sys

import typer

from splitwiser.cli.app import app
from splitwiser.errors import ConfigurationError, SplitwiserError

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2


def main() -> None:
    """Run the command line of this process."""
    try:
        app(prog_name="splitwiser")
    except SplitwiserError as error:
        typer.echo(f"{typer.style('error:', fg='red')} {error}", err=True)
        sys.exit(EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILED)
