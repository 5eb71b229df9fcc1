"""The three files that tell a desktop about .pico files, and the quoting that their format asks for."""

from __future__ import annotations

from collections.abc import Sequence

MARK = "Written by the command pico-library desktop"  # only files that say so are ever replaced or removed
MIME_TYPE = "image/x-pico"


def mime_type() -> str:
    """The type for the shared-mime-info database.

    The magic is a box `ftyp` whose major brand is `pico`, at byte 4. HEIC, AVIF and MP4 files have other brands
    there; that `mif1` is among the compatible brands of a .pico file does not count.
    """
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- {MARK} -->
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME_TYPE}">
    <comment>PICO image</comment>
    <comment xml:lang="de">PICO-Bild</comment>
    <comment xml:lang="es">imagen PICO</comment>
    <comment xml:lang="fr">image PICO</comment>
    <generic-icon name="image-x-generic"/>
    <magic priority="60">
      <match type="string" offset="4" value="ftyppico"/>
    </magic>
    <glob pattern="*.pico"/>
  </mime-type>
</mime-info>
"""


def thumbnailer(command: Sequence[str]) -> str:
    """The entry for file managers that start a program for a thumbnail; `command` is that program."""
    return f"""# {MARK}
[Thumbnailer Entry]
TryExec={_value(command[0])}
Exec={command_line(command)} %i %o %s
MimeType={MIME_TYPE};
"""


def application(command: Sequence[str]) -> str:
    """The entry that opens .pico files; `command` is the program that takes them as arguments."""
    return f"""# {MARK}
[Desktop Entry]
Type=Application
Version=1.0
Name=PICO photo gallery
Name[de]=PICO-Fotogalerie
Comment=Look at .pico photos, and compare them with their originals
Comment[de]=.pico-Fotos ansehen und mit den Originalen vergleichen
Icon=image-x-generic
TryExec={_value(command[0])}
Exec={command_line(command)} %F
MimeType={MIME_TYPE};
Categories=Graphics;Viewer;Photography;
Terminal=false
StartupNotify=false
"""


def command_line(command: Sequence[str]) -> str:
    """A program and its arguments as the value of Exec, by the quoting rules of the Desktop Entry Specification.

    Each is put in double quotes, in which a backslash goes before `"`, a backtick, `$` and a backslash, and % is
    doubled; then, as in every value, backslashes are doubled.
    """
    return " ".join(_value(_quoted(argument)) for argument in command)


def _quoted(argument: str) -> str:
    escaped = "".join(f"\\{c}" if c in '"`$\\' else c for c in argument)
    return '"' + escaped.replace("%", "%%") + '"'


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
