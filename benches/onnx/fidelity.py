"""Exports networks and compares eigenlens' outputs with ONNX Runtime's; see run.sh."""

import argparse
import contextlib
import io
import os
import pathlib
import subprocess
import tempfile
import time
import warnings

import numpy as np
import onnxruntime
import torch
import torchvision
from torch import nn

warnings.filterwarnings("ignore")


class Sequence(nn.Module):
    """One spatial axis: padding to the same size, groups, dilation, three activations."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(3, 8, 5, padding="same"), nn.LeakyReLU(0.2), nn.Conv1d(8, 8, 3, groups=4, dilation=2), nn.PReLU(8),
            nn.AvgPool1d(2, padding=1), nn.Conv1d(8, 16, 3), nn.SiLU(), nn.AdaptiveAvgPool1d(1))
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.features(x).squeeze(-1))


class Points(nn.Module):
    """The largest over all points, as in PointNet."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 64, 1), nn.ReLU())
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.features(x).max(-1)[0])


def volume():
    return nn.Sequential(nn.Conv3d(2, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(8, 8, 3),
                         nn.Hardswish(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 3))


def mlp():
    return nn.Sequential(nn.Linear(12, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 3),
                         nn.Softmax(-1))


class UNet(nn.Module):
    """Two steps down and up again; up by transposed convolutions, or resized (bilinear, in two ways, or nearest)."""

    def __init__(self, up):
        super().__init__()
        block = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
        resized = {"bilinear": {"mode": "bilinear"}, "corners": {"mode": "bilinear", "align_corners": True}, "nearest": {}}

        def larger(i, o):
            if up == "transposed":
                return nn.ConvTranspose2d(i, o, 2, 2)
            return nn.Sequential(nn.Upsample(scale_factor=2, **resized[up]), nn.Conv2d(i, o, 1))

        self.first, self.second, self.middle = block(3, 8), block(8, 16), block(16, 32)
        self.up, self.down = nn.ModuleList([larger(32, 16), larger(16, 8)]), nn.MaxPool2d(2)
        self.joined, self.head = nn.ModuleList([block(32, 16), block(16, 8)]), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.first(x)
        b = self.second(self.down(a))
        y = self.joined[0](torch.cat([self.up[0](self.middle(self.down(b))), b], 1))
        return self.head(self.joined[1](torch.cat([self.up[1](y), a], 1)))


class Causal(nn.Module):
    """Attention of each place to those before it; the newest operator sets have it as one operator."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(24, 72), nn.Linear(24, 24), nn.Linear(24, 5)

    def forward(self, x):
        batch, places, width = x.shape
        q, k, v = (t.reshape(batch, places, 4, 6).transpose(1, 2) for t in self.first(x).chunk(3, -1))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head((x + self.second(seen.transpose(1, 2).reshape(batch, places, width))).mean(1))


def vit():
    made = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=48, mlp_dim=96, num_classes=10)
    nn.init.normal_(made.heads.head.weight, std=0.1)
    return made


def normalised():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), nn.InstanceNorm2d(8, affine=True),
                         nn.LocalResponseNorm(3), nn.Flatten(), nn.Linear(8 * 36, 3))


def networks():
    models = torchvision.models
    picture = {
        "alexnet": 224, "vgg11_bn": 224, "resnet18": 64, "resnet50": 64, "squeezenet1_1": 96, "mobilenet_v2": 64,
        "mobilenet_v3_small": 64, "efficientnet_b0": 64, "densenet121": 64, "googlenet": 96, "regnet_y_400mf": 64,
        "shufflenet_v2_x0_5": 64, "convnext_tiny": 64,
    }
    made = {"mlp": (mlp, (12,)), "sequence": (Sequence, (3, 40)), "points": (Points, (3, 50)), "volume": (volume, (2, 8, 8, 8)),
            "vit": (vit, (3, 32, 32)), "normalised": (normalised, (3, 8, 8)), "causal": (Causal, (7, 24))}
    for up in ["transposed", "bilinear", "corners", "nearest"]:
        made[f"unet_{up}"] = (lambda up=up: UNet(up), (3, 32, 32))
    for name, size in picture.items():
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        made[name] = (lambda name=name, options=options: getattr(models, name)(**options), (3, size, size))
    return made


def export(network, x, path, exporter):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if exporter == "older":
            torch.onnx.export(network, x[:1], path, dynamo=False, opset_version=17, input_names=["x"],
                              dynamic_axes={"x": {0: "n"}})
        else:
            newest = {"opset_version": 23} if exporter == "newest" else {}
            torch.onnx.export(network, x, path, dynamo=True, input_names=["x"], verbose=False, **newest,
                              dynamic_shapes=[{0: torch.export.Dim("n")}])


def compare(binary, name, path, x, work):
    session = onnxruntime.InferenceSession(str(path))
    expected = session.run(None, {session.get_inputs()[0].name: x})
    expected = next(np.asarray(y) for y in expected if np.asarray(y).dtype.kind == "f").reshape(len(x), -1)
    np.savez(work / "x.npz", X=x)
    table = work / "outputs.csv"
    begin = time.time()
    command = [binary, "predict", str(path), str(work / "x.npz"), "--out", str(table), "--keep-softmax", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.time() - begin
    if done.returncode:
        print(f"| {name} | refused: {done.stderr.strip().split('; supported')[0].split(': ', 2)[-1]} | |", flush=True)
        return
    found = np.loadtxt(table, delimiter=",", skiprows=1, ndmin=2)[:, 1:]
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"| {name} | {difference:.1e} | {seconds:.2f} |", flush=True)


def scikit(work):
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.neural_network import MLPClassifier

    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    path = work / "scikit.onnx"
    classifier = MLPClassifier((20,), max_iter=300, random_state=0).fit(x, y)
    path.write_bytes(to_onnx(classifier, x[:1], options={"zipmap": False}).SerializeToString())
    return path, x


def keras(work):
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    network = keras.Sequential([
        layers.Input((16, 16, 3)), layers.Conv2D(8, 3, padding="same", activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(8, 1, activation="swish"),
        layers.Conv2DTranspose(4, 2, strides=2), layers.UpSampling2D(2, interpolation="bilinear"),
        layers.GlobalAveragePooling2D(), layers.Dense(16, activation="gelu"), layers.Dense(5, activation="softmax")])
    x = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype(np.float32)
    network(x)
    path = work / "keras.onnx"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        network.export(str(path), format="onnx", verbose=False)
    return path, x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only")
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    work = args.work or pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    only = args.only.split(",") if args.only else None
    torch.manual_seed(0)
    print("| network | largest difference / largest output | s |\n|---|---|---|")
    for name, (make, shape) in networks().items():
        if only and name not in only:
            continue
        network = make().eval()
        for module in network.modules():
            # Running statistics that do something.
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        x = torch.randn(3, *shape)
        # With operator set 23.
        newest = ["newest"] if name in ("vit", "causal") else []
        for exporter in ["older", "newer", *newest]:
            path = work / f"{name}-{exporter}.onnx"
            try:
                export(network, x, str(path), exporter)
            except Exception as problem:
                print(f"| {name}, {exporter} exporter | not exported: {str(problem).splitlines()[0][:80]} | |", flush=True)
                continue
            compare(args.bin, f"{name}, {exporter} exporter", path, x.numpy(), work)
    if not only or "scikit" in only:
        path, x = scikit(work)
        compare(args.bin, "scikit-learn's MLPClassifier", path, x, work)
    if not only or "keras" in only:
        path, x = keras(work)
        compare(args.bin, "Keras", path, x, work)
    for path, array in zip(args.files[::2], args.files[1::2]):
        compare(args.bin, path.name, path, np.load(array)["X"].astype(np.float32), work)


if __name__ == "__main__":
    main()
