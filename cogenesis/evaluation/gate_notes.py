"""What to know about a gate before its figures are read."""

from __future__ import annotations

from cogenesis.fusion.gate_file import TrainedGate


def gate_notes(system: str, gate: TrainedGate, data_sha256: str, adapter: str | None) -> list[str]:
    """Sentences for a report.

    Args:
        system: what the gate is called there.
        gate: as it was loaded.
        data_sha256: of the file that is measured on.
        adapter: SHA-256 of the device model's adapter; None without one.
    """
    notes = []
    if gate.fitted_to(data_sha256):
        notes.append(
            f"{system} was fitted to these very texts, so its figures here flatter it, if by "
            "little: “cogenesis train gate” tells figures of people it was not fitted to, and "
            "another file gives them, too."
        )
    warning = gate.adapter_warning(adapter)
    return notes if warning is None else [*notes, f"{system}: {warning}."]
