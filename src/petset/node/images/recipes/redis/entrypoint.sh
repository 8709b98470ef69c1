#!/bin/sh
# Runs redis as its own user, with its data in the working directory (/data).
#
# Arguments that begin with a dash, and configuration files, are meant for redis-server. Clients
# from other hosts are served without a password unless the configuration says otherwise: a pod
# with no more than `image: redis` is to be reachable by its peers.
set -e
# As process 1 a shell that catches nothing cannot be stopped while it prepares.
trap 'exit 143' HUP INT QUIT TERM

case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    # Never the root: below it lie /proc and /dev, which belong to the machine.
    if [ "$PWD" != / ]; then
        find . -xdev \! -user redis -exec chown redis '{}' + ||
            echo "$0: some files stay as they are" >&2
    fi
    exec su -s /bin/sh -c 'exec "$0" "$@"' -- redis "$0" "$@"
fi

if [ "$1" = redis-server ]; then
    umask 0077
    said=no
    for word in "$@"; do
        case $word in
            --protected-mode) said=yes ;;
            *.conf) if grep -q '^[[:space:]]*protected-mode' "$word" 2>/dev/null; then said=yes; fi ;;
        esac
    done
    [ "$said" = yes ] || set -- "$@" --protected-mode no
fi

exec "$@"
