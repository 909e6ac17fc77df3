"""The server API of Centrifugo: what its server libraries ask for, under ``/api/``.

    method.py      how such a request is let in and answered: a result or a number, HTTP 200
    shapes.py      the requests and results that several methods share
    publishing.py  publish, broadcast
    reading.py     presence, presence_stats, history, channels, info
    acting.py      subscribe, unsubscribe, disconnect, refresh, history_remove
    batch.py       many of them in one request

Facts from the description of that API; see docs/server-api.md for what is different here.
"""

from realtime.http.server_api.acting import METHODS as ACTING
from realtime.http.server_api.batch import METHODS as MANY
from realtime.http.server_api.method import Method
from realtime.http.server_api.publishing import METHODS as PUBLISHING
from realtime.http.server_api.reading import METHODS as READING

__all__ = ["METHODS", "Method"]

METHODS = (*PUBLISHING, *READING, *ACTING, *MANY)
