#!/bin/sh
# Makes the databases on first start, then becomes mariadbd, as its own user.
#
# MARIADB_ROOT_PASSWORD                root's password; or one of
# MARIADB_ALLOW_EMPTY_ROOT_PASSWORD    none
# MARIADB_RANDOM_ROOT_PASSWORD         a made one, shown in the log once
# MARIADB_ROOT_HOST                    from where root may connect (%)
# MARIADB_DATABASE, MARIADB_USER, MARIADB_PASSWORD  a database and a user of it to make
# MYSQL_ instead of MARIADB_ works too, and so does NAME_FILE, naming a file with the value.
# All that happens in a folder aside; what a first start left unfinished is begun anew.
# /docker-entrypoint-initdb.d: *.sh, *.sql and *.sql.gz run once, in order.
set -eu
# As process 1 a shell that catches nothing cannot be stopped while it prepares.
trap 'exit 143' HUP INT QUIT TERM

data=/var/lib/mysql
fresh=$data/.new
socket=/run/mysqld/mysqld.sock

fail() {
    echo "$0: $*" >&2
    exit 1
}

# setting NAME: MARIADB_NAME from its own variable, its file, or MySQL's name for it.
setting() {
    for prefix in MARIADB MYSQL; do
        eval "plain=\${${prefix}_$1:-} file=\${${prefix}_$1_FILE:-}"
        [ -z "$plain" ] || [ -z "$file" ] || fail "${prefix}_$1 and ${prefix}_$1_FILE are both set"
        [ -z "$file" ] || plain=$(cat "$file")
        [ -z "$plain" ] || break
    done
    eval "MARIADB_$1=\$plain"
    export "MARIADB_$1"
}

# quoted TEXT: as a string of SQL.
quoted() {
    printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"
}

named() {
    printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"
}

sql() {
    MYSQL_PWD=$root_now mariadb --protocol=socket --socket="$socket" -uroot "$@"
}

read_settings() {
    for name in ROOT_PASSWORD ROOT_HOST DATABASE USER PASSWORD ALLOW_EMPTY_ROOT_PASSWORD \
        RANDOM_ROOT_PASSWORD INITDB_SKIP_TZINFO; do
        setting "$name"
    done
    if [ -z "$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD" ]; then
        eval "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=\${MYSQL_ALLOW_EMPTY_PASSWORD:-}"
    fi
    if [ -n "$MARIADB_RANDOM_ROOT_PASSWORD" ]; then
        MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '+/=\n')
        echo "$0: root's password is $MARIADB_ROOT_PASSWORD"
    fi
    [ -n "$MARIADB_ROOT_PASSWORD" ] || [ -n "$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD" ] || fail \
        "set MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD or" \
        "MARIADB_RANDOM_ROOT_PASSWORD"
    [ "$MARIADB_USER" != root ] || fail "MARIADB_USER is root, who is there anyway"
}

# line TEXT: print it as it is (echo may see escapes in it).
line() {
    printf '%s\n' "$1"
}

accounts() {
    password=$(quoted "$MARIADB_ROOT_PASSWORD")
    line "SET @@SESSION.SQL_LOG_BIN=0;"
    line "DELETE FROM mysql.global_priv WHERE User = ''"
    line "   OR (User = 'root' AND Host <> 'localhost');"
    line "FLUSH PRIVILEGES;"
    line "DROP DATABASE IF EXISTS test;"
    if [ -n "$MARIADB_DATABASE" ]; then
        line "CREATE DATABASE IF NOT EXISTS $(named "$MARIADB_DATABASE");"
    fi
    if [ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ]; then
        user="$(quoted "$MARIADB_USER")@'%'"
        line "CREATE USER $user IDENTIFIED BY $(quoted "$MARIADB_PASSWORD");"
        if [ -n "$MARIADB_DATABASE" ]; then
            line "GRANT ALL ON $(named "$(printf '%s' "$MARIADB_DATABASE" | sed 's/_/\\_/g')").* TO $user;"
        fi
    fi
    host=$(quoted "${MARIADB_ROOT_HOST:-%}")
    if [ "$host" != "'localhost'" ]; then
        line "CREATE USER 'root'@$host IDENTIFIED BY $password;"
        line "GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION;"
    fi
    line "SET PASSWORD FOR 'root'@'localhost' = PASSWORD($password);"
}

run_hooks() {
    for hook in /docker-entrypoint-initdb.d/*; do
        case $hook in
            *.sh) if [ -x "$hook" ]; then echo "$0: running $hook"; "$hook"; else echo "$0: reading $hook"; . "$hook"; fi ;;
            *.sql) echo "$0: running $hook"; sql ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} <"$hook" ;;
            *.sql.gz) echo "$0: running $hook"; gunzip -c "$hook" | sql ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} ;;
        esac
    done
}

make_databases() {
    rm -rf "$fresh"
    mariadb-install-db --datadir="$fresh" --auth-root-authentication-method=normal \
        --skip-test-db --cross-bootstrap >/dev/null
    root_now=
    mariadbd --datadir="$fresh" --skip-networking --socket="$socket" --skip-log-bin &
    server=$!
    tries=0
    until sql -e 'SELECT 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        kill -0 "$server" 2>/dev/null && [ "$tries" -lt 300 ] || fail "the server does not start"
        sleep 0.2
    done
    accounts | sql
    root_now=$MARIADB_ROOT_PASSWORD
    run_hooks
    kill "$server"
    wait "$server" || true
    touch "$fresh/.whole"
}

move_in() {
    for entry in "$fresh"/*; do
        [ "$entry" = "$fresh/mysql" ] || mv "$entry" "$data/"
    done
    [ ! -e "$fresh/mysql" ] || mv "$fresh/mysql" "$data/"
    rm -rf "$fresh"
}

case ${1:-} in
    -*) set -- mariadbd "$@" ;;
esac
case ${1:-} in
    mariadbd | mysqld) ;;
    *) exec "$@" ;;
esac
case " $* " in
    *" --help "* | *" -? "* | *" --version "* | *" -V "*) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$data" /run/mysqld
    find "$data" /run/mysqld \! -user mysql -exec chown mysql:mysql '{}' + ||
        echo "$0: some files stay as they are" >&2
    exec su -s /bin/sh -c 'exec "$0" "$@"' -- mysql "$0" "$@"
fi

if ! [ -d "$data/mysql" ]; then
    if ! [ -e "$fresh/.whole" ]; then
        read_settings
        make_databases
    fi
    move_in
    echo "$0: the databases are made; starting"
fi

exec "$@"
