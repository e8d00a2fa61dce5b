"""Session engines like those of sites and other packages."""
