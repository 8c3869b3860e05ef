# Becomes redis-server, which so gets the pod's signals, with the password of REDIS_PASSWORD if there is one.
password=
if [ -n "$REDIS_PASSWORD" ]; then
    password="requirepass \"$(printf %s "$REDIS_PASSWORD" | sed 's/[\\"]/\\&/g')\""
fi
exec redis-server - "$@" <<CONFIG
$password
CONFIG
