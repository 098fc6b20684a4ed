"""The database: named queries, repositories per family, batches, migrations. Only this package knows PostgreSQL."""
