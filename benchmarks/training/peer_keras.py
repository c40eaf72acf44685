"""A racer of `training.time_to_accuracy`: Keras 3 on JAX, training our network.

The same layers, first weights of the same distributions, loss with label smoothing, batches, and
SGD with Nesterov momentum under the same schedule, in its `fit`. Batches are varied whole, by
NumPy in a `PyDataset`: its own random layers for pictures are slower, and this favours it. Where
it differs: the decay of weights is a regularizer of the same gradient, its Nesterov step has the
rate inside the momentum, and which pictures are mirrored is drawn anew in each epoch.
It computes in float32: XLA was no faster in bfloat16 where it was tried.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers, ops, regularizers

from training import track

SIDE = 28
USUAL = track.LENGTHS["usual"]
THIRD = 1 / 3  # PyTorch's own first weights of convolutions and linear layers


def first_weights(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(THIRD, "fan_in", "uniform", seed=seed)


class Builder:
    """Adds layers to a graph, each with first weights of its own."""

    def __init__(self, seed: int) -> None:
        self.seed, self.decay = 1000 * seed, regularizers.L2(track.DECAY / 2)

    def weights(self) -> dict:
        self.seed += 1
        return {"kernel_initializer": first_weights(self.seed), "kernel_regularizer": self.decay}

    def convolution(self, x, channels: int, *, pool: bool = False):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, **self.weights())(x)
        x = layers.MaxPooling2D(2)(x) if pool else x
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, scale=not pool)(x)
        return layers.ReLU()(x)

    def network(self, pixels: np.ndarray) -> keras.Model:
        inputs = keras.Input((SIDE, SIDE, 1), dtype="uint8")
        x = layers.Rescaling(1 / pixels.std(), -pixels.mean() / pixels.std())(inputs)
        x = self.convolution(x, track.STEM)
        for width, blocks in zip(track.WIDTHS, track.BLOCKS, strict=True):
            x = self.convolution(x, width, pool=True)
            for _ in range(blocks):
                x = layers.Add()([x, self.convolution(self.convolution(x, width), width)])
        x = layers.GlobalMaxPooling2D()(x)
        x = layers.Dense(track.CLASSES, **self.weights())(x)
        return keras.Model(inputs, layers.Rescaling(track.LOGIT_SCALE, dtype="float32")(x))


class Pictures(keras.utils.PyDataset):
    """Whole batches of varied pictures, in a new order each epoch."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, seed: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.pixels, self.labels = pixels[..., None], keras.utils.to_categorical(labels, 10)
        self.draw, self.mean = np.random.default_rng(seed), round(float(pixels.mean()))
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.labels) // track.BATCH

    def on_epoch_end(self) -> None:
        self.order = self.draw.permutation(len(self.labels))

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[number * track.BATCH : (number + 1) * track.BATCH]
        rows, columns = self.moved(len(chosen)), self.moved(len(chosen))
        mirrored = self.draw.random((len(chosen), 1)) < 0.5
        columns = np.where(mirrored, columns[:, ::-1], columns)
        batch = self.pixels[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        hole = self.span(len(chosen))[:, :, None] & self.span(len(chosen))[:, None, :]
        batch[hole] = self.mean
        return batch, self.labels[chosen]

    def moved(self, count: int) -> np.ndarray:
        shift = self.draw.integers(-USUAL.shift, USUAL.shift + 1, (count, 1))
        last = SIDE - 1
        return last - np.abs(last - np.abs(np.arange(SIDE) + shift))

    def span(self, count: int) -> np.ndarray:
        start = self.draw.integers(0, SIDE, (count, 1)) - USUAL.hole // 2
        return (np.arange(SIDE) >= start) & (np.arange(SIDE) < start + USUAL.hole)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Our rate at each step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, step):
        progress, start = ops.cast(step, "float32") / self.steps, track.WARMUP_START
        rising = start + (1 - start) * progress / track.WARMUP_SHARE
        return track.RATE * ops.minimum(rising, (1 - progress) / (1 - track.WARMUP_SHARE))


class Told(keras.callbacks.Callback):
    """Tells each score to the clock, which may end the run."""

    def __init__(self, clock: track.Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if self.clock.tell(logs["val_accuracy"]):
            self.model.stop_training = True


def main() -> None:
    asked = track.arguments()
    keras.utils.set_random_seed(asked.seed)
    keras.mixed_precision.set_dtype_policy("float32")
    train_x, train_y, test_x, test_y = track.pictures(asked.data, asked.items)
    clock = track.Clock(asked.target)
    model = Builder(asked.seed).network(train_x)
    varied = Pictures(train_x, train_y, asked.seed)
    epochs = 1 if asked.items else USUAL.epochs
    model.compile(
        optimizer=keras.optimizers.SGD(Schedule(epochs * len(varied)), track.MOMENTUM, True),
        loss=keras.losses.CategoricalCrossentropy(True, track.SMOOTHING),
        metrics=["accuracy"],
    )
    tests = (test_x[..., None], keras.utils.to_categorical(test_y, 10))
    model.fit(
        varied,
        epochs=epochs,
        verbose=0,
        callbacks=[Told(clock)],
        validation_data=tests,
        validation_batch_size=500,
    )
    print(f"stopped after {clock.seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
