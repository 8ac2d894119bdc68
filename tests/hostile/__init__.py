"""Hostile sensors, payloads, documents, files and peers, each next to a healthy sensor that must not be affected."""
