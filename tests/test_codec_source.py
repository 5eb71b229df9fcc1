"""Which picture files are read, to which pixels and metadata, and what is refused, or named as left behind."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from codec_samples import TIFFS, jpeg, png
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pico_codec import carried
from pico_codec.carried_seldom import from_gif, from_jpeg2000, left_of
from pico_codec.source import Unsuitable, UnsuitableError, read_source, read_source_file
from pico_core import PicoFile, encode
from pico_core.boxes import box


def test_second_picture_of_a_multi_picture_file_is_named(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=pictures[1:])
    source = read_source_file(tmp_path / "two.jpg")
    assert source.pixels.shape == (32, 32, 3)
    assert "further pictures" in (source.left_behind or "")


def unsuitable_pictures() -> Iterator[tuple[bytes, Unsuitable]]:
    frames = [Image.new("L", (8, 8), level) for level in (0, 200)]
    animation = io.BytesIO()
    frames[0].save(animation, "WEBP", save_all=True, append_images=frames[1:])
    deep = io.BytesIO()
    Image.new("I;16", (8, 8), 40_000).save(deep, "PNG")
    yield b"just text", Unsuitable.NOT_A_PICTURE
    yield animation.getvalue(), Unsuitable.SEVERAL_PICTURES
    yield deep.getvalue(), Unsuitable.DEEP
    yield jpeg(Image.new("CMYK", (8, 8))), Unsuitable.COLOUR_SPACE


@pytest.mark.parametrize(("data", "reason"), list(unsuitable_pictures()))
def test_what_a_pico_file_cannot_hold_is_refused_with_a_reason(data: bytes, reason: Unsuitable) -> None:
    with pytest.raises(UnsuitableError) as caught:
        read_source(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("bits", "row"), [(1, b"\x40"), (2, b"\x30"), (4, b"\x0f"), (8, b"\0\xff")])
def test_transparent_grey_of_every_depth_stays_transparent(bits: int, row: bytes) -> None:
    """Pillow spreads samples of 2 and 4 bits over 0 to 255, but not the transparent one."""
    white = struct.pack(">H", 2**bits - 1)
    assert read_source(png((bits, 0), row, (b"tRNS", white))).pixels.tolist() == [[[0, 255], [255, 0]]]


def test_samples_are_read_unchanged(samples: Path) -> None:
    """Reading must not alter a source: the same bytes before and after."""
    for path in sorted(samples.glob("*.jpg")):
        before = hashlib.sha256(path.read_bytes()).digest()
        source = read_source_file(path)
        with Image.open(path) as im:
            assert source.metadata.exif == im.info["exif"]
            assert source.pixels.shape == (im.height, im.width, len(im.getbands()))
        assert hashlib.sha256(path.read_bytes()).digest() == before


XMP_PACKET = "<?xpacket begin='\ufeff'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>".encode()
PROFILE = b"\0\0\0\x80lcms" + bytes(300)


def blocks(content: bytes) -> bytes:
    """GIF's form of content: blocks that begin with their length, and an empty one."""
    starts = range(0, len(content), 255)
    return b"".join(bytes([len(content[at : at + 255])]) + content[at : at + 255] for at in starts) + b"\0"


def gif(*extensions: bytes) -> bytes:
    """A GIF file with these extensions, a label and blocks each, before its picture."""
    stream = io.BytesIO()
    Image.new("L", (5, 4), 128).save(stream, "GIF")
    plain = stream.getvalue()
    place = 13 + (3 << (plain[10] & 7) + 1)
    return b"GIF89a" + plain[6:place] + b"".join(b"!" + one for one in extensions) + plain[place:]


def test_comments_and_applications_of_a_gif_are_carried() -> None:
    comment = bytes(range(256)) * 3
    data = gif(
        b"\xfe" + blocks(comment),
        b"\xfe" + blocks(b"second"),
        b"\xff\x0bNETSCAPE2.0" + blocks(b"\1\0\0"),
        b"\xff\x0bMAGPIE  1.0" + blocks(b"own data"),
    )
    source = read_source(data + b"notes")
    assert source.pixels.shape[:2] == (4, 5)
    assert [(one.name, one.data) for one in source.metadata.extras] == [
        ("GIF comment", comment),
        ("GIF comment", b"second"),
        ("GIF application", b"MAGPIE  1.0own data"),
        ("GIF trailer", b"notes"),
    ]
    assert source.left_behind is None


def test_comment_that_pillow_writes_into_a_gif_is_carried(tmp_path: Path) -> None:
    Image.new("P", (5, 4)).save(tmp_path / "a.gif", comment=b"hello")
    (extra,) = read_source_file(tmp_path / "a.gif").metadata.extras
    assert (extra.name, extra.data) == ("GIF comment", b"hello")


def test_xmp_and_colour_profile_of_a_gif_go_where_those_of_other_formats_do() -> None:
    """XMP lies there as it is, and ends with bytes that end it whatever block a reader takes it for."""
    ending = bytes([1, *range(255, -1, -1), 0])
    data = gif(b"\xff\x0bXMP DataXMP" + XMP_PACKET + ending, b"\xff\x0bICCRGBG1012" + blocks(PROFILE))
    metadata = read_source(data).metadata
    assert (metadata.xmp, metadata.icc, metadata.extras) == (XMP_PACKET, PROFILE, ())


