"""Tests over real HTTP: site and provider are separate processes, and browsers are requests sessions."""
