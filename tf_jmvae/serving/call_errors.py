"""How a call to TF Serving fails, whatever carries it."""

__all__ = ["CallError", "ForeignAnswerError"]


class CallError(Exception):
    """A call that failed: gRPC's name of the code, and what the server or the network said."""

    def __init__(self, code: str, details: str):
        super().__init__(code, details)  # both, or it could not be unpickled
        self.code = code
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.details}"


class ForeignAnswerError(CallError):
    """Something answered that is no TF Serving."""

    def __init__(self, details: str):
        super().__init__("UNKNOWN", details)
        self.args = (details,)
