"""What only a GPU can show, as one command that ends within minutes."""
