"""The `petset` command.

Invariant: what a command does not need is not imported: `petset up` has to be quick.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from petset.cli.failure import Failure

app = typer.Typer(
    name="petset",
    help="A Kubernetes-compatible orchestrator for stateful applications.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
node = typer.Typer(help="Add, remove or kill nodes of a running cluster.", no_args_is_help=True)
image = typer.Typer(help="The images of this machine.", no_args_is_help=True)
app.add_typer(node, name="node")
app.add_typer(image, name="image")

Name = Annotated[str, typer.Option("--name", help="The cluster's name.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The namespace.")]
Words = Annotated[list[str] | None, typer.Argument(help="TYPE [NAME ...] or TYPE/NAME ...")]
Files = Annotated[
    list[str] | None, typer.Option("--filename", "-f", help="File, directory, or - for input.")
]


@app.command()
def up(
    name: Name = "default",
    nodes: Annotated[int, typer.Option(min=1, max=200, help="At least so many nodes.")] = 1,
    data_dir: Annotated[Path | None, typer.Option(help="Where its state is kept.")] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Write this file instead of merging a context into yours.")
    ] = None,
    port: Annotated[int, typer.Option(help="TCP port of the API; 0 picks one.")] = 0,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, restart what dies, stop all on Ctrl-C.")
    ] = False,
) -> None:
    """Start a cluster and wait until its API and nodes are ready.

    Doing it again is harmless: what runs is left alone, what is missing is started.
    """
    from petset.cli import up as command

    wanted = command.Wanted(name, nodes, data_dir, kubeconfig, port)
    command.run(wanted, foreground=foreground)


@app.command()
def down(
    name: Name = "default",
    data_dir: Annotated[Path | None, typer.Option(help="Where its state is kept.")] = None,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete volumes and objects too.")
    ] = False,
) -> None:
    """Stop a cluster: processes, containers, mounts, network. Data stays unless told otherwise."""
    from petset.cli import down as command

    command.run(name, data_dir, delete_data=delete_data)


@app.command()
def status(name: Annotated[str, typer.Option("--name", help="Only this cluster.")] = "") -> None:
    """Show the clusters of this machine and how they are."""
    from petset.cli import status as command

    raise typer.Exit(command.run(name))


@node.command("add")
def node_add(
    node_name: Annotated[str, typer.Argument(help="Name; picked if left out.")] = "",
    name: Name = "default",
) -> None:
    """Add a node."""
    from petset.cli import nodes as command

    command.add(name, node_name)


@node.command("remove")
def node_remove(
    node_name: Annotated[str, typer.Argument(help="The node.")], name: Name = "default"
) -> None:
    """Remove a node for good: its containers are killed, its pods move to other nodes."""
    from petset.cli import nodes as command

    command.remove(name, node_name)


@node.command("kill")
def node_kill(
    node_name: Annotated[str, typer.Argument(help="The node.")], name: Name = "default"
) -> None:
    """Lose a node: its agent and containers die at once, as if it lost power."""
    from petset.cli import nodes as command

    command.kill(name, node_name)


@image.command("build")
def image_build(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, as in nginx.")],
) -> None:
    """Build an image from its recipe and the distribution's packages."""
    from petset.cli import images as command

    raise typer.Exit(command.build(recipe))


@image.command("pull")
def image_pull(ref: Annotated[str, typer.Argument(help="Reference, as in nginx:1.27.")]) -> None:
    """Pull an image from its registry."""
    from petset.cli import images as command

    raise typer.Exit(command.pull(ref))


@image.command("load")
def image_load(
    file: Annotated[Path, typer.Argument(help="docker save archive or OCI layout, as a tar.")],
) -> None:
    """Load images from a tar file."""
    from petset.cli import images as command

    raise typer.Exit(command.load(file))


@image.command("ls")
def image_ls() -> None:
    """List the images."""
    from petset.cli import images as command

    raise typer.Exit(command.ls())


@image.command("rm")
def image_rm(ref: Annotated[str, typer.Argument(help="Reference or id.")]) -> None:
    """Remove an image."""
    from petset.cli import images as command

    raise typer.Exit(command.rm(ref))


@app.command()
def apply(files: Files = None, namespace: Namespace = "default", name: Name = "default") -> None:
    """Create or change the objects of manifests."""
    from petset.cli import thin

    if not files:
        raise Failure("say which manifests: petset apply -f FILE")
    raise typer.Exit(thin.run(name, lambda client: thin.apply(client, files, namespace)))


@app.command()
def get(
    words: Words = None,
    namespace: Namespace = "default",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="wide, yaml, json or name.")] = "",
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with changes.")] = False,
    name: Name = "default",
) -> None:
    """Print objects as tables, yaml or json."""
    from petset.cli import thin

    if output not in {"", "wide", "yaml", "json", "name"}:
        raise Failure(f"unknown output {output!r}", "use wide, yaml, json or name")
    where = "" if everywhere else namespace
    raise typer.Exit(
        thin.run(
            name,
            lambda client: thin.get(
                client, words or [], where, output=output, labels=selector, watch=watch
            ),
        )
    )


@app.command()
def delete(
    words: Words = None,
    files: Files = None,
    namespace: Namespace = "default",
    wait: Annotated[bool, typer.Option(help="Wait until it is gone.")] = True,
    name: Name = "default",
) -> None:
    """Delete objects by name or by manifest."""
    from petset.cli import thin

    if not words and not files:
        raise Failure("say what to delete: petset delete TYPE NAME, or -f FILE")
    raise typer.Exit(
        thin.run(
            name,
            lambda client: thin.delete(client, words or [], files or [], namespace, wait=wait),
        )
    )


@app.command()
def scale(
    target: Annotated[str, typer.Argument(help="TYPE/NAME, as in sts/web.")],
    replicas: Annotated[int, typer.Option(min=0, help="How many pods.")],
    namespace: Namespace = "default",
    name: Name = "default",
) -> None:
    """Set the number of replicas of a set."""
    from petset.cli import thin

    raise typer.Exit(thin.run(name, lambda client: thin.scale(client, target, namespace, replicas)))


@app.command()
def logs(
    pod: Annotated[str, typer.Argument(help="The pod.")],
    namespace: Namespace = "default",
    container: Annotated[str, typer.Option("--container", "-c", help="The container.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the container before its last restart.")
    ] = False,
    name: Name = "default",
) -> None:
    """Print a container's log."""
    from petset.cli import thin

    raise typer.Exit(
        thin.run(
            name,
            lambda client: thin.logs(
                client, pod, namespace, container=container, follow=follow, previous=previous
            ),
        )
    )


@app.command("exec")
def exec_(
    pod: Annotated[str, typer.Argument(help="The pod.")],
    command: Annotated[list[str], typer.Argument(help="-- COMMAND [ARGUMENT ...]")],
    namespace: Namespace = "default",
    container: Annotated[str, typer.Option("--container", "-c", help="The container.")] = "",
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass standard input on.")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="With a terminal.")] = False,
    name: Name = "default",
) -> None:
    """Run a command in a container; ends with its exit code."""
    from petset.cli import execute

    wanted = execute.Exec(pod, namespace, container, tuple(command), stdin, tty)
    raise typer.Exit(execute.run(name, wanted))


@app.command()
def version() -> None:
    """Print petset's version."""
    from importlib import metadata

    print(f"petset {metadata.version('petset')}")


def main() -> None:
    """Run the command line; a Failure is one clear line and exit code 1."""
    try:
        app()
    except Failure as failure:
        print(f"petset: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        print(f"petset: {error}", file=sys.stderr)
        sys.exit(1)
