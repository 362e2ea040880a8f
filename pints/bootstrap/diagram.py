"""The trust states as a diagram, drawn from their table: `python -m pints.bootstrap.diagram`.

docs/trust.md has what it prints; a test compares the two.
"""

from pints.bootstrap.states import TRANSITIONS, State


def mermaid() -> str:
    """A Mermaid stateDiagram-v2."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.UNSET.value}"]
    for (state, trigger), to in TRANSITIONS.items():
        lines.append(f"    {state.value} --> {to.value}: {trigger.value}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())
