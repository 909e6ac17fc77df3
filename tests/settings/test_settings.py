"""Where a setting comes from, and what is said about one that makes no sense."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from realtime.options import flag, variable
from realtime.rate import Rate
from realtime.settings import OPTIONS, Settings, SettingsError, load
from realtime.settings.tokens import Secret

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"

ORIGINS = ("https://a.example", "https://b.example")

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

SAMPLES: dict[str, tuple[str, object]] = {
    "host": ("::1", "::1"),
    "port": ("9000", 9000),
    "data": ("/srv/data", Path("/srv/data")),
    "store": ("redis://u:p@h/1", "redis://u:p@h/1"),
    "durability": ("bounded:100", "bounded:100"),
    "snapshot_interval": ("0", 0.0),
    "compaction_ratio": ("0.5", 0.5),
    "compaction_floor": ("0", 0),
    "backup_interval": ("3600", 3600.0),
    "backup_keep": ("24", 24),
    "backup_max_age": ("0", 0.0),
    "store_timeout": ("0.5", 0.5),
    "store_wait": ("1", 1),
    "store_ca_file": ("/etc/ca.pem", Path("/etc/ca.pem")),
    "store_cert_file": ("/etc/cert.pem", Path("/etc/cert.pem")),
    "store_key_file": ("", None),
    "store_credentials": ("tokens:fresh", "tokens:fresh"),
    "presence_ttl": ("30", 30.0),
    "keys_file": ("/etc/keys.json", Path("/etc/keys.json")),
    "token_hmac_secret": ("correct horse", Secret("correct horse")),
    "token_hmac_secret_file": ("/run/secrets/token", Path("/run/secrets/token")),
    "token_public_key_file": ("/etc/token.pem", Path("/etc/token.pem")),
    "token_jwks": ("https://login.example/jwks.json", "https://login.example/jwks.json"),
    "token_jwks_refresh": ("60", 60.0),
    "token_audience": ("game", "game"),
    "token_issuer": ("https://login.example", "https://login.example"),
    "token_grace": ("5", 5.0),
    "token_admin": ("true", True),
    "allowed_origins": (", ".join(ORIGINS), ORIGINS),
    "max_body": ("65536", 65_536),
    "max_header_bytes": ("65536", 65_536),
    "header_timeout": ("2.5", 2.5),
    "request_timeout": ("60", 60.0),
    "max_connections": ("10", 10),
    "ws_message_bytes": ("1024", 1024),
    "ws_queue_bytes": ("65536", 65_536),
    "ws_deflate": ("true", True),
    "rehearse": ("false", False),
    "ws_deflate_bytes": ("1024", 1024),
    "ws_max_channels": ("1000", 1000),
    "ws_connect_timeout": ("5", 5.0),
    "ws_ping_interval": ("0", 0.0),
    "ws_pong_timeout": ("2.5", 2.5),
    "ws_connection_rate": ("500/1s", Rate(500, 1.0)),
    "ws_connections_per_user": ("10", 10),
    "ws_command_rate": ("", None),
    "ws_byte_rate": ("1000000/500ms", Rate(1_000_000, 0.5)),
    "ws_subscribe_rate": ("300/m", Rate(300, 60.0)),
    "ws_user_command_rate": ("5000/1.5h", Rate(5000, 5400.0)),
    "ws_user_byte_rate": ("65536/1s", Rate(65_536, 1.0)),
    "ws_patience": ("1", 1),
    "channel_history_size": ("0", 0),
    "channel_history_ttl": ("1.5", 1.5),
    "personal_channels": ("true", True),
    "strict_namespaces": ("true", True),
    "webhook_url": ("https://a.example/left", "https://a.example/left"),
    "webhook_secret": (WEBHOOK_SECRET, Secret(WEBHOOK_SECRET)),
    "webhook_secret_file": ("/etc/webhook", Path("/etc/webhook")),
    "webhook_debounce": ("0", 0.0),
    "webhook_timeout": ("2.5", 2.5),
    "webhook_max_age": ("3600", 3600.0),
    "leaderboard_live_interval": ("0.5", 0.5),
    "session_idle_timeout": ("60", 60.0),
    "session_absolute_timeout": ("7200", 7200.0),
    "idempotency_ttl": ("3600", 3600.0),
    "limit_max_keys": ("1000", 1000),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "shutdown_timeout": ("7", 7),
    "shutdown_spread": ("0", 0.0),
}
"""For every option a text, and what it means."""


def write(folder: Path, text: str) -> Path:
    file = folder / "realtime.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_a_flag_a_variable_and_a_key(name: str, tmp_path: Path) -> None:
    text, value = SAMPLES[name]
    assert getattr(load({name: text}, {}, tmp_path), name) == value
    assert getattr(load({}, {variable(name): text}, tmp_path), name) == value
    write(tmp_path, f'{name} = "{text}"\n')
    assert getattr(load({}, {}, tmp_path), name) == value


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "port = 1\nmax_body = 1\nlog_level = 'error'\n")
    settings = load(
        {"port": "3"}, {"REALTIME_PORT": "2", "REALTIME_MAX_BODY": "2", "PATH": "/bin"}, tmp_path
    )
    assert (settings.port, settings.max_body, settings.log_level) == (3, 2, "error")
    assert settings.host == "127.0.0.1"


def test_toml_gives_numbers_and_lists_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, 'port = 1\nrequest_timeout = 45\nallowed_origins = ["*"]\n')
    settings = load({}, {}, tmp_path)
    assert (settings.port, settings.request_timeout) == (1, 45.0)
    assert settings.allowed_origins == ("*",)


def test_another_file_may_be_named_by_a_flag_or_a_variable(tmp_path: Path) -> None:
    write(tmp_path, "port = 1\n")
    elsewhere = tmp_path / "else.toml"
    elsewhere.write_text("port = 2\n")
    assert load({"config": str(elsewhere)}, {}, tmp_path).port == 2
    assert load({}, {"REALTIME_CONFIG": str(elsewhere)}, tmp_path).port == 2
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        load({"config": str(tmp_path / "none.toml")}, {}, tmp_path)


@pytest.mark.parametrize(
    ("flags", "environ", "file", "sentence"),
    [
        ({"port": "x"}, {}, "", "--port must be a whole number from 0 to 65535, not 'x'"),
        ({"port": "65536"}, {}, "", "--port must be a whole number from 0 to 65535, not '65536'"),
        ({"port": "-1"}, {}, "", "--port must be a whole number from 0 to 65535, not '-1'"),
        ({"port": "1.5"}, {}, "", "--port must be a whole number from 0 to 65535, not '1.5'"),
        ({"host": ""}, {}, "", "--host must be a text that is not empty, not ''"),
        (
            {"header_timeout": "nan"},
            {},
            "",
            "--header-timeout must be a number from 0.1 to 3600, not 'nan'",
        ),
        (
            {},
            {"REALTIME_IDEMPOTENCY_TTL": "inf"},
            "",
            "REALTIME_IDEMPOTENCY_TTL must be a number from 1 to 316224000, not 'inf'",
        ),
        (
            {},
            {"REALTIME_LOG_LEVEL": "loud"},
            "",
            "REALTIME_LOG_LEVEL must be one of debug, info, warning, error, not 'loud'",
        ),
        (
            {},
            {"REALTIME_PROT": "1"},
            "",
            "REALTIME_PROT is no setting; did you mean REALTIME_PORT?",
        ),
        ({}, {"REALTIME_XYZZY": "1"}, "", "REALTIME_XYZZY is no setting"),
        (
            {"store": "redis://:secret@one,two"},
            {},
            "",
            "--store: several hosts are redis+sentinel:// (with a name) or redis+cluster://, "
            "not redis://",
        ),
        (
            {},
            {"REALTIME_STORE_CREDENTIALS": "tokens"},
            "",
            "REALTIME_STORE_CREDENTIALS: write it as package.module:function",
        ),
        (
            {"store_key_file": "k.pem"},
            {},
            "",
            "store_key_file is the key to a certificate: name store_cert_file, too",
        ),
        (
            {"token_jwks": "http://login.example/jwks.json"},
            {},
            "",
            "--token-jwks: keys that come over http:// could be anybody's: use https://",
        ),
        (
            {"token_jwks": "ftp://login.example/jwks.json"},
            {},
            "",
            "--token-jwks: write a path, or a URL like https://login.example.com/jwks.json",
        ),
        (
            {"token_hmac_secret": "a", "token_hmac_secret_file": "b"},
            {},
            "",
            "give the secret by token_hmac_secret or in a file, not both",
        ),
        ({"token_admin": "yes"}, {}, "", "--token-admin must be true or false, not 'yes'"),
        (
            {"header_timeout": "31"},
            {},
            "",
            "header_timeout must not be longer than request_timeout",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_place(
    flags: dict[str, str], environ: dict[str, str], file: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as error:
        load(flags, environ, tmp_path)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("port = true", "port in {file} must be a whole number from 0 to 65535, not True"),
        ("port = 1.5", "port in {file} must be a whole number from 0 to 65535, not 1.5"),
        ("header_timeout = true", "header_timeout in {file} must be a number from 0.1 to 3600"),
        ("allowed_origins = 1", "allowed_origins in {file} must be a list of texts"),
        ("allowed_origins = [1]", "allowed_origins in {file} must be a list of texts"),
        ("data = 1", "data in {file} must be a path, not 1"),
        ("token_admin = 1", "token_admin in {file} must be true or false, not 1"),
        ("token_hmac_secret = 1234", "token_hmac_secret in {file}: it must be a text that is not"),
        ("log_format = 1", "log_format in {file} must be one of text, json, not 1"),
        ("prot = 1", "prot is no setting, but {file} names it; did you mean port?"),
        ("[server]\nport = 1", "server is no setting, but {file} names it"),
        ("config = 'x'", "config is no setting, but {file} names it"),
        ("port =", "{file} is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_names_the_file(text: str, sentence: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as error:
        load({}, {}, tmp_path)
    assert str(error.value).startswith(sentence.format(file=file))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf8_is_a_sentence_too(tmp_path: Path) -> None:
    file = tmp_path / "realtime.toml"
    file.write_bytes(b"host = '\xff'")
    with pytest.raises(SettingsError, match="is not TOML"):
        load({}, {}, tmp_path)


def test_variables_of_test_runs_are_no_settings(tmp_path: Path) -> None:
    environ = {"REALTIME_TEST_REQUIRE": "1", "REALTIME_SCHEMATHESIS_EXAMPLES": "10"}
    assert load({}, environ, tmp_path) == Settings()


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    settings = load({"token_hmac_secret": "correct horse"}, {}, tmp_path)
    assert settings.token_hmac_secret == Secret("correct horse")
    assert "correct horse" not in f"{settings!r} {settings.token_hmac_secret}"


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Path("realtime-data/keys.json")),
        ({"data": "d"}, Path("d/keys.json")),
        ({"data": ""}, None),
        ({"data": "", "keys_file": "k.json"}, Path("k.json")),
        ({"data": "d", "keys_file": "k.json"}, Path("k.json")),
    ],
)
def test_keys_lie_with_the_data_unless_said_otherwise(
    given: dict[str, str], expected: Path | None, tmp_path: Path
) -> None:
    assert load(given, {}, tmp_path).keys_path == expected


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_an_address_is_loopback_only_if_that_is_certain(host: str, loopback: bool) -> None:
    assert Settings(host=host).is_loopback is loopback


def test_the_document_has_every_option_with_its_default_and_no_other() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `--")]
    expected = [
        f"| `{flag(name)}` | `{variable(name)}` | {f'`{shown}`' if shown else ''} | {option.help} |"
        for name, option in OPTIONS.items()
        for shown in [option.shown_default()]
    ]
    assert rows == expected
