"""Where the registry lies: the database, its tables and migrations, the audit chain, keys, the change signal."""
