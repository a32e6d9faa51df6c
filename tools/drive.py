"""Browsers of three engines, driven alike: a tab opens an address, takes a size, runs a script and feels a pointer.

Playwright drives the installed Chromium, and Firefox and WebKit where `playwright install firefox webkit` has brought
its own. Otherwise an installed Firefox takes orders itself, in WebDriver BiDi, and WebKitGTK from its WebKitWebDriver.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import browser
import websocket
from playwright.sync_api import sync_playwright

PATIENCE = 300  # seconds, for a busy machine
CALL = "async (words) => JSON.stringify((await ({script})(...JSON.parse(words))) ?? null)"


class PlaywrightTab:
    """A tab of a browser that playwright drives."""

    def __init__(self, driven) -> None:
        self.version, self.page = driven.version, driven.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)

    def visit(self, url: str) -> None:
        self.page.goto(url)

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def run(self, script: str, *arguments):
        return json.loads(self.page.evaluate(CALL.format(script=script), json.dumps(arguments)))

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point)
        self.page.mouse.up()


def pointer(points: tuple) -> list[dict]:
    """A pointer that goes down at the first point and up at the last, as both protocols say it."""
    way = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in points]
    actions = [way[0], {"type": "pointerDown", "button": 0}, *way[1:], {"type": "pointerUp", "button": 0}]
    return [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}]


class BidiTab:
    """A tab of Firefox, over WebDriver BiDi, https://w3c.github.io/webdriver-bidi/."""

    def __init__(self, address: str) -> None:
        self.socket, self.count = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True), 0
        self.version = self.send("session.new", capabilities={})["capabilities"]["browserVersion"]
        self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **parameters) -> dict:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.count:
            pass
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['message']}")
        return answer["result"]

    def visit(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def resize(self, width: int, height: int) -> None:
        self.send("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})

    def run(self, script: str, *arguments):
        words, target = [{"type": "string", "value": json.dumps(arguments)}], {"context": self.context}
        call = {"functionDeclaration": CALL.format(script=script), "arguments": words, "target": target}
        answer = self.send("script.callFunction", **call, awaitPromise=True)
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def drag(self, *points: tuple[float, float]) -> None:
        self.send("input.performActions", context=self.context, actions=pointer(points))


class WebDriverTab:
    """A tab of WebKitGTK, over WebDriver, https://w3c.github.io/webdriver/."""

    def __init__(self, server: str, program: str) -> None:
        options = {"binary": program, "args": ["--automation", "--full-screen"]}  # a window with bars can't be narrow
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options, "timeouts": {"script": 1000 * PATIENCE}}}
        self.session = f"{server}/session"
        session = self.send("", capabilities=wanted)
        self.session += f"/{session['sessionId']}"
        self.version = session["capabilities"]["browserVersion"]

    def send(self, path: str, **parameters):
        request = urllib.request.Request(self.session + path, json.dumps(parameters).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {json.load(error)['value']['message']}") from error

    def visit(self, url: str) -> None:
        self.send("/url", url=url)

    def resize(self, width: int, height: int) -> None:
        self.send("/window/rect", width=width, height=height)

    def run(self, script: str, *arguments):
        wait = f"({CALL.format(script=script)})(arguments[0]).then(arguments[1], (error) => arguments[1]('!' + error))"
        answer = self.send("/execute/async", script=wait, args=[json.dumps(arguments)])
        if answer.startswith("!"):
            raise RuntimeError(answer[1:])
        return json.loads(answer)

    def drag(self, *points: tuple[float, float]) -> None:
        self.send("/actions", actions=pointer(points))


@contextmanager
def program(*command: str) -> Iterator[None]:
    """A program that runs meanwhile, and ends with all that it started."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait()


def patiently(attempt):
    """What a call gives once it succeeds: a program that was just started needs a moment."""
    for _ in range(10 * PATIENCE):
        try:
            return attempt()
        except (OSError, ValueError):
            time.sleep(0.1)
    return attempt()


@contextmanager
def firefox(path: str) -> Iterator[BidiTab]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        listens = Path(profile, "WebDriverBiDiServer.json")
        with program(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"):
            server = patiently(lambda: json.loads(listens.read_text("utf-8")))
            yield BidiTab(f"ws://{server['ws_host']}:{server['ws_port']}/session")


@contextmanager
def webkit(path: str) -> Iterator[WebDriverTab]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    screen = [] if os.environ.get("DISPLAY") else ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24"]
    with program(*screen, "WebKitWebDriver", f"--port={port}"):
        server = f"http://127.0.0.1:{port}"
        patiently(lambda: urllib.request.urlopen(f"{server}/status").close())
        tab = WebDriverTab(server, path)
        try:
            yield tab
        finally:
            urllib.request.urlopen(urllib.request.Request(tab.session, method="DELETE")).close()


def minibrowser() -> str | None:
    """The path of WebKitGTK's small browser, where there's a screen for it, or one can be made."""
    screen = os.environ.get("DISPLAY") or shutil.which("xvfb-run")
    return next((str(path) for path in Path("/usr").glob("lib*/**/webkit*gtk-*/MiniBrowser") if screen), None)


@contextmanager
def tab(engine: str) -> Iterator[PlaywrightTab | BidiTab | WebDriverTab | None]:
    """A tab of Chromium, Firefox or WebKit; None where there is none."""
    with sync_playwright() as playwright:
        kind = getattr(playwright, engine.lower())
        path = browser.find() if engine == "Chromium" else kind.executable_path
        if path and Path(path).exists():
            driven = kind.launch(executable_path=path, args=list(browser.QUIET) if engine == "Chromium" else [])
            yield PlaywrightTab(driven)
            driven.close()
            return
    if engine == "Firefox" and (path := shutil.which("firefox") or shutil.which("firefox-esr")):
        with firefox(path) as found:
            yield found
    elif engine == "WebKit" and shutil.which("WebKitWebDriver") and (path := minibrowser()):
        with webkit(path) as found:
            yield found
    else:
        yield None
