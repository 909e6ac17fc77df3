"""The command ``realtime``: what may be written after it, and how mistakes are answered.

A mistake of the caller is one sentence on stderr and exit code 2. What the commands do is in
`realtime.commands`, loaded when one runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from realtime import __version__
from realtime.commands import CommandError
from realtime.help_texts import (
    BACKUPS_EXAMPLES,
    BOARDS_EXAMPLES,
    CHECK_EXAMPLES,
    EXAMPLES,
    EXPORT_EXAMPLES,
    IMPORT_EXAMPLES,
    KEYS_EXAMPLES,
    MIGRATE_EXAMPLES,
    SERVE_EXAMPLES,
    TOKEN_EXAMPLES,
)
from realtime.options import Option, SettingsError, flag, suggestion, variable
from realtime.settings import CONFIG, CONFIG_FILE, OPTIONS
from realtime.settings.groups import TOKENS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["_Parser"]

__all__ = ["main"]

FAULT = 2
INTERRUPTED = 130
"""What shells answer for a program ended by Ctrl-C."""

_DESCRIPTION = """\
Leaderboards, counters, sessions, rate limits and live channels in one process,
over HTTP and WebSocket.
"""

HELP_WIDTH = 100

COMMANDS = ("serve", "keys", "token", "check", "backups", "boards", "migrate", "export", "import")
SUBCOMMANDS = {
    "keys": ("create", "list", "revoke"),
    "token": ("inspect",),
    "backups": ("create", "list", "restore", "verify"),
    "boards": ("load", "dump"),
}

STORE_ACCESS = ("store_ca_file", "store_cert_file", "store_key_file", "store_credentials")


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as is pleasant to read, with room for the longest flag."""

    def __init__(self, prog: str) -> None:
        width = min(HELP_WIDTH, shutil.get_terminal_size().columns - 2)
        super().__init__(prog, max_help_position=38, width=width)


class _Parser(argparse.ArgumentParser):
    """argparse, except that a mistake is raised instead of printed beside the usage."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Help, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(given)
    except (CommandError, SettingsError) as error:
        print(f"realtime: {error}", file=sys.stderr)
        return FAULT
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: list[str]) -> int:
    parser = _parser()
    _check_command(given, parser.prog, COMMANDS)
    for command in given[:1]:
        if command in SUBCOMMANDS:
            _check_command(given[1:], f"realtime {command}", SUBCOMMANDS[command])
    parsed, unknown = parser.parse_known_args(given)
    if unknown:
        _refuse(unknown[0], parsed.parser)
    if parsed.run is None:
        parsed.parser.print_help(sys.stderr)
        return FAULT
    module, _, function = parsed.run.partition(":")
    run: Callable[[argparse.Namespace], int] = getattr(
        import_module(f"realtime.commands.{module}"), function
    )
    return run(parsed)


def _check_command(given: Iterable[str], prog: str, known: Sequence[str]) -> None:
    """argparse would say no more than that a command is unknown."""
    word = next(iter(given), "-")
    if not word.startswith("-") and word not in known:
        hint = suggestion(word, known) or f"; there are {', '.join(known)}"
        raise CommandError(f"{word} is no command of `{prog}`{hint}")


def _refuse(unknown: str, command: argparse.ArgumentParser) -> NoReturn:
    name = unknown.partition("=")[0]
    hint = suggestion(name, command._option_string_actions) or f"; see `{command.prog} --help`"
    raise CommandError(f"{name} is nothing that `{command.prog}` knows{hint}")


def _parser() -> _Parser:
    parser = _Parser(prog="realtime", description=_DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"realtime {__version__}")
    parser.set_defaults(parser=parser, run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve = _command(commands, "serve", "serve:run", "Serve until SIGTERM.", SERVE_EXAMPLES)
    serve.usage = "%(prog)s [options]"
    _add_settings(serve, OPTIONS)
    keys = _command(commands, "keys", None, "Make, list and revoke API keys.", KEYS_EXAMPLES)
    _add_keys(keys)
    _add_token(commands)
    _add_check(commands)
    _add_backups(commands)
    _add_boards(commands)
    _add_transfers(commands)
    return parser


def _command(commands: Commands, name: str, run: str | None, help: str, epilog: str) -> _Parser:
    parser = commands.add_parser(name, help=help, description=help, epilog=epilog)
    parser.set_defaults(parser=parser, run=run)
    return parser


def _add_check(commands: Commands) -> None:
    help = "Verify a data directory, a journal or a snapshot."
    check = _command(commands, "check", "check:run", help, CHECK_EXAMPLES)
    check.add_argument(
        "path",
        metavar="PATH",
        type=Path,
        help="a data directory, a journal's folder or manifest, or one file",
    )
    check.add_argument("--repair", action="store_true", help="cut a journal that is damaged")


def _add_transfers(commands: Commands) -> None:
    """The commands that move everything; they differ in how the two sides are named."""
    migrate = _command(
        commands, "migrate", "migrate:run", "Move everything to another store.", MIGRATE_EXAMPLES
    )
    for side, name in (("from", "source"), ("to", "target")):
        migrate.add_argument(
            f"--{side}", required=True, metavar="DIR|URL", dest=name, help=f"the {name}"
        )
    export = _command(commands, "export", "export:run", "Write a snapshot.", EXPORT_EXAMPLES)
    import_ = _command(commands, "import", "import_:run", "Load a snapshot.", IMPORT_EXAMPLES)
    for parser, replaced in (
        (migrate, "write over a snapshot in DIR; remove keys from URL that the source has not"),
        (export, "write over FILE"),
        (import_, "write over the snapshot there; remove keys from the store that FILE has not"),
    ):
        if parser is not migrate:
            parser.add_argument("file", metavar="FILE", type=Path, help="the snapshot")
        parser.add_argument("--replace", action="store_true", help=replaced)
        named = STORE_ACCESS if parser is migrate else ("data", "store", *STORE_ACCESS)
        _add_settings(parser, {name: OPTIONS[name] for name in named})


def _add_keys(keys: _Parser) -> None:
    commands = keys.add_subparsers(title="commands", metavar="COMMAND")
    create = _command(
        commands, "create", "keys:create", "Make a key and print it, once.", KEYS_EXAMPLES
    )
    create.add_argument("--name", required=True, metavar="NAME", help="what you will call it")
    create.add_argument(
        "--scope",
        required=True,
        nargs="+",
        action="extend",
        dest="scopes",
        metavar="SCOPE",
        help="what it may do, like leaderboards:read; '*' is everything",
    )
    create.add_argument(
        "--expires",
        metavar="WHEN",
        help="30d, 12h, 45m from now, or a date like 2030-01-31 (default: never)",
    )
    listing = _command(commands, "list", "keys:show", "List the keys.", KEYS_EXAMPLES)
    revoke = _command(
        commands, "revoke", "keys:revoke", "Make a key worthless, at once.", KEYS_EXAMPLES
    )
    revoke.add_argument("key", metavar="NAME_OR_ID", help="the name or the id of the key")
    for parser in (create, listing, revoke):
        _add_settings(parser, {name: OPTIONS[name] for name in ("data", "keys_file")})


def _add_token(commands: Commands) -> None:
    token = _command(commands, "token", "token:create", "Make a user's token.", TOKEN_EXAMPLES)
    token.usage = "%(prog)s --user ID [options]\n       %(prog)s inspect [options] < TOKEN"
    for name, metavar, help in (
        ("user", "ID", "who the user is; '' is somebody without a name"),
        ("channel", "NAME", "make a token for this channel, not for a connection"),
        ("channels", "A,B", "channels that the service subscribes the connection to"),
        ("info", "JSON", "what others see of the user, in presence and publications"),
        ("meta", "JSON", "what the service alone sees, an object"),
    ):
        token.add_argument(f"--{name}", metavar=metavar, help=help)
    token.add_argument(
        "--expires",
        default="1h",
        metavar="WHEN",
        help="30d, 12h, 45m from now, a date like 2030-01-31, or never (default: 1h)",
    )
    token.add_argument(
        "--scopes",
        nargs="+",
        metavar="SCOPE",
        help="what it may do beside, like leaderboards:read, as scopes of keys",
    )
    inspections = token.add_subparsers(title="commands", metavar="COMMAND")
    inspect = _command(
        inspections, "inspect", "token:inspect", "Say what is in a token.", TOKEN_EXAMPLES
    )
    options = {name: option for name, option in OPTIONS.items() if option.group == TOKENS}
    for parser in (token, inspect):
        _add_settings(parser, options)


def _add_backups(commands: Commands) -> None:
    help = "List, make, verify and restore backups."
    backups = _command(commands, "backups", None, help, BACKUPS_EXAMPLES)
    commands = backups.add_subparsers(title="commands", metavar="COMMAND")
    for name, run, help in (
        ("list", "show", "List the backups, newest first."),
        ("create", "create", "Make one of a service that is stopped."),
        ("verify", "verify", "Read backups whole, and say whether they are sound."),
        ("restore", "restore", "Go back to one; what is there is kept as a backup first."),
    ):
        parser = _command(commands, name, f"backups:{run}", help, BACKUPS_EXAMPLES)
        if name == "restore":
            parser.add_argument("name", metavar="NAME", help="the backup, as `list` names it")
        elif name == "verify":
            parser.add_argument("names", metavar="NAME", nargs="*", help="which (default: all)")
        _add_settings(parser, {"data": OPTIONS["data"]})


def _add_boards(commands: Commands) -> None:
    help = "Load and read whole leaderboards of a running service."
    boards = _command(commands, "boards", None, help, BOARDS_EXAMPLES)
    commands = boards.add_subparsers(title="commands", metavar="COMMAND")
    load = _command(
        commands, "load", "boards:load", "Bring the lines of a file to a board.", BOARDS_EXAMPLES
    )
    dump = _command(commands, "dump", "boards:dump", "Write a board to a file.", BOARDS_EXAMPLES)
    for parser in (load, dump):
        parser.add_argument("url", metavar="URL", help="the service, like http://127.0.0.1:8080")
        parser.add_argument("board", metavar="BOARD", help="the name of the board")
        parser.add_argument("file", metavar="FILE", type=Path, help="the lines of JSON")
        parser.add_argument("--key-file", metavar="PATH", type=Path, help="a file with an API key")
    load.add_argument(
        "--from-line", metavar="N", type=_line_number, default=1, help="pass over those before it"
    )
    dump.add_argument("--view", metavar="VIEW", help="of this view of the board, like `daily`")
    dump.add_argument(
        "--season", metavar="N", help="as of this season, or `previous`: the one that ended last"
    )


def _line_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a line")
    return int(text)


def _add_settings(parser: _Parser, options: Mapping[str, Option]) -> None:
    """The flags of these options, under the headings of their groups."""
    for heading, members in groupby(options.values(), key=lambda option: option.group):
        group = parser.add_argument_group(heading)
        for option in members:
            group.add_argument(
                flag(option.name),
                metavar=option.kind.metavar,
                action="append" if option.kind.repeats else "store",
                help=_help(option),
            )
    parser.add_argument(
        flag(CONFIG), metavar="PATH", help=f"a file of settings (default: ./{CONFIG_FILE}, if any)"
    )


def _help(option: Option) -> str:
    default = option.shown_default()
    origin = f"default {default}; {variable(option.name)}" if default else variable(option.name)
    return f"{option.help} [{origin}]".replace("%", "%%")
