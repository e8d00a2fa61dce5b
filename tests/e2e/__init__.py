"""The journeys over real HTTP: site and provider are processes of their own, browsers are requests sessions."""
