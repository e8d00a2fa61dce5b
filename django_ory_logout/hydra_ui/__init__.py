"""Your Django site as Hydra's login, consent, logout and error pages. Relying parties do not need this app."""
