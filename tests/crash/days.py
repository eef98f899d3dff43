"""Days on which there is work of every kind to do, and what both systems must show in the end."""

from tests.crash.stage import Stage, email


class Days:
    """Somebody does something of every kind; each time somebody else."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.next = 0
        self.out: set[str] = set()

    def go_on(self) -> None:
        stage = self.stage
        one, two, three, four = (email(self.next + n) for n in range(1, 5))
        self.next += 4
        stage.esp("unsubscribe", email=one)
        stage.crm("opt_out", email=two)
        stage.crm("opt_out", email=three)
        stage.crm("set_field", email=four, field="city", value="Oslo")
        stage.wait(10)
        stage.sync()
        stage.wait(10)
        # Next, one is to be let in again, one more is out, and a field is to be copied the other way.
        stage.esp("resubscribe", email=one)
        stage.esp("set_field", email=four, field="city", value="Turin")
        stage.crm("opt_out", email=four)
        stage.wait(10)
        self.out |= {two, three, four}

    def has_arrived(self) -> bool:
        shown = {view["email"]: view for view in self.stage.esp("sight")}
        flags = {view["email"]: view["opt_out"] for view in self.stage.crm("sight")}
        return all(shown[e]["status"] == "out" and flags[e] for e in self.out) and all(
            shown[e]["status"] == "in" and not flags[e] for e in shown.keys() - self.out
        )
