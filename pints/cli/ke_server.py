"""`pints ke-server`: the NTS-KE server.  The daemon starts it; it can also run by itself."""

import argparse
from typing import Any

from pints.wire import ke
from pints.wire.ntp import NTP_PORT


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "ke-server",
        help="hand out NTS keys and cookies (the daemon starts this)",
        description="The NTS-KE server: hands out keys and cookies for the NTP server of the "
        "daemon, whose key ring it reads. SIGHUP makes it read the certificate again.",
    )
    parser.add_argument(
        "--listen", metavar="ADDR", action="append", required=True,
        help="numeric address to listen on; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=_port, default=ke.PORT, metavar="P",
        help="port to listen on, 0: any (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--certificate", required=True, metavar="FILE", help="certificate chain, PEM"
    )
    parser.add_argument("--key", required=True, metavar="FILE", help="its private key, PEM")
    parser.add_argument(
        "--keys", required=True, metavar="FOLDER", help="folder of the daemon's key ring"
    )
    parser.add_argument(
        "--ntp-port", type=_port, default=NTP_PORT, metavar="N",
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
    """Serve until told to stop."""
    # Here, not above: every `pints` command would pay for TLS.
    from pints.server.ke_server import Settings, serve
    from pints.server.ke_session import Offer

    serve(
        Settings(
            listen=tuple(args.listen),
            port=args.port,
            certificate=args.certificate,
            key=args.key,
            keys=args.keys,
            offer=Offer(args.ntp_port, args.ntp_server),
            allow=tuple(args.allow),
        ),
        args.ready_fd,
        args.parent_fd,
    )
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port number")
    return port
