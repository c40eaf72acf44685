"""A racer of `training.time_to_accuracy`: Hugging Face Trainer, training our network.

The network is `diptych.training.models.resnet` itself; the optimizer (SGD with Nesterov momentum,
no decay of vectors) and the schedule are handed over as its documentation says and are the same;
label smoothing and bfloat16 are Trainer's own. The pictures are varied alike, but one by one in a
Dataset, as its examples do, by NumPy. The variants are the lengths in `training.track`. Batches
come from its DataLoader with one worker that lives on between epochs. Where it differs: which
pictures are mirrored is drawn anew in each epoch.
"""

import sys
import tempfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PretrainedConfig, Trainer, TrainerCallback, TrainingArguments

from diptych.core.specs import ImageSpec
from diptych.training.models.resnet import ResidualNet, ResidualNetConfig
from training import track


class Pictures(Dataset):
    """Pictures, varied one by one when they are asked for."""

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, vary: track.Length | None = None
    ) -> None:
        self.pixels, self.labels, self.vary = pixels, labels, vary
        self.mean = round(float(pixels.mean()))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> dict[str, object]:
        picture = self.pixels[number]
        if self.vary:
            picture = self.varied(picture, self.vary.shift, self.vary.hole)
        return {
            "pixels": torch.from_numpy(picture[..., None].copy()),
            "labels": self.labels[number],
        }

    def varied(self, picture: np.ndarray, shift: int, hole: int) -> np.ndarray:
        shifts = torch.randint(0, 2 * shift + 1, (2,)).tolist()
        top, left, mirrored = *torch.randint(0, 28, (2,)).tolist(), torch.rand(()) < 0.5
        padded = np.pad(picture, shift, mode="reflect")
        picture = padded[shifts[0] : shifts[0] + 28, shifts[1] : shifts[1] + 28].copy()
        if hole:
            before = hole // 2
            rows, columns = (slice(max(0, p - before), p - before + hole) for p in (top, left))
            picture[rows, columns] = self.mean
        return picture[:, ::-1] if mirrored else picture


class ForTrainer(nn.Module):
    """Our network with the names that Trainer calls things by."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__()
        self.config = PretrainedConfig()  # Trainer asks for one where labels are smoothed
        config = ResidualNetConfig(stem=track.STEM, widths=track.WIDTHS, blocks=track.BLOCKS)
        self.network = ResidualNet(config, ImageSpec(height=28, width=28, channels=1), 10)
        self.network.learn_scaling(torch.from_numpy(pixels[..., None]))

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.network(pixels).float()
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Told(TrainerCallback):
    """Tells each score to the clock, which may end the run."""

    def __init__(self, clock: track.Clock) -> None:
        self.clock = clock

    def on_evaluate(self, args, state, control, metrics, **others) -> None:
        if self.clock.tell(metrics["eval_accuracy"]):
            control.should_training_stop = True


def settings(asked, out: str) -> TrainingArguments:
    return TrainingArguments(
        out,
        num_train_epochs=1 if asked.items else track.LENGTHS[asked.variant].epochs,
        per_device_train_batch_size=track.BATCH,
        per_device_eval_batch_size=2 * track.BATCH,
        dataloader_drop_last=True,
        dataloader_num_workers=1,
        dataloader_persistent_workers=True,
        label_smoothing_factor=track.SMOOTHING,
        max_grad_norm=0.0,
        bf16=asked.bf16,
        use_cpu=True,
        seed=asked.seed,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="epoch",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def optimizer_of(model: nn.Module, steps: int) -> tuple:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": track.DECAY},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, track.RATE, track.MOMENTUM, nesterov=True, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: track.rate_share(step / steps)
    )
    return optimizer, schedule


def main() -> None:
    asked = track.arguments()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(asked.seed)
    train_x, train_y, test_x, test_y = track.pictures(asked.data, asked.items)
    clock = track.Clock(asked.target)
    model = ForTrainer(train_x)
    arguments = settings(asked, tempfile.mkdtemp())
    steps = arguments.num_train_epochs * (len(train_x) // track.BATCH)
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Pictures(train_x, train_y, track.LENGTHS[asked.variant]),
        eval_dataset=Pictures(test_x, test_y),
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(1) == p.label_ids).mean()},
        callbacks=[Told(clock)],
        optimizers=optimizer_of(model, int(steps)),
    )
    trainer.train()
    print(f"stopped after {clock.seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
