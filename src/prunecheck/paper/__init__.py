"""arXiv:2009.11094: its published numbers, its tables as studies, and its scripts."""
