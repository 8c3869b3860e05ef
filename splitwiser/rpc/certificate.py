"""Owns the check of a certificate's files before anybody meets them: a handshake with itself, in memory."""

import ssl
from pathlib import Path
from typing import NoReturn

from splitwiser.config.schema import TlsSettings
from splitwiser.errors import ConfigurationError

ROUNDS = 8
"""Flights of a handshake, at the most."""


def check_certificate(tls: TlsSettings) -> None:
    """Raise ConfigurationError for a file that cannot be read or is no PEM, a key of another certificate, and a
    certificate that is expired, or that its own CA does not vouch for."""
    for field in ("cert_file", "key_file", "ca_file"):
        _check_readable(f"tls.{field}", getattr(tls, field))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    if tls.ca_file:
        _load_ca(client, tls.ca_file)
    if not tls.cert_file:
        return
    _load_pair(server, tls)
    if tls.ca_file:
        _load_pair(client, tls)
        _load_ca(server, tls.ca_file)
        server.verify_mode = ssl.CERT_REQUIRED
    else:
        # Whoever signed it: its dates are looked at all the same.
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cafile=tls.cert_file)
    try:
        _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        _refuse("tls.cert_file", f"{tls.cert_file}: {error.verify_message}", _remedy(tls))
    except ssl.SSLError as error:
        _refuse("tls.cert_file", f"{tls.cert_file}: {error.reason}", _remedy(tls))


def _check_readable(field: str, name: str) -> None:
    try:
        if name:
            Path(name).open("rb").close()
    except OSError as error:
        _refuse(field, f"cannot read {name}: {error.strerror}", "name a readable file; in a pod, see the Secret's keys")


def _load_ca(context: ssl.SSLContext, name: str) -> None:
    try:
        context.load_verify_locations(cafile=name)
    except ssl.SSLError:
        _refuse("tls.ca_file", f"{name} holds no certificate", "give the CA's certificates as PEM")


def _load_pair(context: ssl.SSLContext, tls: TlsSettings) -> None:
    try:
        # The password is never asked for at a terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            _refuse("tls.key_file", f"{tls.key_file} is not the key of {tls.cert_file}", "give the pair as issued")
        _refuse(
            "tls.cert_file",
            f"{tls.cert_file} and {tls.key_file} cannot be used: {error.reason or 'no PEM'}",
            "give the certificate with its chain, and its key without a password, as PEM",
        )


def _remedy(tls: TlsSettings) -> str:
    if tls.ca_file:
        return f"issue it anew, for servers and clients, by a CA of {tls.ca_file}"
    return "issue it anew"


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    for _ in range(ROUNDS):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def _refuse(field: str, cause: str, remedy: str) -> NoReturn:
    raise ConfigurationError(cause, field=field, help=remedy) from None
