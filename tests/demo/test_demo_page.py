"""The page in a real browser: every tab, by mouse and by keys, with nothing but this machine to talk to."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import numpy as np
import pytest
import requirements

from tests.demo.test_demo_fill import made_model
from tf_jmvae import demo

ROOT = pathlib.Path(__file__).parents[2]
# The server's own connections are written down, to whatever address they lead.
SERVER = """
import sys
from tf_jmvae import demo

log = open(sys.argv[1], "w", buffering=1)
sys.addaudithook(lambda event, values: event == "socket.connect" and print(values[1][0], file=log))
demo.launch(*sys.argv[2:], port=0, open_browser=False)
"""
PATIENCE = 60  # seconds, for machines that do much else


def _missing():
    """What the test needs and this machine lacks."""
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    try:
        import gradio  # noqa: F401
        import selenium  # noqa: F401
    except ImportError as error:
        programs.append(str(error.name))
    return ", ".join(programs)


@contextlib.contextmanager
def _served(folder, *handles):
    """The address of a page, as the command line starts it; by default that of the pre-trained model."""
    if missing := _missing():
        requirements.skip("browser", f"a browser and Gradio are needed, and there is no {missing}")
    environment = {**os.environ, "TMPDIR": str(folder), "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", SERVER, str(folder / "connections"), *map(str, handles)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if line.startswith("The page of"):
                    break
            else:
                pytest.fail(f"The server ended with {process.wait()}.")
            (kept,) = folder.glob("tf_jmvae-demo-*")
            yield line.split()[-5]
            assert list(kept.iterdir())  # what the test made and uploaded
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)
    assert process.returncode == 143
    connections = (folder / "connections").read_text().split()  # Gradio looks whether its own page is there
    assert set(connections) == {"127.0.0.1"}
    assert not kept.exists()


@contextlib.contextmanager
def _browser(address):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1180,900",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(address)
        yield driver
    finally:
        driver.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, driver):
        from selenium.webdriver import ActionChains, Keys

        self.driver, self.keys, self.chain = driver, Keys, lambda: ActionChains(driver, duration=20)

    def shown(self, selector, count=1):
        """The elements that are there to see, as soon as there are `count` of them."""
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = [e for e in self.driver.find_elements("css selector", selector) if e.is_displayed()]
            except StaleElementReferenceException:
                found = []
            if len(found) >= count:
                return found
            assert time.monotonic() < end, f"{selector}: {len(found)} of {count}, the status is {self.status()}"
            time.sleep(0.05)

    def status(self):
        script = "return [...document.querySelectorAll('[role=status]')].filter(e => e.offsetParent)"
        return " ".join(self.driver.execute_script(f"{script}.map(e => e.innerText)"))

    def says(self, *words):
        end = time.monotonic() + PATIENCE
        while not all(word in self.status() for word in words):
            assert time.monotonic() < end, f"Expected {words}; the status is {self.status()}"
            time.sleep(0.05)

    def open(self, tab):
        next(e for e in self.shown("button[role=tab]") if e.text == tab).click()

    def press(self, *keys):
        self.chain().send_keys(*keys).perform()

    def tab_to(self, text):
        """Presses Tab until the element with this text has the focus."""
        for _ in range(60):
            if self.driver.switch_to.active_element.text == text:
                return
            self.press(self.keys.TAB)
        pytest.fail(f"{text!r} is not reached with the Tab key.")


def test_every_tab_works_in_a_browser_without_a_network(tmp_path):
    with _served(tmp_path) as server, _browser(server) as browser:
        _use_every_tab(browser, server, tmp_path)


def _use_every_tab(browser, server, tmp_path):
    page = Page(browser)
    page.shown(".thumbnail-item", 16)
    assert [e.text for e in page.shown("button[role=tab]")] == [
        "Generate",
        "Recognise",
        "Walk",
        "Sample",
        "Interpolate",
    ]

    # Generate: a label by mouse, the button by keys.
    page.says("16 pictures of 3")
    before = [e.get_attribute("src") for e in page.shown(".thumbnail-item img")]
    next(e for e in page.shown("label") if e.text == "5").click()
    page.says("16 pictures of 5", "s)")
    seed = page.shown("input[type=number][aria-label='Seed'], .block input[type=number]")[-1]
    seed.send_keys(page.keys.CONTROL, "a")
    seed.send_keys("7")
    page.tab_to("Generate")
    page.press(page.keys.ENTER)
    page.says("16 pictures of 5", "s)")
    assert not set(before) & {e.get_attribute("src") for e in page.shown(".thumbnail-item img", 16)}

    # Recognise: a stroke with the mouse, one with the keys, an image, and a text that is none.
    page.open("Recognise")
    page.says("It is a 0")
    page.shown(".gallery-item img[alt='Example 2.png']")
    (board,) = page.shown("canvas")
    page.chain().move_to_element_with_offset(board, 5, -90).click_and_hold().move_by_offset(
        -12, 180
    ).release().perform()
    page.says("It is a 1", "cut out")
    next(e for e in page.shown("button") if e.text == "Clear the board").click()
    page.says("is empty")
    browser.execute_script("arguments[0].focus()", board)
    right, down, left = page.keys.ARROW_RIGHT, page.keys.ARROW_DOWN, page.keys.ARROW_LEFT
    page.press(" ", right * 12, (down + left) * 3, down * 19)
    page.says("a 7")
    upload = browser.find_elements("css selector", "input[type=file]")[0]
    upload.send_keys(str(pathlib.Path(demo.__file__).parent / "examples/2.png"))
    page.says("It is a 2")
    (tmp_path / "letter.png").write_text("Dear diary, this is not an image.")
    page.shown("button[aria-label='Remove Image']")[0].click()
    browser.find_elements("css selector", "input[type=file]")[0].send_keys(str(tmp_path / "letter.png"))
    page.says("letter.png is not an image")

    page.open("Walk")
    page.says("+0.00 across, +0.00 up")
    grid = page.shown(".image-frame.selectable img")[0]
    cell = grid.rect["height"] / 9
    page.chain().move_to_element_with_offset(grid, round(2 * cell), round(-cell)).click().perform()
    page.says("+0.50 across, +0.25 up", "the label is")
    page.shown("input[type=range]")[0].send_keys(page.keys.ARROW_RIGHT)
    page.says("+0.55 across, +0.25 up")

    page.open("Interpolate")
    page.says("From 3 to 8 in 9 steps")
    page.shown("input[type=range]")[0].send_keys(page.keys.ARROW_LEFT)
    next(e for e in page.shown("button") if e.text == "Interpolate" and e.get_attribute("role") != "tab").click()
    page.says("From 3 to 8 in 8 steps", "s)")
    assert [e.text for e in page.shown(".caption-label", 8)][0::7] == ["0%: 3", "100%: 8"]

    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    hosts = {urllib.parse.urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urllib.parse.urlsplit(server).netloc}
    assert len(asked) > 20


def test_a_row_is_filled_in_as_it_is_typed_and_slid(tmp_path):
    made_model().save(tmp_path / "pets.keras")
    with _served(tmp_path, tmp_path / "pets.keras") as server, _browser(server) as browser:
        page = Page(browser)
        page.says("Nothing is known yet")
        size = page.shown(".number [type=range]", 3)[0]
        size.send_keys(page.keys.ARROW_RIGHT)
        page.says("1 of 8 columns known", "s)")
        boxes = page.shown(".number [type=text]", 3)
        low, step = (float(size.get_attribute(name)) for name in ("min", "step"))
        typed = float(boxes[0].get_attribute("value"))
        assert typed > low
        assert (typed - low) / step == pytest.approx(round((typed - low) / step), abs=1e-6)
        boxes[2].send_keys("2.5")
        page.says("visits: '2.5' is not a count")
        boxes[2].send_keys(page.keys.BACKSPACE * 2)
        page.says("2 of 8 columns known", "s)")
        box = page.shown(".fields textarea, .fields [type=text][placeholder='not known']")[-1]
        box.send_keys("a purple dog")
        page.says("3 of 8 columns known", "did not learn the word purple")
        shown = [e.text for e in page.shown(".cells dt")]
        assert shown == ["weight", "kind", "tame", "sound"]
        np.save(tmp_path / "sound.npy", np.zeros((1, 3), np.float32))
        upload = browser.find_element("css selector", "input[type=file][accept*='.npy']")
        upload.send_keys(str(tmp_path / "sound.npy"))
        page.says("4 of 8 columns known", "s)")
        assert [e.text for e in page.shown(".cells dt")] == ["weight", "kind", "tame"]
        next(e for e in page.shown("button") if e.text == "Leave all open").click()
        page.says("Nothing is known yet", "s)")
        assert [box.get_attribute("value") for box in page.shown(".number [type=text]", 3)] == [""] * 3
        assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_a_port_that_is_taken_gives_the_next_one():
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")
    from tf_jmvae.demo.page import free_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + 20
    assert free_port("127.0.0.1", port) == port


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 70_000, "from 0 to 65535"),
        ("no.such.host.invalid", 7860, "not an address of this machine"),
        ("192.0.2.1", 7860, "not an address of this machine"),
    ],
)
def test_a_host_or_port_that_cannot_be_used_is_refused(host, port, message):
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")
    with pytest.raises(ValueError, match=message):
        demo.launch(host=host, port=port, open_browser=False)


def test_without_gradio_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ImportError, match=r'needs gradio: pip install "tf-jmvae\[demo\]"'):
        demo.launch()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_package_does_not_import_gradio():
    for path in (ROOT / "tf_jmvae").rglob("*.py"):
        if path.parent.name != "demo":
            assert "gradio" not in path.read_text(), path
    assert not hasattr(demo, "gradio")
    assert not list((ROOT / "tf_jmvae").rglob("*.pyi"))  # which Gradio writes beside components of one's own
