"""Session engines as sites and other packages write them."""
