"""A rater at work in a real browser."""

from __future__ import annotations

from typing import Any

from study_samples import Server, query

from pico_study.sessions import Sessions

SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LAPTOP = {"viewport": {"width": 1366, "height": 650}}
PHONE = {
    **{
        "viewport": {"width": 390, "height": 760},
        "device_scale_factor": 3,
        "is_mobile": True,
        "has_touch": True,
    }
}
READY = "#frame:not(.empty)"


def after_checks(server: Server) -> str:
    """The link of a session whose checks are done, for tests of what comes then."""
    sessions = Sessions(server.folder)
    secret = sessions.begin().secret
    state = sessions.state(secret)
    while state["trials"][0]["kind"] != "trial":
        token = state["trials"][0]["token"]
        state = sessions.answer(secret, token, sessions.truth(token)[0], 1000, {})
    sessions.close()
    return f"/#resume={secret}"


class Rater:
    """What a person does, in a tab of their own; complaints of the page fail the test."""

    def __init__(self, context: Any, server: Server, path: str = "/") -> None:
        self.context = context
        self.server = server
        self.complaints: list[str] = []
        self.open(path)

    def open(self, path: str = "/") -> None:
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(self.server.address + path)

    def wait(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def consent(self) -> None:
        self.wait("Before you begin")
        self.page.get_by_role("checkbox").check()
        self.page.get_by_role("button", name="Begin").click()

    def expected(self) -> str:
        """The right answer to what is shown, which only the database knows."""
        address = self.page.evaluate("document.querySelector('.plate, #original').getAttribute('src')")
        rows = query(self.server.folder, "SELECT expected FROM trials WHERE token = ?", address.split("/")[2])
        return str(rows[0]["expected"])

    def read_plates(self) -> None:
        self.wait("Read the figures")
        self.page.get_by_role("button").first.click()
        for number in range(6):
            self.wait(f"Plate {number + 1} of 6")
            self.page.keyboard.press(self.expected())

    def look_and_answer(self, progress: str, key: str | None = None) -> None:
        self.wait(progress)
        self.page.locator(READY).wait_for()
        self.page.keyboard.press("ArrowLeft")
        self.page.keyboard.press("ArrowRight")
        self.page.keyboard.press(key or self.expected())

    def practise_and_check(self) -> None:
        self.wait("How to compare")
        self.page.get_by_role("button", name="Practise").click()
        for number in range(3):
            self.look_and_answer(f"Practice {number + 1} of 3")
            self.page.get_by_role("heading", name="Right").wait_for()
            self.page.keyboard.press("Enter")
        self.wait("Now find the compressed one")
        self.page.get_by_role("button", name="Begin the check").click()
        for number in range(8):
            self.look_and_answer(f"Check {number + 1} of 8")
        self.wait("Now the comparisons")

    def go_on(self, progress: str) -> None:
        self.wait("Welcome back")
        self.page.get_by_role("button", name="Go on").click()
        self.wait(progress)
        self.page.locator(READY).wait_for()

    def begin_comparisons(self) -> None:
        self.consent()
        self.read_plates()
        self.practise_and_check()
        self.page.get_by_role("button", name="Begin", exact=True).click()

    def stored(self) -> list[str]:
        """What the database holds of the comparisons, in order."""
        rows = query(
            self.server.folder,
            "SELECT choice FROM answers JOIN trials ON id = trial WHERE kind IN ('trial', 'repeat') ORDER BY position",
        )
        return [row["choice"] for row in rows]

    def wait_until_stored(self, choices: list[str]) -> None:
        """Ten seconds for answers that the page sends in its own time, behind the rater's back."""
        for _ in range(100):
            if self.stored() == choices:
                return
            self.page.wait_for_timeout(100)
        assert self.stored() == choices
