"""The words of the commands for the objects of a cluster."""

from petset.cli.failure import Failure
from petset.cli.words import Command, Parser, Words, between, name_option, seconds

_OUTPUTS = ("wide", "yaml", "json", "name")


def _common(parser: Parser) -> None:
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NS", help="the namespace (default)"
    )
    name_option(parser)


def _files(parser: Parser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        action="append",
        default=[],
        metavar="FILE",
        help="manifest, directory of manifests, or - for standard input; may be repeated",
    )


def _targets(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="TARGET", help="TYPE[,TYPE] [NAME ...], or TYPE/NAME ..."
    )


def _labels(parser: Parser, what: str) -> None:
    parser.add_argument("-l", "--selector", default="", metavar="L", help=what)


def _apply_words(parser: Parser) -> None:
    _files(parser)
    _common(parser)


def _apply(words: Words) -> int:
    from petset.cli import thin

    if not words.files:
        raise Failure("say which manifests", "as in: petset apply -f FILE")
    return thin.run(words.name, lambda client: thin.apply(client, words.files, words.namespace))


def _get_words(parser: Parser) -> None:
    _targets(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    parser.add_argument("-o", "--output", default="", metavar="FORM", help=", ".join(_OUTPUTS))
    _labels(parser, "only those with these labels, as in app=web,tier!=test")
    parser.add_argument("-w", "--watch", action="store_true", help="go on with changes")
    _common(parser)


def _get(words: Words) -> int:
    from petset.cli import show, thin

    if words.output not in {"", *_OUTPUTS}:
        raise Failure(f"unknown output {words.output!r}", f"use one of {', '.join(_OUTPUTS)}")
    wanted = show.Get(
        words.words,
        "" if words.all_namespaces else words.namespace,
        output=words.output,
        labels=words.selector,
        watch=words.watch,
    )
    return thin.run(words.name, lambda client: show.get(client, wanted))


def _delete_words(parser: Parser) -> None:
    _targets(parser)
    _files(parser)
    _labels(parser, "those with these labels")
    parser.add_argument("--all", action="store_true", help="all of the types given")
    parser.add_argument(
        "--wait",
        choices=("true", "false"),
        default="true",
        help="whether to wait until it is gone (true)",
    )
    parser.add_argument(
        "--grace-period",
        type=between(0, 2**31 - 1),
        metavar="S",
        help="seconds that a pod has to end; 0 does not wait for its node (dangerous)",
    )
    parser.add_argument(
        "--timeout", type=seconds, default=0.0, metavar="S", help="wait so long at most (0: ever)"
    )
    _common(parser)


def _delete(words: Words) -> int:
    from petset.cli import thin

    if not words.words and not words.files:
        raise Failure("say what to delete", "as in: petset delete TYPE NAME, or -f FILE")
    wanted = thin.Delete(
        words.words,
        words.files,
        words.namespace,
        labels=words.selector,
        everything=words.all,
        wait=words.wait == "true",
        timeout_s=words.timeout,
        grace_s=words.grace_period,
    )
    return thin.run(words.name, lambda client: thin.delete(client, wanted))


def _scale_words(parser: Parser) -> None:
    parser.add_argument("target", nargs="+", metavar="TYPE/NAME", help="as in sts/web")
    parser.add_argument(
        "--replicas", type=between(0, 2**31 - 1), required=True, metavar="K", help="how many pods"
    )
    _common(parser)


def _scale(words: Words) -> int:
    from petset.cli import thin

    return thin.run(
        words.name,
        lambda client: thin.scale(client, words.target, words.namespace, words.replicas),
    )


def _container(parser: Parser) -> None:
    parser.add_argument("pod", metavar="POD", help="the pod, or TYPE/NAME of a workload")
    parser.add_argument("-c", "--container", default="", metavar="C", help="the container")


def _logs_words(parser: Parser) -> None:
    _container(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    parser.add_argument(
        "-p", "--previous", action="store_true", help="of the container before its last restart"
    )
    parser.add_argument(
        "--tail", type=between(0, 2**31 - 1), metavar="K", help="only the last K lines"
    )
    parser.add_argument("--timestamps", action="store_true", help="with the time of each line")
    _common(parser)


def _logs(words: Words) -> int:
    from petset.cli import thin

    wanted = thin.Logs(
        words.pod,
        words.namespace,
        container=words.container,
        follow=words.follow,
        previous=words.previous,
        tail=words.tail,
        timestamps=words.timestamps,
    )
    return thin.run(words.name, lambda client: thin.logs(client, wanted))


def _exec_words(parser: Parser) -> None:
    _container(parser)
    parser.add_argument("-i", "--stdin", action="store_true", help="pass standard input on")
    parser.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    _common(parser)


def _exec(words: Words) -> int:
    from petset.cli import execute

    wanted = execute.Exec(
        words.pod, words.namespace, words.container, tuple(words.command), words.stdin, words.tty
    )
    return execute.run(words.name, wanted)


COMMANDS = (
    Command(
        "apply",
        "Create or change the objects of manifests.",
        _apply_words,
        _apply,
        "  petset apply -f examples/01-web/web.yaml\n  petset apply -f - < web.yaml",
    ),
    Command(
        "get",
        "Print objects as tables, yaml or json.",
        _get_words,
        _get,
        "  petset get pods -o wide\n  petset get sts,pvc -A\n  petset get pod web-0 -o yaml",
    ),
    Command(
        "delete",
        "Delete objects by name or by manifest.",
        _delete_words,
        _delete,
        "  petset delete pod web-1\n  petset delete -f examples/01-web/web.yaml",
    ),
    Command(
        "scale",
        "Set the number of replicas of a set.",
        _scale_words,
        _scale,
        "  petset scale sts/web --replicas 5",
    ),
    Command(
        "logs",
        "Print a container's log.",
        _logs_words,
        _logs,
        "  petset logs web-0 -f\n  petset logs web-0 --previous\n  petset logs sts/web",
    ),
    Command(
        "exec",
        "Run a command in a container; ends with its exit code.",
        _exec_words,
        _exec,
        "  petset exec web-0 -- nginx -v\n  petset exec -it web-0 -- bash",
        tail="command",
    ),
)
