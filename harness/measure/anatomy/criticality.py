"""Module criticality: what a network loses where one module is rewound (Neyshabur et al. 2020, after Zhang et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headwater.harness.measure.anatomy.barrier import between
from headwater.harness.measure.anatomy.networks import Networks
from headwater.leaderboard.store.records import Reading


def criticality(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``drop`` = s·(A − A(module rewound)) of each stage and the head, and the metric on the module's ``path``.

    A module is rewound to the parameters that training found; the rest of the network, and the module's own
    normalisation statistics, stay as training left them. On the path the module alone moves, straight from its initial
    (0) to its final parameters (1).
    """
    places, sign = np.linspace(0, 1, settings["points"]).tolist(), networks.job.record.sign
    readings = []
    for role in ("P-T", "RI-T"):
        subject, initial = networks.trained(role), networks.initial(role)
        rows = subject.test_rows(settings["images"])
        for module, part in subject.parts.items():
            start, end = (
                {name: s.state[name].clone() for name in part.parameters}
                for s in (initial, subject)
            )
            values = []
            for place in places:
                with subject.holding(between(start, end, place)):
                    values.append(subject.metric(rows))
            readings.append(
                Reading(role, "drop", sign * (values[-1] - values[0]), module=module, x=part.depth)
            )
            readings += [
                Reading(role, "path", value, module=module, x=place)
                for place, value in zip(places, values, strict=True)
            ]
    return readings
