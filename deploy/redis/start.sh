#!/bin/sh
# The least rights of docs/operations.md. The password comes from the environment, so that no file holds it.
exec redis-server \
  --appendonly yes --appendfsync everysec --maxmemory-policy noeviction --dir /data \
  --user tidemark on ">${REDIS_PASSWORD:?}" "~seq:*" +evalsha "+script|load" +info +time +get +set +incrby +unlink +scan +zadd +zrange +zrem +zremrangebyscore \
  --user default off
