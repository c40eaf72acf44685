"""A racer of `training.time_to_accuracy`: PyTorch Lightning with a DataLoader and a ResNet-18.

As its users write it after the tutorials: a LightningModule, Adam and OneCycleLR stepped at every
batch, a Dataset whose items are transformed one by one (padded crop, mirroring, scaling), a
DataLoader with the number of workers that Lightning suggests and that live on between epochs.

The network is that of K. He et al., "Deep residual learning", 2015, with 18 layers, written out
here because torchvision's package does not load beside a torch for processors only; its items are
transformed by NumPy, which costs less than torchvision's transforms of PIL pictures. Two variants:
`small-stem`, as in Lightning's own tutorial on CIFAR-10 (the first convolution 3x3 with stride 1,
no pooling after it), and `first-stem`, where only the number of channels of the 7x7 convolution is
changed: much faster, and less accurate on 28 x 28 pixels.
"""

import sys

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.data import suggested_max_num_workers
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from training import track

RATE, DECAY = 3e-3, 5e-4
EPOCHS = {"small-stem": 6, "first-stem": 12}
PADDING = 4
MEAN, DEVIATION = 0.286, 0.353


class Block(nn.Module):
    """Two convolutions 3x3 and a way round them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.way: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.way = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.first(x)), inplace=True)
        return functional.relu(self.norm2(self.second(y)) + self.way(x), inplace=True)


def resnet18(variant: str) -> nn.Module:
    if variant == "small-stem":
        stem = [nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    else:
        stem = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
        stem.append(nn.MaxPool2d(3, 2, 1))
    blocks, channels = [], 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(channels, width, stride), Block(width, width, 1)]
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, track.CLASSES)]
    network = nn.Sequential(*stem, *blocks, *head)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


class Pictures(Dataset):
    """Pictures, transformed one by one when they are asked for."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, *, vary: bool) -> None:
        self.pixels, self.labels, self.vary = pixels, labels, vary

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        picture = self.pixels[number]
        if self.vary:
            padded = np.pad(picture, PADDING)
            top, left, mirrored = torch.randint(0, 2 * PADDING + 1, (3,)).tolist()
            picture = padded[top : top + 28, left : left + 28]
            picture = picture[:, ::-1] if mirrored > PADDING else picture
        scaled = (picture.astype(np.float32) / 255 - MEAN) / DEVIATION
        return torch.from_numpy(scaled)[None], int(self.labels[number])


class Classifier(lightning.LightningModule):
    """ResNet-18 with Adam and OneCycleLR."""

    def __init__(self, variant: str, clock: track.Clock) -> None:
        super().__init__()
        self.network, self.clock = resnet18(variant), clock
        self.right: list[Tensor] = []

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        loss = functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        self.right.append(self.network(batch[0]).argmax(1) == batch[1])

    def on_validation_epoch_end(self) -> None:
        score = float(torch.cat(self.right).float().mean())
        self.right.clear()
        self.log("val_accuracy", score)
        if self.clock.tell(score):
            self.trainer.should_stop = True

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.parameters(), lr=RATE, weight_decay=DECAY)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main() -> None:
    asked = track.arguments()
    torch.set_num_threads(asked.threads)
    lightning.seed_everything(asked.seed, workers=True)
    train_x, train_y, test_x, test_y = track.pictures(asked.data, asked.items)
    clock = track.Clock(asked.target)
    workers = suggested_max_num_workers(1)
    settings = {"num_workers": workers, "persistent_workers": workers > 0}
    varied, plain = Pictures(train_x, train_y, vary=True), Pictures(test_x, test_y, vary=False)
    loader = DataLoader(varied, track.BATCH, shuffle=True, drop_last=True, **settings)
    tests = DataLoader(plain, 2 * track.BATCH, **settings)
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if asked.bf16 else "32-true",
        max_epochs=1 if asked.items else EPOCHS[asked.variant],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    trainer.fit(Classifier(asked.variant, clock), loader, tests)
    print(f"{workers} workers, stopped after {clock.seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
