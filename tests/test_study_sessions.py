"""Sessions of a study: every answer counts once, and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from study_samples import go_on, query, study

from pico_study.database import Settings, StudyError, writing
from pico_study.sessions import Sessions
from pico_study.way import RefusedError, UnknownError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return study(tmp_path / "study")


def test_a_session_goes_through_all_parts_in_order(folder: Path) -> None:
    sessions = Sessions(folder)
    secret = sessions.begin().secret
    assert go_on(sessions, secret) == {"trials": [], "done": True, "feedback": None}
    kinds = [row["kind"] for row in query(folder, "SELECT kind FROM trials ORDER BY position")]
    assert kinds[:17] == ["plate"] * 6 + ["practice"] * 3 + ["artefact"] * 8
    assert len(kinds[17:]) == 12
    assert kinds[17:].count("repeat") == 1
    assert query(folder, "SELECT COUNT(*) FROM answers")[0][0] == 29


def test_a_pair_comes_once_and_its_repetition_with_sides_swapped(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=30, repeats=0.2))
    sessions = Sessions(folder)
    go_on(sessions, sessions.begin().secret)
    trials = query(folder, "SELECT * FROM trials WHERE kind = 'trial'")
    assert len({frozenset((row["a"], row["b"])) for row in trials}) == len(trials) == 24
    repeats = query(
        folder,
        "SELECT r.a, r.b, t.a AS first_a, t.b AS first_b, r.position - t.position AS later "
        "FROM trials r JOIN trials t ON t.id = r.repeats",
    )
    assert len(repeats) == 6
    assert all(
        (row["a"], row["b"]) == (row["first_b"], row["first_a"]) and row["later"] >= 4 for row in repeats
    )


def test_pairs_are_of_one_picture_and_two_conditions(folder: Path) -> None:
    sessions = Sessions(folder)
    go_on(sessions, sessions.begin().secret)
    for row in query(
        folder,
        "SELECT a.picture, b.picture, o.picture, a.condition, b.condition, o.kind FROM trials t "
        "JOIN exhibits a ON a.id = t.a JOIN exhibits b ON b.id = t.b JOIN exhibits o ON o.id = t.reference "
        "WHERE t.kind = 'trial'",
    ):
        assert row[0] == row[1] == row[2]
        assert row[3] != row[4]
        assert row[5] == "original"


def test_sides_are_random(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=60, repeats=0))
    sessions = Sessions(folder, durable=False)
    for _ in range(2):
        go_on(sessions, sessions.begin().secret)
    found = query(
        folder,
        "SELECT a.condition < b.condition AS lower FROM trials t JOIN exhibits a ON a.id = t.a "
        "JOIN exhibits b ON b.id = t.b WHERE t.kind = 'trial'",
    )
    share = sum(row["lower"] for row in found) / len(found)
    assert 0.3 < share < 0.7


def test_a_small_study_ends_when_there_are_no_more_pairs(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=500))
    sessions = Sessions(folder, durable=False)
    secret = sessions.begin().secret
    state = go_on(sessions, secret, 18)
    assert state["trials"][0]["of"] == 3 * 28 + 8
    assert go_on(sessions, secret)["done"]


@pytest.mark.parametrize(
    ("conditions", "share", "repeats"), [(5, 0.1, 1), (5, 0.5, 5), (4, 0.5, 3), (3, 0.5, 0), (2, 0.1, 0)]
)
def test_few_pairs_are_all_asked_before_any_is_repeated_more_than_its_share(
    tmp_path: Path, conditions: int, share: float, repeats: int
) -> None:
    folder = study(tmp_path / "study", Settings(repeats=share))
    query(
        folder, "DELETE FROM exhibits WHERE kind = 'variant' AND (picture > 1 OR condition > ?)", conditions
    )
    pairs = conditions * (conditions - 1) // 2
    sessions = Sessions(folder, durable=False)
    secret = sessions.begin().secret
    state = go_on(sessions, secret, 17)
    while state["trials"]:
        assert state["trials"][0]["of"] == pairs + repeats
        state = go_on(sessions, secret, 1)
    kinds = [row["kind"] for row in query(folder, "SELECT kind FROM trials ORDER BY position")][17:]
    assert (kinds.count("trial"), kinds.count("repeat")) == (pairs, repeats)


def test_a_rater_of_few_trials_is_asked_again_as_often_as_was_said(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", Settings(trials=8, repeats=0.4))
    sessions = Sessions(folder, durable=False)
    go_on(sessions, sessions.begin().secret)
    kinds = [row["kind"] for row in query(folder, "SELECT kind FROM trials ORDER BY position")][17:]
    assert (kinds.count("trial"), kinds.count("repeat")) == (5, 3)


def test_an_answer_counts_once_and_the_first_one_stays(folder: Path) -> None:
    sessions = Sessions(folder)
    secret = sessions.begin().secret
    go_on(sessions, secret, 17)
    token = sessions.state(secret)["trials"][0]["token"]
    states = [sessions.answer(secret, token, choice, 900, {}) for choice in ("a", "a", "b")]
    assert states[0] == states[1] == states[2]
    assert [
        row["choice"]
        for row in query(
            folder, "SELECT choice FROM answers JOIN trials ON id = trial WHERE token = ?", token
        )
    ] == ["a"]


def test_answers_sent_at_the_same_time_count_once(folder: Path) -> None:
    sessions = Sessions(folder)
    secret = sessions.begin().secret
    go_on(sessions, secret, 17)
    token = sessions.state(secret)["trials"][0]["token"]
    failures: list[Exception] = []

    def send() -> None:
        try:
            sessions.answer(secret, token, "b", 900, {})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query(folder, "SELECT COUNT(*) FROM answers")[0][0] == 18
    assert query(folder, "SELECT COUNT(*) FROM trials WHERE kind = 'trial'")[0][0] == 3


def test_the_database_itself_refuses_second_and_changed_answers(folder: Path) -> None:
    sessions = Sessions(folder)
    go_on(sessions, sessions.begin().secret, 1)
    for statement in (
        "INSERT INTO answers SELECT trial, 'b', 1, '{}', 'now' FROM answers",
        "UPDATE answers SET choice = 'b'",
        "INSERT INTO trials SELECT id + 1000, token || 'x', session, position, kind, reference, a, b, expected, "
        "repeats, chosen_by, created FROM trials",
        "INSERT INTO answers VALUES (99999, 'a', 1, '{}', 'now')",
    ):
        with pytest.raises(StudyError), writing(folder) as connection:
            connection.execute(statement)


def test_the_database_is_in_write_ahead_mode_and_syncs_every_answer(folder: Path) -> None:
    with writing(folder) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_rater_cannot_answer_for_another(folder: Path) -> None:
    sessions = Sessions(folder)
    one, other = sessions.begin().secret, sessions.begin().secret
    token = sessions.state(one)["trials"][0]["token"]
    with pytest.raises(UnknownError):
        sessions.answer(other, token, "5", 1, {})
    with pytest.raises(UnknownError):
        sessions.state("someone")


@pytest.mark.parametrize(
    ("choice", "milliseconds", "view"),
    [
        ("c", 1, {}),
        ("a", -1, {}),
        ("a", 1, {"mode": "x" * 9999}),
        ("a", 1, {"mode": "\ud800"}),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    folder: Path, choice: str, milliseconds: int, view: dict[str, Any]
) -> None:
    sessions = Sessions(folder)
    secret = sessions.begin().secret
    go_on(sessions, secret, 17)
    with pytest.raises(RefusedError):
        sessions.answer(secret, sessions.state(secret)["trials"][0]["token"], choice, milliseconds, view)
    assert query(folder, "SELECT COUNT(*) FROM answers")[0][0] == 17


def test_no_difference_is_refused_where_it_is_not_offered(tmp_path: Path) -> None:
    sessions = Sessions(study(tmp_path / "study", Settings(trials=5, ties=False)))
    secret = sessions.begin().secret
    state = go_on(sessions, secret, 17)
    assert not state["trials"][0]["ties"]
    with pytest.raises(RefusedError):
        sessions.answer(secret, state["trials"][0]["token"], "same", 1, {})


def test_withdrawing_deletes_the_session_and_its_answers_only(folder: Path) -> None:
    sessions = Sessions(folder)
    one, other = sessions.begin().secret, sessions.begin().secret
    go_on(sessions, one, 20)
    go_on(sessions, other, 18)
    sessions.withdraw(one)
    assert query(folder, "SELECT COUNT(*) FROM answers")[0][0] == 18
    assert query(folder, "SELECT COUNT(*) FROM sessions")[0][0] == 1
    with pytest.raises(UnknownError):
        sessions.state(one)


def test_people_and_simulated_raters_never_share_a_study(folder: Path) -> None:
    sessions = Sessions(folder)
    sessions.begin()
    with pytest.raises(StudyError, match="cannot share"):
        sessions.begin(simulated=True)
