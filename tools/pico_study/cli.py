"""Command `pico-study`: make a study, let raters take part, look at the results, or simulate it all."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pico_codec.program import FAILED, FINE, Program, Run, say
from pico_core.errors import OptionError

if TYPE_CHECKING:
    import socket

    from pico_bench.codecs import Codec

_say = partial(say, "pico-study")
RESULTS = "results"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_EXIT_CODES = """exit codes:
  0    done
  1    something failed; the message on standard error says what
  2    the command line is wrong; nothing was done
  130  stopped by Ctrl-C; no accepted answer is lost
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    return _program().main(argv)


def _program() -> Program:
    about = "Ask people, blindly and in pairs, which compressed picture is closer to the original."
    program = Program("pico-study", about, _EXIT_CODES)
    _add_create(program)
    _add_serve(program)
    _add_results(program)
    _add_simulate(program)
    return program


def _add_create(program: Program) -> None:
    command = program.command("create", "make a study from original pictures and codecs", _create)
    command.add_argument("folder", metavar="ORIGINALS", type=Path, help="folder of original pictures")
    command.add_argument("study", metavar="STUDY", type=Path, help="folder for the new study")
    command.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only pictures of these names")
    command.add_argument(
        "--codec",
        action="append",
        metavar="NAME[:Q,Q,...]",
        help="a codec of pico-bench, and its qualities; may be repeated",
    )
    command.add_argument(
        "--commands", type=Path, metavar="FILE", help="TOML file that describes codecs by their command lines"
    )
    command.add_argument(
        "--reconstructions",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="folder of pictures that another codec made, with bpp.json; may be repeated",
    )
    command.add_argument(
        "--window",
        type=_size,
        default=(768, 512),
        metavar="WxH",
        help="size of the part that raters see (default 768x512)",
    )
    command.add_argument(
        "--windows",
        type=Path,
        metavar="FILE",
        help="CSV file with name,left,top of each part (default: the middle)",
    )
    command.add_argument("--trials", type=_count, default=40, help="comparisons for each rater (default 40)")
    command.add_argument(
        "--repeats",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="share of comparisons that come twice, with sides swapped (default 0.1)",
    )
    command.add_argument(
        "--pause-every",
        type=int,
        default=20,
        metavar="N",
        help="comparisons between pauses (default 20; 0: no pauses)",
    )
    command.add_argument("--forced", action="store_true", help='do not offer "no difference"')
    command.add_argument("--title", help="title that raters see first")
    command.add_argument(
        "--consent", type=Path, metavar="FILE", help="text that raters agree to before they begin"
    )
    command.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="folder of pico-bench; its coded files are used again"
    )


def _add_serve(program: Program) -> None:
    command = _on_study(program, "serve", "let raters take part in their browsers", _serve)
    command.add_argument(
        "--host", default=LOOPBACK[0], help="address of the server (default 127.0.0.1: this computer only)"
    )
    command.add_argument("--port", type=_port, default=8123, help="port of the server (default 8123)")
    command.add_argument(
        "--name",
        action="append",
        default=[],
        help="host name of this server, or of a proxy before it; may be repeated",
    )


def _add_results(program: Program) -> None:
    command = _on_study(
        program, "results", "show Elo, bit savings and raters, as tables, plots and files", _results
    )
    command.add_argument("--anchor", metavar="CODEC", help="the codec that BD-rates compare with")
    command.add_argument(
        "--per-picture", action="store_true", help="let strengths differ from picture to picture"
    )
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder for the results (default STUDY/results)"
    )


def _add_simulate(program: Program) -> None:
    command = _on_study(program, "simulate", "fill a study with simulated raters", _simulate)
    command.add_argument("--raters", type=_count, default=30, help="number of raters (default 30)")
    command.add_argument(
        "--metric", default="ssimulacra2", help="metric of pico-bench that decides (default ssimulacra2)"
    )
    command.add_argument("--seed", type=_seed, default=0, help="seed of their answers (default 0)")


def _on_study(program: Program, name: str, about: str, run: Run) -> argparse.ArgumentParser:
    """A subcommand for a study that exists."""
    command = program.command(name, about, run)
    command.add_argument("study", metavar="STUDY", type=Path, help="folder that pico-study create made")
    return command


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        msg = f"{text!r} is not WIDTHxHEIGHT in pixels"
        raise argparse.ArgumentTypeError(msg) from error
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        msg = f"{text} is out of range: 64 to 8192 pixels a side"
        raise argparse.ArgumentTypeError(msg)
    return width, height


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        msg = f"{text!r} is not a whole number from 1 to 10000"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text!r} is not a whole number from 0"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        msg = f"{text!r} is not a port from 1 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 0.5:
        msg = f"{text!r} is not a share from 0 to 0.5"
        raise argparse.ArgumentTypeError(msg)
    return share


def _create(arguments: argparse.Namespace) -> int:
    from pico_bench.originals import find_originals
    from pico_study.create import Plan, create
    from pico_study.database import Settings
    from pico_study.windows import read_boxes

    settings: dict[str, Any] = {"trials": arguments.trials, "repeats": arguments.repeats}
    settings |= {"pause_every": max(0, arguments.pause_every), "ties": not arguments.forced}
    if arguments.title:
        settings["title"] = arguments.title
    if arguments.consent is not None:
        settings["consent"] = _text(arguments.consent)
    plan = Plan(
        find_originals(arguments.folder, arguments.only),
        _codecs(arguments),
        Settings(**settings),
        arguments.window,
        {} if arguments.windows is None else read_boxes(arguments.windows),
        arguments.cache,
        arguments.command_line,
    )
    made = create(arguments.study, plan, _say)
    print(
        f"{arguments.study}: pictures {made.pictures}, conditions {made.conditions}, variants {made.variants}"
    )
    print(f"next: pico-study serve {shlex.quote(str(arguments.study))}")
    return FAILED if made.failures else FINE


