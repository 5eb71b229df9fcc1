"""A run over many photos: what it has to do, its session, and the ways back."""
