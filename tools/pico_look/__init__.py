"""Whether one picture can stand for another: what is gone, what is new, how alike they are, and words for it.

Needs numpy only. `look` is all that others call; see docs/decisions/0012-a-look-at-content.md.
"""

from __future__ import annotations

from .comparison import Look, Place, limit_at, look
from .kinds import Kind
from .words import WORDS, Word, in_words, word_of

__all__ = ["WORDS", "Kind", "Look", "Place", "Word", "in_words", "limit_at", "look", "word_of"]
