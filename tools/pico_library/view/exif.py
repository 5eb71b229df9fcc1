"""What people want to know from EXIF: when, with what and where a photo was taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

_DATE = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_DATES = ((IFD.Exif, Base.DateTimeOriginal), (IFD.Exif, Base.DateTimeDigitized), (None, Base.DateTime))
_LONGEST = 200  # characters of a text that are shown


def taken_at(exif: bytes | None) -> str | None:
    """Local time as in 2021-06-05T04:03:02; None if EXIF does not tell, or makes no sense."""
    tags = _tags(exif)
    if tags is None:
        return None
    for directory, tag in _DATES:
        match = _DATE.match(_text(_directory(tags, directory).get(tag)))
        if match and _is_date([int(part) for part in match.groups()]):
            return "{}-{}-{}T{}:{}:{}".format(*match.groups())
    return None


def camera_facts(exif: bytes | None) -> list[tuple[str, str]]:
    """Camera, lens, exposure and place, each as a name and a text; those that EXIF tells."""
    tags = _tags(exif)
    if tags is None:
        return []
    shot = _directory(tags, IFD.Exif)
    maker, model = _text(tags.get(Base.Make)), _text(tags.get(Base.Model))
    facts = [
        (
            "Camera",
            model if maker and model.lower().startswith(maker.lower()) else f"{maker} {model}".strip(),
        ),
        ("Lens", _text(shot.get(Base.LensModel))),
        ("Exposure", _exposure(shot)),
        ("Title", _text(tags.get(Base.ImageDescription))),
        ("Place", _place(_directory(tags, IFD.GPSInfo))),
    ]
    return [(name, value) for name, value in facts if value]


def _tags(exif: bytes | None) -> Image.Exif | None:
    if not exif:
        return None
    tags = Image.Exif()
    try:
        tags.load(exif)
        tags.get(Base.Make)
    except Exception:  # what damaged EXIF makes Pillow raise has no common base
        return None
    return tags


def _directory(tags: Image.Exif, which: int | None) -> Mapping[int, Any]:
    try:
        return tags if which is None else tags.get_ifd(which)
    except Exception:  # as above
        return {}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:_LONGEST]


def _number(value: Any) -> float | None:
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if number == number and abs(number) < 1e9 else None


def _exposure(shot: Mapping[int, Any]) -> str:
    seconds, aperture = _number(shot.get(Base.ExposureTime)), _number(shot.get(Base.FNumber))
    speed, focal = _number(shot.get(Base.ISOSpeedRatings)), _number(shot.get(Base.FocalLength))
    parts = []
    if seconds and seconds > 0:
        parts.append(f"{seconds:g} s" if seconds >= 0.3 else f"1/{1 / seconds:.0f} s")
    if aperture and aperture > 0:
        parts.append(f"f/{aperture:g}")
    if speed and speed > 0:
        parts.append(f"ISO {speed:.0f}")
    if focal and focal > 0:
        parts.append(f"{focal:g} mm")
    return " \N{MIDDLE DOT} ".join(parts)


def _place(gps: Mapping[int, Any]) -> str:
    latitude = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "S", 90)
    longitude = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "W", 180)
    if latitude is None or longitude is None:
        return ""
    height = _number(gps.get(GPS.GPSAltitude))
    where = (
        f"{abs(latitude):.5f}\N{DEGREE SIGN} {'S' if latitude < 0 else 'N'}, "
        f"{abs(longitude):.5f}\N{DEGREE SIGN} {'W' if longitude < 0 else 'E'}"
    )
    if height is None:
        return where
    below = gps.get(GPS.GPSAltitudeRef) in (1, b"\x01")
    return f"{where}, {-height if below else height:.0f} m"


def _degrees(value: Any, reference: Any, negative: str, most: float) -> float | None:
    if not isinstance(value, tuple | list) or len(value) != 3:
        return None
    degrees, minutes, seconds = (_number(part) for part in value)
    if degrees is None or minutes is None or seconds is None:
        return None
    total = degrees + minutes / 60 + seconds / 3600
    if not 0 <= total <= most:
        return None
    return -total if _text(reference).upper().startswith(negative) else total


def _is_date(parts: list[int]) -> bool:
    year, month, day, hour, minute, second = parts
    return year > 0 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61
