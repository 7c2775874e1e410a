"""Faults, put into real runs: kills, damaged files, full disks, lost peers.

``python -m tests.faults`` runs all of them, for mmtat and for mmengine alone,
and can write its tables into a page. ``tests/test_faults.py`` runs some.
"""
