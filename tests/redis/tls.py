"""Certificates for servers that speak TLS, made when they are needed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import require

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """A certificate of this machine that vouches for itself: who trusts it needs no other."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str = "server") -> Certificate:
        """For localhost and 127.0.0.1, and good for a day."""
        made = cls(folder / f"{name}.crt", folder / f"{name}.key")
        command = [require("openssl"), "req", "-x509", "-nodes", "-days", "1"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-keyout", str(made.key), "-out", str(made.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        return made

    def options(self, trusted: Certificate | None = None) -> list[str]:
        """For a redis-server; it asks clients for a certificate if ``trusted`` is one."""
        options = ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]
        options += ["--tls-ca-cert-file", str((trusted or self).certificate)]
        return [*options, "--tls-auth-clients", "no" if trusted is None else "yes"]
