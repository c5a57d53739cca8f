"""Radian-glue attention and the layers around it: each cascade against PyTorch in double precision, at tiny sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lightbound.workloads.counts import total_operations
from lightbound.workloads.registry import Workload, workload

torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")
functional = torch.nn.functional
Arrays = dict[str, np.ndarray]
RANDOM = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


def tensor(array: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))


class Normalised:
    """A convolution without bias and a batch normalisation behind it, and both folded into weights and a bias."""

    def __init__(self, out: int, into: int, kernel: int, groups: int = 1) -> None:
        self.groups, self.kernel = groups, kernel
        self.raw = normal(out, into // groups, kernel, kernel)
        self.mean, self.shift, self.scale = normal(out), normal(out), normal(out)
        self.variance = RANDOM.uniform(0.5, 2, out)
        factor = self.scale / np.sqrt(self.variance + 1e-5)
        self.weight = self.raw * factor[:, None, None, None]
        self.bias = self.shift - self.mean * factor

    def __call__(self, x: Any, stride: int = 1) -> Any:
        y = functional.conv2d(x, tensor(self.raw), stride=stride, padding=self.kernel // 2, groups=self.groups)
        return functional.batch_norm(
            y, tensor(self.mean), tensor(self.variance), tensor(self.scale), tensor(self.shift)
        )


def taps(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The four cells around positions, and their bilinear weights: zero for a cell that is outside."""
    row, column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    found = []
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - abs(rows - row - down)) * (1 - abs(columns - column - right))
        inside = (row + down >= 0) & (row + down < height) & (column + right >= 0) & (column + right < width)
        found.append(
            (np.where(inside, row + down, 0), np.where(inside, column + right, 0), np.where(inside, weight, 0))
        )
    r, c, w = (np.stack(parts, axis=-1) for parts in zip(*found, strict=True))
    return r, c, w


