"""The one way a command says that it cannot go on."""


class Failure(Exception):  # noqa: N818 - it is no bug but an answer
    """A clear line for the user: what is wrong, and what to do about it.

    Args:
        what: what is wrong, one line.
        todo: what the user can do, one line; "" when there is nothing.
    """

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}\n  {self.todo}" if self.todo else self.what