def jpeg2000(*more: bytes, colour: bytes = b"", inside: bytes = b"", comment: bytes = b"") -> bytes:
    """A JPEG 2000 file with further boxes behind and inside its header, and another colour space."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, "JPEG2000", comment=comment or None)
    whole = stream.getvalue()
    header, pixels = whole.index(b"jp2h") - 4, whole.index(b"jp2c") - 4
    boxes = whole[header + 8 : pixels]
    boxes = boxes[: boxes.index(b"colr") - 4] + colour if colour else boxes
    return whole[:header] + box(b"jp2h", boxes, inside) + b"".join(more) + whole[pixels:]


XMP_BOX = box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), XMP_PACKET)


@pytest.mark.parametrize("place", ["before the pixels", "behind them"])
def test_xmp_exif_and_colour_profile_of_a_jpeg_2000_file_go_where_those_of_other_formats_do(
    place: str,
) -> None:
    more = (XMP_BOX, box(b"uuid", b"JpgTiffExif->JP2", TIFFS[0]))
    colour = box(b"colr", b"\2\0\0", PROFILE)
    data = (
        jpeg2000(*more, colour=colour) if place != "behind them" else jpeg2000(colour=colour) + b"".join(more)
    )
    source = read_source(data)
    found = source.metadata
    assert source.pixels.shape == (16, 16, 3)
    assert (found.xmp, found.exif, found.icc) == (XMP_PACKET, TIFFS[0], PROFILE)
    assert {extra.name for extra in found.extras} == {"JP2 COM"}, "that of the encoder"
    assert source.left_behind is None


def test_other_boxes_and_comments_of_a_jpeg_2000_file_are_carried() -> None:
    resolution = box(b"res ", box(b"resc", bytes(10)))
    data = jpeg2000(
        box(b"xml ", b"<gml/>"), XMP_BOX, XMP_BOX, box(b"a\0b!", b"x"), inside=resolution, comment=b"hello"
    )
    source = read_source(data)
    assert source.metadata.xmp == XMP_PACKET
    assert [(one.name, one.data) for one in source.metadata.extras] == [
        ("JP2 res", resolution[8:]),
        ("JP2 xml", b"<gml/>"),
        ("JP2 uuid", XMP_BOX[8:]),
        ("JP2 a?b!", b"x"),
        ("JP2 COM", b"\0\1hello"),
    ]
    with PicoFile(encode(source.pixels, lossless=True, metadata=source.metadata)) as file:
        assert file.metadata == source.metadata


def test_second_picture_of_a_jpeg_2000_file_is_named() -> None:
    data = jpeg2000()
    assert "further pictures" in (read_source(data + box(b"jp2c", b"\xff\x4f")).left_behind or "")


def test_comment_of_a_bare_codestream_is_carried(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.j2k", comment=b"hello")
    (extra,) = read_source_file(tmp_path / "a.j2k").metadata.extras
    assert (extra.name, extra.data) == ("JP2 COM", b"\0\1hello")


@given(st.binary(max_size=400))
def test_damaged_gif_and_jpeg_2000_files_never_crash_the_search_for_metadata(noise: bytes) -> None:
    for whole, read in ((gif(), from_gif), (jpeg2000(), from_jpeg2000)):
        read(noise)
        read(whole[:13] + noise)
        read(whole[:40] + noise + whole[40:])


def saved_as(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(stream, kind, **options)
    return stream.getvalue()


TGA = saved_as("TGA", id_section=b"")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (saved_as("BMP", dpi=(300, 300)), "dpi of a BMP file"),
        (saved_as("TGA", id_section=b"roll 7"), "id_section of a TGA file"),
        (TGA, None),
        (TGA[:-26] + b"\x12\0\0\0" + TGA[-22:], "author, comments and other areas of a TGA file"),
        (saved_as("ICO", sizes=[(32, 32), (256, 256)]), "further pictures (the same in other sizes)"),
        (saved_as("ICO", sizes=[(256, 256)]), None),
        (b"P6 # hills\n1 1 255\n" + bytes(3), "comments of a PPM file"),
        (b"P6\n1 1\n# hills\n255\n" + bytes(3), "comments of a PPM file"),
        (b"P6\n1 1\n255\n" + b"\n#\n", None),
        (saved_as("SGI"), None),
        (saved_as("SGI")[:24] + b"hills".ljust(80, b"\0") + saved_as("SGI")[104:], "the name of a SGI file"),
        (saved_as("AVIF"), None),
    ],
)
def test_what_other_formats_hold_beside_their_pixels_is_named(data: bytes, named: str | None) -> None:
    assert read_source(data).left_behind == named


@pytest.mark.parametrize("item", [b"tmap", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth"])
def test_gain_and_depth_maps_of_an_avif_file_are_named(item: bytes) -> None:
    plain = saved_as("AVIF")
    assert left_of("AVIF", plain.replace(b"mdat", item + b"mdat"), {}) == carried.MULTI_PICTURE
    assert left_of("AVIF", plain + item, {}) is None, "coded pixels may look like anything"
