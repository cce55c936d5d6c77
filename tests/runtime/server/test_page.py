"""The page at / in headless Chromium: pictures in, three views and figures out, errors shown, all by keyboard too.

UGICM_SCREENSHOT=PATH also writes a picture of the page with the default model, as docs/images/server_page.png was made.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
pytest.importorskip("playwright")
import httpx
from playwright import sync_api
from server_helpers import process
from ugicm import Codec

expect = sync_api.expect
expect.set_options(timeout=20_000)  # a busy machine must not fail these tests
ROOT = Path(__file__).parents[3]
PHOTO = ROOT / "examples" / "kodim23.png"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
VIEWS = ("human", "machine", "between")


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser here, looked for {', '.join(NAMES)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(bundle_path):
    with process(bundle_path, "--quiet", "--max-body", "1000000") as (_, url):
        yield url


@pytest.fixture
def page(browser, url):
    """A fresh page; whatever it logs as an error, and anything it loads from elsewhere, fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(15_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
    page.on("request", lambda request: None if request.url.startswith((url, "blob:", "data:")) else wrong.append(request.url))
    page.goto(url)
    yield page
    page.close()
    assert wrong == []


def settle(page):
    """Wait until all views are drawn."""
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator(".busy")).to_have_count(0)
    page.evaluate("Promise.all([...document.images].filter((one) => one.src).map((one) => one.decode()))")


def drawn(page, view):
    """A few numbers of what a view shows."""
    return page.evaluate(
        """(id) => { const image = document.getElementById(id).firstElementChild;
        const canvas = Object.assign(document.createElement("canvas"), {width: image.naturalWidth, height: image.naturalHeight});
        const pen = canvas.getContext("2d"); pen.drawImage(image, 0, 0);
        const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.width, canvas.height, data.reduce((sum, value) => sum + value, 0) / data.length]; }""",
        view,
    )


def in_words(data):
    return f"{len(data)} B" if len(data) < 1000 else f"{len(data) / 1000:.1f} kB"


def slide(page, name, value):
    """Move a slider as the mouse would, and wait for the answer that follows."""
    with page.expect_response(lambda answer: "/v1/" in answer.url):
        page.locator("#" + name).fill(str(value))


def test_a_picture_gives_views_and_figures(page, png, picture, codec):
    assert page.locator("#result").is_hidden()
    page.set_input_files("#file", {"name": "a photo.png", "mimeType": "image/png", "buffer": png})
    settle(page)
    stream = codec.encode(picture, 50)
    assert page.text_content("#size") == "133 × 70"
    assert page.text_content("#bpp") == f"{8 * len(stream) / (133 * 70):.3f}"
    assert page.text_content("#bytes") == in_words(stream)
    levels = {view: drawn(page, view) for view in (*VIEWS, "original")}
    assert {tuple(level[:2]) for level in levels.values()} == {(133, 70)}
    # The machine view of the test model is brighter by 20, three of four channels.
    assert levels["machine"][2] - levels["human"][2] == pytest.approx(15, abs=2)
    assert levels["between"][2] - levels["human"][2] == pytest.approx(7.5, abs=2)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "a photo.ugic"
    assert Path(download.value.path()).read_bytes() == stream


def test_sliders_make_new_streams_and_views(page, png, picture, codec):
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png})
    settle(page)
    human = drawn(page, "human")[2]
    slide(page, "preference", 1)
    settle(page)
    assert drawn(page, "between")[2] == pytest.approx(drawn(page, "machine")[2], abs=0.01)
    assert page.text_content("#preference-value") == "1.00"
    slide(page, "quality", 0)
    expect(page.locator("#bytes")).to_have_text(in_words(codec.encode(picture, 0)))
    settle(page)
    assert drawn(page, "human")[2] == pytest.approx(human, abs=5)


