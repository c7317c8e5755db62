"""Arguments and options that commands share; those of settings are generated from their fields."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer
from pydantic.fields import FieldInfo

from cli.config import flag_name
from graph.settings import Settings
from settings.field import AUTO, about_setting

Command = Callable[..., None]


def setting_options(*names: str) -> Callable[[Command], Command]:
    """Give a command one option per setting, in the place of its parameter `given`.

    The command receives there the values that were given, by the settings' names. Without
    `names`: every setting with a flag of its own.
    """
    fields = Settings.model_fields
    chosen = names or [
        name for name, field in fields.items() if about_setting(field).flag is not None
    ]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_options(**arguments: Any) -> None:
            values = {name: arguments.pop(name) for name in chosen}
            given = {name: value for name, value in values.items() if value is not None}
            command(given=given, **arguments)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            generated = parameter.name == "given"
            parameters += map(_option_parameter, chosen) if generated else [parameter]
        cast(Any, with_options).__signature__ = inspect.Signature(parameters)
        return with_options

    return decorate


def setting_option(name: str) -> Any:
    """Return the option of one setting, to stand in an `Annotated`."""
    return _make_option(name, flag_name(name))


def setting_default(name: str) -> Any:
    """Return the default of a setting."""
    return Settings.model_fields[name].get_default(call_default_factory=True)


def option_help(name: str) -> str:
    """Return the help of a setting's option: description, choices and default."""
    field = Settings.model_fields[name]
    choices = [choice for choice in setting_choices(field) if choice]
    default = format_default(field)
    parts = [
        field.description or "",
        f"One of {', '.join(choices)}." if choices else "",
        f"[default: {default}]" if default else "",
    ]
    return " ".join(part for part in parts if part)


def format_default(field: FieldInfo) -> str:
    """Return a default as one would type it (`1h` for 3600 s); empty for none and false."""
    value = field.get_default(call_default_factory=True)
    if value in (None, "", [], {}) or value is False:
        return ""
    if about_setting(field).unit == "s" and value != AUTO:
        for size, suffix in ((3600, "h"), (60, "m")):
            if value % size == 0:
                return f"{value // size:.0f}{suffix}"
    return str(value)


def setting_choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the values of a setting that has a closed list of them."""
    is_literal = typing.get_origin(field.annotation) is typing.Literal
    return typing.get_args(field.annotation) if is_literal else ()


def _option_parameter(name: str) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=_make_option(name, None, flag_name(name)),
        annotation=_option_type(Settings.model_fields[name]) | None,
    )


def _option_type(field: FieldInfo) -> Any:
    """Return the type that typer parses; what is no switch stays text, which Settings read."""
    kinds = [kind for kind in typing.get_args(field.annotation) if kind is not type(None)]
    is_optional = type(None) in typing.get_args(field.annotation)
    kind = kinds[0] if is_optional else field.annotation
    if typing.get_origin(kind) is list:
        return list[str]
    return bool if kind is bool else str


def _make_option(name: str, *declarations: Any) -> Any:
    return typer.Option(
        *declarations,
        metavar=about_setting(Settings.model_fields[name]).flag or None,
        help=option_help(name),
        show_default=False,
    )


def require_name(text: str) -> str:
    """Refuse an empty argument, as a variable that is not set leaves it. Raises BadParameter."""
    if not text.strip():
        raise typer.BadParameter("it is empty; give the folder of a task (. is this one)")
    return text


TaskFolder = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        callback=require_name,
        help="Task folder: task.yaml, or just train, test and sample_submission tables.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Run: its name or the beginning of it, the name of its task, or its folder;"
        " empty: the latest.",
    ),
]
RunsDir = Annotated[str | None, setting_option("runs_dir")]
SetPairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting; docs/settings.md lists them."
    ),
]
