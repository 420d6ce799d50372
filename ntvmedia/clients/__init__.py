"""Clients of other servers, by the scheme of an address."""
