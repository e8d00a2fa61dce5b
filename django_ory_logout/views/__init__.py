"""HTTP in and out, thin: what a request says goes to the journeys, what they say becomes a response."""
