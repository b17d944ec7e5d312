#!/usr/bin/python3
"""A client in pure Go (no libvirt library) against the daemon."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import against_daemon

with tempfile.TemporaryDirectory() as scratch:
    program = Path(scratch, "client")
    # Debian's Go libraries lie in a GOPATH of the time before modules.
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "CGO_ENABLED": "0",
                                "GOCACHE": str(Path(against_daemon.warren_daemon.build_directory(), "go-cache"))}
    subprocess.run(["/usr/bin/go", "build", "-o", program, Path(__file__).parent / "client.go"], check=True,
                   env=environment)
    status = against_daemon.main([str(program)])
sys.exit(status)
