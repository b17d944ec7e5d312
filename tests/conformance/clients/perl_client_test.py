#!/usr/bin/python3
"""Perl Sys::Virt against the daemon."""

import sys
from pathlib import Path

import against_daemon

sys.exit(against_daemon.main(["/usr/bin/perl", str(Path(__file__).parent / "client.pl")]))
