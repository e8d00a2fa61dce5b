"""The site with users in one database and the app in another: SQLite files, whatever database the other tests use."""
