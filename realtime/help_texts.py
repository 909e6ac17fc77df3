"""What stands below the options in the help of each command: what to know first, and examples."""

from __future__ import annotations

from realtime.settings import CONFIG_FILE

__all__ = [
    "BACKUPS_EXAMPLES",
    "BOARDS_EXAMPLES",
    "CHECK_EXAMPLES",
    "EXAMPLES",
    "EXPORT_EXAMPLES",
    "IMPORT_EXAMPLES",
    "KEYS_EXAMPLES",
    "MIGRATE_EXAMPLES",
    "SERVE_EXAMPLES",
    "TOKEN_EXAMPLES",
]

EXAMPLES = """\
examples:
  realtime serve
  realtime serve --port 9000 --data /var/lib/realtime
  realtime keys create --name web --scope leaderboards:read channels:publish

`realtime COMMAND --help` shows every option of a command.
"""

SERVE_EXAMPLES = f"""\
Every option is also a variable (REALTIME_PORT=9000) and a key in {CONFIG_FILE} (port = 9000).
A flag wins over a variable, a variable over the file. What is unknown is an error.
SIGTERM finishes open requests, closes WebSockets so that clients reconnect, saves, exits 0.

examples:
  realtime serve
  realtime serve --port 0 --data ""
  REALTIME_LOG_FORMAT=json realtime serve --config /etc/{CONFIG_FILE}
  realtime keys create --name app --scope '*' && realtime serve --host 0.0.0.0
"""

KEYS_EXAMPLES = """\
A scope is <feature>:<action>. Features: leaderboards, counters, sessions, limits, channels, admin.
Actions: read, write, publish, admin. Either may be *, but only * alone, *:* and admin:… reach the
feature admin. A running service sees a change within a second.

examples:
  realtime keys create --name dashboard --scope '*:read'
  realtime keys create --name game --scope leaderboards:write leaderboards:read --expires 90d
  realtime keys revoke dashboard
"""

TOKEN_EXAMPLES = """\
A token says who a user is; whoever has the secret can make one, with any JWT library. This one is
for development and tests: it signs with the secret that the service is configured with. `inspect`
reads a token from stdin, says what is in it, and whether the service would take it; exit code 1
means that it would not.

examples:
  realtime token --user 42 --token-hmac-secret-file secret.txt
  realtime token --user 42 --expires 10m --info '{"name": "Ada"}' --scopes channels:read
  realtime token --user 42 --channel news
  realtime token --user 42 | realtime token inspect
"""

CHECK_EXAMPLES = """\
Reads everything whole, verifies checksums and replays the journal; changes nothing. A torn tail,
as a crash leaves it, is cut off by the next start. Exit code 1 means damage.

--repair copies the journal beside itself, cuts it to its last good batch, and says what is lost.

examples:
  realtime check realtime-data
  realtime check realtime-data/appendonlydir
  realtime check backup/dump.rdb
  realtime check realtime-data --repair
"""

MIGRATE_EXAMPLES = """\
DIR is the data directory of a service that is stopped: SIGTERM lets it write a snapshot. URL is
a store as --store of `realtime serve` takes it. Every key is replaced whole and both sides are read
anew and compared, so whatever interrupts this, it is simply run again. Exit code 1 means that the
sides differ. What else the target holds stays, unless --replace.

examples:
  realtime migrate --from realtime-data --to redis://localhost
  realtime migrate --from redis+cluster://10.0.0.1,10.0.0.2 --to realtime-data --replace
  realtime migrate --from redis://localhost --to rediss://store.example.com --store-ca-file ca.pem
"""

EXPORT_EXAMPLES = """\
The file is a snapshot in Redis' own format: redis-server loads it, and so does `realtime import`.
A service that keeps its data itself must be stopped; a store need not be, but what changes while
it is read makes the comparison fail.

examples:
  realtime export backup.rdb
  realtime export backup.rdb --data /var/lib/realtime --replace
  realtime export backup.rdb --store redis://localhost
"""

IMPORT_EXAMPLES = """\
The file is a snapshot of this service or of a Redis that served it. Keys that are none of ours are
left out, and said so.

examples:
  realtime import backup.rdb
  realtime import backup.rdb --data /var/lib/realtime --replace
  realtime import backup.rdb --store redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster
"""

BACKUPS_EXAMPLES = """\
A backup is a snapshot file in the folder `backups` of the data directory, named by its instant.
A running service makes its own (--backup-interval) and is asked for more, or to go back to one,
over HTTP: see docs/backups.md. Beside it, `list` and `verify` work; exit code 1 means damage.

examples:
  realtime backups list --data /var/lib/realtime
  realtime backups verify
  realtime backups restore 2026-11-25T21-40-09.123Z.rdb
"""

BOARDS_EXAMPLES = """\
A file holds a line of JSON per entry, {"member": "ada", "score": 1200}, with "metadata" and "id"
if wanted; what `dump` writes can be loaded. The service goes on serving. Lines that are wrong are
shown, and make exit code 1. What breaks off is taken up with --from-line; the message says so.

examples:
  realtime boards load http://127.0.0.1:8080 arcade scores.ndjson
  realtime boards dump https://scores.example.com arcade arcade.ndjson --key-file key.txt
  realtime boards dump http://127.0.0.1:8080 arcade final.ndjson --season previous
"""
