"""What a reader must know of a reproduced row before comparing it: a word beside its name, and its meaning.

`bench/results/agreement.py` says which of them take a row's verdict.
"""

from bench.base.protocol import Evaluation
from bench.results.record import Record, record_name

PARTIAL = "the data set was incomplete; not to be compared with the published numbers"
ENOUGH = 0.95  # of a data set's images: with fewer a row is not compared with published ones


def marks_for_row(members: list[Record], evaluation: Evaluation) -> dict[str, str]:
    """What a reader must know before comparing the row with others."""
    found = {"partial": PARTIAL} if any(member["data"]["partial"] for member in members) else {}
    found |= _fewer(members)
    if differing := _differing(members):
        found["mixed"] = (
            f"the seeds of {record_name(members[0], seed=False)} differ in {', '.join(differing)}"
        )
    expected = {"top3": evaluation.top3, "unspecified": evaluation.unspecified}
    if any(member["protocol"][name] != rule for member in members for name, rule in expected.items()):
        found["other protocol"] = "scored by another rule for top-3 or unspecified labels than stated above"
    return found


def _fewer(members: list[Record]) -> dict[str, str]:
    """How many images there were, where the card's number is one that copies of the data set may miss."""
    for member in members:
        if expected := member["data"].get("expected"):
            images = member["images"]
            found = {"train": images["train"] + images["held_out"], "test": images["test"]}
            counts = [f"{found[split]:,} of {expected[split]:,} for {split}" for split in found]
            least = min(found[split] / expected[split] for split in found)
            return {"fewer images" if least < ENOUGH else "other images": f"images: {', '.join(counts)}"}
    return {}


def _differing(members: list[Record]) -> list[str]:
    """What should be the same for all seeds of a method and is not."""
    aspects = [
        {name: one[name] for name in ("recipe", "protocol")}
        | {"card": one["data"]["card"], "images": one["data"]["fingerprint"]}
        for one in members
    ]
    return [name for name in aspects[0] if any(aspect[name] != aspects[0][name] for aspect in aspects)]
