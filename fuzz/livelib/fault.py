"""What a property that does not hold is reported as."""


class Fault(Exception):
    """A property of nginx or of the module does not hold; ends the run."""
