"""What a DHCP server names: of what it sends nothing gets through but hosts' addresses.

The hooks are run as the clients run them, with all that a hostile server can put into a lease.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pints import dhcp
from pints.config.load import load

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / "systemd" / "hooks"


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    (tmp_path / "run" / "sources.d").mkdir(parents=True)
    return tmp_path / "run"


def sources(runtime: Path) -> list[tuple[str, bool]]:
    """As the daemon takes them up."""
    file = runtime.parent / "pints.toml"
    file.write_text(f'[state]\nruntime = "{runtime}"\n[[source]]\nserver = "nts.example.org"\n')
    loaded = load(str(file))
    assert {s.id for s in loaded.sources} - {"nts.example.org"} == loaded.network
    return [(s.server, s.nts) for s in loaded.sources if s.id in loaded.network]


def test_addresses_become_plain_sources_of_the_network(runtime: Path) -> None:
    assert dhcp.main(["eth0", "192.0.2.1", "2001:DB8:0::1"], str(runtime)) == 0
    assert sources(runtime) == [("192.0.2.1", False), ("2001:db8::1", False)]


@pytest.mark.parametrize(
    "text",
    [
        "", "ntp.example.org", "192.0.2", "192.0.2.1/24", "192.0.2.01", "0x7f.1", "1",
        "192.0.2.1\n", "192.0.2.1 ", "0.0.0.0", "127.0.0.1", "224.0.1.1", "255.255.255.255",
        "240.0.0.1", "::", "::1", "::ffff:192.0.2.1", "::192.0.2.1", "fe80::1", "fe80::1%eth0",
        "febf::1", "ff02::101",
        "2001:db8::1%eth0", "[2001:db8::1]", '1"\nnts = true\n', "\0", "\udcff", "192.0.2.1\0",
        "1" * 5000, "٣.٣.٣.٣",
    ],
)  # fmt: skip
def test_all_else_is_left_out(text: str) -> None:
    assert dhcp.address(text) == ""
    assert dhcp.document([text]) == b""


def test_at_most_four_and_each_once(runtime: Path) -> None:
    many = [f"192.0.2.{n}" for n in range(1, 200)]
    dhcp.main(["eth0", "192.0.2.1", *many], str(runtime))
    assert [server for server, _ in sources(runtime)] == many[:4]


def test_a_lease_that_says_the_same_changes_nothing(runtime: Path) -> None:
    folder = str(runtime / "sources.d")
    assert dhcp.replace(folder, "eth0", dhcp.document(["192.0.2.1"]))
    assert not dhcp.replace(folder, "eth0", dhcp.document(["192.0.2.1", "nonsense"]))
    assert dhcp.replace(folder, "eth0", dhcp.document(["192.0.2.2"]))
    assert dhcp.replace(folder, "eth0", b"")
    assert not dhcp.replace(folder, "eth0", b"")
    assert os.listdir(folder) == []


def test_the_daemon_is_told_of_changes_alone(runtime: Path) -> None:
    told: list[str] = []
    for address in ("192.0.2.1", "192.0.2.1", "nonsense", "nonsense"):
        dhcp.main(["eth0", address], str(runtime), lambda: told.append("told"))
    assert told == ["told", "told"], "of the first, and of its end"


def test_interfaces_do_not_disturb_each_other(runtime: Path) -> None:
    dhcp.main(["eth0", "192.0.2.1"], str(runtime))
    dhcp.main(["wlan0", "192.0.2.2"], str(runtime))
    dhcp.main(["eth0"], str(runtime))
    assert sources(runtime) == [("192.0.2.2", False)]


@pytest.mark.parametrize("name", ["../../etc/x", ".", "a/b", "", "x" * 300, "e\nth"])
def test_no_name_leads_out_of_the_folder(runtime: Path, name: str) -> None:
    assert dhcp.main([name, "192.0.2.1"], str(runtime)) == 0
    (made,) = (runtime / "sources.d").iterdir()
    assert made.suffix == ".toml"
    assert sorted(path.name for path in runtime.iterdir()) == ["sources.d"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_becomes_the_daemons_user_and_follows_no_link_of_its_making(tmp_path: Path) -> None:
    """A daemon that was taken over makes its folder lead to root's."""
    place = Path(os.path.realpath("/tmp")) / f"pints-{os.getpid()}"
    runtime, target = place / "run", place / "roots"
    target.mkdir(parents=True)
    runtime.mkdir()
    (runtime / "sources.d").symlink_to(target)
    os.chown(runtime, 65534, 65534)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pints import dhcp;"
        "sys.exit(dhcp.main(['eth0', '192.0.2.1'], sys.argv[2]))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(ROOT), str(runtime)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "denied" in done.stderr
        assert list(target.iterdir()) == []
    finally:
        shutil.rmtree(place)


