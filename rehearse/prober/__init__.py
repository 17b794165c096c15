"""Probes that are sent at a fixed pace while an upgrade happens, from a process of their own."""
