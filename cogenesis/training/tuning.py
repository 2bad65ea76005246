"""Tuning a model on examples: the loop.

A plain loop over `accelerate`: one process or several, CPU or GPU, whole weights or shards
(FSDP) are the same code. Each update's loss is the mean over all target tokens of the update,
however they are spread over pieces and processes.

Chance is a function of seed and update, never of what ran before. So a run that was killed and
resumed from its checkpoint computes what it would have computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from cogenesis.training.batches import IGNORED, Share, collate, shares, updates
from cogenesis.training.examples import Example
from cogenesis.training.run_folder import RunFolder
from cogenesis.training.settings import Hardware, TuneSettings, rate_at

if TYPE_CHECKING:
    import torch

_CLIP: Final = 1.0
_GPU_TOKENS: Final = 16_384
_CPU_TOKENS: Final = 2_048
_CHECKPOINT: Final = "checkpoint.pt"
_BEST: Final = "best.pt"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        tokens, all_tokens: learned from, of all epochs.
        message: something worth a line; empty mostly.
    """

    tokens: int
    all_tokens: int
    message: str = ""


@dataclass(slots=True)
class _Place:
    """Where a run stands. `step` counts updates, `waits` epochs without gain."""

    step: int = 0
    best_loss: float | None = None
    best_step: int = 0
    first_loss: float | None = None
    waits: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TuneOutcome:
    """What a run came to. Losses are nats a token; None without validation examples.

    Attributes:
        steps: updates made.
        base_loss: validation loss of the base model.
        best_loss, best_step: the least, and after which update.
        seconds: of computing, over all resumptions.
        weights: the best ones, by name, on the main process; empty on the others.
    """

    steps: int
    base_loss: float | None
    best_loss: float | None
    best_step: int
    seconds: float
    weights: dict[str, torch.Tensor]