HOSTILE = "192.0.2.1 * $(touch HIT) `touch HIT` ; touch HIT 'x \"y 2001:db8::1 192.0.2.999"


@pytest.mark.parametrize(
    ("hook", "arguments", "lease"),
    [
        ("networkmanager.sh", ["eth0", "up"], {"DHCP4_NTP_SERVERS": HOSTILE}),
        ("networkmanager.sh", ["eth0", "dhcp6-change"], {"DHCP6_DHCP6_NTP_SERVERS": HOSTILE}),
        ("dhcpcd.sh", [], {"reason": "BOUND", "interface": "eth0", "new_ntp_servers": HOSTILE}),
        ("dhcpcd.sh", [], {"reason": "RENEW6", "interface": "eth0",
                           "new_dhcp6_sntp_servers": HOSTILE}),
        ("dhclient.sh", [], {"reason": "REBOOT", "interface": "eth0", "new_ntp_servers": HOSTILE}),
        ("dhclient.sh", [], {"reason": "BOUND6", "interface": "eth0",
                             "new_dhcp6_sntp_servers": HOSTILE}),
    ],
)  # fmt: skip
def test_hooks_hand_on_a_hostile_lease_as_words(
    runtime: Path, hook: str, arguments: list[str], lease: dict[str, str]
) -> None:
    place = runtime.parent
    run_hook(runtime, hook, arguments, lease)
    assert sources(runtime) == [("192.0.2.1", False), ("2001:db8::1", False)]
    assert not list(place.glob("**/HIT"))
    # The lease ends, or the interface goes.
    gone = {"BOUND": "EXPIRE", "RENEW6": "EXPIRE6", "REBOOT": "RELEASE", "BOUND6": "RELEASE6"}
    end = {**lease, "reason": gone.get(lease.get("reason", ""), "")}
    run_hook(runtime, hook, [*arguments[:1], "down"] if arguments else [], end)
    assert sources(runtime) == []


def run_hook(runtime: Path, hook: str, arguments: list[str], lease: dict[str, str]) -> None:
    """As the client would: in a shell of its own, which goes on after a hook that it reads."""
    before = sources(runtime)
    text = (HOOKS / hook).read_text().replace("/run/pints", str(runtime))
    program = runtime.parent / "dhcp.py"
    program.write_text(
        (ROOT / "pints" / "dhcp.py").read_text()
        .replace('"/run/pints"', f'"{runtime}"').replace("/usr/bin/systemctl", "/bin/true")
    )  # fmt: skip
    text = text.replace("/usr/lib/python3/dist-packages/pints/dhcp.py", str(program))
    file = runtime.parent / "hook"
    file.write_text(text.replace("/usr/bin/python3", sys.executable))
    sourced = ["sh", "-c", '. "$1" && echo went on', "sh", str(file)]
    done = subprocess.run(
        ["sh", str(file), *arguments] if arguments else sourced,
        env={"PATH": "/usr/bin:/bin", **lease},
        cwd=runtime, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = os.geteuid() == 0 or sources(runtime) == before
    noted = "" if told else "pints dhcp: noted; only root may have the daemon told\n"
    assert (done.returncode, done.stderr) == (0, noted)
    assert done.stdout == ("" if arguments else "went on\n")
