"""The score in words for people.

Source: the bands that the author of SSIMULACRA2 gives (github.com/cloudinary/ssimulacra2, README of 2023): at 80 an
average observer notices no difference side by side at 1:1, at 70 hardly one, at 50 differences annoy slightly, at 30
they are obvious. The borders of the words lie in the middle between these bands. What each word looks like was
checked by eye on reconstructions of .pico: see docs/decisions/0012-a-look-at-content.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word, the least score that earns it (SSIMULACRA2 of the worst crop), and what it means."""

    text: str
    least_score: float
    meaning: str


WORDS = (
    Word("cannot be told apart", 80.0, "side by side at full size nobody finds a difference"),
    Word("hardly visible", 60.0, "side by side at full size a trained eye finds finer texture redrawn"),
    Word("visible", 40.0, "side by side anyone finds softer detail; alone the picture looks right"),
    Word("changed", float("-inf"), "detail is missing or other, and is noticed"),
)
# The strength up to which each word holds: beyond the limit it is visible, and further on a change.
_MOST_STRENGTH = (0.8, 1.0, 1.3, float("inf"))


def word_of(score: float, strength: float) -> Word:
    """The word for the score of the worst crop, and for how strongly content is gone or new (1.0 is the limit)."""
    by_score = next(place for place, word in enumerate(WORDS) if score >= word.least_score)
    by_content = next(place for place, most in enumerate(_MOST_STRENGTH) if strength <= most)
    return WORDS[max(by_score, by_content)]


def in_words(score: float, strength: float) -> str:
    """The word with its number, as in `hardly visible (64 of 100)`."""
    return f"{word_of(score, strength).text} ({score:.0f} of 100)"
