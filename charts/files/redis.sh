# Becomes redis-server, which so gets the pod's signals, with the password of REDISCLI_AUTH, where redis-cli looks
# for it too, if there is one.
password=
if [ -n "$REDISCLI_AUTH" ]; then
    password="requirepass \"$(printf %s "$REDISCLI_AUTH" | sed 's/[\\"]/\\&/g')\""
fi
exec redis-server - "$@" <<CONFIG
$password
CONFIG
