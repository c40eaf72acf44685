"""Serving: bundles over HTTP, as plain ASGI without a framework."""
