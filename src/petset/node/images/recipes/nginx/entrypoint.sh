#!/bin/sh
# Prepares the container when it is to run nginx, then becomes the command it was given.
#
# Templates: every *.template under /etc/nginx/templates becomes a file of that name, without the
# ending, under /etc/nginx/conf.d; ${NAME} is replaced for the variables that are set.
# Hooks: what lies in /docker-entrypoint.d is run (*.sh, if executable) or read (*.envsh).
set -e
# As process 1 a shell that catches nothing cannot be stopped while it prepares.
trap 'exit 143' HUP INT QUIT TERM

say() {
    [ -n "$NGINX_ENTRYPOINT_QUIET_LOGS" ] || echo "$0: $*"
}

fill_templates() {
    from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
    to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
    ending=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
    [ -d "$from" ] || return 0
    names=$(env | sed -n "s/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\${\1}/p" | tr '\n' ' ')
    find -L "$from" -type f -name "*$ending" | while read -r template; do
        name=${template#"$from"/}
        out=$to/${name%"$ending"}
        if ! mkdir -p "$(dirname "$out")" || ! [ -w "$(dirname "$out")" ]; then
            say "cannot write $out: $template is left out"
            continue
        fi
        say "making $out"
        envsubst "$names" <"$template" >"$out"
    done
}

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
    fill_templates
    for hook in /docker-entrypoint.d/*; do
        case $hook in
            *.envsh) if [ -x "$hook" ]; then say "reading $hook"; . "$hook"; fi ;;
            *.sh) if [ -x "$hook" ]; then say "running $hook"; "$hook"; fi ;;
        esac
    done
fi

exec "$@"