def test_an_effort_can_be_chosen_where_the_model_has_one(page, browser, png, picture):
    from shipped import needs_model
    from ugicm.bundle import DEFAULT_PATH

    expect(page.locator("#model")).to_contain_text("files up to")
    assert page.locator("#effort").is_hidden()
    if needs_model.args[0]:
        pytest.skip(needs_model.kwargs["reason"])
    with process(DEFAULT_PATH, "--quiet", "--max-effort", "3") as (_, url):
        with_effort = browser.new_page()
        with_effort.goto(url)
        with_effort.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png})
        settle(with_effort)
        assert with_effort.locator("#effort option").all_text_contents() == ["0", "1", "2", "3"]
        with with_effort.expect_response(lambda answer: "effort=3" in answer.url):
            with_effort.select_option("#effort", "3")
        stream = Codec.open(DEFAULT_PATH, threads=1).encode(picture, 50, effort=3)
        expect(with_effort.locator("#bytes")).to_have_text(in_words(stream))
        with_effort.close()


def test_a_dropped_stream_is_shown_without_original(page, stream):
    page.evaluate(
        """(bytes) => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)], "x.ugic"));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})); }""",
        list(stream),
    )
    settle(page)
    assert page.locator("#quality").is_disabled()
    assert page.locator("#original").is_hidden()
    assert drawn(page, "human")[:2] == [133, 70]


def test_errors_are_sentences_and_go_away(page, png):
    for name, content, sentence in (
        ("notes.txt", b"no picture at all", "not a picture file"),
        ("bad.ugic", b"no stream at all", "not a .ugic stream"),
        ("large.png", bytes(1_000_001), "over the limit of 1,000,000 bytes"),
    ):
        page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
        expect(page.locator("#error")).to_contain_text(sentence)
        assert page.locator("#error").is_visible()
        assert page.locator("#result").is_hidden()
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png})
    settle(page)
    assert page.locator("#error").is_hidden()


def test_everything_works_by_keyboard(page, png):
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png})
    settle(page)
    order = []
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == ["quality", "download", "human", "machine", "preference", "between", "original"]
    page.keyboard.press("Enter")
    assert page.locator("#views.close").count() == 1
    before = page.evaluate("document.getElementById('views').style.getPropertyValue('--x')") or "50%"
    page.keyboard.press("ArrowRight")
    after = page.evaluate("document.getElementById('views').style.getPropertyValue('--x')")
    assert float(after[:-1]) == float(before[:-1]) + 5
    page.keyboard.press("Enter")
    assert page.locator("#views.close").count() == 0
    page.focus("#preference")
    with page.expect_response(lambda answer: "preference=0.55" in answer.url):
        page.keyboard.press("ArrowRight")


def test_a_narrow_screen_needs_no_sideways_scrolling(page, png):
    page.set_viewport_size({"width": 360, "height": 700})
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png})
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_reference_page_lists_every_route(page, url):
    page.goto(url + "docs")
    page.wait_for_selector("section:nth-of-type(6)")
    heads = page.locator("h2").all_text_contents()
    assert heads == ["POST /v1/encode", "POST /v1/decode", *(f"GET /{name}" for name in ("v1/info", "healthz", "readyz", "metrics"))]
    assert "0..100" in page.text_content("main")


def test_pages_load_nothing_from_elsewhere(url):
    for path in ("", "docs"):
        answer = httpx.get(url + path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)


@pytest.mark.skipif("UGICM_SCREENSHOT" not in os.environ, reason="only when UGICM_SCREENSHOT names a file to write")
def test_screenshot(browser):
    from ugicm.bundle import DEFAULT_PATH

    with process(DEFAULT_PATH, "--quiet") as (_, url):
        page = browser.new_page(viewport={"width": 1000, "height": 960})
        page.goto(url)
        page.set_input_files("#file", PHOTO)
        settle(page)
        page.screenshot(path=os.environ["UGICM_SCREENSHOT"], full_page=True)
