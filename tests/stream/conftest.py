"""The fixtures that serve are those of the WebSocket door: it is the same house."""

from tests.ws.conftest import any_house as any_house
from tests.ws.conftest import near_house as near_house
from tests.ws.conftest import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
from tests.ws.conftest import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.ws.conftest import serve as serve
from tests.ws.conftest import serving as serving
