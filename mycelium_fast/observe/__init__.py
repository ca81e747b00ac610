"""Watching a running program: `metrics`, `tracing` and `logs`.

Everything here is off until it is asked for, and nothing below `bridge` imports it. Counters and hooks
stand where the counted things happen; the libraries that they feed are imported on first use.
"""
