"""The command `ugicm serve`: a real process, real sockets, signals."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
import httpx
from server_helpers import process


def test_serves_over_sockets_and_stops_on_a_signal(bundle_path, codec, stream, picture):
    with process(bundle_path) as (running, url):
        answer = httpx.post(url + "v1/decode?format=npy", content=stream)
        assert answer.status_code == 200
        assert answer.content[-picture.size :] == codec.decode(stream).tobytes()
        assert urllib.request.urlopen(url + "readyz").status == 200
        running.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in running.stderr]
        assert running.wait(20) == 0
    assert lines[-1]["event"] == "stopped"
    assert [line["path"] for line in lines if line["event"] == "request"] == ["/v1/decode", "/readyz"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_returns_to_whoever_called_it(bundle_path, number):
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit it ignored
        "from ugicm import Codec\n"
        "from ugicm.server import Settings, serve\n"
        f"print('returned', serve(Codec.open({str(bundle_path)!r}, threads=1), Settings(workers=1), port=0))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while json.loads(running.stderr.readline())["event"] != "Application startup complete.":
            pass
        running.send_signal(number)
        output, _ = running.communicate(timeout=30)
    assert (running.returncode, output) == (0, "returned 0\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished(bundle_path, stream, number):
    with process(bundle_path, "--workers", "1") as (running, url):
        connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=30)
        connection.putrequest("POST", "/v1/decode?format=npy")
        connection.putheader("Content-Length", str(len(stream)))
        connection.endheaders(stream[:100])
        while "ugicm_in_progress 1.0" not in httpx.get(url + "metrics").text:
            time.sleep(0.01)
        running.send_signal(number)
        while json.loads(running.stderr.readline())["event"] != "Shutting down":
            pass
        connection.send(stream[100:])
        assert connection.getresponse().status == 200
        assert running.wait(20) == 0


def test_body_over_the_limit_over_sockets(bundle_path):
    with process(bundle_path, "--max-body", "1000") as (_, url):
        answer = httpx.post(url + "v1/encode", content=bytes(100_000))
        assert (answer.status_code, answer.json()["error"]) == (413, "BodyTooLarge")
        assert httpx.get(url + "healthz").status_code == 200


def complain(*arguments):
    done = subprocess.run([sys.executable, "-m", "ugicm", "serve", *arguments], check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_address_in_use_is_a_sentence(bundle_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, error = complain("--port", port, "--bundle", str(bundle_path))
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in error


def test_a_limit_that_admits_no_picture_is_a_sentence(bundle_path):
    code, error = complain("--max-pixels", "4095", "--port", "0", "--bundle", str(bundle_path))
    assert code == 1
    assert "--max-pixels 4096" in error


def test_wrong_usage_is_a_sentence(bundle_path):
    assert complain("--port", "99999")[0] == 2
    assert complain("--workers", "0")[0] == 2
    assert complain("--batch", "65", "--bundle", str(bundle_path))[0] == 1
    code, error = complain("--host", "no.such.host.invalid", "--bundle", str(bundle_path))
    assert (code, "cannot listen" in error) == (1, True)


def test_missing_extra_is_a_sentence():
    code = "import sys; sys.modules['fastapi'] = None; from ugicm.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'ugicm[server]'" in done.stderr
