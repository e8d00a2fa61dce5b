"""OpenID Connect itself: values in, a verified value or an exception out. No models, no settings, no request."""
