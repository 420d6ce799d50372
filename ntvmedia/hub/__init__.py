"""Live streams, their renditions and the ways out to the viewers."""
