#!/bin/sh
# Makes the database on first start, then becomes postgres, as its own user.
#
# POSTGRES_PASSWORD        the superuser's password; must be set, or
# POSTGRES_HOST_AUTH_METHOD  how other hosts prove who they are (trust needs no password)
# POSTGRES_USER            the superuser (postgres)
# POSTGRES_DB              a database to make (the superuser's name)
# POSTGRES_INITDB_ARGS, POSTGRES_INITDB_WALDIR  for initdb
# The first four may also be given as NAME_FILE, naming a file with the value.
# All that happens in a folder aside; what a first start left unfinished is begun anew.
# /docker-entrypoint-initdb.d: *.sh, *.sql and *.sql.gz run once, in order, on the new database.
set -eu
# As process 1 a shell that catches nothing cannot be stopped while it prepares.
trap 'exit 143' HUP INT QUIT TERM

fresh=${PGDATA:=/var/lib/postgresql/data}/.new

fail() {
    echo "$0: $*" >&2
    exit 1
}

# from_file NAME: take NAME's value from the file that NAME_FILE names.
from_file() {
    eval "plain=\${$1:-} file=\${$1_FILE:-}"
    [ -n "$file" ] || return 0
    [ -z "$plain" ] || fail "$1 and $1_FILE are both set"
    value=$(cat "$file")
    eval "$1=\$value"
    unset "$1_FILE"
}

make_cluster() {
    [ -n "$POSTGRES_PASSWORD" ] || [ "$POSTGRES_HOST_AUTH_METHOD" = trust ] || fail \
        "set POSTGRES_PASSWORD to the superuser's password" \
        "(or POSTGRES_HOST_AUTH_METHOD=trust, which lets everybody in)"
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    set -- --username="$POSTGRES_USER"
    [ -z "$POSTGRES_PASSWORD" ] || set -- "$@" --pwfile="$secret"
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || set -- "$@" --waldir="$POSTGRES_INITDB_WALDIR"
    # shellcheck disable=SC2086 # the variable holds several arguments
    initdb -D "$fresh" "$@" ${POSTGRES_INITDB_ARGS:-}
    rm -f "$secret"
    method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption -D "$fresh")}
    printf '\nhost all all all %s\n' "$method" >>"$fresh/pg_hba.conf"
    sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$fresh/postgresql.conf"
}

query() {
    psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" "$@"
}

run_hooks() {
    for hook in /docker-entrypoint-initdb.d/*; do
        case $hook in
            *.sh) if [ -x "$hook" ]; then echo "$0: running $hook"; "$hook"; else echo "$0: reading $hook"; . "$hook"; fi ;;
            *.sql) echo "$0: running $hook"; query --dbname "$POSTGRES_DB" -f "$hook" ;;
            *.sql.gz) echo "$0: running $hook"; gunzip -c "$hook" | query --dbname "$POSTGRES_DB" ;;
        esac
    done
}

fill_cluster() {
    export PGPASSWORD="$POSTGRES_PASSWORD"
    pg_ctl -D "$fresh" -w -t 60 -o "-c listen_addresses='' -p ${PGPORT:-5432}" start
    if [ "$POSTGRES_DB" != postgres ]; then
        echo 'CREATE DATABASE :"name";' | query --dbname postgres -v name="$POSTGRES_DB"
    fi
    run_hooks
    pg_ctl -D "$fresh" -w -m fast stop
    unset PGPASSWORD
    touch "$fresh/whole"
}

move_in() {
    for entry in "$fresh"/*; do
        case ${entry##*/} in
            PG_VERSION | whole) ;;
            *) mv "$entry" "$PGDATA/" ;;
        esac
    done
    [ ! -e "$fresh/PG_VERSION" ] || mv "$fresh/PG_VERSION" "$PGDATA/"
    rm -rf "$fresh"
}

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac

if [ "${1:-}" != postgres ]; then
    exec "$@"
fi
case " $* " in
    *" --help "* | *" -? "* | *" --version "* | *" -V "* | *" --describe-config "* | *" -C "*) exec "$@" ;;
esac

mkdir -p "$PGDATA"
# A volume's group (fsGroup) may have been let in; the server would refuse to start then.
chmod 0700 "$PGDATA" || echo "$0: the mode of $PGDATA stays as it is" >&2

if [ "$(id -u)" = 0 ]; then
    mkdir -p /run/postgresql
    chmod 3777 /run/postgresql || true
    find "$PGDATA" /run/postgresql \! -user postgres -exec chown postgres:postgres '{}' + ||
        echo "$0: some files stay as they are" >&2
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chown -R postgres:postgres "$POSTGRES_INITDB_WALDIR"
    fi
    exec su -s /bin/sh -c 'exec "$0" "$@"' -- postgres "$0" "$@"
fi

if ! [ -s "$PGDATA/PG_VERSION" ]; then
    for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do
        from_file "$name"
    done
    POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-}
    POSTGRES_HOST_AUTH_METHOD=${POSTGRES_HOST_AUTH_METHOD:-}
    POSTGRES_USER=${POSTGRES_USER:-postgres}
    POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
    export POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB
    if ! [ -e "$fresh/whole" ]; then
        rm -rf "$fresh"
        make_cluster
        fill_cluster
    fi
    move_in
    echo "$0: the database is made; starting"
fi

exec "$@"
