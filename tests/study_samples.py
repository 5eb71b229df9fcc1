"""Small studies, made once and copied, and a server for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from PIL import Image

from pico_bench.codecs import PILLOW_CODECS, Codec
from pico_bench.originals import find_originals
from pico_study.create import Plan, create
from pico_study.database import DATABASE, Settings, writing
from pico_study.sessions import Sessions

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
WINDOW = (192, 128)


def codecs() -> Sequence[Codec]:
    jpeg = replace(PILLOW_CODECS["jpeg"], ladder=("6", "15", "40", "80"))
    return [jpeg, replace(PILLOW_CODECS["webp"], ladder=("1", "20", "60", "90"))]


def originals(folder: Path, count: int = 3, size: tuple[int, int] = (240, 160)) -> Path:
    """Small real photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["osprey", "chapel", "flowers", "mountain"][:count]
    for name in names:
        with Image.open(SAMPLES / f"{name}.jpg") as image:
            small = image.convert("RGB").reduce(3)
            Image.fromarray(np.asarray(small)[: size[1], : size[0]]).save(folder / f"{name}.png")
    return folder


@cache
def _made() -> Path:
    folder = Path(mkdtemp(prefix="pico-study-test-"))
    plan = Plan(find_originals(originals(folder / "originals")), codecs(), Settings(), WINDOW, command="test")
    create(folder / "study", plan, lambda line: None)
    return folder / "study"


def study(target: Path, settings: Settings | None = None) -> Path:
    """A study of three pictures and eight conditions, copied from one that was made before."""
    shutil.copytree(_made(), target)
    chosen = settings or Settings(trials=12, pause_every=5)
    with writing(target) as connection:
        connection.execute("UPDATE study SET settings = ?", (chosen.as_json(),))
    return target


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Calls a server as it is told to, good manners or not; follows no redirects."""

    def __init__(self, port: int, machine: str = "127.0.0.1") -> None:
        self._place = (machine, port)
        self.cookie = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._call("GET", path, None, headers)

    def post(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Reply:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self._call("POST", path, body, headers)

    def _call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None) -> Reply:
        connection = HTTPConnection(*self._place, timeout=30)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        connection.request(method, path, body, {**sent, **(headers or {})})
        answer = connection.getresponse()
        found = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        self.cookie = found.headers.get("set-cookie", self.cookie).split(";")[0]
        return found


class Server:
    """`pico-study serve` in a process of its own, on a free port."""

    def __init__(self, folder: Path, *options: str, machine: str = "127.0.0.1") -> None:
        with socket.socket() as probe:
            probe.bind((machine, 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.options = options
        self.address = f"http://{machine}:{self.port}"
        self.client = Client(self.port, machine)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "pico_study", "serve", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.PIPE, text=True)
        for _ in range(600):
            try:
                with urlopen(f"{self.address}/web/study.css", timeout=5):
                    return
            except URLError as error:
                if getattr(error, "code", None) is not None:  # it answers, though it does not let us in
                    return
                time.sleep(0.05)
        msg = "the server did not start"
        raise RuntimeError(msg)

    def kill(self) -> None:
        """As a power cut for the process: nothing is flushed or closed."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()


def query(folder: Path, sql: str, *values: Any) -> list[sqlite3.Row]:
    connection = sqlite3.connect(folder / DATABASE)
    connection.row_factory = sqlite3.Row
    rows = connection.execute(sql, values).fetchall()
    connection.commit()
    connection.close()
    return rows


def answer_for(trial: dict[str, Any]) -> str:
    return "5" if trial["kind"] == "plate" else "a"


def go_on(sessions: Sessions, secret: str, most: int = 1000) -> dict[str, Any]:
    """Answer so many trials, or all that come."""
    state = sessions.state(secret)
    for _ in range(most):
        if state["done"]:
            break
        trial = state["trials"][0]
        state = sessions.answer(secret, trial["token"], answer_for(trial), 1200, {"ratio": 2})
    return state
