"""What the tables of realtime.toml come to, and what is said about those that make no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from realtime.services.namespaces import (
    Audience,
    Namespace,
    Namespaces,
    Rate,
    Recovery,
    SlowPolicy,
)
from realtime.settings import Settings, SettingsError, load
from realtime.settings.namespaces import NAMESPACE_OPTIONS


def loaded(folder: Path, text: str, **flags: str) -> Settings:
    (folder / "realtime.toml").write_text(text)
    return load(flags, {}, folder)


def only(settings: Settings) -> Namespace:
    """The one namespace that is declared."""
    _, namespace = settings.namespaces()
    return namespace


def test_without_tables_every_channel_has_the_defaults(tmp_path: Path) -> None:
    settings = load({"channel_history_size": "7", "channel_history_ttl": "60"}, {}, tmp_path)
    assert list(settings.namespaces()) == [Namespace(history_size=7, history_ttl=60.0)]
    assert settings.namespaces().of("orders:1").history_size == 7


def test_a_table_is_a_namespace(tmp_path: Path) -> None:
    text = """
    [namespaces.orders]
    prefix = "orders."
    history_size = 1000
    history_ttl = "1h"
    recovery = "stream"
    presence = false
    subscribe = "users"
    publish = "nobody"
    read_history = "anyone"
    read_presence = "nobody"
    publish_rate = "50/1s"
    user_publish_rate = "600/m"
    slow = "latest"
    wildcards = true
    message_bytes = 1000
    """
    assert only(loaded(tmp_path, text)) == Namespace(
        name="orders",
        prefix="orders.",
        history_size=1000,
        history_ttl=3600.0,
        recovery=Recovery.STREAM,
        presence=False,
        join_leave=False,
        subscribe=Audience.USERS,
        publish=Audience.NOBODY,
        read_history=Audience.ANYONE,
        read_presence=Audience.NOBODY,
        publish_rate=Rate(50, 1.0),
        user_publish_rate=Rate(600, 60.0),
        slow=SlowPolicy.LATEST,
        wildcards=True,
        message_bytes=1000,
    )


def test_a_prefix_is_the_name_and_a_colon_unless_said_otherwise(tmp_path: Path) -> None:
    assert only(loaded(tmp_path, "[namespaces.chat]")).prefix == "chat:"


def test_what_a_namespace_does_not_say_it_has_from_the_channels_table(tmp_path: Path) -> None:
    text = """
    channel_history_size = 1
    [channels]
    history_ttl = 5
    subscribe = "anyone"
    slow = "latest"
    [namespaces.chat]
    subscribe = "token"
    slow = "disconnect"
    """
    default, chat = loaded(tmp_path, text).namespaces()
    assert (default.subscribe, default.join_leave) == (Audience.ANYONE, False)
    assert (chat.history_size, chat.history_ttl) == (1, 5.0)
    assert chat.subscribe is Audience.TOKEN
    assert chat.join_leave, "nothing is dropped here, so joins make sense again"


@pytest.mark.parametrize("nothing", ["history_size = 0", "history_ttl = 0"])
def test_without_a_history_there_is_nothing_to_recover(tmp_path: Path, nothing: str) -> None:
    text = f"[channels]\nrecovery = 'cache'\n[namespaces.typing]\n{nothing}"
    assert only(loaded(tmp_path, text)).recovery is Recovery.OFF


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90.0), ('"90"', 90.0), ('"1500ms"', 1.5), ('"1.5h"', 5400.0), ('"7d"', 604_800.0)],
)
def test_times_may_have_units(tmp_path: Path, written: str, seconds: float) -> None:
    assert only(loaded(tmp_path, f"[namespaces.a]\nhistory_ttl = {written}")).history_ttl == seconds


@pytest.mark.parametrize(
    ("written", "rate", "shown"),
    [
        ("100/1s", Rate(100, 1.0), "100/1s"),
        ("100/s", Rate(100, 1.0), "100/1s"),
        ("1/500ms", Rate(1, 0.5), "1/0.5s"),
        ("5000/15m", Rate(5000, 900.0), "5000/900s"),
        ("", None, "None"),
    ],
)
def test_a_rate_is_a_count_and_a_time(
    tmp_path: Path, written: str, rate: Rate | None, shown: str
) -> None:
    found = only(loaded(tmp_path, f"[namespaces.a]\npublish_rate = '{written}'")).publish_rate
    assert found == rate
    assert str(found) == shown
    again = Settings(namespace_tables={"a": {"publish_rate": str(found or "")}})
    assert only(again).publish_rate == rate, "as it is shown it may be written"


MISTAKES = [
    ("namespaces = 1", "[namespaces.NAME] must be a table, not 1"),
    ("[namespaces]\norders = 1", "[namespaces.orders] must be a table, not 1"),
    ("channels = []", "[channels] must be a table, not []"),
    (
        "[namespaces.'a b']",
        "[namespaces.a b]: a namespace is named by letters, digits, - and _",
    ),
    (
        "[namespaces.a]\nhistory = 1",
        "history is no option of [namespaces.a]; did you mean history_ttl?",
    ),
    ("[channels]\nprefix = 'x'", "prefix is no option of [channels]"),
    (
        "[channels]\nwildcards = true",
        "wildcards in [channels] would need a prefix: put them into a namespace",
    ),
    (
        "[namespaces.a]\nslow = 'drop'",
        "slow in [namespaces.a] must be one of disconnect, drop-oldest, latest, not 'drop'",
    ),
    (
        "[namespaces.a]\npublish = 'all'",
        "publish in [namespaces.a] must be one of nobody, token, users, anyone, not 'all'",
    ),
    (
        "[namespaces.a]\nhistory_size = 10001",
        "history_size in [namespaces.a] must be a whole number from 0 to 10000, not 10001",
    ),
    (
        "[channels]\nhistory_ttl = 'soon'",
        "history_ttl in [channels] must be seconds from 0 to 316224000, or a text like 90s, 15m, "
        "1h or 7d, not 'soon'",
    ),
    ("[namespaces.a]\ndelta = 1", "delta in [namespaces.a] must be true or false, not 1"),
    *(
        (
            f"[namespaces.a]\npublish_rate = {rate}",
            f"publish_rate in [namespaces.a] must be a rate like 100/1s or 5000/1m, not {shown}",
        )
        for rate, shown in [
            ("100", "100"),
            ("'100'", "'100'"),
            ("'0/1s'", "'0/1s'"),
            ("'1/0s'", "'1/0s'"),
            ("'1/2y'", "'1/2y'"),
            ("'1/367d'", "'1/367d'"),
            ("'-1/s'", "'-1/s'"),
            ("true", "True"),
        ]
    ),
    (
        "[namespaces.a]\nslow = 'latest'\njoin_leave = true",
        "join_leave in [namespaces.a] needs slow = disconnect, not latest: a leave that is dropped "
        "is never heard of",
    ),
    (
        "[channels]\nslow = 'drop-oldest'\n[namespaces.a]\ndelta = true",
        "delta in [namespaces.a] needs slow = disconnect, not drop-oldest: a difference is of no "
        "use without the one before",
    ),
    (
        "[namespaces.a]\ndelta = true\nrecovery = 'off'",
        "delta in [namespaces.a] needs recovery: without positions nobody knows what a difference "
        "is to",
    ),
    (
        "[namespaces.a]\nrecovery = 'cache'\nhistory_size = 0",
        "recovery = cache in [namespaces.a] needs a history: give history_size and history_ttl, or "
        "say recovery = off",
    ),
    (
        "channel_history_size = 0\n[channels]\nrecovery = 'stream'",
        "recovery = stream in [channels] needs a history: give history_size and history_ttl, or "
        "say recovery = off",
    ),
    (
        "[namespaces.a]\nwildcards = true\nhistory_ttl = 0",
        "wildcards in [namespaces.a] need a history: give history_size and history_ttl",
    ),
    (
        "[namespaces.a]\nprefix = 'b:'\n[namespaces.b]",
        "prefix in [namespaces.b] is 'b:', as in [namespaces.a]: a channel belongs to one "
        "namespace",
    ),
    (
        "[namespaces.a]\nprefix = 'leaderboard:x'",
        "prefix in [namespaces.a] meets leaderboard:, whose channels are live leaderboards",
    ),
    (
        "[namespaces.a]\nprefix = 'lead'",
        "prefix in [namespaces.a] meets leaderboard:, whose channels are live leaderboards",
    ),
    (
        "[namespaces.a]\nprefix = '#a'",
        "prefix in [namespaces.a] begins with #, as the channels of users do",
    ),
    (
        "[namespaces.a]\nprefix = 'a*'",
        "prefix in [namespaces.a] must not hold a *: that is for wildcards = true",
    ),
    ("[namespaces.a]\nprefix = ''", "prefix in [namespaces.a] must be a text that is not empty"),
    (
        '[namespaces.a]\nprefix = "\\u0000"',
        "prefix in [namespaces.a] will not do: the prefix holds a control character",
    ),
    (
        f"[namespaces.a]\nprefix = '{'x' * 201}'",
        "prefix in [namespaces.a] is longer than 200 bytes",
    ),
    (
        "[namespaces.a]\nmessage_bytes = 2000000",
        "message_bytes in [namespaces.a] must not exceed ws_queue_bytes: nobody could be sent it",
    ),
    ("[namespace.a]", "namespace is no setting, but {file} names it; did you mean namespaces?"),
    ("ws_ping_interval = 5", "ws_pong_timeout must not be longer than ws_ping_interval"),
    (
        "ws_byte_rate = '65535/1s'",
        "ws_byte_rate must let a message of ws_message_bytes pass at once",
    ),
    (
        "ws_user_byte_rate = '1/1s'",
        "ws_user_byte_rate must let a message of ws_message_bytes pass at once",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_that_names_table_and_option(
    text: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as error:
        loaded(tmp_path, text)
    said = str(error.value)
    assert said.startswith(sentence.format(file=tmp_path / "realtime.toml"))
    assert "\n" not in said


def test_what_only_the_channels_table_says_contradicts_no_namespace(tmp_path: Path) -> None:
    text = "[channels]\njoin_leave = true\ndelta = true\n[namespaces.a]\nslow = 'latest'"
    namespace = only(loaded(tmp_path, text))
    assert (namespace.join_leave, namespace.delta) == (False, False)


def test_a_strict_service_knows_no_other_channels(tmp_path: Path) -> None:
    text = "strict_namespaces = true\n[namespaces.chat]"
    namespaces = loaded(tmp_path, text).namespaces()
    chat = namespaces.find("chat:1")
    assert chat is not None and chat.name == "chat"
    assert namespaces.find("chatter") is None
    assert namespaces.find("leaderboard:weekly") is namespaces.default
    assert namespaces.find("#42") is namespaces.default
    assert Namespaces(Namespace()).find("chatter") is not None


def test_the_longest_prefix_wins(tmp_path: Path) -> None:
    text = "[namespaces.a]\nprefix = 'orders.'\n[namespaces.b]\nprefix = 'orders.eu.'"
    namespaces = loaded(tmp_path, text).namespaces()
    names = [namespaces.of(channel).name for channel in ("orders.1", "orders.eu.1", "orders")]
    assert names == ["a", "b", ""]


def test_the_document_tells_of_every_option_and_of_no_other() -> None:
    document = (Path(__file__).parents[2] / "docs" / "namespaces.md").read_text()
    options = document.partition("## Options")[2].partition("### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)?", options, re.MULTILINE)
    assert [name for name, _ in rows] == list(NAMESPACE_OPTIONS)
    for name, shown in rows:
        if shown and not shown.startswith("channel_"):
            read = NAMESPACE_OPTIONS[name].read
            value = int(shown) if shown.isdigit() else shown
            assert read(value) == getattr(Namespace(), name), name
