"""`pints ke-server`: the NTS-KE server, by the daemon's configuration or by its command line.

The daemon starts it with everything on the command line, or leaves it to a service of its own
(`pints run --no-ke-server`), which derives the same from the same file.
"""

import argparse
from typing import TYPE_CHECKING, Any

from pints.cli.options import add_config, port_from
from pints.config.load import load
from pints.config.tables import Config
from pints.errors import ConfigError
from pints.wire import ke
from pints.wire.ntp import NTP_PORT

if TYPE_CHECKING:
    from pints.server.ke_server import Settings


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "ke-server",
        help="hand out NTS keys and cookies (the daemon or its service starts this)",
        description="The NTS-KE server: hands out keys and cookies for the NTP server of the "
        "daemon, whose key ring it reads. What it serves is taken from the daemon's "
        "configuration, or with --listen from the command line alone. SIGHUP makes it read the "
        "certificate again.",
    )
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="ADDR", action="append", default=[],
        help="numeric address to listen on; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=port_from(0), default=ke.PORT, metavar="P",
        help="port to listen on, 0: any (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--certificate", metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--key", metavar="FILE", help="its private key, PEM")
    parser.add_argument("--keys", metavar="FOLDER", help="folder of the daemon's key ring")
    parser.add_argument(
        "--ntp-port", type=port_from(0), default=NTP_PORT, metavar="N",
        help="port of the NTP server (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ntp-server", default="", metavar="NAME",
        help="name or address of the NTP server (default: the one the client asked)",
    )  # fmt: skip
    parser.add_argument(
        "--allow", metavar="NETWORK", action="append", default=[],
        help="network that is served; may be repeated (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--ready-fd", type=int, default=-1, metavar="N",
        help="descriptor to write the port to, and a line feed, once listening",
    )  # fmt: skip
    parser.add_argument(
        "--parent-fd", type=int, default=-1, metavar="N",
        help="descriptor whose other end closes when the server is to end",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; at once done where no NTS is to be served."""
    loaded = None if args.listen else load(args.config)
    if loaded is not None and not loaded.server.certificate:
        print("no NTS is served: [server] names no certificate")
        return 0
    # Here, not above: every `pints` command would pay for TLS.
    from pints.server.ke_server import serve

    settings = _given(args) if loaded is None else _configured(loaded)
    serve(settings, args.ready_fd, args.parent_fd)
    return 0


def _given(args: argparse.Namespace) -> "Settings":
    from pints.server.ke_server import Settings
    from pints.server.ke_session import Offer

    for name in ("certificate", "key", "keys"):
        if not getattr(args, name):
            raise ConfigError(f"--listen needs --{name}", "or leave it to the configuration: -c")
    return Settings(
        listen=tuple(args.listen),
        port=args.port,
        certificate=args.certificate,
        key=args.key,
        keys=args.keys,
        offer=Offer(args.ntp_port, args.ntp_server),
        allow=tuple(args.allow),
    )


def _configured(loaded: Config) -> "Settings":
    """What the daemon would put on the command line."""
    from pints.server.cookies import FOLDER
    from pints.server.ke_server import Settings
    from pints.server.ke_session import Offer

    server = loaded.server
    if not server.port:
        raise ConfigError(
            "[server] port is 0: nobody could tell the clients where NTP is", "give it a number"
        )
    return Settings(
        listen=server.listen,
        port=server.ke_port,
        certificate=server.certificate,
        key=server.key,
        keys=f"{loaded.state.directory}/{FOLDER}",
        offer=Offer(server.port, server.ntp_server),
        allow=server.allow,
    )
