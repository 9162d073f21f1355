#!/usr/bin/env python3
"""The training step of eigenlens, written in PyTorch: the peer its speed is measured against.

Nets (spectral weights in every layer, W = lambda_in * psi; lambda_out is frozen at 0, so its subtraction is left out):
    20-100-100-50-2     tanh, relu, relu    60,000 x 20 f32
    784-100-100-50-10   relu                60,000 x 784 u8, scaled by 1/255 as the batch is gathered
Loss: softmax cross-entropy + 1e-2 ||lambda||^2 + 1e-4 ||psi||^2; Adam (eps 1e-7); batch 500 drawn from a resident data set
by a fresh permutation each epoch; f32 throughout.

A timed sample is one epoch (120 steps: permutation, gather, forward, backward, Adam) divided by 120; there is one
synchronisation an epoch, on CUDA. Losses are not read back. Every mode computes the same update:
    eager             the plain loop, torch.optim.Adam as it comes (foreach)
    eager-fused       Adam(fused=True)
    eager-fused-wd    the two penalties as Adam's coupled weight_decay (2r): the same gradient with fewer kernels
    compile-fused     gather, forward and loss under torch.compile, Adam(fused=True)
    compile-fused-wd  both
    compile-all(-wd)  Adam compiled as well, instead of the fused one
    graph-*           CUDA only: the whole step captured once in a CUDA graph and replayed
--check shows that they do.
Ensembles of 10 replicas, in ms for one step of all ten:
    sequence/*        ten short trainings one after the other
    ensemble-bmm/*    parameters stacked, one batched product a layer (what torch.func.vmap lowers to, less its overhead);
                      every replica draws its own batches
    ensemble-bmm-shared/*  the same, but all replicas see one batch (less independent, less work: the strongest form)
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time

# The compiler's worker processes linger and would disturb the timing; compiling in this process is slower but over when it is over.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import nn

BATCH, ROWS, REPLICAS = 500, 60_000, 10
STEPS_PER_EPOCH = ROWS // BATCH
R_LAMBDA, R_PSI = 1e-2, 1e-4
NETS = {
    "20-100-100-50-2": ((20, 100, 100, 50, 2), (torch.tanh, torch.relu, torch.relu)),
    "784-100-100-50-10": ((784, 100, 100, 50, 10), (torch.relu, torch.relu, torch.relu)),
}


class SpectralNet(nn.Module):
    """One network; batch norm, where wanted, after the first activation."""

    def __init__(self, sizes, activations, batch_norm, penalty_in_loss):
        super().__init__()
        pairs = list(zip(sizes, sizes[1:]))
        self.psi = nn.ParameterList(torch.empty(m, n) for n, m in pairs)
        self.lam = nn.ParameterList(torch.empty(n) for n, _ in pairs)
        self.bias = nn.ParameterList(torch.empty(m) for _, m in pairs)
        self.norm = nn.BatchNorm1d(sizes[1], eps=1e-3, momentum=0.01) if batch_norm else None
        self.activations = activations
        self.penalty_in_loss = penalty_in_loss
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        for psi, lam, bias in zip(self.psi, self.lam, self.bias):
            nn.init.xavier_uniform_(psi)
            lam.fill_(1.0)
            bias.zero_()
        if self.norm is not None:
            self.norm.reset_parameters()

    def penalty(self):
        return R_LAMBDA * sum(p.square().sum() for p in self.lam) + R_PSI * sum(p.square().sum() for p in self.psi)

    def forward(self, h):
        last = len(self.psi) - 1
        for i, (psi, lam, bias) in enumerate(zip(self.psi, self.lam, self.bias)):
            h = F.linear(h, psi * lam, bias)
            if i < last:
                h = self.activations[i](h)
            if i == 0 and self.norm is not None:
                h = self.norm(h)
        return h

    def loss(self, data, labels, rows):
        loss = F.cross_entropy(self(gather(data, rows)), labels.index_select(0, rows))
        return loss + self.penalty() if self.penalty_in_loss else loss


class Ensemble(nn.Module):
    """R networks as one: every parameter has a leading replica axis, every layer is one batched product."""

    def __init__(self, sizes, activations, batch_norm, penalty_in_loss, replicas=REPLICAS, shared_batch=False):
        super().__init__()
        pairs = list(zip(sizes, sizes[1:]))
        self.psi = nn.ParameterList(torch.empty(replicas, m, n) for n, m in pairs)
        self.lam = nn.ParameterList(torch.empty(replicas, 1, n) for n, _ in pairs)
        self.bias = nn.ParameterList(torch.empty(replicas, 1, m) for _, m in pairs)
        self.norm = nn.BatchNorm1d(replicas * sizes[1], eps=1e-3, momentum=0.01) if batch_norm else None
        self.activations = activations
        self.penalty_in_loss = penalty_in_loss
        self.replicas, self.shared_batch = replicas, shared_batch
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        for psi, lam, bias in zip(self.psi, self.lam, self.bias):
            limit = math.sqrt(6.0 / (psi.shape[1] + psi.shape[2]))  # Glorot of one replica
            psi.uniform_(-limit, limit)
            lam.fill_(1.0)
            bias.zero_()
        if self.norm is not None:
            self.norm.reset_parameters()

    penalty = SpectralNet.penalty

    def forward(self, h):
        """h: [B, N] shared by the replicas, or [R, B, N]; returns [R, B, C]."""
        last, r = len(self.psi) - 1, self.replicas
        for i, (psi, lam, bias) in enumerate(zip(self.psi, self.lam, self.bias)):
            w = psi * lam
            if h.dim() == 2:  # one batch for all: the first layer is one wide product
                h = F.linear(h, w.flatten(0, 1), bias.flatten()).unflatten(1, (r, -1)).transpose(0, 1)
            else:
                h = torch.baddbmm(bias, h, w.transpose(1, 2))
            if i < last:
                h = self.activations[i](h)
            if i == 0 and self.norm is not None:  # every replica and unit is a channel of its own
                h = self.norm(h.transpose(0, 1).flatten(1)).unflatten(1, (r, -1)).transpose(0, 1)
        return h

    def loss(self, data, labels, rows):
        x, y = gather(data, rows), labels.index_select(0, rows)
        if self.shared_batch:
            y = y.repeat(self.replicas)
        else:
            x = x.unflatten(0, (self.replicas, BATCH))
        loss = F.cross_entropy(self(x).flatten(0, 1), y, reduction="sum") / BATCH  # sum over replicas of the batch means
        return loss + self.penalty() if self.penalty_in_loss else loss


def gather(data, rows):
    x = data.index_select(0, rows)
    return x * (1 / 255) if x.dtype == torch.uint8 else x


def make_data(features, classes, device):
    """Two Gaussian classes (20 features), or random pixels labelled by a random linear teacher (784)."""
    g = torch.Generator().manual_seed(1)
    if features == 20:
        labels = torch.randint(classes, (ROWS,), generator=g)
        shift = torch.rand(features, generator=g) * 1.4 * (torch.arange(features) < 11)
        data = torch.randn(ROWS, features, generator=g) * 0.5 + labels[:, None] * shift
    else:
        data = torch.randint(256, (ROWS, features), generator=g, dtype=torch.uint8)
        teacher = torch.randn(features, classes, generator=g) * (torch.arange(features) < 40)[:, None]
        labels = torch.cat([((d.to(teacher.dtype) - 127.5) @ teacher).argmax(1) for d in data.split(10_000)])
    return data.to(device), labels.to(device)


class Trainer:
    """One network, one optimiser, one way to run a step."""

    def __init__(self, net, data, labels, mode):
        self.net, self.data, self.labels, self.mode = net, data, labels, mode
        self.rows_per_step = BATCH * (1 if getattr(net, "shared_batch", True) else net.replicas)
        self.loss = torch.compile(net.loss, dynamic=False) if "compile" in mode else net.loss
        self.graph = None
        wd = not net.penalty_in_loss
        rest = list(net.bias) + ([] if net.norm is None else list(net.norm.parameters()))
        groups = [
            {"params": list(net.lam), "weight_decay": 2 * R_LAMBDA if wd else 0.0},
            {"params": list(net.psi), "weight_decay": 2 * R_PSI if wd else 0.0},
            {"params": rest},
        ]
        if not wd:  # one group is one fused call
            groups = [{"params": [p for group in groups for p in group["params"]]}]
        options = {"fused": True} if "fused" in mode else {}
        if "graph" in mode:
            options["capturable"] = True
        self.optimiser = torch.optim.Adam(groups, lr=1e-3, eps=1e-7, **options)
        self.adam = torch.compile(self.optimiser.step) if "all" in mode else self.optimiser.step

    @torch.no_grad()
    def restart(self):
        """New initial weights, Adam from its start, all in place: compiled code and captured graphs are kept."""
        self.net.reset_parameters()
        for state in self.optimiser.state.values():
            for tensor in state.values():
                tensor.zero_()

    def step(self, rows):
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.data, self.labels, rows)
        loss.backward()
        self.adam()
        return loss

    def capture(self, rows):
        """Record one step in a CUDA graph; afterwards copying rows in and replaying is the step."""
        self.rows = rows.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self.step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        self.optimiser.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.captured_loss = self.step(self.rows)

    def permutation(self):
        """The row numbers of an epoch, [steps, rows per step]."""
        draws = self.rows_per_step // BATCH
        if draws == 1:
            return torch.randperm(ROWS, device=self.data.device).view(STEPS_PER_EPOCH, BATCH)
        p = torch.stack([torch.randperm(ROWS, device=self.data.device) for _ in range(draws)])
        return p.view(draws, STEPS_PER_EPOCH, BATCH).transpose(0, 1).reshape(STEPS_PER_EPOCH, -1)

    def epoch(self):
        order = self.permutation()
        if "graph" in self.mode:
            if self.graph is None:
                self.capture(order[0])
            for rows in order:
                self.rows.copy_(rows)
                self.graph.replay()
            return self.captured_loss
        for rows in order:
            loss = self.step(rows)
        return loss


def warm_up(trainer, sync):
    """Compile, then one more epoch."""
    trainer.epoch()
    sync()
    trainer.epoch()


def timed_epochs(trainer, epochs, sync):
    """Wall time per step of each epoch, in ms."""
    samples = []
    for _ in range(epochs):
        sync()
        start = time.perf_counter()
        trainer.epoch()
        sync()
        samples.append((time.perf_counter() - start) * 1e3 / STEPS_PER_EPOCH)
    return samples


@torch.no_grad()
def set_parameters(net, tensors):
    for p, t in zip(net.parameters(), tensors):
        p.copy_(t.view_as(p))


def distance(parameters, truth, start):
    """Root mean square difference, relative to how far training moved the parameters."""
    flat = [torch.cat([t.detach().double().flatten() for t in ts]) for ts in (list(parameters), truth, start)]
    return ((flat[0] - flat[1]).norm() / (flat[1] - flat[2]).norm()).item()


def check(device, modes):
    """Every mode and the stacked ensemble take the same 10 steps as the eager loop. In f64, since Adam makes a whole step of a
    gradient that is zero but for rounding: in f32 two orders of summation soon part."""
    torch.set_default_dtype(torch.float64)
    for case, (sizes, activations) in NETS.items():
        data, labels = make_data(sizes[0], sizes[-1], device)
        order = torch.randint(ROWS, (10, REPLICAS, BATCH), device=device)
        for batch_norm in (False, True):
            nets = [SpectralNet(sizes, activations, batch_norm, True).to(device) for _ in range(REPLICAS)]
            start = [[p.detach().clone() for p in net.parameters()] for net in nets]
            for r, net in enumerate(nets):
                trainer = Trainer(net, data, labels, "eager")
                for rows in order[:, r]:
                    trainer.step(rows)
            stack = [torch.stack(ps) for ps in zip(*start)]
            truth = [torch.stack(ps) for ps in zip(*(list(net.parameters()) for net in nets))]
            for mode in [m for m in modes if "graph" not in m]:
                torch.compiler.reset()
                one = SpectralNet(sizes, activations, batch_norm, "wd" not in mode).to(device)
                set_parameters(one, start[0])
                all_ = Ensemble(sizes, activations, batch_norm, "wd" not in mode).to(device)
                set_parameters(all_, stack)
                trainers = Trainer(one, data, labels, mode), Trainer(all_, data, labels, mode)
                for rows in order:
                    trainers[0].step(rows[0])
                    trainers[1].step(rows.flatten())
                d1 = distance(one.parameters(), [t[0] for t in truth], start[0])
                d2 = distance(all_.parameters(), truth, stack)
                print(f"check {case:18} bn={int(batch_norm)} {mode:18} single {d1:.1e}  ensemble {d2:.1e}", flush=True)


def summary(samples):
    q = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
    return {"median_ms": round(q[1], 5), "iqr_ms": round(q[2] - q[0], 5), "min_ms": round(min(samples), 5), "n": len(samples)}


def machine():
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as f:
            model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), model)
    except OSError:
        pass
    return {"os": platform.system(), "arch": platform.machine(), "cpu": model, "cores": os.cpu_count()}


def describe(device):
    name = torch.cuda.get_device_name() if device.type == "cuda" else machine()["cpu"]
    return {"peer": "torch", "version": torch.__version__, "device": device.type, "name": name}


def common_arguments(parser):
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    parser.add_argument("--json", metavar="FILE", help="write the results here")
    parser.add_argument("--tf32", action="store_true", help="let CUDA use TF32 products (default: f32, as eigenlens does)")


def prepare(args):
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # dropped eigenvalues decay into denormals, which are slow
    torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {describe(device)['name']}, {args.threads} threads", file=sys.stderr)
    return device, torch.cuda.synchronize if device.type == "cuda" else lambda: None


def write_json(args, device, results):
    if args.json:
        with open(args.json, "w") as f:
            adapter = describe(device) | {"threads": args.threads, "tf32": args.tf32}
            json.dump({"machine": machine(), "adapter": adapter, "results": results}, f, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_arguments(parser)
    parser.add_argument("--suite", default="train,ensemble", help="train, ensemble, or both")
    parser.add_argument("--net", choices=NETS, help="only this net")
    parser.add_argument("--modes", help="only these modes, by comma")
    parser.add_argument("--epochs", type=int, default=12, help="timed epochs per case (2 more warm up; a third as many for ensembles)")
    parser.add_argument("--quick", action="store_true", help="one timed epoch of fewer modes: does everything work?")
    parser.add_argument("--check", action="store_true", help="compare the modes' arithmetic instead of timing them")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    args = parser.parse_args()
    if args.quick:
        args.epochs = 1
    device, sync = prepare(args)

    modes = ["eager", "eager-fused", "eager-fused-wd"]
    modes += ["compile-fused", "compile-fused-wd", "compile-all", "compile-all-wd"]
    if device.type == "cuda":
        modes += ["graph-fused-wd", "graph-compile-fused-wd", "graph-compile-all", "graph-compile-all-wd"]
    if args.quick and not args.modes:
        modes = [m for m in modes if m.endswith("fused-wd")]
    if args.no_compile:
        modes = [m for m in modes if "compile" not in m]
    if args.modes:
        modes = [m for m in modes if m in args.modes.split(",")]

    if args.check:
        return check(device, modes)
    results = []

    def measure(suite, case, variant, mode, replicas, run):
        torch.compiler.reset()
        try:
            samples = run()
        except Exception as error:  # no C++ compiler, no Triton, an operation that cannot be captured, ...
            print(f"{suite:9} {case:18} {variant:9} {mode:38} skipped: {str(error).strip().splitlines()[:1]}", file=sys.stderr)
            return
        row = {"suite": suite, "case": case, "variant": variant, "mode": mode, "replicas": replicas, "batch": BATCH}
        results.append(row | {"threads": args.threads} | summary(samples))
        r = results[-1]
        print(f"{suite:9} {case:18} {variant:9} {mode:38} {r['median_ms']:9.3f} ms  [{r['iqr_ms']:.3f}]  n={r['n']}", flush=True)
        write_json(args, device, results)

    for case, (sizes, activations) in NETS.items():
        if args.net and case != args.net:
            continue
        data, labels = make_data(sizes[0], sizes[-1], device)
        for batch_norm in (False, True):
            variant = "bn=first" if batch_norm else "bn=none"

            def trainer(mode, kind=SpectralNet, **options):
                net = kind(sizes, activations, batch_norm, penalty_in_loss="wd" not in mode, **options).to(device)
                return Trainer(net, data, labels, mode)

            def single(mode):
                t = trainer(mode)
                warm_up(t, sync)
                return timed_epochs(t, args.epochs, sync)

            def sequence(mode):
                # Ten trainings, each from new weights; code compiled for the first serves all. Sample: one epoch of all ten.
                t = trainer(mode)
                warm_up(t, sync)
                epochs = max(1, args.epochs // 3)
                runs = []
                for _ in range(REPLICAS):
                    t.restart()
                    runs.append(timed_epochs(t, epochs, sync))
                return [sum(epoch) for epoch in zip(*runs)]

            def stacked(mode, shared):
                t = trainer(mode, Ensemble, shared_batch=shared)
                warm_up(t, sync)
                return timed_epochs(t, max(1, args.epochs // 3), sync)

            for mode in modes:
                if "train" in args.suite:
                    measure("train", case, variant, mode, 1, lambda: single(mode))
            for mode in modes:
                if "ensemble" in args.suite and mode.endswith("-wd"):  # the others only cost more
                    measure("ensemble", case, variant, f"sequence/{mode}", REPLICAS, lambda: sequence(mode))
                    measure("ensemble", case, variant, f"ensemble-bmm/{mode}", REPLICAS, lambda: stacked(mode, False))
                    measure("ensemble", case, variant, f"ensemble-bmm-shared/{mode}", REPLICAS, lambda: stacked(mode, True))
        del data, labels


if __name__ == "__main__":
    main()
