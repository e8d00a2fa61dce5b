"""The web face of the development provider: Ory Hydra's paths, parameters and cookies, and pages for people."""
