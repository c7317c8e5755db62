"""What a command prints fits its terminal; a pipe gets whole lines."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_COLUMNS = 240  # a pipe has no width of its own


def open_console() -> Console:
    """Return a console as wide as the terminal, as COLUMNS says, or as a pipe may be."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_COLUMNS
    return console


def echo_wrapped(text: str, console: Console, *, mark: str = "") -> None:
    """Print a sentence behind a mark; what does not fit goes on below its first word."""
    width = max(console.width, len(mark) + 20)
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo("\n".join(lines) if console.is_terminal else f"{mark}{text}")


def echo_table(table: RenderableType, console: Console, *, indent: int = 0) -> None:
    """Print a table; a pipe gets neither colours nor blanks at the ends of lines."""
    from rich.padding import Padding

    shown = Padding(table, (0, 0, 0, indent), expand=False)
    if console.is_terminal:
        console.print(shown)
        return
    for line in console.render_lines(shown, pad=False):
        typer.echo("".join(segment.text for segment in line).rstrip())
