# SPDX-License-Identifier: Apache-2.0
"""Drives a headless Chromium over its DevTools pipe, with the standard library alone.

Messages are JSON texts ended by a zero byte, to the browser's descriptor 3 and from its 4. Waiting is
for events and promises, never for time.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
READS_PIXELS = "willReadFrequently"  # the browser's advice to whoever reads pixels: the test does
ANSWER_S_MAX = 90  # a loaded machine lays out a thousand nodes within this, ten times over


def find_browser():
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    def __init__(self, path):
        self.home = tempfile.mkdtemp(prefix="weft-report-")
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        # The shell gives the two pipes the numbers that the browser expects.
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script, path, "--headless=new", "--no-sandbox", "--remote-debugging-pipe",
             f"--user-data-dir={self.home}", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
             "--force-color-profile=srgb", "about:blank"],
            pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.number, self.rest, self.events = 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.to_write)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.from_read)
        shutil.rmtree(self.home, ignore_errors=True)

    def receive(self, until):
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.from_read], [], [], left)[0]:
                raise TimeoutError("the browser did not answer")
            chunk = os.read(self.from_read, 1 << 20)
            if not chunk:
                raise EOFError("the browser ended")
            self.rest += chunk
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **params):
        """One command's result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWER_S_MAX
        while True:
            answer = self.receive(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_event(self, method, session):
        until = time.monotonic() + ANSWER_S_MAX
        while not any(event.get("method") == method and event.get("sessionId") == session for event in self.events):
            self.events.append(self.receive(until))

    def open(self, url, width, height, scheme="light", scale=1, is_phone=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone)
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.call("Page.navigate", url=url)
        self.wait_event("Page.loadEventFired", session)
        return page


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def ask(self, script):
        """The value of a JavaScript expression, or of the promise it gives."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def key(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path, whole=False):
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def of(self, *methods):
        return [event for event in self.browser.events if event.get("sessionId") == self.session and event.get("method") in methods]

    def complaints(self):
        """Exceptions, console errors and warnings, and whatever the browser itself logged."""
        found = [event["params"]["exceptionDetails"] for event in self.of("Runtime.exceptionThrown")]
        found += [event["params"]["args"] for event in self.of("Runtime.consoleAPICalled") if event["params"]["type"] in ("error", "warning", "assert")]
        found += [event["params"]["entry"] for event in self.of("Log.entryAdded")]
        return [entry for entry in found if READS_PIXELS not in str(entry)]

    def requests(self):
        """What the page asked for beside itself; data: URLs are part of it."""
        urls = [event["params"]["request"]["url"] for event in self.of("Network.requestWillBeSent")]
        return [url for url in urls[1:] if not url.startswith("data:")]
