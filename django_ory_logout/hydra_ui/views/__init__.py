"""The pages that Hydra's ``urls.login``, ``urls.consent``, ``urls.logout``, ``urls.error`` name."""
