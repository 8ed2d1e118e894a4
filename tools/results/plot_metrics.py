#!/usr/bin/env python3
"""Draws curves of a run as one SVG: plot_metrics.py metrics.jsonl --out X.svg

Four panels: loss, held-out reward, KL to the reference, effective sample size.
Of a step that was done again the highest generation counts. No packages needed.
"""
import argparse
import json

PANELS = [("loss", "training loss"),
          ("eval_expected_reward", "held-out reward"),
          ("eval_kl", "held-out KL to the reference, nats"),
          ("weight_ess_ratio", "effective sample size, share of the Z-set")]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 220, 58, 30, 26


def read_series(path):
    series = {key: {} for key, _ in PANELS}
    with open(path) as file:
        for line in map(json.loads, file):
            for key in series:
                if line.get(key) is not None:
                    series[key][line["step"]] = line[key]
    return {key: sorted(points.items()) for key, points in series.items()}


def panel(title, points, x, y):
    parts = [f'<g transform="translate({x},{y})">',
             f'<text x="{LEFT}" y="16" font-weight="bold">{title}</text>']
    steps = [p[0] for p in points]
    values = [p[1] for p in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    last = max(steps) or 1
    plot_width, plot_height = WIDTH - LEFT - 14, HEIGHT - TOP - BOTTOM

    def place(step, value):
        return (LEFT + plot_width * step / last,
                TOP + plot_height * (1 - (value - low) / span))

    for share in (0, 0.5, 1):
        value = low + share * span
        _, line_y = place(0, value)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + plot_width}" '
                     f'y1="{line_y:.1f}" y2="{line_y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{line_y + 4:.1f}" '
                     f'text-anchor="end">{value:.4g}</text>')
    for step in (0, last):
        parts.append(f'<text x="{place(step, low)[0]:.1f}" '
                     f'y="{HEIGHT - 10}" text-anchor="middle">{step}</text>')
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in
                    (place(*point) for point in points))
    parts.append(f'<polyline points="{path}" fill="none" stroke="#2563a8" '
                 'stroke-width="1.6"/>')
    return parts + ["</g>"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics")
    parser.add_argument("--out", required=True)
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    series = read_series(arguments.metrics)
    shown = [(title, series[key]) for key, title in PANELS
             if len(series[key]) > 1]
    rows = (len(shown) + 1) // 2
    width, height = 2 * WIDTH, rows * HEIGHT + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
             f'height="{height}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="16" y="20" font-size="14">{arguments.title}</text>']
    for index, (title, points) in enumerate(shown):
        parts += panel(title, points, index % 2 * WIDTH,
                       30 + index // 2 * HEIGHT)
    with open(arguments.out, "w") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