class Tuning:
    """One run."""

    def __init__(
        self,
        accelerator: Any,
        model: torch.nn.Module,
        learned: Sequence[Example],
        held: Sequence[Example],
        settings: TuneSettings,
        hardware: Hardware,
        folder: RunFolder | None,
        report: Callable[[Progress], None],
    ) -> None:
        """Get ready; nothing is computed.

        Args:
            accelerator: of `accelerate`.
            model: what requires a gradient is tuned.
            learned: examples to learn from.
            held: examples to validate with; may be none.
            settings: what the outcome depends on.
            hardware: how it is computed.
            folder: the run; None on all processes but the main one.
            report: is told how far it is.
        """
        import torch

        self._accelerator = accelerator
        self._learned, self._held = learned, held
        self._settings, self._hardware = settings, hardware
        self._folder, self._report = folder, report
        self._plan = [self._groups(epoch) for epoch in range(settings.epochs)]
        self._tuned = {name for name, each in model.named_parameters() if each.requires_grad}
        weights = [each for each in model.parameters() if each.requires_grad]
        optimiser = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=0.0)
        self._model, self._optimiser = accelerator.prepare(model, optimiser)
        self._place = _Place()
        self._saved_at = time.monotonic()

    def run(self) -> TuneOutcome:
        """Learn until the end, or from where an earlier run was cut off."""
        self._load()
        total = sum(map(len, self._plan))
        per_epoch = len(self._plan[0])
        place = self._place
        if place.step == 0 and self._held and place.first_loss is None:
            place.first_loss = self._validate(0)
            self._tell(f"validation loss of the base model: {place.first_loss:.4f}")
        while place.step < total and not self._is_enough():
            epoch, at = divmod(place.step, per_epoch)
            self._update(self._plan[epoch][at], total)
            ended = at + 1 == per_epoch
            if ended:
                self._end_epoch(epoch)
            if ended or self._is_time():
                self._save()
        self._save()
        return TuneOutcome(
            steps=place.step,
            base_loss=place.first_loss,
            best_loss=place.best_loss,
            best_step=place.best_step,
            seconds=place.seconds,
            weights=self._best_weights(),
        )

    def _groups(self, epoch: int) -> list[list[int]]:
        settings = self._settings
        return updates(self._learned, batch=settings.batch, seed=settings.seed, epoch=epoch)

    def _is_enough(self) -> bool:
        return 0 < self._settings.patience <= self._place.waits

    def _is_time(self) -> bool:
        """Whether a checkpoint is due: the main process's clock decides for all."""
        import torch
        from accelerate.utils import broadcast

        due = time.monotonic() - self._saved_at >= 60 * self._hardware.save_minutes
        if self._accelerator.num_processes == 1:
            return due
        told = torch.tensor([int(due)], device=self._accelerator.device)
        return bool(broadcast(told).item())

    def _shares(self, examples: Sequence[Example], group: Sequence[int]) -> list[Share]:
        """The part of this process."""
        on_cpu = self._accelerator.device.type == "cpu"
        most = self._hardware.most_tokens or (_CPU_TOKENS if on_cpu else _GPU_TOKENS)
        lengths = [len(example) for example in examples]
        count, rank = self._accelerator.num_processes, self._accelerator.process_index
        return shares(group, lengths, most_tokens=most, processes=count)[rank]

    def _loss(self, examples: Sequence[Example], share: Share) -> torch.Tensor:
        """Sum of the target tokens' losses, in nats."""
        import torch

        batch = collate([examples[index] for index in share.examples], counts=share.counts)
        device = self._accelerator.device
        labels = batch.labels.to(device)
        logits = self._model(
            input_ids=batch.ids.to(device),
            # Only where something is to be predicted: the logits of a whole prompt would take
            # more memory than all the rest.
            logits_to_keep=batch.kept.to(device),
            use_cache=False,
        ).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _update(self, group: Sequence[int], total: int) -> None:
        """One step of the weights."""
        import torch

        begun = time.monotonic()
        place, accelerator = self._place, self._accelerator
        torch.manual_seed(self._settings.seed * 1_000_003 + place.step)
        self._model.train()
        rate = rate_at(place.step, total, self._settings.rate)
        for options in self._optimiser.param_groups:
            options["lr"] = rate
        tokens = sum(len(self._learned[index].target) for index in group)
        parts = self._shares(self._learned, group)
        summed = torch.zeros((), device=accelerator.device)
        for part in parts[:-1]:
            with accelerator.no_sync(self._model):
                summed += self._backward(part, tokens)
        summed += self._backward(parts[-1], tokens)
        norm = accelerator.clip_grad_norm_(self._model.parameters(), _CLIP)
        self._optimiser.step()
        self._optimiser.zero_grad()
        place.step += 1
        loss = float(accelerator.reduce(summed, "sum")) / tokens
        seconds = time.monotonic() - begun
        place.seconds += seconds
        read = sum(len(self._learned[index]) for index in group)
        self._log(
            loss=loss, rate=rate, norm=_number(norm), tokens=read, targets=tokens, seconds=seconds
        )
        self._tell("", read)

    def _backward(self, part: Share, tokens: int) -> torch.Tensor:
        loss = self._loss(self._learned, part)
        # Gradients are averaged over the processes, and shall be summed.
        self._accelerator.backward(loss * (self._accelerator.num_processes / tokens))
        return loss.detach()

    def _validate(self, step: int) -> float:
        """The mean loss of the held-out examples, by form and in all."""
        import torch

        begun = time.monotonic()
        self._model.eval()
        by_form: dict[str, float] = {}
        tokens: dict[str, int] = {}
        with torch.inference_mode():
            for form in self._settings.forms:
                group = [i for i, each in enumerate(self._held) if each.form == form]
                if not group:
                    continue
                summed = torch.zeros((), device=self._accelerator.device)
                for part in self._shares(self._held, group):
                    summed += self._loss(self._held, part)
                by_form[form] = float(self._accelerator.reduce(summed, "sum"))
                tokens[form] = sum(len(self._held[index].target) for index in group)
        loss = sum(by_form.values()) / sum(tokens.values())
        seconds = time.monotonic() - begun
        self._place.seconds += seconds
        forms = {form: value / tokens[form] for form, value in by_form.items()}
        self._log(step=step, validation=loss, forms=forms, seconds=seconds)
        return loss

    def _end_epoch(self, epoch: int) -> None:
        """Validate, and keep the weights if they are the best so far."""
        place = self._place
        if not self._held:
            place.best_step = place.step
            self._save_weights()
            return
        loss = self._validate(place.step)
        message = f"epoch {epoch + 1} of {self._settings.epochs}: validation loss {loss:.4f}"
        if place.best_loss is None or loss < place.best_loss:
            place.best_loss, place.best_step, place.waits = loss, place.step, 0
            self._save_weights()
        else:
            place.waits += 1
            message += f", no gain since update {place.best_step}"
        self._tell(message)

    def _log(self, step: int | None = None, **figures: Any) -> None:
        if self._folder is not None:
            self._folder.add_metrics({"step": self._place.step if step is None else step} | figures)

    def _tell(self, message: str, tokens: int = 0) -> None:
        every = self._tokens([group for groups in self._plan for group in groups])
        self._report(Progress(tokens, every, message))

    def _tokens(self, groups: Sequence[Sequence[int]]) -> int:
        return sum(len(self._learned[index]) for group in groups for index in group)

    def _weights(self) -> dict[str, Any]:
        """The tuned weights, whole and on the CPU. All processes must ask."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        whole = get_model_state_dict(self._model, options=options)
        # Not by the option `ignore_frozen_params`: it keeps an output layer that is the same
        # tensor as the embedding, 28 million numbers more than the LoRA of SmolLM2 has.
        return {name: each for name, each in whole.items() if name in self._tuned}

    def _save_weights(self) -> None:
        import torch

        weights = self._weights()
        if self._folder is not None:
            self._folder.write_by(_BEST, lambda file: torch.save(weights, file))

    def _save(self) -> None:
        """Write the checkpoint. All processes must call it."""
        import torch
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_optimizer_state_dict,
        )

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = {
            "place": asdict(self._place),
            "weights": self._weights(),
            "optimiser": get_optimizer_state_dict(
                self._model, self._optimiser.optimizer, options=options
            ),
        }
        if self._folder is not None:
            self._folder.write_by(_CHECKPOINT, lambda file: torch.save(state, file))
        self._saved_at = time.monotonic()

    def _load(self) -> None:
        """Go on where the checkpoint was written, if there is one."""
        import torch
        from accelerate.utils import broadcast_object_list
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            set_model_state_dict,
            set_optimizer_state_dict,
        )

        path = None if self._folder is None else self._folder.file(_CHECKPOINT)
        found = [str(path) if path else None]
        broadcast_object_list(found)  # the main process knows the folder
        if found[0] is None:
            if self._folder is not None:
                self._folder.forget_metrics_after(-1)
            return
        state = torch.load(found[0], map_location="cpu", weights_only=True)
        self._place = _Place(**state["place"])
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(self._model, state["weights"], options=options)
        set_optimizer_state_dict(
            self._model, self._optimiser.optimizer, state["optimiser"], options=options
        )
        if self._folder is not None:
            self._folder.forget_metrics_after(self._place.step)
        done = [group for groups in self._plan for group in groups][: self._place.step]
        self._tell(f"going on after update {self._place.step}", self._tokens(done))

    def _best_weights(self) -> dict[str, Any]:
        import torch

        path = None if self._folder is None else self._folder.file(_BEST)
        if path is None:
            return {}
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded


def _number(value: Any) -> float:
    """A number of torch, also one that is spread over processes."""
    whole = value.full_tensor() if hasattr(value, "full_tensor") else value
    return float(whole)
