"""Trains an experiment with PyTorch in double: torch.nn, torch.optim and
torch.optim.lr_scheduler wherever they have the thing, and only what they lack written here (the
mask of dropout, ghost batch norm, cutting a batch into micro-batches). Options that an experiment
leaves out are left out here too, so PyTorch's defaults are compared with ours.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "tanh": nn.Tanh,
               "sigmoid": nn.Sigmoid}


def philox(counter, seed):
    """Philox4x32-10 (kernels/ops/philox.h) of an array of counters [..., 4]."""
    word = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = ((product1 >> np.uint64(32)) ^ c1 ^ np.uint64(key0), product1 & word,
                          (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(key1), product0 & word)
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1)


def stream_of_name(name):
    """FNV-1a with the top bit set."""
    value = 2166136261
    for character in name.encode():
        value = ((value ^ character) * 16777619) & 0xFFFFFFFF
    return value | 0x80000000


class Dropout(nn.Module):
    """PyTorch's rule with our mask (kernels/ops/dropout.h): kept where the word of (seed, step,
    layer, sample, element) is at least rate * 2^32. `ids` and `step` are set before each pass."""

    def __init__(self, name, rate, seed):
        super().__init__()
        self.stream, self.rate, self.seed = stream_of_name(name), rate, seed

    def forward(self, x):
        if not self.training:
            return x
        features = x[0].numel()
        counter = np.zeros((len(x), (features + 3) // 4, 4), dtype=np.uint64)
        counter[..., 0] = np.arange(counter.shape[1])
        counter[..., 1] = self.ids[:, None]
        counter[..., 2] = self.step
        counter[..., 3] = self.stream
        words = philox(counter, self.seed).reshape(len(x), -1)[:, :features]
        mask = torch.tensor(words >= int(self.rate * 2**32)).reshape(x.shape)
        return x * mask / (1.0 - self.rate)


class GhostBatchNorm(nn.Module):
    """Statistics over groups of consecutive samples in training; running statistics from the whole
    batch of the update, pooled by update_running_statistics()."""

    def __init__(self, channels, group, **options):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, **options)
        self.group = group
        self.seen = []

    def forward(self, x):
        norm = self.norm
        if not self.training:
            return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight,
                                            norm.bias, eps=norm.eps)
        self.seen.append(x.detach())
        return torch.cat([nn.functional.batch_norm(group, None, None, norm.weight, norm.bias,
                                                   training=True, eps=norm.eps)
                          for group in x.split(self.group)])

    def update_running_statistics(self):
        norm = self.norm
        values = torch.cat(self.seen).transpose(0, 1).flatten(1)
        self.seen = []
        for running, batch in ((norm.running_mean, values.mean(1)),
                               (norm.running_var, values.var(1, unbiased=True))):
            running.mul_(1.0 - norm.momentum).add_(batch, alpha=norm.momentum)


def batchnorm(layer, shape):
    names = {"momentum": "momentum", "epsilon": "eps"}
    options = {theirs: layer[ours] for ours, theirs in names.items() if ours in layer}
    if layer.get("group", "batch") != "batch":
        return GhostBatchNorm(shape[0], layer["group"], **options)
    return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0], **options)


def build(experiment, shape):
    """The network as a Sequential whose modules have our layers' names."""
    modules, counts = OrderedDict(), {}
    layers = experiment["model"]["layers"]
    for index, layer in enumerate(layers):
        kind = layer["type"]
        counts[kind] = counts.get(kind, 0) + 1
        name = layer.get("name", f"{kind}_{counts[kind]}")
        if kind == "flatten":
            modules[name] = nn.Flatten()
            shape = [int(np.prod(shape))]
        elif kind == "dense":
            feeds_batchnorm = ("activation" not in layer and index + 1 < len(layers)
                               and layers[index + 1]["type"] == "batchnorm")
            bias = layer.get("bias", not feeds_batchnorm)
            modules[name] = nn.Linear(shape[0], layer["units"], bias=bias)
            shape = [layer["units"]]
            if "activation" in layer and layer["activation"] != "softmax":
                modules[name + "_activation"] = ACTIVATIONS[layer["activation"]]()
        elif kind == "activation":
            modules[name] = ACTIVATIONS[layer["activation"]]()
        elif kind == "dropout":
            modules[name] = Dropout(name, layer["rate"], experiment["seed"])
        elif kind == "batchnorm":
            modules[name] = batchnorm(layer, shape)
        if not layer.get("trainable", True):
            modules[name].requires_grad_(False)
            modules[name].frozen = True
    return nn.Sequential(modules).double()


def start_training(network):
    """Training mode; a frozen BatchNorm keeps normalising with its running statistics."""
    network.train()
    for module in network:
        if getattr(module, "frozen", False):
            module.eval()


def tensors(network):
    """The stored tensors under our names, as arrays."""
    return {name.replace(".norm.", "."): value.detach().numpy().copy()
            for name, value in network.state_dict().items() if "num_batches" not in name}


def draw_weights(network, generator):
    """Initial weights that no default would give, in full double precision."""
    for name, value in network.state_dict().items():
        if "num_batches" in name:
            continue
        if name.endswith("running_var"):
            drawn = generator.uniform(0.5, 2.0, value.shape)
        elif name.endswith("weight") and value.dim() == 1:
            drawn = generator.uniform(0.5, 1.5, value.shape)
        elif name.endswith("weight"):
            drawn = generator.normal(0.0, 1.0 / np.sqrt(value.shape[1]), value.shape)
        else:
            drawn = generator.normal(0.0, 0.3, value.shape)
        value.copy_(torch.tensor(drawn))


