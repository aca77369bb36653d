# mypy: allow-untyped-calls
"""A certificate for the processes of one command, which nobody else has: who knows its key may have them run code.

It is the engine's own ``Security.temporary`` but for two things: the key is drawn in a millisecond, and the certificate
holds at any time, so that a worker which is started anew after the clock was set is let in.
"""

import datetime
from typing import Any

BEGIN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)

NAME = "prunecheck"


def temporary_security() -> Any:
    """Return a ``Security`` of the engine with a new key, for its scheduler, workers and clients alike.

    It lies in memory alone. Whatever talks to another of them needs the key, and nothing is sent that is not encrypted.
    """
    from distributed import Security

    key, certificate = _new_certificate()
    roles = ("scheduler", "worker", "client")
    # What is not named is taken from the user's configuration, which is made for other certificates.
    return Security(
        require_encryption=True,
        extra_conn_args={},
        tls_ca_file=certificate,
        tls_ciphers=None,
        tls_min_version=None,
        tls_max_version=None,
        **{f"tls_{role}_key": key for role in roles},
        **{f"tls_{role}_cert": certificate for role in roles},
    )


def _new_certificate() -> tuple[str, str]:
    """Return a new key and a certificate that it has signed itself, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    as_text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return as_text.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
