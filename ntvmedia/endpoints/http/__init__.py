"""The HTTP front: media by routes of our own, the rest by `twisted.web`, on one port."""
