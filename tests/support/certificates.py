"""Owns certificates for tests, as a Kubernetes Secret holds them: tls.crt, tls.key and ca.crt in a folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from splitwiser.config.schema import TlsSettings


def write_secret(
    folder: Path, *names: str, ca: trustme.CA | None = None, trusted: trustme.CA | None = None, expired: bool = False
) -> TlsSettings:
    """A certificate for these names of ca, and in ca.crt the CA that is trusted, if that is another one."""
    ca = ca or trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = ca.issue_cert(
        *(names or ("localhost", "127.0.0.1")),
        not_before=yesterday - timedelta(days=1),
        not_after=yesterday if expired else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "tls.crt": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "tls.key": certificate.private_key_pem.bytes(),
        "ca.crt": (trusted or ca).cert_pem.bytes(),
    }
    for name, content in files.items():
        # As a kubelet does: each file is whole at every moment.
        draft = folder / f".{name}"
        draft.write_bytes(content)
        draft.replace(folder / name)
    return secret_in(folder)


def secret_in(folder: Path) -> TlsSettings:
    """Settings that name a secret's files."""
    return TlsSettings(
        cert_file=str(folder / "tls.crt"), key_file=str(folder / "tls.key"), ca_file=str(folder / "ca.crt")
    )
