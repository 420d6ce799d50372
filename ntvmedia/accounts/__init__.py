"""Who may administer the server: users, their sessions and tokens, and what they did."""

from ntvmedia.accounts.registry import Accounts
from ntvmedia.accounts.roles import Identity, Role

__all__ = ["Accounts", "Identity", "Role"]
