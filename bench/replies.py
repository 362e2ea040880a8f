"""CPU time that the responder takes for an NTS reply, beside its AEAD calls alone.

It runs in this process, from the datagram that was read to the one that is to be sent.  The
AEAD calls of a reply are: open the cookie, set up the two ciphers whose keys it holds, open
the request, seal each new cookie, seal the reply.
"""

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV

from bench.series import Series, judge, show
from pints.server.cookies import NONCE_LENGTH, KeyRing
from pints.server.responder import Responder, local
from pints.timescale import Instant
from pints.wire import ntp, nts
from pints.wire.aead import ALGORITHMS, SIV, SIV_SEALS_NOTHING, Aead, Algorithm

GOAL = "<= 5 times the AEAD calls of the same reply"
RUNS = 15
REPLIES = 1000
"""In one run."""
COUNTS = (1, 8)
"""Cookies in a reply: of a client in steady state, and of one that has none left."""
_PLAIN = ntp.encode(ntp.Packet(mode=ntp.MODE_CLIENT, transmit=1))


def measure(runs: int) -> None:
    rows, ratios = [], []
    for algorithm in ALGORITHMS.values():
        for count in COUNTS:
            answer, calls = _answer(algorithm, count), _aead_calls(algorithm, count)
            _cpu_time(answer), _cpu_time(calls)
            pairs = [(_cpu_time(answer), _cpu_time(calls)) for _ in range(runs or RUNS)]
            what = f"{algorithm.name}, {count} cookie{'s' * (count > 1)}"
            answers, aead = (Series.of(side).times(1e6) for side in zip(*pairs, strict=True))
            rows += [(f"{what}: reply", answers), ("  its AEAD calls", aead)]
            ratios.append((what, answers.median / aead.median))
    show("CPU time, us", rows, digits=2)
    for what, ratio in ratios:
        judge(f"{what}, reply / AEAD calls", ratio, 5)


def _cpu_time(call: Callable[[], object]) -> float:
    """CPU seconds of one call, on average of many."""
    began = time.process_time()
    for _ in range(REPLIES):
        call()
    return (time.process_time() - began) / REPLIES


def _answer(algorithm: Algorithm, count: int) -> Callable[[], object]:
    """Answers a request for so many cookies."""
    ring = KeyRing.fresh(_clock(), os.urandom)
    responder = Responder(ring, local(1, -20, _clock()))
    c2s, s2c = os.urandom(algorithm.key_length), os.urandom(algorithm.key_length)
    cookie = ring.seal(algorithm.id, c2s, s2c, os.urandom)
    request = _request(Aead(algorithm, c2s), cookie, count)

    def answer() -> None:
        assert responder.answer(request, _clock(), _clock, os.urandom) is not None

    answer()
    assert responder.counters.nts == 1
    return answer


def _clock() -> Instant:
    return Instant(time.time_ns())


def _request(c2s: Aead, cookie: bytes, count: int) -> bytes:
    nonce = os.urandom(c2s.algorithm.nonce_length)
    return nts.seal_request(_PLAIN, os.urandom(32), cookie, count - 1, c2s, nonce)


def _aead_calls(algorithm: Algorithm, count: int) -> Callable[[], object]:
    """The library's calls of such a reply, on texts of the same lengths."""
    key, master, head = os.urandom(algorithm.key_length), AESSIV(os.urandom(32)), b"kkid"
    nonce, cookie_nonce = os.urandom(algorithm.nonce_length), os.urandom(NONCE_LENGTH)
    plaintext = bytes((2 + 2 * algorithm.key_length + 3) // 4 * 4)
    cookie = master.encrypt(plaintext, [head, cookie_nonce])
    field = 4 + len(head) + len(cookie_nonce) + len(cookie)
    asked, told = os.urandom(48 + 36 + count * field), os.urandom(48 + 36)
    inside = bytes(count * field)
    empty = Aead(algorithm, key).seal(nonce, b"", asked)

    def cookies() -> None:
        master.decrypt(cookie, [head, cookie_nonce])
        for _ in range(count):
            master.encrypt(plaintext, [head, cookie_nonce])

    def gcm_siv() -> None:
        cookies()
        AESGCMSIV(key).decrypt(nonce, empty, asked)
        AESGCMSIV(key).encrypt(nonce, inside, told)

    def siv() -> None:
        cookies()
        AESSIV(key).decrypt(empty, [asked, nonce])
        AESSIV(key).encrypt(inside, [told, nonce])

    def siv_of_an_old_library() -> None:
        cookies()
        Aead(algorithm, key).open(nonce, empty, asked)
        AESSIV(key).encrypt(inside, [told, nonce])

    if algorithm.id != SIV.id:
        return gcm_siv
    return siv if SIV_SEALS_NOTHING else siv_of_an_old_library