def radian_glue(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    a, heads, e, rays, steps, height, width = (n[name] for name in "AHEWIYX")
    # A camera in the middle of the map that looks along x: equal angles over its field of view, equal steps outwards.
    angle = np.linspace(-0.6, 0.6, rays)[:, None]
    radius = np.linspace(0, np.hypot(width, height) / 2, steps)[None, :]
    rows = np.clip((height - 1) / 2 - radius * np.sin(angle), 0, height - 1)
    columns = np.clip((width - 1) / 2 + radius * np.cos(angle), 0, width - 1)
    row, column, tap = taps(rows, columns, height, width)
    near_row, near_column = np.rint(rows).astype(int), np.rint(columns).astype(int)
    bev, image = normal(a, height, width), normal(n["D"], n["J"], rays)
    position_q, position_k = normal(steps, a), normal(n["J"], n["D"])
    single = {name: (normal(into, a), normal(a)) for name, into in (("Q", a), ("K", n["D"]), ("V", n["D"]))}
    attention = torch.nn.MultiheadAttention(a, heads, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        attention.in_proj_bias.copy_(tensor(normal(3 * a)))
        attention.out_proj.bias.copy_(tensor(normal(a)))
        where = np.stack((2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1), axis=-1)
        sampled = functional.grid_sample(
            tensor(bev)[None], tensor(where)[None], padding_mode="border", align_corners=True
        )
        rays_in = sampled[0].permute(1, 2, 0) + tensor(position_q)
        columns_in = tensor(image).permute(2, 1, 0) + tensor(position_k)
        q, k, v = (
            functional.linear(x, tensor(single[name][0].T), tensor(single[name][1]))
            for name, x in (("Q", rays_in), ("K", columns_in), ("V", columns_in))
        )
        attended = attention(q, k, v, need_weights=False)[0]
        total, count = torch.zeros(height * width, a).double(), torch.zeros(height * width).double()
        cell = torch.from_numpy(near_row * width + near_column).reshape(-1)
        total.index_add_(0, cell, attended.reshape(-1, a))
        count.index_add_(0, cell, torch.ones(cell.numel()).double())
        painted = (total / count.clamp(min=1)[:, None]).T.reshape(a, height, width)
        expected = tensor(bev) + painted
    inner = attention.in_proj_weight.detach().numpy().reshape(3, heads, e, a)
    inner_bias = attention.in_proj_bias.detach().numpy().reshape(3, heads, e)
    given = {
        "BEV": bev, "IMG": image, "PA": position_q, "PB": position_k, "ROW": row, "COLUMN": column, "TAP": tap,
        "ROWN": near_row, "COLUMNN": near_column, "SHARE": 1 / np.maximum(1, count.numpy()).reshape(height, width),
        "UO": attention.out_proj.weight.detach().numpy().T.reshape(heads, e, a),
        "BO": attention.out_proj.bias.detach().numpy(),
    }  # fmt: skip
    for place, name in enumerate("QKV"):
        weight, bias = single[name]
        second, second_bias = inner[place].transpose(2, 0, 1), inner_bias[place]
        if work.variant == "published":
            given |= {f"W{name}": weight, f"B{name}": bias, f"U{name}": second, f"C{name}": second_bias}
        else:
            given[f"W{name}U"] = np.einsum("dc,che->dhe", weight, second)
            given[f"C{name}U"] = np.einsum("c,che->he", bias, second) + second_bias
    return given, {"OUT": expected.numpy()}


def pillar_encoder(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    pillars, points, c = n["P"], n["N"], n["C"]
    count = RANDOM.integers(1, points + 1, pillars)
    valid = (np.arange(points) < count[:, None]).astype(float)
    point, centre = normal(pillars, points, 4) * valid[..., None], normal(pillars, 3)
    layer = Normalised(c, 10, 1)
    mean = tensor(point[..., :3]).sum(1, keepdim=True) / tensor(count)[:, None, None]
    xyz = tensor(point[..., :3])
    ten = torch.cat((tensor(point), xyz - mean, xyz - tensor(centre)[:, None]), dim=-1) * tensor(valid)[..., None]
    features = torch.relu(layer(ten.reshape(-1, 10, 1, 1))).reshape(pillars, points, c).amax(1)
    cells = RANDOM.choice(n["Y"] * n["X"], pillars, replace=False)
    canvas = torch.zeros(c, n["Y"] * n["X"], dtype=torch.float64)
    canvas[:, torch.from_numpy(cells)] = features.T
    weight = layer.weight[:, :, 0, 0].T
    given = {
        "POINT": point, "SHARE": 1 / count, "CENTRE": centre, "VALID": valid, "B": layer.bias,
        "WP": weight[:4], "WM": weight[4:7], "WC": weight[7:], "ROW": cells // n["X"], "COLUMN": cells % n["X"],
    }  # fmt: skip
    return given, {"BEV": canvas.reshape(c, n["Y"], n["X"]).numpy()}


def residual_basic(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["C"], n["Y"], n["X"])
    one, two = Normalised(n["M"], n["C"], 3), Normalised(n["C"], n["M"], 3)
    y = torch.relu(two(torch.relu(one(tensor(x)[None]))) + tensor(x))
    return {"IN": x, "W1": one.weight, "B1": one.bias, "W2": two.weight, "B2": two.bias}, {"OUT": y[0].numpy()}


def residual_basic_strided(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["K"], n["P"], n["Q"])
    one, two, short = Normalised(n["M"], n["K"], 3), Normalised(n["C"], n["M"], 3), Normalised(n["C"], n["K"], 1)
    y = torch.relu(two(torch.relu(one(tensor(x)[None], n["S"]))) + short(tensor(x)[None], n["S"]))
    given = {"IN": x, "W1": one.weight, "B1": one.bias, "W2": two.weight, "B2": two.bias + short.bias}
    return {**given, "WS": short.weight[:, :, 0, 0]}, {"OUT": y[0].numpy()}


def bottleneck_layers(n: dict[str, int], into: int) -> tuple[Arrays, tuple[Normalised, Normalised, Normalised]]:
    g, m, r, c = (n[name] for name in "GMRC")
    one, two, three = Normalised(g * m, into, 1), Normalised(g * r, g * m, 3, g), Normalised(c, g * r, 1)
    given = {
        "W1": one.weight.reshape(g, m, into), "B1": one.bias.reshape(g, m),
        "W2": two.weight.reshape(g, r, m, 3, 3), "B2": two.bias.reshape(g, r),
        "W3": three.weight.reshape(c, g, r), "B3": three.bias,
    }  # fmt: skip
    return given, (one, two, three)


def residual_bottleneck(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["C"], n["Y"], n["X"])
    given, (one, two, three) = bottleneck_layers(n, n["C"])
    y = torch.relu(three(torch.relu(two(torch.relu(one(tensor(x)[None]))))) + tensor(x))
    return {**given, "IN": x}, {"OUT": y[0].numpy()}


def residual_bottleneck_strided(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["K"], n["P"], n["Q"])
    given, (one, two, three) = bottleneck_layers(n, n["K"])
    short = Normalised(n["C"], n["K"], 1)
    inner = torch.relu(two(torch.relu(one(tensor(x)[None])), n["S"]))
    y = torch.relu(three(inner) + short(tensor(x)[None], n["S"]))
    given |= {"IN": x, "B3": three.bias + short.bias, "WS": short.weight[:, :, 0, 0]}
    return given, {"OUT": y[0].numpy()}


def image_stem(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x, layer = normal(n["K"], 2 * n["P"], 2 * n["Q"]), Normalised(n["C"], n["K"], 7)
    y = functional.max_pool2d(torch.relu(layer(tensor(x)[None], 2)), 3, 2, 1)
    return {"IMAGE": x, "W": layer.weight, "B": layer.bias}, {"OUT": y[0].numpy()}


def pointwise_convolution(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x, w, b = normal(n["K"], n["Y"], n["X"]), normal(n["C"], n["K"]), normal(n["C"])
    y = functional.conv2d(tensor(x)[None], tensor(w)[..., None, None], tensor(b))
    return {"IN": x, "W": w, "B": b}, {"OUT": y[0].numpy()}


def bilinear_upsample(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["D"], n["R"], n["S"])
    given = {"IN": x}
    for index, weight, long, short in (("ROW", "WR", n["J"], n["R"]), ("COLUMN", "WC", n["W"], n["S"])):
        place = np.clip((np.arange(long) + 0.5) * short / long - 0.5, 0, None)
        low = np.floor(place).astype(int)
        given[index] = np.stack((low, np.minimum(low + 1, short - 1)), axis=-1)
        given[weight] = np.stack((1 - (place - low), place - low), axis=-1)
    y = functional.interpolate(tensor(x)[None], size=(n["J"], n["W"]), mode="bilinear")
    return given, {"OUT": y[0].numpy()}


def pyramid_level(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    agents, c, height, width = (n[name] for name in "NCYX")
    x, u, bias = normal(agents, c, height, width), normal(c), normal(1)
    affine = np.stack([[[1, 0, 0], [0, 1, 0]]] + [normal(2, 3) for _ in range(agents - 1)])
    grid = functional.affine_grid(tensor(affine), [agents, c, height, width], align_corners=False)
    seen = torch.sigmoid(functional.conv2d(tensor(x), tensor(u)[None, :, None, None], tensor(bias))) + 1e-4
    score = functional.grid_sample(seen, grid, align_corners=False)
    score[:, :, 0, 0] = 0  # a cell that no agent sees
    share = torch.softmax(torch.where(score == 0, -torch.inf, score), dim=0).nan_to_num(0)
    y = (share * functional.grid_sample(tensor(x), grid, align_corners=False)).sum(0)
    where = grid.numpy()
    rows, columns = ((where[..., 1] + 1) * height - 1) / 2, ((where[..., 0] + 1) * width - 1) / 2
    row, column, tap = taps(rows, columns, height, width)
    tap[:, 0, 0] = 0
    given = {"F": x, "U": u, "BU": bias[0], "ROW": row, "COLUMN": column, "TAP": tap}
    return given, {"OUT": y.numpy()}


def pyramid_merge(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    given, outputs = {}, {}
    shapes = {"FINE": ("K", "Y", "X", 1), "MIDDLE": ("L", "R1", "S1", 2), "COARSE": ("M", "T1", "U1", 4)}
    for level, (name, (k, y, x, spread)) in enumerate(shapes.items()):
        z, w, b = normal(n[k], n[y], n[x]), normal(n[k], n["C"], spread, spread), normal(n["C"])
        given |= {f"Z{level}": z, f"W{level}": w if level else w[:, :, 0, 0], f"B{level}": b}
        spread_out = functional.conv_transpose2d(tensor(z)[None], tensor(w), tensor(b), stride=spread)
        outputs[name] = torch.relu(spread_out)[0].numpy()
    return given, outputs


def double_convolution(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x, one, two = normal(n["K"], n["Y"], n["X"]), Normalised(n["M"], n["K"], 3), Normalised(n["C"], n["M"], 3)
    y = torch.relu(two(torch.relu(one(tensor(x)[None]))))
    return {"IN": x, "W1": one.weight, "B1": one.bias, "W2": two.weight, "B2": two.bias}, {"OUT": y[0].numpy()}


def convolution(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x, one = normal(n["K"], n["Y"], n["X"]), Normalised(n["C"], n["K"], 3)
    return {"IN": x, "W": one.weight, "B": one.bias}, {"OUT": torch.relu(one(tensor(x)[None]))[0].numpy()}


def anchor_heads(work: Workload) -> tuple[Arrays, Arrays]:
    n = work.sizes
    x = normal(n["C"], n["Y"], n["X"])
    given, outputs = {"IN": x}, {}
    for name, out in (("CLASS", "O"), ("BOX", "B"), ("DIRECTION", "D")):
        w, b = normal(n[out], n["C"]), normal(n[out])
        given |= {f"W{out}": w, f"B{out}": b}
        outputs[name] = functional.conv2d(tensor(x)[None], tensor(w)[..., None, None], tensor(b))[0].numpy()
    return given, outputs


REFERENCES: dict[tuple[str, str | None], Callable[[Workload], tuple[Arrays, Arrays]]] = {
    ("rg_attn", "published"): radian_glue,
    ("rg_attn", "merged"): radian_glue,
    ("pillar_encoder", None): pillar_encoder,
    ("residual_basic", None): residual_basic,
    ("residual_basic_strided", None): residual_basic_strided,
    ("residual_bottleneck", None): residual_bottleneck,
    ("residual_bottleneck_strided", None): residual_bottleneck_strided,
    ("image_stem", None): image_stem,
    ("pointwise_convolution", None): pointwise_convolution,
    ("bilinear_upsample", None): bilinear_upsample,
    ("pyramid_level", None): pyramid_level,
    ("pyramid_merge", None): pyramid_merge,
    ("double_convolution", None): double_convolution,
    ("convolution", None): convolution,
    ("anchor_heads", None): anchor_heads,
}


@pytest.mark.parametrize(("method", "variant"), REFERENCES)
def test_a_cascade_computes_what_pytorch_does(method: str, variant: str | None) -> None:
    work = workload(method, "tiny", variant)
    given, expected = REFERENCES[method, variant](work)
    found = work.cascade.evaluate(given)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 1e-9 * max(1.0, np.abs(array).max())


def test_merged_projections_give_the_same_and_leave_out_the_second_product() -> None:
    macs = {v: total_operations(workload("rg_attn", "dair_v2x_ptp", v).cascade)["mac"] for v in ("published", "merged")}
    w, i, j, c1, c2 = 256, 128, 144, 64, 8
    gather = 4 * w * i * c1
    scores = 2 * w * i * j * c1
    assert macs["published"] - gather == scores + 3 * w * i * c1**2 + 2 * w * j * (c2 * c1 + c1**2)
    assert macs["merged"] - gather == scores + 2 * w * i * c1**2 + 2 * w * j * c2 * c1
