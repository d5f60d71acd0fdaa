"""Options as the command line knows them: what they may be, and what ``--help`` says of them."""

import dataclasses
import re
import textwrap
import typing
from types import NoneType
from typing import Annotated, Any, Literal

import docstring_parser
import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

import jaxmask.command


def read(options: type, script: str, description: str) -> Any:
    """The options that the command line gives.

    Args:
        options: dataclass of the options.
        script: name of the module below ``experiments``.
        description: docstring of the script, shown by ``--help``.

    Raises:
        SystemExit: the command line can't be read, or asks for help.
    """
    return tyro.cli(
        explained(options),
        prog=jaxmask.command.command_name(f"experiments.{script}"),
        description=described(description),
        config=(tyro.conf.DisallowNone,),  # what isn't given is None; nobody types it
        registry=_registry(),
    )


def explained(options: type) -> type:
    """The same options, the help of each as one paragraph that names a default if there is one.

    tyro breaks a line of help where the docstring of an option has a break.
    """
    hints = typing.get_type_hints(options, include_extras=True)
    texts = {
        found.arg_name: " ".join((found.description or "").split())
        for kind in reversed(options.__mro__)
        if dataclasses.is_dataclass(kind)
        for found in docstring_parser.parse_from_object(kind).params
    }
    fields = []
    for field in dataclasses.fields(options):
        hint = "" if field.default is None else None
        how = tyro.conf.arg(help=texts.get(field.name), help_behavior_hint=hint)
        fields.append((field.name, Annotated[hints[field.name], how], field))
    explained = dataclasses.make_dataclass(options.__name__, fields, bases=(options,), frozen=True)
    explained.__doc__ = options.__doc__
    return explained


def _registry() -> ConstructorRegistry:
    """How tyro reads a choice that may be left out: None isn't one of the words to choose from."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        kinds = [kind for kind in typing.get_args(info.type) if kind is not NoneType]
        if len(kinds) != 1 or typing.get_origin(kinds[0]) is not Literal:
            return None
        words = typing.get_args(kinds[0])
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="{" + ",".join(words) + "}",
            instance_from_str=lambda given: given[0],
            is_instance=lambda value: value is None or value in words,
            str_from_instance=lambda value: [str(value)],
            choices=words,
        )

    return registry


def described(docstring: str) -> str:
    """The docstring of a script on 80 columns, its commands apart.

    tyro joins a line to the one before unless it begins with a space, or an empty line is between.
    """
    parts = []
    for paragraph in docstring.strip().split("\n\n"):
        if not paragraph.lstrip().startswith(("python -m ", "jaxmask ")):
            parts.append(textwrap.fill(" ".join(paragraph.split()), 79, subsequent_indent="  "))
            continue
        for command in paragraph.replace("\\\n", " ").splitlines():
            whole = re.sub(r"(--\S+) (?!-)", "\\1\xa0", " ".join(command.split()))  # in one piece
            lines = textwrap.wrap(whole, 76, subsequent_indent="    ", break_on_hyphens=False)
            parts.append(" \\\n".join(lines).replace("\xa0", " "))
    return "\n\n".join(parts)
