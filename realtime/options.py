"""How an option is declared, and where its value comes from.

An option is declared once, as a field of a frozen dataclass:

    port: int = option(8080, whole(0, 65_535), "Where", "The port; 0 takes a free one.")

From that come its flag (``--port``), its variable (``REALTIME_PORT``), its key in
``realtime.toml`` (``port``), its checks, and its line in ``--help``. A flag wins over a
variable, a variable over the file, the file over the default. What is unknown, or does
not fit, is an error of one sentence that names the place: nothing is ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "NAMES",
    "PREFIX",
    "Kind",
    "Option",
    "SettingsError",
    "flag",
    "number",
    "one_of",
    "option",
    "options_of",
    "path",
    "read_file",
    "refuse_unknown",
    "resolve",
    "text",
    "variable",
    "whole",
]

PREFIX = "REALTIME_"

FOREIGN_PREFIXES = ("REALTIME_TEST_", "REALTIME_SCHEMATHESIS_")
"""Variables of our own test runs: they are not settings of the service."""


Number = TypeVar("Number", int, float)


class SettingsError(ValueError):
    """One sentence for whoever starts the service: where the fault is, and what would do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: how it is called in help, what it must be, how it is read.

    ``read`` takes the text of a flag or a variable, or what TOML made of the value. It raises
    ValueError if that is not what the kind ``wants``, and SettingsError to say more.
    """

    metavar: str
    wants: str
    read: Callable[[Any], object]
    repeats: bool = False
    """The flag may be given several times, and its values are joined."""


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option."""

    name: str
    default: object
    kind: Kind
    group: str
    help: str

    def shown_default(self) -> str:
        """The default as people would write it; empty if it is nothing."""
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, float):
            return _plain(self.default)
        return "" if self.default is None else str(self.default)


def whole(low: int, high: int, metavar: str = "N") -> Kind:
    """A whole number within bounds."""

    def read(given: object) -> int:
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise ValueError
        return _within(int(given), low, high)

    return Kind(metavar, f"a whole number from {low} to {high}", read)


def number(low: float, high: float, metavar: str = "SECONDS") -> Kind:
    """A number within bounds."""

    def read(given: object) -> float:
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):
            raise ValueError
        return _within(float(given), low, high)

    return Kind(metavar, f"a number from {_plain(low)} to {_plain(high)}", read)


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def read(given: object) -> str:
        if given not in choices:
            raise ValueError
        return str(given)

    return Kind("|".join(choices), f"one of {', '.join(choices)}", read)


def switch() -> Kind:
    """On or off."""

    def read(given: object) -> bool:
        if isinstance(given, bool):
            return given
        if given not in ("true", "false"):
            raise ValueError
        return given == "true"

    return Kind("true|false", "true or false", read)


def text(metavar: str, check: Callable[[str], None] = lambda given: None) -> Kind:
    """A text that is not empty. ``check`` raises SettingsError if it will not do."""

    def read(given: object) -> str:
        if not isinstance(given, str) or not given:
            raise ValueError
        check(given)
        return given

    return Kind(metavar, "a text that is not empty", read)


def path(metavar: str = "PATH") -> Kind:
    """A path; the empty text means that there is none."""

    def read(given: object) -> Path | None:
        if not isinstance(given, str):
            raise ValueError
        return Path(given).expanduser() if given else None

    return Kind(metavar, "a path", read)


def _read_names(given: object) -> tuple[str, ...]:
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError
    return tuple(stripped for name in names if (stripped := name.strip()))


NAMES = Kind("A,B", "a list of texts, parted by commas", _read_names, repeats=True)


def option(default: object, kind: Kind, group: str, help: str) -> Any:
    """A field of the dataclass that declares the options."""
    metadata = {"kind": kind, "group": group, "help": help}
    return dataclasses.field(default=default, metadata=metadata)


def options_of(declared: type) -> dict[str, Option]:
    """The options that a dataclass declares, by name, in order. Other fields are none."""
    return {
        field.name: Option(field.name, field.default, **field.metadata)
        for field in dataclasses.fields(declared)
        if "kind" in field.metadata
    }


def flag(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of an option."""
    return PREFIX + name.upper()


def read_file(file: Path) -> dict[str, object]:
    """The keys of a TOML file. Raises SettingsError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsError(f"{file} is not TOML: {error}") from None


def resolve(
    options: Mapping[str, Option],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: Mapping[str, object],
    file_name: str,
) -> dict[str, object]:
    """The values that somebody gave, checked. Raises SettingsError."""
    variables = {variable(name): name for name in options}
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(FOREIGN_PREFIXES)
    }
    refuse_unknown("setting", given, variables)
    refuse_unknown(f"setting, but {file_name} names it", file, options)
    values: dict[str, object] = {}
    for name, filed in file.items():
        values[name] = _read(options[name], filed, f"{name} in {file_name}")
    for name, value in given.items():
        values[variables[name]] = _read(options[variables[name]], value, name)
    for name, flagged in flags.items():
        values[name] = _read(options[name], flagged, flag(name))
    return values


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise SettingsError for the first name that is not known."""
    known = list(known)
    for name in given:
        if name not in known:
            raise SettingsError(f"{name} is no {what}{suggestion(name, known)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: which one may have been meant."""
    # What they all begin with must not make them look alike.
    by_rest = {word.removeprefix(PREFIX): word for word in known}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), by_rest, n=1)
    return f"; did you mean {by_rest[near[0]]}?" if near else ""


def _read(option: Option, given: object, written: str) -> object:
    try:
        return option.kind.read(given)
    except SettingsError as error:
        raise SettingsError(f"{written}: {error}") from None
    except ValueError:
        wants = option.kind.wants
        raise SettingsError(f"{written} must be {wants}, not {given!r}") from None


def _within(given: Number, low: float, high: float) -> Number:
    if not low <= given <= high:
        raise ValueError
    return given


def _plain(number: float) -> str:
    """As people write it: no exponent, no .0."""
    return f"{number:.0f}" if number == int(number) else f"{number:g}"
