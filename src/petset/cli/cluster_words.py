"""The words of the commands for clusters, nodes and images."""

from pathlib import Path

from petset.cli.words import Command, Parser, Words, between, name_option, seconds


def _up_words(parser: Parser) -> None:
    name_option(parser)
    parser.add_argument(
        "--nodes", type=between(1, 200), default=1, metavar="K", help="at least so many nodes"
    )
    parser.add_argument("--data-dir", type=Path, metavar="D", help="where its state is kept")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="F",
        help="write this file instead of merging a context into yours",
    )
    parser.add_argument(
        "--port",
        type=between(0, 65535),
        default=0,
        metavar="P",
        help="TCP port of the API; 0: the one it had, else 6443 if free, else any",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="stay, restart what dies, stop all on Ctrl-C"
    )


def _up(words: Words) -> None:
    from petset.cli import up

    wanted = up.Wanted(words.name, words.nodes, words.data_dir, words.kubeconfig, words.port)
    up.run(wanted, foreground=words.foreground)


def _down_words(parser: Parser) -> None:
    name_option(parser)
    parser.add_argument("--data-dir", type=Path, metavar="D", help="where its state is kept")
    parser.add_argument(
        "--delete-data", action="store_true", help="delete its objects and volumes too"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="seconds that containers have at most to end before SIGKILL (default: 10)",
    )


def _down(words: Words) -> None:
    from petset.cli import down

    down.run(
        words.name, words.data_dir, delete_data=words.delete_data, container_grace_s=words.timeout
    )


def _status_words(parser: Parser) -> None:
    parser.add_argument("--name", default="", metavar="N", help="only this cluster")


def _status(words: Words) -> int:
    from petset.cli import status

    return status.run(words.name)


def _nothing(parser: Parser) -> None:
    del parser


def _version(words: Words) -> None:
    del words
    from importlib import metadata

    print(f"petset {metadata.version('petset')}")


def _new_node_words(parser: Parser) -> None:
    parser.add_argument("node", nargs="?", default="", metavar="NODE", help="its name")
    name_option(parser)


def _node_words(parser: Parser) -> None:
    parser.add_argument("node", metavar="NODE", help="the node")
    name_option(parser)


def _node_add(words: Words) -> None:
    from petset.cli import nodes

    nodes.add(words.name, words.node)


def _node_remove(words: Words) -> None:
    from petset.cli import nodes

    nodes.remove(words.name, words.node)


def _node_stop_words(parser: Parser) -> None:
    _node_words(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds that its pods have to end before they are killed (default: 30)",
    )


def _node_stop(words: Words) -> None:
    from petset.cli import nodes

    nodes.stop(words.name, words.node, words.timeout)


def _node_kill(words: Words) -> None:
    from petset.cli import nodes

    nodes.kill(words.name, words.node)


def _recipe_words(parser: Parser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe, as in nginx")


def _ref_words(parser: Parser) -> None:
    parser.add_argument("ref", metavar="REF", help="reference, as in nginx:1.27")


def _kept_words(parser: Parser) -> None:
    parser.add_argument("ref", metavar="REF", help="reference or id, see `petset image ls`")


def _file_words(parser: Parser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="docker save archive or OCI layout, as a tar"
    )


def _image_build(words: Words) -> int:
    from petset.cli import images

    return images.build(words.recipe)


def _image_pull(words: Words) -> int:
    from petset.cli import images

    return images.pull(words.ref)


def _image_load(words: Words) -> int:
    from petset.cli import images

    return images.load(words.file)


def _image_ls(words: Words) -> int:
    del words
    from petset.cli import images

    return images.ls()


def _image_rm(words: Words) -> int:
    from petset.cli import images

    return images.rm(words.ref)


CLUSTER = (
    Command(
        "up",
        "Start a cluster and wait until its API and nodes are ready.\n\n"
        "Doing it again is harmless: what runs is left alone, what is missing or dead is started.\n"
        "Needs root.",
        _up_words,
        _up,
        "  petset up --nodes 3\n"
        "  petset up --name other --kubeconfig ./other.kubeconfig\n"
        "  petset up --foreground",
    ),
    Command(
        "down",
        "Stop a cluster: processes, containers, mounts, network. Its data stays.\n\n"
        "Containers get their preStop hooks, their stop signal, and the grace period of their pod\n"
        "to end, but no longer than --timeout; all at once. Pods stay in the API and go on with\n"
        "the next `petset up`. Needs root.",
        _down_words,
        _down,
        "  petset down\n  petset down --timeout 60\n  petset down --name other --delete-data",
    ),
    Command(
        "status",
        "Show the clusters of this machine and how they are.\n\n"
        "Exit code 0 when every cluster shown runs and its nodes are Ready.",
        _status_words,
        _status,
    ),
    Command("version", "Print petset's version.", _nothing, _version),
)
NODE = (
    Command(
        "node add",
        "Add a node; a name is picked if none is given.",
        _new_node_words,
        _node_add,
        "  petset node add\n  petset node add big-1 --name other",
    ),
    Command(
        "node remove",
        "Remove a node for good; its pods move to other nodes.\n\n"
        "All that it runs is killed and unmounted first, so that no pod can run twice.",
        _node_words,
        _node_remove,
        "  petset node remove node-3",
    ),
    Command(
        "node stop",
        "Stop a node with grace, as a machine that is shut down.\n\n"
        "Its pods get their preStop hooks and grace periods, are told Failed, and their sets make\n"
        "them anew on other nodes. Its Node object stays and turns NotReady; `petset up` brings\n"
        "the node back. Needs root.",
        _node_stop_words,
        _node_stop,
        "  petset node stop node-2\n  petset node stop node-2 --timeout 120",
    ),
    Command(
        "node kill",
        "Lose a node as if it lost power: agent and containers die.\n\n"
        "Its pods stay Terminating or unready until `petset up` brings the node back or\n"
        "`petset node remove` gives its pods to other nodes.",
        _node_words,
        _node_kill,
        "  petset node kill node-2",
    ),
)
IMAGE = (
    Command(
        "image build",
        "Build an image from its recipe and the distribution's packages.",
        _recipe_words,
        _image_build,
        "  petset image build nginx",
    ),
    Command("image pull", "Pull an image from its registry.", _ref_words, _image_pull),
    Command("image load", "Load images from a tar file.", _file_words, _image_load),
    Command("image ls", "List the images.", _nothing, _image_ls),
    Command("image rm", "Remove a tag or an image that is not in use.", _kept_words, _image_rm),
)
