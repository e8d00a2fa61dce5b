"""The development provider over HTTP: Ory Hydra's paths, parameters and cookies, and pages for users."""
