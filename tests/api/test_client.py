"""Requests that fail without a status: which are free, which are charged, and what is said."""

import gzip
import signal
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from jobo_sandbox.patience import patient
from tap_jobo.api.responses import ApiResponse
from tap_jobo.api.session import ApiSession
from tap_jobo.errors import (
    NOT_BILLED,
    ApiError,
    InterruptedRunError,
    RetriesExhaustedError,
    UnreachableError,
)
from tests.support import kept_signals
from tests.support.client import FeedClient
from tests.support.raw_api import Respond, Server

PAGE = b'{"career_sites": [], "has_more": false}'
WORST_CASE = 2_500
ROW_ID = b'{"id": "11111111-2222-3333-4444-555555555555"}'
LIKE_A_ROW = b'{"Id": 7, "listingUrl": "l", "NAME": "n", "age": 1}'


class Api(FeedClient):
    """The client against servers of sockets."""

    servers: list[Server]

    def serve(self, *handlers: Respond) -> Server:
        self.servers.append(Server(*handlers))
        return self.servers[-1]

    def fetch(self, address: str, scheme: str = "http") -> ApiResponse:
        """Request a page of 50 rows."""
        request = self.request(address, scheme)
        return self.client.fetch(request, rows=50, cost=self.cost)

    def request(self, address: str, scheme: str = "http") -> requests.PreparedRequest:
        url, headers = f"{scheme}://{address}/feed", {"X-Api-Key": self.session.key}
        return requests.Request("POST", url, headers, data=b"{}").prepare()


@pytest.fixture
def api() -> Iterator[Api]:
    with ApiSession("http://127.0.0.1", "jbe_test_key") as session:
        api = Api(session)
        api.servers = []
        yield api
        for server in api.servers:
            server.close()


def read_request(connection: socket.socket) -> None:
    """Read a request, whose body ends with {}."""
    received = b""
    while received != b"{}":
        if not (part := connection.recv(65_536)):
            raise OSError
        received = (received + part)[-2:]


drop_request = read_request  # whose connection then closes


def reset_request(connection: socket.socket) -> None:
    """With an RST."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drop_hello(connection: socket.socket) -> None:
    connection.recv(65_536)


def stay_silent(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def answer(
    body: bytes = PAGE,
    status: str = "200 OK",
    *headers: str,
    is_sized: bool = True,
    is_last: bool = True,
) -> Respond:
    """Answer one request."""
    sized = [f"Content-Length: {len(body)}"] if is_sized else []
    last = ["Connection: close"] if is_last else []
    lines = [f"HTTP/1.1 {status}", *sized, *last, *headers, "", ""]

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall("\r\n".join(lines).encode() + body)

    return handle


def self_signed(until: int) -> bytes:
    """A key and a certificate that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jobo.invalid")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.add_extension(names, critical=False)
    certificate = builder.not_valid_after(datetime(until, 1, 1, tzinfo=UTC)).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


class TestNotSent:
    @pytest.mark.parametrize("is_proxy", [False, True])
    def test_refused_connection_is_tried_for_minutes(self, api: Api, *, is_proxy: bool) -> None:
        server = api.serve(drop_request)
        server.close()
        if is_proxy:
            api.session.proxies = {"http": f"http://{server.address}"}
        host = "jobo.invalid" if is_proxy else server.address
        named = f" {host}{' through the proxy' if is_proxy else ''} (Connection refused)"
        with pytest.raises(UnreachableError) as error:
            api.fetch(host)
        assert named in str(error.value)
        assert 240 < api.clock.passed <= 300
        assert api.cost.credits == 0

    def test_tls_handshake_that_breaks_off_is_a_lost_connection(self, api: Api) -> None:
        server = api.serve(drop_hello)
        with pytest.raises(UnreachableError):
            api.fetch(server.address, "https")
        assert server.connections > 3
        assert api.cost.credits == 0


