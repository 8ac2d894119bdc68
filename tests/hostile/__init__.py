"""Hostile sensors, payloads, documents, files and peers, each beside a healthy sensor that must not notice."""
