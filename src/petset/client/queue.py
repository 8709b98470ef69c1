"""A queue of keys with delay, back-off and de-duplication, as controllers need it."""


class Queue:
    """Keys to look at. A key is handed to one worker at a time and never twice in the queue.

    Times are seconds on the running event loop's clock.
    """

    def add(self, key: str) -> None:
        """Queue `key`; if a worker has it, it comes again after `done`."""
        raise NotImplementedError

    def add_after(self, key: str, delay_s: float) -> None:
        """Queue `key` after `delay_s`; an earlier time already planned wins."""
        raise NotImplementedError

    def retry(self, key: str) -> None:
        """Queue `key` with exponential back-off (5 ms doubling up to 1000 s by default)."""
        raise NotImplementedError

    def forget(self, key: str) -> None:
        """Reset the back-off of `key`."""
        raise NotImplementedError

    async def get(self) -> str:
        """Wait for the next key and take it."""
        raise NotImplementedError

    def done(self, key: str) -> None:
        """Give back a key taken by `get`."""
        raise NotImplementedError
