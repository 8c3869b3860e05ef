"""Owns TLS: the credentials of listeners and channels out of the certificate's files, and what is wrong with those.

With a CA, TLS is mutual: both sides show a certificate of it. Unix sockets go without: the mode of their folder is the
guard.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import grpc

from splitwiser.config.schema import TlsSettings
from splitwiser.errors import ConfigurationError
from splitwiser.rpc.certificate import check_certificate

POLL_S = 10.0
Stamp = tuple[tuple[int, int, int], ...]

_log = logging.getLogger(__name__)


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials | None:
    """For a listener; None without a certificate. Files that change are read again, for the handshakes that follow."""
    if not tls.cert_file:
        return None
    current = _Renewed(tls)
    # None from the fetcher means no change; its type does not say so.
    renewed = cast(Callable[[], grpc.ServerCertificateConfiguration], current.renewed)
    return grpc.dynamic_ssl_server_credentials(current.read(), renewed, require_client_authentication=bool(tls.ca_file))


def channel_credentials(tls: TlsSettings) -> grpc.ChannelCredentials | None:
    """For a channel, as the files are now; None where nothing of TLS is set."""
    if not tls.enabled:
        return None
    key, certificate = _content(tls.key_file), _content(tls.cert_file)
    return grpc.ssl_channel_credentials(_content(tls.ca_file), key, certificate)


def file_stamp(tls: TlsSettings) -> Stamp:
    """Changes whenever the files do. OSError when one is not there."""
    facts = (Path(name).stat() for name in (tls.cert_file, tls.key_file, tls.ca_file) if name)
    return tuple((fact.st_mtime_ns, fact.st_ino, fact.st_size) for fact in facts)


async def follow_files(tls: TlsSettings, on_change: Callable[[], None], every_s: float = POLL_S) -> None:
    """Tell of every change of the files to others that can be used, until cancelled. Returns if there are none."""
    if not tls.enabled:
        return
    known = file_stamp(tls)
    while True:
        await asyncio.sleep(every_s)
        with suppress(OSError, ConfigurationError):
            if (stamp := file_stamp(tls)) != known:
                await asyncio.to_thread(check_certificate, tls)
                known = stamp
                on_change()


class _Renewed:
    """A listener's certificate as of now. Called by gRPC before each handshake, on a thread of its own."""

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self._stamp: Stamp = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """The files' content. ConfigurationError when they do not fit together."""
        check_certificate(self._tls)
        self._stamp = file_stamp(self._tls)
        pair = (Path(self._tls.key_file).read_bytes(), Path(self._tls.cert_file).read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], _content(self._tls.ca_file))

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """A new one; None for no change, or for one that is not good, or not all there yet."""
        try:
            if file_stamp(self._tls) == self._stamp:
                return None
            return self.read()
        except (OSError, ConfigurationError) as error:
            _log.warning("the changed certificate is not used: %s", str(error).replace("\n", "; "))
            return None


def _content(name: str) -> bytes | None:
    return Path(name).read_bytes() if name else None