def _codecs(arguments: argparse.Namespace) -> list[Codec]:
    """The codecs asked for. Raises OptionError if there are none, or if one cannot run here."""
    from pico_bench.cli import codecs_of
    from pico_bench.commands import read_commands
    from pico_bench.reconstructions import Reconstructions

    if arguments.codec is not None:
        codecs, missing = codecs_of(arguments)
        if missing:
            raise OptionError("; ".join(missing))
        return codecs
    found: list[Any] = [] if arguments.commands is None else list(read_commands(arguments.commands))
    for folder in arguments.reconstructions:
        found.append(Reconstructions(folder))
        found[-1].check()
    if not found:
        msg = "name what to compare: --codec NAME:Q,Q (repeatable), --commands or --reconstructions"
        raise OptionError(msg)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as text: {error}"
        raise OptionError(msg) from error


def _serve(arguments: argparse.Namespace) -> int:
    from pico_study.database import StudyError
    from pico_study.server import INSTALL, application
    from pico_study.sessions import Sessions

    sessions = Sessions(arguments.study)
    sessions.check_pictures()
    if sessions.simulated():
        msg = f"{arguments.study} holds simulated raters; people need a study of their own"
        raise StudyError(msg)
    is_open = bool(arguments.name) or arguments.host not in LOOPBACK
    key = sessions.access_key if is_open else None
    app = application(sessions, key, [*arguments.name, arguments.host])
    try:
        import uvicorn
    except ImportError as error:
        msg = f"serving needs Uvicorn: {INSTALL}"
        raise OptionError(msg) from error
    listening = _listening(arguments.host, arguments.port)
    for line in links(arguments, key):
        print(line, flush=True)
    config = uvicorn.Config(
        app,
        access_log=False,  # it would hold the addresses of raters
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listening])
    return FINE if server.started else FAILED


def _listening(host: str, port: int) -> socket.socket:
    """A socket there, before any link is told. Raises OptionError."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        msg = f"cannot listen on {host}:{port}: {error.strerror}; choose another --port, or another --host"
        raise OptionError(msg) from error


def links(arguments: argparse.Namespace, key: str | None) -> list[str]:
    """What to tell raters."""
    import socket

    if key is None:
        return [f"open {_address(arguments.host, arguments.port)} in a browser on this machine; Ctrl-C ends"]
    hosts = list(arguments.name)
    told = "It is not encrypted: use a network you trust."
    if arguments.host in LOOPBACK:
        told = "It leads to a proxy on this machine: put its scheme and port there."
    elif arguments.host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address faces the network
                hosts.append(probe.getsockname()[0])
            except OSError:
                hosts.append("ADDRESS-OF-THIS-MACHINE")
    else:
        hosts.append(arguments.host)
    return [
        f"send raters this link; whoever has it can take part. {told}",
        *(f"{_address(host, arguments.port)}?key={key}" for host in hosts),
    ]


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _results(arguments: argparse.Namespace) -> int:
    from pico_bench.curves import missing_package as missing_bd_package
    from pico_study import page, plots, tables
    from pico_study.analysis import analyse
    from pico_study.answers import read_evidence

    results = analyse(read_evidence(arguments.study), arguments.anchor, arguments.per_picture)
    folder: Path = arguments.out or arguments.study / RESULTS
    notes = [line for line in (plots.missing_package(), missing_bd_package()) if line]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = []
        if plots.missing_package() is None:
            for number, analysis in enumerate(tables.analyses(results)):
                place = folder if number == 0 else folder / "all-raters"
                place.mkdir(exist_ok=True)
                drawn.append(plots.draw(analysis, place, results.evidence.simulated))
        _write(folder / "elo.csv", tables.scores_csv(results))
        _write(folder / "bd-rate.csv", tables.savings_csv(results))
        _write(folder / "raters.csv", tables.raters_csv(results))
        _write(folder / "answers.csv", tables.answers_csv(results))
        _write(folder / "results.json", tables.as_json(results))
        _write(folder / "results.html", page.page(results, drawn, notes))
    except OSError as error:
        msg = f"the results cannot be written into {folder}: {error}; name another folder with --out"
        raise OptionError(msg) from error
    for line in notes:
        _say(line)
    print(tables.as_terminal(results))
    print(f"\nfiles: {folder / 'results.html'}, results.json, elo.csv, bd-rate.csv, raters.csv, answers.csv")
    return FINE


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(content, "utf-8")
    partial.replace(path)


def _simulate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from pico_metrics.catalogue import METRICS
    from pico_study.simulation import refuse_people, simulate, strengths_by_metric
    from pico_study.tables import SIMULATED

    if arguments.metric not in METRICS:
        msg = f"there is no metric {arguments.metric}; choose of {', '.join(METRICS)}"
        raise OptionError(msg)
    metric = METRICS[arguments.metric]
    refuse_people(arguments.study)
    strengths = strengths_by_metric(arguments.study, metric, _say)
    rng = np.random.default_rng(arguments.seed)
    answered = simulate(arguments.study, arguments.raters, strengths, rng, _say)
    told = {"raters": arguments.raters, "comparisons": answered, "metric": metric.title}
    print(f"{SIMULATED.upper()}: {json.dumps(told)}")
    print(f"next: pico-study results {shlex.quote(str(arguments.study))}")
    return FINE


if __name__ == "__main__":
    sys.exit(main())
