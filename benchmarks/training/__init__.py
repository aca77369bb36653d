"""How fast tickets are trained, what makes it so, and how far that is from what the device could do."""
