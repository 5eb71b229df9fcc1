"""`pico-study simulate` and `results`: truths are found again, screening flags, simulations say what they are."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_samples import go_on, query, study

from pico_study.analysis import Saving, analyse
from pico_study.answers import read_evidence
from pico_study.bradley_terry import ELO
from pico_study.cli import main
from pico_study.database import Settings, writing
from pico_study.sessions import Sessions
from pico_study.simulation import Habits, simulate
from pico_study.tables import SIMULATED, answers_csv, headline

PERFECT = Habits(lapses=0, careless=0, colour_blind=0, spread=0)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that simulated raters took part in, with its results."""
    folder = study(
        tmp_path_factory.mktemp("simulated") / "study", Settings(trials=30, title="Title & <more>")
    )
    assert main(["simulate", str(folder), "--raters", "8", "--metric", "psnr", "--seed", "3"]) == 0
    assert main(["results", str(folder)]) == 0
    return folder


def by_name(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def true_strengths(
    folder: Path, spread: float = 0.0
) -> tuple[dict[int, float], dict[tuple[str, str], float]]:
    """By exhibit and by condition: on one line over the logarithm of the rate; WebP as if it had half the bits."""
    rng = np.random.default_rng(0)
    rows = query(
        folder,
        "SELECT e.id, codec, quality, AVG(bits_per_pixel) OVER (PARTITION BY condition) AS bpp "
        "FROM exhibits e JOIN conditions c ON c.id = condition",
    )
    strengths, conditions = {}, {}
    for row in rows:
        rate = row["bpp"] * (2 if row["codec"] == "WebP" else 1)
        conditions[row["codec"], row["quality"]] = 1.3 * np.log2(rate)
        strengths[row["id"]] = conditions[row["codec"], row["quality"]] + spread * rng.normal()
    return strengths, conditions


def test_the_whole_pipeline_finds_true_strengths_and_bit_savings(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=84, repeats=0))
    strengths, conditions = true_strengths(folder)
    simulate(folder, 8, strengths, np.random.default_rng(1), lambda line: None, PERFECT)
    results = analyse(read_evidence(folder), "JPEG")
    assert results.passed is not None
    mean = np.mean(list(conditions.values()))
    inside = []
    for score in results.passed.scores:
        truth = ELO * (conditions[score.condition.codec, score.condition.quality] - mean)
        assert score.elo == pytest.approx(truth, abs=170)
        inside.append(score.credible[0] < truth < score.credible[1])
    assert sum(inside) >= 5
    (saving,) = results.passed.savings
    assert saving.rate is not None
    assert saving.rate == pytest.approx(-50, abs=24)
    assert saving.credible[0] < saving.rate < saving.credible[1]


def test_picture_effects_are_modelled_on_request(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=84, repeats=0))
    strengths, _ = true_strengths(folder, spread=1.0)
    simulate(folder, 5, strengths, np.random.default_rng(1), lambda line: None, PERFECT)
    found = read_evidence(folder)
    plain, modelled = analyse(found).everyone, analyse(found, per_picture=True).everyone
    assert plain.picture_spread is None
    assert modelled.picture_spread is not None
    assert modelled.picture_spread > 60
    widths = [np.mean([s.credible[1] - s.credible[0] for s in found.scores]) for found in (plain, modelled)]
    assert widths[1] > widths[0]


