"""How each server is started: ours, and those of the others.

All are one process of work on loopback, without logs of requests. Ours keeps its defaults,
the journal included; Redis writes nothing to disk unless told to, which can only help it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from loadtest.compare.processes import Missing, Server, answers, find, listens, running

__all__ = ["fastapi_redis", "nchan", "realtime", "redis_answer", "redis_server", "webdis"]

LOADING_SECONDS = 120.0
"""Until a million writes are read back, on a slow machine."""
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


def realtime(
    *options: str, store: str = "memory://", found: Path | None = None
) -> AbstractContextManager[Server]:
    """``realtime serve``, on uvloop, without an API key, with a data directory.

    ``found`` is a folder: the data directory begins as a copy of it.
    """

    def command(port: int, folder: Path) -> Sequence[str]:
        data = folder / "data"
        if found is not None:
            shutil.copytree(found, data)
        serve = (sys.executable, "-m", "realtime", "serve", "--log-level", "warning")
        return (*serve, "--port", str(port), "--data", str(data), "--store", store, *options)

    return running(command, answers("/readyz"), patience=LOADING_SECONDS)


def redis_server(
    fsync: str | None = None, *, found: Path | None = None
) -> AbstractContextManager[Server]:
    """``fsync`` is Redis' appendfsync; without it nothing is written to disk.

    ``found`` is a folder: its directory begins as a copy of it.
    """
    path = find("redis-server", "redis-server")
    journal = ("--appendonly", "no") if fsync is None else ("--appendonly", "yes")
    policy = () if fsync is None else ("--appendfsync", fsync)

    def command(port: int, folder: Path) -> Sequence[str]:
        data = folder / "data"
        if found is None:
            data.mkdir()
        else:
            shutil.copytree(found, data)
        place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data))
        return (path, *place, "--save", "", *journal, *policy)

    return running(command, _pongs, patience=LOADING_SECONDS)


def redis_answer(port: int, command: bytes) -> bytes:
    """The short answer of a Redis to a command without arguments. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), 1) as sock:
        sock.sendall(command + b"\r\n")
        return sock.recv(64)


def _pongs(port: int) -> bool:
    """Redis accepts connections while it still loads, but answers PING only afterwards."""
    with contextlib.suppress(OSError):
        return redis_answer(port, b"PING").startswith(b"+PONG")
    return False


def fastapi_redis(redis: Server) -> AbstractContextManager[Server]:
    """The application beside this module, on uvicorn with its fastest loop and parser."""
    for package in ("fastapi", "redis", "hiredis", "uvicorn", "uvloop"):
        if find_spec(package) is None:
            raise Missing(f"{package} is not installed (PyPI; `make bench` installs it)")

    def command(port: int, folder: Path) -> Sequence[str]:
        app = "loadtest.compare.peers.fastapi_redis:app"
        options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log")
        quiet = ("--log-level", "warning")
        return (sys.executable, "-m", "uvicorn", app, "--port", str(port), *options, *quiet)

    url = f"redis://127.0.0.1:{redis.port}"
    return running(command, answers("/openapi.json"), {"REDIS_URL": url})


def webdis(redis: Server) -> AbstractContextManager[Server]:
    """HTTP in front of Redis, in C; two threads, as Debian configures it."""
    path = find("webdis", "webdis")

    def command(port: int, folder: Path) -> Sequence[str]:
        settings = {
            "redis_host": "127.0.0.1",
            "redis_port": redis.port,
            "http_host": "127.0.0.1",
            "http_port": port,
            "threads": 2,
            "daemonize": False,
            "database": 0,
            "verbosity": 0,
            "logfile": str(folder / "webdis.log"),
        }
        (folder / "webdis.json").write_text(json.dumps(settings))
        return (path, str(folder / "webdis.json"))

    return running(command, answers("/PING"))


def nchan(connections: int = 4096) -> AbstractContextManager[Server]:
    """nginx with nchan: one worker, and as much history per channel as ours keeps."""
    path = find("nginx", "nginx")
    if not NCHAN.exists():
        raise Missing("nchan is not installed (Debian package libnginx-mod-nchan)")

    def command(port: int, folder: Path) -> Sequence[str]:
        config = folder / "nginx.conf"
        config.write_text(_nginx_config(port, folder, connections))
        return (path, "-p", str(folder), "-c", str(config))

    return running(command, listens)


def _nginx_config(port: int, folder: Path, connections: int) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return f"""
load_module {NCHAN};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{
            nchan_publisher;
            nchan_channel_id bench;
            nchan_message_buffer_length 100;
            nchan_message_timeout 300s;
        }}
        location = /subscribe {{
            nchan_subscriber websocket;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""
