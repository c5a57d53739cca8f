"""How often agents that choose among the same resources meet: closed forms, each with the rule it holds for, and draws.

The rule of sensing: in every period an agent chooses anew with probability `reselect`, uniformly among the resources
that no other agent used in the period before. Agents meet only by choosing at one time, and then stay together until
one chooses anew. ``reservation`` has the rule of the standards, of which this is the core.
"""

from __future__ import annotations

import random
from math import erf, sqrt

from lightbound.base.errors import LightboundError


def memoryless_collision(agents: int, resources: int) -> float:
    """Chance that an agent meets another, where all choose uniformly in every period. Exact."""
    _check(agents, resources)
    return 1 - (1 - 1 / resources) ** (agents - 1)


def sensing_collision(agents: int, resources: int, reselect: float) -> float:
    """Chance that an agent meets another under the rule of sensing, in the steady state.

    Exact for two agents. For more it takes meetings of two as rare and apart, and is 5 to 9 % high where a tenth
    to a quarter of the resources is in use; `sensing_collision_drawn` is not.
    """
    _check(agents, resources, reselect)
    r, R = reselect, resources
    if agents == 2:
        meet = r**2 * (R - 2) / (R - 1) ** 2
        part = 2 * r * (1 - r) + r**2 * (1 - 1 / (R - 1))
        return meet / (meet + part)
    if agents > R:
        raise LightboundError("resources", R, f"are fewer than {agents} agents", "The rule needs a free one for each.")
    return min(1.0, r * (agents - 1) / ((2 - r) * (R - agents + 1)))


def sensing_collision_drawn(
    agents: int, resources: int, reselect: float, periods: int = 400_000, seed: int = 0
) -> float:
    """The same by drawing so many periods; those in which nobody chooses are leapt over."""
    _check(agents, resources, reselect)
    if agents >= resources:
        raise LightboundError("resources", resources, f"do not exceed {agents} agents", "The rule needs a free one.")
    draw = random.Random(f"sensing {seed}")
    choice = list(range(agents))
    used = [1] * agents + [0] * (resources - agents)
    met = meeting = 0
    warm_up = min(periods // 10, round(20 / reselect))
    for period in range(periods + warm_up):
        moving = [agent for agent in range(agents) if draw.random() < reselect]
        if moving:
            news = []
            for agent in moving:
                old = choice[agent]
                while True:
                    new = int(draw.random() * resources)
                    if used[new] == 0 or (new == old and used[new] == 1):
                        break
                news.append(new)
            for agent, new in zip(moving, news, strict=True):
                used[choice[agent]] -= 1
                choice[agent] = new
            for new in news:
                used[new] += 1
            met = sum(used[resource] > 1 for resource in choice)
        if period >= warm_up:
            meeting += met
    return meeting / (periods * agents)


def mean_tenure(counter_min: int, counter_max: int, keep_probability: float) -> float:
    """Mean number of periods for which a reservation stays: a mean counter, again for each time that it is kept."""
    if not 0 <= keep_probability < 1:
        raise LightboundError("keep_probability", keep_probability, "is not in [0, 1)", "Write 0 to 0.8.")
    return (counter_min + counter_max) / 2 / (1 - keep_probability)


def half_duplex_loss(packets_per_s: float, slot_s: float) -> float:
    """Chance that a receiver is sending in the slot of a packet, where both choose slots independently."""
    return min(1.0, packets_per_s * slot_s)


def delivery(half_duplex: float, too_weak: float, faded: float, collided: float) -> float:
    """Packet delivery ratio from four errors that exclude each other (Gonzalez-Martin et al., arXiv 1807.06508)."""
    return (1 - half_duplex) * (1 - too_weak) * (1 - faded) * (1 - collided)


def too_weak(received_dbm: float, sensitivity_dbm: float, shadowing_db: float) -> float:
    """Chance that a packet arrives below the sensitivity, under log-normal shadowing."""
    return 0.5 * (1 - erf((received_dbm - sensitivity_dbm) / (shadowing_db * sqrt(2))))


def _check(agents: int, resources: int, reselect: float = 0.5) -> None:
    if agents < 1 or resources < 2:
        raise LightboundError("agents, resources", (agents, resources), "are too few", "Write 1 and 2 or more.")
    if not 0 < reselect <= 1:
        raise LightboundError("reselect", reselect, "is not a probability above 0", "Write 0.1.")