def test_every_output_of_a_simulation_says_so(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", str(simulated)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == SIMULATED.upper()
    for name in ("elo.csv", "bd-rate.csv", "raters.csv", "answers.csv"):
        assert {row["raters_are"] for row in by_name(simulated / "results" / name)} == {SIMULATED}
    content = json.loads((simulated / "results" / "results.json").read_text())
    assert content["simulated"] is True
    assert content["warning"] == SIMULATED
    assert f"{SIMULATED.capitalize()}. No person" in (simulated / "results" / "results.html").read_text()
    assert main(["simulate", str(simulated), "--raters", "1", "--metric", "psnr"]) == 0
    assert SIMULATED.upper() in capsys.readouterr().out


def test_the_plot_of_a_simulation_is_stamped(simulated: Path, tmp_path: Path) -> None:
    unmarked = tmp_path / "study"
    shutil.copytree(simulated, unmarked)
    with writing(unmarked) as connection:
        connection.execute("UPDATE sessions SET simulated = 0")
    assert main(["results", str(unmarked), "--out", str(tmp_path / "people")]) == 0
    plots = []
    for path in (simulated / "results" / "elo.png", tmp_path / "people" / "elo.png"):
        with Image.open(path) as image:
            colours = np.asarray(image.convert("RGB")).astype(int)
        red, green, blue = np.moveaxis(colours, 2, 0)
        plots.append(int(((red > 200) & (blue < green) & (red - blue > 60)).sum()))
    assert plots[0] > 2000
    assert plots[1] < 50
    assert "not evidence" not in (tmp_path / "people" / "results.html").read_text()


def test_simulated_raters_stay_out_of_a_study_of_people_and_people_out_of_theirs(
    tmp_path: Path, simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path / "study")
    Sessions(folder).begin()
    assert main(["simulate", str(folder), "--metric", "psnr"]) == 1
    assert "need a study of their own" in capsys.readouterr().err
    assert main(["serve", str(simulated)]) == 1
    assert "need a study of their own" in capsys.readouterr().err


def test_pictures_that_a_codec_lacks_are_named_wherever_the_bit_saving_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which pairs a rater sees is drawn; some draws give a curve that does not rise, and then no bit saving.
    seeds, chance = itertools.count(), random.Random(0)
    monkeypatch.setattr("secrets.randbits", lambda _: next(seeds))
    monkeypatch.setattr("random.SystemRandom", lambda: chance)
    folder = study(tmp_path / "study", Settings(trials=30))
    (lacked,) = query(folder, "SELECT name FROM pictures WHERE id = 2")
    query(
        folder,
        "DELETE FROM exhibits WHERE picture = 2 AND condition IN (SELECT id FROM conditions WHERE codec = 'WebP')",
    )
    assert main(["simulate", str(folder), "--raters", "12", "--metric", "psnr"]) == 0
    assert main(["results", str(folder), "--anchor", "JPEG"]) == 0
    assert f"WebP against JPEG leaves out {lacked['name']}," in capsys.readouterr().out
    results = folder / "results"
    assert f"WebP against JPEG leaves out {lacked['name']}," in (results / "results.html").read_text()
    content = json.loads((results / "results.json").read_text())
    assert content["analyses"][0]["savings"][0]["left_out"] == [lacked["name"]]
    assert "2 of 3 pictures" in by_name(results / "bd-rate.csv")[0]["remark"]


def test_simulate_tells_as_many_comparisons_as_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path / "study", Settings(trials=12, repeats=0.25))
    for _ in range(2):
        assert main(["simulate", str(folder), "--raters", "2", "--metric", "psnr"]) == 0
        line = capsys.readouterr().out.splitlines()[0]
        told = json.loads(line[line.index("{") :])
        assert told["comparisons"] == 2 * 9
    assert analyse(read_evidence(folder)).everyone.answers == 2 * 2 * 9


