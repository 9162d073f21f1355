#!/usr/bin/env python3
"""torch.matmul on the products of a training step (f32): GFLOP/s of the peer's own matrix library.

A case is named by operand form and M x K x N: NT is C = A B^T (forward), TN is C = A^T B (gradient of the weight).
A sample is as many products into one preallocated output as take about 20 ms.
"""

import argparse
import time

import torch

from train import common_arguments, prepare, summary, write_json

CASES = [("NT", 500, 784, 100), ("NT", 500, 100, 100), ("TN", 100, 500, 784), ("NN", 512, 512, 512), ("NN", 1024, 1024, 1024)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_arguments(parser)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="3 samples: does everything work?")
    args = parser.parse_args()
    device, sync = prepare(args)
    samples = 3 if args.quick else args.samples

    results = []
    for form, m, k, n in CASES + ([("NN", 4096, 4096, 4096)] if device.type == "cuda" else []):
        a = torch.randn(m, k, device=device) if form[0] == "N" else torch.randn(k, m, device=device).t()
        b = torch.randn(k, n, device=device) if form[1] == "N" else torch.randn(n, k, device=device).t()
        c = torch.empty(m, n, device=device)

        def run(count):
            sync()
            start = time.perf_counter()
            for _ in range(count):
                torch.matmul(a, b, out=c)
            sync()
            return (time.perf_counter() - start) * 1e3 / count

        run(10)
        count = max(1, round(20 / run(10)))
        run(count)
        row = {"suite": "gemm", "case": f"{form} {m}x{k}x{n}", "mode": "matmul", "threads": args.threads}
        row |= summary([run(count) for _ in range(samples)])
        row["gflops"] = round(2e-6 * m * k * n / row["median_ms"], 1)
        results.append(row)
        print(f"gemm {row['case']:18} {row['median_ms']:9.4f} ms  [{row['iqr_ms']:.4f}]  {row['gflops']:9.1f} GFLOP/s", flush=True)
    write_json(args, device, results)


if __name__ == "__main__":
    main()
