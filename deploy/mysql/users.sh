# Runs once, when the database is made. Sourced by the image's entrypoint, which brings docker_process_sql.
# The servers may only read and write rows; tables are made by `tidemark migrate`, as another user.
docker_process_sql --database=mysql <<SQL
CREATE USER tidemark IDENTIFIED BY '${MYSQL_RUN_PASSWORD}';
CREATE USER tidemark_migrate IDENTIFIED BY '${MYSQL_MIGRATE_PASSWORD}';
GRANT SELECT, INSERT, UPDATE ON tidemark.* TO tidemark;
GRANT SELECT, INSERT, UPDATE, CREATE, ALTER ON tidemark.* TO tidemark_migrate;
SQL