class Page(HTMLParser):
    """Tags left open, addresses, and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "source", "br", "link", "input"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("title", "h1"):
            self.titles.append(data)


def test_the_page_is_whole_and_needs_nothing_else(simulated: Path) -> None:
    page = Page()
    page.feed((simulated / "results" / "results.html").read_text())
    assert page.open == []
    assert page.titles == ["Title & <more>", "Title & <more>"]
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)


def test_exports_agree_with_each_other(simulated: Path) -> None:
    content = json.loads((simulated / "results" / "results.json").read_text())
    rows = by_name(simulated / "results" / "elo.csv")
    for analysis in content["analyses"]:
        own = [row for row in rows if row["raters"] == analysis["title"]]
        assert [float(row["elo"]) for row in own] == [score["elo"] for score in analysis["scores"]]
        assert sum(score["elo"] for score in analysis["scores"]) == pytest.approx(0, abs=1e-6)
        rates = [
            float(row["bd_rate_percent"]) if row["bd_rate_percent"] else None
            for row in by_name(simulated / "results" / "bd-rate.csv")
            if row["raters"] == analysis["title"]
        ]
        assert rates == [saving["rate"] for saving in analysis["savings"]]
    answers = by_name(simulated / "results" / "answers.csv")
    kinds = {
        kind: sum(row["kind"] == kind for row in answers)
        for kind in ("plate", "practice", "artefact", "repeat")
    }
    assert kinds == {"plate": 48, "practice": 24, "artefact": 64, "repeat": 24}
    for row in answers:
        if row["kind"] == "trial" and row["choice"] in "ab":
            assert row["chosen"] == row[row["choice"]]
            assert re.fullmatch(r"(JPEG|WebP) \d+", row["chosen"])


@pytest.mark.parametrize(
    ("credible", "told"),
    [
        (
            (-60.0, -30.0),
            ".pico needs 50 % fewer bits than AVIF at equal Elo (95 % credible: -60 % to -30 %)",
        ),
        (
            (-60.0, 8.0),
            ".pico and AVIF: these answers do not tell which needs fewer bits (95 % credible: -60 % to +8 %)",
        ),
        (
            (math.nan, math.nan),
            ".pico needs 50 % fewer bits than AVIF at equal Elo; how sure that is, these answers do not tell",
        ),
    ],
)
def test_a_saving_in_words_claims_no_more_than_its_interval(credible: tuple[float, float], told: str) -> None:
    assert headline(Saving(".pico", "AVIF", -50.0, credible)) == told


@pytest.mark.parametrize("name", ["=1+1", "+1", "-2+3|x", "@sum", "\tx"])
def test_no_name_is_a_formula_in_a_spreadsheet(simulated: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    shutil.copytree(simulated, folder, ignore=shutil.ignore_patterns("results"))
    with writing(folder) as connection:
        connection.execute("UPDATE pictures SET name = ? WHERE id = 1", (name,))
    written = {
        row["picture"] for row in csv.DictReader(io.StringIO(answers_csv(analyse(read_evidence(folder)))))
    }
    assert f"'{name}" in written
    assert name not in written


@pytest.mark.parametrize("view", [{"viewport": 5}, {"viewport": "wide"}, {"ratio": [[1]], "scale": {"x": 1}}])
def test_what_a_page_says_of_its_screen_cannot_break_the_results(
    tmp_path: Path, view: dict[str, Any]
) -> None:
    folder = study(tmp_path / "study", Settings(trials=4))
    sessions = Sessions(folder, durable=False)
    secret = sessions.begin().secret
    token = sessions.state(secret)["trials"][0]["token"]
    sessions.answer(secret, token, "none", 1500, view)
    go_on(sessions, secret)
    assert main(["results", str(folder)]) == 0
    assert len(by_name(folder / "results" / "answers.csv")) == 6 + 3 + 8 + 4


def test_a_single_rater_is_not_called_raters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = study(tmp_path / "study", Settings(trials=4))
    sessions = Sessions(folder, durable=False)
    go_on(sessions, sessions.begin().secret)
    assert main(["results", str(folder)]) == 0
    assert "1 rater, 4 comparisons" in capsys.readouterr().out
    assert "1 rater, 4 comparisons" in (folder / "results" / "results.html").read_text()


def answer_checks(sessions: Sessions, secret: str, wrong: dict[str, int]) -> dict[str, Any]:
    """Answer plates and checks rightly but for so many of each kind; the control plate is the first."""
    state = sessions.state(secret)
    left = dict(wrong)
    while state["trials"] and state["trials"][0]["kind"] != "trial":
        trial = state["trials"][0]
        kind, right = trial["kind"], sessions.truth(trial["token"])[0]
        choice = right
        if left.get(kind, 0) and not (kind == "plate" and trial["number"] == 1 and not wrong.get("control")):
            left[kind] -= 1
            choice = "none" if kind == "plate" else ("b" if right == "a" else "a")
        state = sessions.answer(secret, trial["token"], choice, 1500, {})
    return state


@pytest.mark.parametrize(
    ("wrong", "screening"),
    [
        ({}, "passed"),
        ({"plate": 1, "artefact": 1, "practice": 3}, "passed"),
        ({"plate": 2}, "flagged: colours"),
        ({"plate": 1, "control": 1}, "flagged: colours"),
        ({"artefact": 2}, "flagged: artefacts"),
        ({"plate": 4, "artefact": 8}, "flagged: colours and artefacts"),
    ],
)
def test_raters_who_fail_a_check_are_flagged_in_the_results_and_never_told(
    tmp_path: Path, wrong: dict[str, int], screening: str
) -> None:
    folder = study(tmp_path / "study", Settings(trials=4))
    sessions = Sessions(folder, durable=False)
    secret = sessions.begin().secret
    state = answer_checks(sessions, secret, wrong)
    assert set(state) == {"trials", "done", "feedback"}
    assert [trial["kind"] for trial in state["trials"]] == ["trial", "trial"]
    go_on(sessions, secret)
    assert main(["results", str(folder)]) == 0
    (rater,) = by_name(folder / "results" / "raters.csv")
    assert rater["screening"] == screening
    content = json.loads((folder / "results" / "results.json").read_text())
    expected = "raters who passed" if screening == "passed" else "all raters"
    assert [analysis["title"] for analysis in content["analyses"]] == [expected]
    assert rater["raters_are"] == "people"


def test_results_show_the_raters_who_passed_with_and_without_the_others(simulated: Path) -> None:
    content = json.loads((simulated / "results" / "results.json").read_text())
    raters = by_name(simulated / "results" / "raters.csv")
    passed = sum(row["screening"] == "passed" for row in raters)
    assert content["analyses"][0]["raters"] == passed
    if passed < len(raters):
        assert content["analyses"][1]["raters"] == len(raters)


def test_repeats_measure_consistency_and_count_for_nothing_else(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=30, repeats=0.2))
    sessions = Sessions(folder, durable=False)
    always_a = sessions.begin().secret
    go_on(sessions, always_a)
    (rater,) = read_evidence(folder).raters
    assert rater.repeats() == (0, 6, 6)
    assert rater.side_bias()[0] == 1
    assert rater.side_bias()[1] < 1e-6
    assert len(rater.comparisons) == 24
    assert analyse(read_evidence(folder)).everyone.answers == 24


def test_a_study_without_answers_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = study(tmp_path / "study")
    assert main(["results", str(folder)]) == 1
    assert "send the link to raters" in capsys.readouterr().err
    assert main(["results", str(tmp_path)]) == 1
    assert "holds no study" in capsys.readouterr().err


def test_an_unknown_anchor_metric_or_seed_is_refused(
    simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", str(simulated), "--anchor", "BPG"]) == 2
    assert "choose of JPEG, WebP" in capsys.readouterr().err
    assert main(["simulate", str(simulated), "--metric", "taste"]) == 2
    assert "choose of psnr" in capsys.readouterr().err
    assert main(["simulate", str(simulated), "--metric", "psnr", "--seed", "-1"]) == 2
    assert "'-1' is not a whole number from 0" in capsys.readouterr().err


def test_every_option_is_documented() -> None:
    root = Path(__file__).resolve().parents[1]
    source = (root / "tools" / "pico_study" / "cli.py").read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', source)) - {"--version"}
    documented = (root / "docs" / "study.md").read_text()
    assert options
    assert not {option for option in options if f"`{option}" not in documented}
