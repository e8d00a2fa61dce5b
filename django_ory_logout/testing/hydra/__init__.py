"""An OpenID provider that behaves like Ory Hydra, without HTTP."""