def make_optimizer(config, network, learning_rate):
    config = dict(config)
    for ours in ("learning_rate", "clip_global_norm", "learning_rate_scaling",
                 "reference_batch_size"):
        config.pop(ours, None)
    name = config.pop("name")
    if "epsilon" in config:
        config["eps"] = config.pop("epsilon")
    if "beta1" in config:
        config["betas"] = (config.pop("beta1"), config.pop("beta2"))
    if name == "adamw":
        config.setdefault("weight_decay", 0.0)  # PyTorch's own default is 0.01
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
            "rmsprop": torch.optim.RMSprop}[name]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return rule(trained, lr=learning_rate, **config)


def peak_learning_rate(experiment):
    config = experiment["optimizer"]
    ratio = experiment["training"]["batch_size"] / config.get("reference_batch_size", 32)
    power = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[config.get("learning_rate_scaling", "none")]
    return config["learning_rate"] * ratio**power


def make_scheduler(experiment, optimizer, steps_per_epoch):
    """PyTorch's schedulers, advanced with every update; warm-up first, in whole updates."""
    config, epochs = experiment.get("schedule", {}), experiment["training"]["epochs"]
    kind = config.get("kind", "constant")
    warmup_epochs = config.get("warmup_epochs", 0.3 * epochs if kind == "one_cycle" else 0.0)
    warmup = round(warmup_epochs * steps_per_epoch)
    schedulers = torch.optim.lr_scheduler
    if kind == "step":
        after = [round(epoch * steps_per_epoch) - warmup for epoch in config["at"]]
        main = schedulers.MultiStepLR(optimizer, after, config.get("factor", 0.1))
    elif kind == "exponential":
        main = schedulers.ExponentialLR(optimizer, config["factor"] ** (1.0 / steps_per_epoch))
    elif kind in ("cosine", "one_cycle"):
        lowest = config.get("to", 0.0) * peak_learning_rate(experiment)
        main = schedulers.CosineAnnealingLR(optimizer, epochs * steps_per_epoch - warmup, lowest)
    else:
        main = schedulers.ConstantLR(optimizer, factor=1.0)
    if warmup == 0:
        return main
    rise = schedulers.LinearLR(optimizer, 1.0 / warmup, 1.0, total_iters=warmup - 1)
    return schedulers.SequentialLR(optimizer, [rise, main], [warmup])


def update(experiment, network, optimizer, x, y, ids, step):
    """One weight update on the samples `ids`. Returns the batch's mean loss and gradient norm."""
    training = experiment["training"]
    rows = training.get("micro_batch_size", 0) or len(ids)
    total = 0.0
    optimizer.zero_grad()
    for micro_batch in np.split(ids, range(rows, len(ids), rows)):
        for module in network:
            if isinstance(module, Dropout):
                module.ids, module.step = micro_batch, step
        losses = nn.functional.cross_entropy(network(x[micro_batch]), y[micro_batch],
                                             reduction="none")
        summed = training.get("accumulation", "mean") == "sum"
        (losses.mean() if summed else losses.sum() / len(ids)).backward()
        total += losses.sum().item()
    clip = experiment["optimizer"].get("clip_global_norm", 0.0) or np.inf
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip).item()
    optimizer.step()
    for module in network:
        if isinstance(module, GhostBatchNorm) and module.training:
            module.update_running_statistics()
    return total / len(ids), norm


def evaluate(network, x, y):
    """Logits, mean loss and accuracy."""
    network.eval()
    logits = network(x)
    start_training(network)
    return (logits.numpy(), nn.functional.cross_entropy(logits, y).item(),
            (logits.argmax(1) == y).double().mean().item())


def train(experiment, x_train, y_train, x_test, y_test, batches, steps_per_epoch, generator):
    """Everything a golden file records of the run, by name. x: float64, normalised."""
    x_train, x_test = torch.tensor(x_train), torch.tensor(x_test)
    y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)
    network = build(experiment, list(x_train.shape[1:]))
    with torch.no_grad():
        draw_weights(network, generator)
        before = evaluate(network, x_test, y_test)
    record = {f"initial.{name}": value for name, value in tensors(network).items()}
    optimizer = make_optimizer(experiment["optimizer"], network, peak_learning_rate(experiment))
    scheduler = make_scheduler(experiment, optimizer, steps_per_epoch)
    losses, norms, rates = [], [], []
    for step, ids in enumerate(batches, start=1):
        rates.append(optimizer.param_groups[0]["lr"])
        loss, norm = update(experiment, network, optimizer, x_train, y_train, ids, step)
        scheduler.step()
        losses.append(loss)
        norms.append(norm)
    with torch.no_grad():
        after = evaluate(network, x_test, y_test)
    record |= {f"final.{name}": value for name, value in tensors(network).items()}
    return record | {"losses": losses, "gradient_norms": norms, "learning_rates": rates,
                     "test_logits": after[0], "test_losses": [before[1], after[1]],
                     "test_accuracies": [before[2], after[2]]}
