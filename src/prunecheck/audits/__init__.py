"""A look at a method's tickets without training them."""
