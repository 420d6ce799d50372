"""What is found by the server: keep it light, every twistd of the environment imports it."""

from ntv_morse import MorseSource

morse = MorseSource()
