"""The site with its users in one database and the app in another: SQLite files, whatever the other tests run on."""
