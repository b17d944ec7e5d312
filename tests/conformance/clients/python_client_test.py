#!/usr/bin/python3
"""libvirt-python against the daemon."""

import sys
from pathlib import Path

import against_daemon

sys.exit(against_daemon.main(["/usr/bin/python3", str(Path(__file__).parent / "client.py")]))