class TestSent:
    @pytest.mark.parametrize(
        ("handler", "cause"),
        [(drop_request, "closed"), (reset_request, "reset"), (stay_silent, "timed out")],
    )
    def test_lost_answer_is_charged_and_tried_twice_more(
        self, api: Api, handler: Respond, cause: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if handler == stay_silent:
            monkeypatch.setattr("tap_jobo.api.client.READ_SECONDS", 0.3)
        server = api.serve(handler)
        with pytest.raises(ApiError, match=f"{cause}.*billed"):
            api.fetch(server.address)
        assert server.connections == 3
        assert api.cost.credits == api.cost.possibly_billed == 3 * WORST_CASE

    @pytest.mark.parametrize(("scheme", "credits_"), [("https", 0), ("http", WORST_CASE)])
    def test_what_a_signal_aborts_is_charged_only_if_it_was_sent(
        self, api: Api, scheme: str, credits_: int
    ) -> None:
        """A proxy is first asked for a tunnel to an API with TLS."""
        main = threading.get_ident()

        def interrupt(connection: socket.socket) -> None:
            (drop_hello if scheme == "https" else drop_request)(connection)
            signal.pthread_kill(main, signal.SIGINT)
            signal.pthread_kill(main, signal.SIGALRM)  # as 10 seconds later
            stay_silent(connection)

        api.session.proxies = {scheme: f"http://{api.serve(interrupt).address}"}
        with kept_signals():
            api.client.shutdown.install()
            with pytest.raises(InterruptedRunError):
                api.fetch("jobo.invalid", scheme)
        assert api.cost.credits == api.cost.possibly_billed == credits_

    def test_connection_closed_between_pages_is_replaced_for_free(self, api: Api) -> None:
        closed = threading.Event()

        def answer_and_close(connection: socket.socket) -> None:
            answer(is_last=False)(connection)
            connection.close()
            closed.set()

        server = api.serve(answer_and_close)
        api.fetch(server.address)
        assert closed.wait(patient(10))
        assert api.fetch(server.address).body == PAGE
        assert server.connections == 2
        assert api.cost.credits == 0

    @pytest.mark.parametrize(("idle", "connections"), [(60, 1), (61, 2)])
    def test_connection_idle_for_a_minute_is_not_used_again(
        self, api: Api, idle: float, connections: int
    ) -> None:
        def answer_all(connection: socket.socket) -> None:
            while True:
                answer(is_last=False)(connection)

        server = api.serve(answer_all)
        api.clock.passed = 1_000  # since the client was made
        api.fetch(server.address)
        api.clock.passed += idle
        api.fetch(server.address)
        assert server.connections == connections


@pytest.mark.parametrize(
    ("until", "is_known", "advice"), [(2099, False, "REQUESTS_CA_BUNDLE"), (2021, True, "clock")]
)
def test_a_certificate_that_is_not_valid_is_not_tried_again(
    api: Api, tmp_path: Path, until: int, advice: str, *, is_known: bool
) -> None:
    tls, pem = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path / "server.pem"
    pem.write_bytes(self_signed(until))
    tls.load_cert_chain(pem)

    def shake_hands(connection: socket.socket) -> None:
        tls.wrap_socket(connection, server_side=True)

    server = api.serve(shake_hands)
    if is_known:
        api.session.verify = str(pem)
    with pytest.raises(UnreachableError) as error:
        api.fetch(server.address, "https")
    assert advice in str(error.value)
    assert "through the proxy" not in str(error.value)
    assert (server.connections, api.cost.credits) == (1, 0)


PROXIES = {
    "#": "http://user:se#cret@127.0.0.1:9",
    "[": "http://user:se[cret@127.0.0.1:9",
    "port": "http://user:secret@127.0.0.1:99999",
    "scheme": "secret://127.0.0.1:9",
}


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_a_proxy_that_cannot_be_used_is_not_tried_again_and_its_password_not_shown(
    api: Api, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    caplog.set_level("DEBUG")
    api.session.proxies = {"https": proxy}
    with pytest.raises(UnreachableError) as error:
        api.fetch("jobo.invalid", "https")
    shown = f"{error.value}\n{caplog.text}"
    assert "HTTPS_PROXY" in shown
    assert not any(part in shown for part in ("user", "cret", "99999"))
    assert (api.clock.passed, api.cost.credits) == (0, 0)


@pytest.mark.parametrize(("status", "tries"), [("407", 1), ("502", 4)])
def test_what_a_proxy_says_beside_its_status_is_not_shown(
    api: Api, caplog: pytest.LogCaptureFixture, status: str, tries: int
) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(65_536)
        reason = "No access for user:secret. " + 10_000 * "x"
        connection.sendall(f"HTTP/1.1 {status} {reason}\r\n\r\n".encode())

    proxy = api.serve(refuse)
    api.session.proxies = {"https": f"http://user:secret@{proxy.address}"}
    with pytest.raises(UnreachableError) as error:
        api.fetch("jobo.invalid", "https")
    assert f"through the proxy (Tunnel connection failed: {status})" in str(error.value)
    assert ("HTTPS_PROXY" in str(error.value)) == (tries == 1)
    assert "secret" not in f"{error.value}\n{caplog.text}"
    assert proxy.connections >= tries


def test_a_cause_is_cut_and_has_no_key(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    line = f"{'x' * 250} {api.session.key} {'y' * 60_000}".encode()

    def send_garbage(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(line + b"\r\n\r\n")

    with pytest.raises(RetriesExhaustedError) as error:
        api.fetch(api.serve(send_garbage).address)
    for text in (error.value.fact, *caplog.messages):
        assert "lost (BadStatusLine(" in text
        assert "Connection aborted" not in text
        assert api.session.key[:9] not in text
        assert len(text) < 600
    assert api.cost.possibly_billed == 3 * WORST_CASE


DEDUCTED, GZIP = "X-Credits-Deducted: 2500", "Content-Encoding: gzip"
CHEAPER = "X-Credits-Deducted: 1000"
CHUNKED = b'4\r\n{"a\t\r\n0\r\n\r\n'


RETURNED = {
    "page": answer(PAGE),
    "byte order mark": answer(b"\xef\xbb\xbf \r\n" + PAGE),
    "one member": answer(b'{"has_more": false}'),
    "NaN": answer(b'{"career_sites": [NaN]}'),
    "206": answer(PAGE, "206 Partial Content"),
    "null in place of the list": answer(b'{"career_sites": null, "has_more": false}'),
    "another name": answer(b'{"careerSites": [null, %b], "nextCursor": null}' % ROW_ID),
    "another depth": answer(b'{"data": {"page": {"items": [%b]}}}' % LIKE_A_ROW),
    "greatest depth": answer(b'{"a": {"b": {"c": {"d": [%b]}}}}' % LIKE_A_ROW),
    "rows alone": answer(b"[%b]" % ROW_ID),
    "rows beside a member": answer(b'{"has_more": false, "more": 1, "r": [%b]}' % ROW_ID),
    "no row beside a member": answer(b'{"career_sites": [], "took_ms": 3}'),
    "rows beside an error": answer(b'{"career_sites": [7], "error": "busy"}'),
    "other members": answer(b'{"rows": []}', "200 OK", DEDUCTED),
    "a list": answer(b"[1]", "200 OK", DEDUCTED),
    "no length": answer(PAGE + b"\n", is_sized=False),
    "no JSON": answer(PAGE + b"<!-- cdn -->", "200 OK", DEDUCTED),
    "chunks": answer(CHUNKED, "200 OK", DEDUCTED, "Transfer-Encoding: chunked", is_sized=False),
    "gzip": answer(gzip.compress(b"tab\t") + gzip.compress(b"no"), "200 OK", DEDUCTED, GZIP),
    "gzip without its checksum": answer(gzip.compress(PAGE)[:-4], "200 OK", GZIP),
    "deflate": answer(zlib.compress(PAGE), "200 OK", "Content-Encoding: deflate"),
    "brotli": answer(b"packed", "200 OK", DEDUCTED, "Content-Encoding: br"),
    "no gzip": answer(b"no gzip", "200 OK", DEDUCTED, GZIP),
    "gzip by its header alone": answer(PAGE, "200 OK", GZIP),
    "gzip without its header": answer(gzip.compress(PAGE)),
    "no brotli": answer(PAGE, "200 OK", "Content-Encoding: br"),
}
LOST = {
    "HTML": answer(b"<html>maintenance</html>"),
    "error": answer(b'{"error": "busy"}'),
    "error beside the end": answer(b'{"error": "busy", "has_more": false}'),
    "error beside no rows": answer(b'{"career_sites": [], "has_more": false, "error": "busy"}'),
    "errors beside no rows": answer(b'{"career_sites": [], "has_more": false, "errors": ["a"]}'),
    "message beside no rows": answer(b'{"career_sites": [], "has_more": false, "message": "b"}'),
    "object beside no rows": answer(b'{"career_sites": [], "Detail": {"reason": "timeout"}}'),
    "error beside null": answer(b'{"career_sites": null, "has_more": false, "error": "busy"}'),
    "errors": answer(b'{"Errors": [%b]}' % ROW_ID),
    "details": answer(b'{"detail": [%b]}' % LIKE_A_ROW),
    "objects that are no rows": answer(b'{"items": [{"id": 7, "name": "n", "age": 1}]}'),
    "rows too deep": answer(b'{"a": {"b": {"c": {"d": {"e": [%b]}}}}}' % LIKE_A_ROW),
    "nothing": answer(b"{}"),
    "a list": answer(b"[]"),
    "empty": answer(b""),
    "204": answer(b"", "204 No Content"),
    "cut off": answer(PAGE[:-1], is_sized=False),
    "chunks cut off": answer(
        CHUNKED[:-5], "200 OK", DEDUCTED, "Transfer-Encoding: chunked", is_sized=False
    ),
    "gzip cut off": answer(gzip.compress(PAGE)[:-20], "200 OK", GZIP),
    "damaged gzip": answer(gzip.compress(PAGE)[:12] + b"?" * 20, "200 OK", GZIP),
    "502": answer(b"", "502 Bad Gateway"),
    "504": answer(b"", "504 Gateway Timeout"),
    "520": answer(b"", "520 Web Server Returned an Unknown Error"),
    "524": answer(b"", "524 A Timeout Occurred"),
    "101": answer(b"", "101 Switching Protocols"),
    "103": answer(b"", "103 Early Hints"),
}
BILLED = {
    "500": answer(b"", "500 Error", CHEAPER),
    "503": answer(b"", "503 Busy", CHEAPER),
    "cut off": answer(b'{"career_si', "200 OK", CHEAPER, is_sized=False),
    "gzip cut off": answer(gzip.compress(PAGE)[:-20], "200 OK", CHEAPER, GZIP),
    "second gzip cut off": answer(
        gzip.compress(b"x") + gzip.compress(b"y")[:-1], "200 OK", CHEAPER, GZIP
    ),
    "nothing of gzip": answer(b"", "200 OK", CHEAPER, GZIP),
}
HTML = b" <!doctype html><title>Blocked</title>"
CUT_OFF = answer(b"", "400 Bad", "Content-Length: 9", is_sized=False)
FINAL = {
    "307": (answer(b"", "307 Moved", "Location: http://127.0.0.1:1"), "request-rejected"),
    "400": (answer(b"{}", "400 Bad Request"), "request-rejected"),
    "400 cut off": (CUT_OFF, "request-rejected"),
    "401": (answer(b"", "401 Unauthorized"), "access-denied"),
    "402": (answer(b"", "402 Payment Required"), "balance-too-low"),
    "403": (answer(b"", "403 Forbidden", "Retry-After: 1"), "access-denied"),
    "407": (answer(HTML, "407 Proxy Authentication"), "api-unavailable"),
    "451": (answer(b"", "451 Unavailable"), "request-rejected"),
    "402 as HTML": (answer(HTML, "402 Payment Required"), "api-unavailable"),
}
FREE = ["408", "425 Early", "429 Slow down", "500 Error", "503 Busy", "530", "599"]


@pytest.mark.parametrize("handler", RETURNED.values(), ids=RETURNED)
def test_body_with_the_envelope_or_a_deduction_is_returned_as_it_came(
    api: Api, handler: Respond
) -> None:
    server = api.serve(handler)
    response = api.fetch(server.address)
    assert response.body
    assert server.connections == 1
    assert api.cost.credits == 0  # its reader charges it


@pytest.mark.parametrize(
    ("handler", "code", "tries", "bill"),
    [
        *((each, "api-unavailable", 3, (3 * WORST_CASE, 3 * WORST_CASE)) for each in LOST.values()),
        *((each, "api-unavailable", 3, (3_000, 0)) for each in BILLED.values()),
        *((each, code, 1, (0, 0)) for each, code in FINAL.values()),
        (answer(b"", "403 Forbidden", CHEAPER), "access-denied", 1, (1_000, 0)),
        *(
            (answer(b"", each, "X-Credits-Deducted: 0"), "api-unavailable", 4, (0, 0))
            for each in FREE
        ),
    ],
    ids=[*LOST, *(f"deduction, {name}" for name in BILLED), *FINAL, "deduction, 403", *FREE],
)
def test_response_without_a_page_is_tried_again_and_charged(
    api: Api, handler: Respond, code: str, tries: int, bill: tuple[int, int]
) -> None:
    """4 tries stand for minutes."""
    server = api.serve(handler)
    with pytest.raises(ApiError, match=rf"\[{code}\]") as error:
        api.fetch(server.address)
    assert (NOT_BILLED in str(error.value)) == (bill == (0, 0))
    assert ("HTTPS_PROXY" in str(error.value)) == (" 407" in str(error.value))
    assert min(server.connections, 4) == tries
    assert (api.cost.credits, api.cost.possibly_billed) == bill


def test_free_request_is_tried_for_minutes_whatever_comes(api: Api) -> None:
    failures = (drop_request, answer(b"<html>"), answer(b"", "502 Bad Gateway"))
    server = api.serve(*failures, answer(b"{}"))
    assert api.client.fetch(api.request(server.address)).body == b"{}"
    assert api.budget.credits == 0
