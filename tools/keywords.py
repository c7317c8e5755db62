"""settings/keywords.py: the keywords of `gome.solve`, written from the settings' fields."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
import typing
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo

from graph.settings import GROUPS, Settings
from settings.field import about_setting, expected_values

PATH = Path(__file__).resolve().parent.parent / "settings" / "keywords.py"
OWN_PARAMETERS = ("policy", "target", "config")  # parameters of gome.solve with more meanings


def keywords_module() -> str:
    """Return the text of settings/keywords.py, formatted."""
    fields = Settings.model_fields
    lines = [
        f"    {name}: {keyword_type(name, field)}\n{attribute_text(field)}"
        for name, field in fields.items()
        if name not in OWN_PARAMETERS
    ]
    text = "\n".join(help_group(group) for group in GROUPS)
    source = (
        '"""The keywords of `gome.solve`. Written by `make reference`; change the fields, not '
        'this file."""\n\nfrom __future__ import annotations\n\nfrom typing import Any, Literal, '
        'TypedDict\n\n\nclass SettingsKeywords(TypedDict, total=False):\n    """Every setting of '
        'a run, by its name."""\n\n' + "".join(lines) + '\n\nSETTINGS_TEXT = """\\\n'
        f'{text}"""\n'
    )
    return format_source(source)


def keyword_type(name: str, field: FieldInfo) -> str:
    """Return the annotation of a keyword; a duration and a list of models may be texts."""
    members = [annotation_text(part) for part in union_parts(field.annotation)]
    is_text = about_setting(field).unit == "s" or name == "model"
    return " | ".join([*members, *(["str"] if is_text else [])])


def union_parts(annotation: Any) -> list[Any]:
    """Return the members of a union, or the one type."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return list(typing.get_args(annotation)) if is_union else [annotation]


def annotation_text(part: Any) -> str:
    """Return a type as source code."""
    if part is type(None):
        return "None"
    if typing.get_origin(part) is typing.Annotated:
        return annotation_text(typing.get_args(part)[0])
    if typing.get_origin(part) is Literal:
        return f"Literal[{', '.join(repr(value) for value in typing.get_args(part))}]"
    return str(part).replace("typing.", "") if typing.get_origin(part) else part.__name__


def attribute_text(field: FieldInfo) -> str:
    """Return the description as the text below an attribute, as editors show it."""
    lines = textwrap.wrap(field.description or "", 88)
    body = "\n    ".join(line.replace('"', "'") for line in lines)
    return f'    """{body}"""\n'


def help_group(group: Any) -> str:
    """Return the settings of a group for `help(gome.solve)`."""
    title = (group.__doc__ or "").partition(":")[0]
    lines = [f"        {title}"]
    for name, field in group.model_fields.items():
        default = field.get_default(call_default_factory=True)
        head = f"{name}: {field.description} {expected_values(field)}; default {default!r}."
        lines += textwrap.wrap(
            head.replace("\\", "\\\\"),
            88,
            initial_indent=" " * 12,
            subsequent_indent=" " * 16,
        )
    return "\n".join(lines) + "\n"


def format_source(text: str) -> str:
    """Return the text as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(PATH), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout
