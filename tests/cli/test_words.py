"""What may be written after ``realtime``, and how a slip of the fingers is answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from realtime import __version__, cli
from realtime.options import flag, variable
from realtime.settings import OPTIONS
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serv"], "serv is no command of `realtime`; did you mean serve?"),
        (
            ["xyzzy"],
            "xyzzy is no command of `realtime`; there are serve, keys, token, check, backups, "
            "boards, migrate, export, import",
        ),
        (["imprt"], "imprt is no command of `realtime`; did you mean import?"),
        (["keys", "crate"], "crate is no command of `realtime keys`; did you mean create?"),
        (["backups", "lost"], "lost is no command of `realtime backups`; did you mean list?"),
        (
            ["serve", "--prot=1"],
            "--prot is nothing that `realtime serve` knows; did you mean --port?",
        ),
        (
            ["serve", "--por", "1"],
            "--por is nothing that `realtime serve` knows; did you mean --port?",
        ),
        (["serve", "x"], "x is nothing that `realtime serve` knows; see `realtime serve --help`"),
        (["--xyzzy"], "--xyzzy is nothing that `realtime` knows; see `realtime --help`"),
        (
            ["serve", "--port"],
            "argument --port: expected one argument; see `realtime serve --help`",
        ),
        (["serve", "--port", "x"], "--port must be a whole number from 0 to 65535, not 'x'"),
        (["serve", "--config", "x.toml"], "x.toml cannot be read: No such file or directory"),
        (
            ["check"],
            "the following arguments are required: PATH; see `realtime check --help`",
        ),
        (["check", "no.rdb"], "no.rdb cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    run: Run, words: list[str], sentence: str
) -> None:
    assert run(*words) == (2, "", f"realtime: {sentence}\n")


@pytest.mark.parametrize("words", [[], ["keys"], ["backups"]])
def test_no_command_shows_the_commands(run: Run, words: list[str]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "commands:" in err
    assert "examples:" in err


def test_an_unknown_variable_stops_every_command_that_has_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_KEYSFILE", "k.json")
    for words in (["serve"], ["keys", "list"]):
        assert run(*words).err == (
            "realtime: REALTIME_KEYSFILE is no setting; did you mean REALTIME_KEYS_FILE?\n"
        )


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as done:
        cli.main([*words, "--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_setting_its_unit_its_variable_and_its_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(help_of(capsys, "serve").split())
    for option in OPTIONS.values():
        assert f"{flag(option.name)} {option.kind.metavar} {option.help}" in text
        assert variable(option.name) in text
        assert f"[default {option.shown_default()};" in text or not option.shown_default()
    assert "SECONDS" in text
    assert "BYTES" in text


def test_help_shows_examples_for_every_command_and_only_commands_that_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["keys", "create"], ["keys", "list"], *([name] for name in cli.COMMANDS)):
        assert "examples:\n  realtime " in help_of(capsys, *words)
    folder = Path(cli.__file__).parent / "commands"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {name.removesuffix("_") for name in modules} == set(cli.COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"realtime {__version__}\n"


def test_ctrl_c_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert run("serve") == (130, "", "")


def test_help_answers_without_loading_the_service() -> None:
    program = (
        "import sys; from realtime import cli\n"
        "try: cli.main(['serve', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'uvicorn', 'starlette', 'msgspec', 'httpx', 'engine'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_runs_as_a_module_too() -> None:
    command = [sys.executable, "-m", "realtime", "--version"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"realtime ")
