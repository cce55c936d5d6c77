"""A served tiny model; what the server needs beyond the runtime is imported by the fixtures only."""

import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def png(picture):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def serving(codec):
    """Start an application with given settings; `serving(codec=...)` takes another codec."""
    pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    pytest.importorskip("prometheus_client")
    from server_helpers import Client
    from ugicm.server import Settings, create_app

    started = []

    def start(codec=codec, **settings):
        started.append(Client(create_app(codec, Settings(**settings))))
        return started[-1]

    yield start
    for client in started:
        client.close()


@pytest.fixture
def client(serving):
    return serving()
